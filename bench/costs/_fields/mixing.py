"""Rules of the operators that join tensors unit by unit, and of those that mix whole dimensions."""

from __future__ import annotations

from functools import reduce

from bench.costs._fields import meeting, places
from bench.costs._fields.calls import Call, rule, signature, tensors
from bench.costs._fields.lines import NoRuleError
from bench.costs._fields.places import State, channels


@rule("_to_copy", "alias", "detach", "lift_fresh", "hardswish", "hardswish_", "threshold_", "_prelu_kernel")
@rule(
    "mish_", "hardtanh_", "hardsigmoid_", "leaky_relu", "leaky_relu_", "elu_", "rsub"
)  # untagged in some versions
@rule("dropout", "native_dropout")
def elementwise(call: Call) -> State:
    """Join all that depends on the images, position by position."""
    if call.tracked == 1 and (state := call.of(call.args[0])) and call.args[0].shape == call.shape:
        return state
    operands = [(t, s) for t in tensors((call.args, call.kwargs)) if (s := call.of(t))]
    states = [meeting.broadcast(s, t.shape, call.shape) for t, s in operands]
    return reduce(lambda a, b: meeting.merged(a, b, call.name), states)


@rule("copy_")
def copied(call: Call) -> State | None:
    """Forget what was there."""
    source = call.of(call["src"])
    return source and meeting.broadcast(source, call["src"].shape, call.shape)


@rule("mm", "bmm", "addmm", "baddbmm", "_addmm_activation")
def matrix_product(call: Call) -> State:
    """Multiply ``[..., M, K]`` by ``[..., K, N]``; where both hold positions it is attention."""
    a, b = ("self", "mat2") if call.name in {"mm", "bmm"} else tuple(signature(call.func))[1:3]
    left, right = (call.of(call[n]) for n in (a, b))
    ndim = len(call.shape)
    product = []
    for state, inner, outer in ((left, ndim - 1, ndim - 2), (right, ndim - 2, ndim - 1)):
        if state:
            one = meeting.mixed(state, [inner], f"{call.name} over positions")
            product.append(
                one if one.dims is None else one.at(inner, channels(call.shape[2 * ndim - 3 - outer]))
            )
    if call.tracked > len(product):
        bias = call.of(call["self"])
        if bias is None:
            raise NoRuleError("is called in a form that is not known")
        product.append(meeting.broadcast(bias, call["self"].shape, call.shape))
    return meeting.all_merged(product, call.name)


@rule("mean", "sum", "amax", "amin", "max", "min", "var", "std", "var_mean", "std_mean", "prod", "logsumexp")
@rule("linalg_vector_norm", "norm", "any", "all", "argmax", "argmin")
def reduction(call: Call) -> State:
    ndim = call["self"].dim()
    given = call["dim"] if "dim" in signature(call.func) else None
    over = {d % ndim for d in ([given] if isinstance(given, int) else given or range(ndim))}
    state = meeting.mixed(call.only(), sorted(over), f"{call.name} over positions")
    if state.dims is None:
        return state
    keep = len(call.shape) == ndim
    dims = [() if d in over else f for d, f in enumerate(state.dims) if keep or d not in over]
    return State(tuple(dims), state.axes)


@rule("_softmax", "_safe_softmax", "_log_softmax", "softmax", "log_softmax", "cumsum", "glu")
def along_one(call: Call) -> State:
    """Let each unit see its whole dimension, which keeps its positions' number or, in glu, half of it."""
    state, dim = call.only(), call["dim"] % len(call.shape)
    held_positions = not places.is_channels(state.places()[dim])
    if held_positions and "softmax" not in call.name:
        raise NoRuleError("works along positions")
    state = meeting.mixed(state, [dim], f"{call.name} over positions")
    return state if state.dims is None else state.at(dim, channels(call.shape[dim]))


@rule("native_layer_norm", "native_group_norm", "native_batch_norm", "cudnn_batch_norm")
@rule("_native_batch_norm_legit", "_native_batch_norm_legit_no_training", "_fused_rms_norm")
def normalisation(call: Call) -> State:
    """Mix what the statistics are taken over; in evaluation, batch norm takes none."""
    ndim = len(call.shape)
    over = list(range(1, ndim))
    if "normalized_shape" in signature(call.func):
        over = (
            over[ndim - 1 - len(call["normalized_shape"]) :]
            if len(call["normalized_shape"]) < ndim
            else [0, *over]
        )
    elif "batch_norm" in call.name:
        if "training" not in signature(call.func) or not call["training"]:
            return call.only()
        over = [0, *over[1:]]
    return meeting.mixed(call.only(), over, f"statistics of {call.name} over positions")
