"""What each operator of aten costs, from its shapes: the knowledge of two counters, side by side.

The first counter is fvcore's: its handles, and ours in their form for what it leaves at zero. The second is
torch's: the formulas of `FlopCounterMode`, which count a multiply-accumulate as two operations. Both look at the
operators that torch dispatches to, so that they see the same work: fvcore's own way to find them, `torch.jit`'s
tracer, takes several times as long, and fails on meta tensors (torch 2.15: `torch._check` is given traced shapes).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeVar

import torch
import torchvision  # noqa: F401 (whose operators have rules here)
from fvcore.nn.jit_handles import (
    addmm_flop_jit,
    batchnorm_flop_jit,
    bmm_flop_jit,
    conv_flop_jit,
    matmul_flop_jit,
    norm_flop_counter,
)
from torch import Tensor
from torch._ops import HigherOrderOperator, OpOverload, OpOverloadPacket
from torch.utils.flop_counter import flop_registry

from bench.costs._arguments import numbers

_Matrix = Literal["convolution", "linear", "attention"]
_Other = Literal["normalisation", "elementwise", "pooling", "softmax", "reduction", "transform"]

_K = TypeVar("_K")
_Function = Callable[..., object]

_aten = torch.ops.aten


class _TracedValue:
    """A value in the form that fvcore's handles know from a traced graph."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def isCompleteTensor(self) -> bool:  # noqa: N802 (torch's name)
        return isinstance(self.value, Tensor)

    def type(self) -> _TracedValue:
        return self

    def sizes(self) -> list[int]:
        return list(self.value.shape)

    def toIValue(self) -> object:  # noqa: N802 (torch's name)
        return self.value


_Values = list[_TracedValue]
Handle = Callable[[_Values, _Values], float]  # of an operator's arguments and its results


def _shapes(values: Sequence[_TracedValue]) -> list[list[int]]:
    return [v.sizes() for v in values]


def _convolution(inputs: _Values, outputs: _Values) -> int:
    missing = 12 - len(inputs)  # of the arguments of `_convolution`, which fvcore expects
    padded = inputs + [_TracedValue(None)] * missing
    return int(conv_flop_jit(padded, outputs)["conv"])


def _on(handle: Handle, first: int, end: int) -> Handle:
    """Return a handle that is given some of the arguments."""
    return lambda inputs, outputs: handle(inputs[first:end], outputs)


def _product(first: int) -> Handle:
    """Return the handle of a product with a vector, by the place of the matrix or vector that it runs over."""
    return lambda inputs, outputs: int(inputs[first].value.numel())  # noqa: ARG005


def _attention(inputs: _Values, outputs: _Values) -> int:  # noqa: ARG001 (fvcore's signature)
    """Count fused attention: queries by keys, then weights by values.

    Shapes: query [..., L, E], key [..., S, E], value [..., S, V]; L x S x (E + V) in each head.
    """
    query, key, value = _shapes(inputs[:3])
    return math.prod(query[:-2]) * query[-2] * key[-2] * (query[-1] + value[-1])


def _flash(inputs: _Values, outputs: _Values) -> int:  # noqa: ARG001
    """Count attention in the layout [B, L, heads, E] of the kernels beneath."""
    query, key, value = _shapes(inputs[:3])
    return math.prod(query[:-3]) * query[-2] * query[-3] * key[-3] * (query[-1] + value[-1])


def _native_attention(inputs: _Values, outputs: _Values) -> int:  # noqa: ARG001
    """Count torch's fast path of multi-head attention on [B, L, E], its four projections included."""
    query, key, _ = _shapes(inputs[:3])
    return math.prod(query) * 2 * (query[-1] + key[-2]) + 2 * math.prod(key) * query[-1]


def _native_encoder(inputs: _Values, outputs: _Values) -> int:
    """Count torch's fast path of an encoder's layer on [B, L, E]: attention, and two linear layers."""
    images = inputs[0]
    hidden = inputs[14].sizes()[0]
    return _native_attention([images] * 3, outputs) + 2 * math.prod(images.sizes()) * hidden


def _trilinear(inputs: _Values, outputs: _Values) -> int:  # noqa: ARG001
    """Count a product of three tensors, summed over some dimensions: of the first two, and of that with the third.

    Each lacks the dimensions that are named beside it. What only the first two have is summed in the first product.
    """
    shapes: list[list[int]] = []
    for tensor, missing in zip(inputs[:3], inputs[3:6], strict=True):
        shape = tensor.sizes()
        for place in sorted(missing.value):
            shape.insert(place, 1)
        shapes.append(shape)
    of_two: list[int] = [max(sides) for sides in zip(*shapes[:2], strict=True)]
    summed = set(inputs[6].value) & set(inputs[5].value)
    left = [1 if place in summed else side for place, side in enumerate(of_two)]
    return math.prod(of_two) + math.prod(map(max, left, shapes[2]))


def _rnn_layer(inputs: _Values, outputs: _Values) -> int:  # noqa: ARG001
    """Count a recurrent layer in one kernel: both of its matrices at each step; images [steps, B, in]."""
    (steps, batch, _), of_input, of_state = _shapes(inputs[:3])
    return steps * batch * (math.prod(of_input) + math.prod(of_state))


def _recurrent(inputs: _Values, outputs: _Values) -> int:  # noqa: ARG001
    """Count recurrent layers in one kernel of a card: each matrix among the weights at each step of each image.

    Images are [steps, B, in], [B, steps, in], or packed, [all their steps, in].
    """
    images: Tensor = inputs[0].value
    matrices: list[Tensor] = [weight for weight in inputs[1].value if weight.dim() == 2]
    return images.numel() // images.shape[-1] * sum(matrix.numel() for matrix in matrices)


def _grouped_product(inputs: _Values, outputs: _Values) -> int:  # noqa: ARG001
    """Count rows [M, K] that are each multiplied by one of several matrices [G, K, N]; M x K x N."""
    rows, matrices = _shapes(inputs[:2])
    return math.prod(rows) * matrices[-1]


def _deformable(inputs: _Values, outputs: _Values) -> int:
    """Count a convolution by its weights [C_out, C_in / groups, h, w]; finding the pixels is left out."""
    return int(outputs[0].value.numel()) * math.prod(inputs[1].sizes()[1:])


def _sums(inputs: _Values, outputs: _Values) -> int:
    """Count outputs that are sums over the first input's last dimension.

    Such are linear layers whose weights are packed, distances [..., N, M] of vectors, and grids of points [N, H, W, 2],
    each of which is the product of a matrix [2, 3] with a place of the image.
    """
    return int(outputs[0].value.numel()) * inputs[0].sizes()[-1]


def _quantised_convolution(inputs: _Values, outputs: _Values) -> int:
    """Count a convolution whose weights [C_out, C_in / groups, h, w] are packed."""
    weight: Tensor = inputs[1].value.weight()
    return int(outputs[0].value.numel()) * math.prod(weight.shape[1:])


def _packets(names: str) -> list[OpOverloadPacket]:
    """Return those of torch's operators that are there, of aten or ``LIBRARY.NAME``."""
    packets = []
    for name in names.split():
        library, _, own = name.rpartition(".")
        operators = getattr(torch.ops, library) if library else _aten
        try:
            packets.append(getattr(operators, own))
        except AttributeError:  # an older torch, or a library that is not there
            continue
    return packets


def _table(rows: Iterable[tuple[_K, Handle, str]]) -> dict[OpOverloadPacket, tuple[_K, Handle]]:
    """Return kind and handle by operator; a row has them with the names of the operators."""
    return {packet: (kind, handle) for kind, handle, names in rows for packet in _packets(names)}


# Operators that multiply matrices, with fvcore's handle or one in its form. A convolution of its own library
# stands here beside `convolution`, and every kernel that `scaled_dot_product_attention` may choose.
MATRIX: dict[OpOverloadPacket, tuple[_Matrix, Handle]] = _table((
    ("convolution", _convolution,
     "convolution _convolution convolution_overrideable cudnn_convolution cudnn_convolution_transpose "
     "miopen_convolution miopen_convolution_transpose mkldnn_convolution _conv_depthwise2d "
     "miopen_depthwise_convolution slow_conv3d conv_depthwise3d"),
    ("linear", addmm_flop_jit, "addmm addmm_ _addmm_activation"),
    ("linear", _on(matmul_flop_jit, 0, 2), "mm _int_mm _scaled_mm _sparse_mm"),
    ("linear", _on(bmm_flop_jit, 0, 2), "bmm"),
    ("linear", _on(bmm_flop_jit, 1, 3), "baddbmm baddbmm_ addbmm"),
    ("linear", _product(0), "mv dot vdot"),
    ("linear", _product(1), "addmv"),
    ("linear", _trilinear, "_trilinear"),
    ("linear", _rnn_layer, "mkldnn_rnn_layer"),
    ("linear", _recurrent, "_cudnn_rnn miopen_rnn"),
    ("linear", _grouped_product, "_grouped_mm _scaled_grouped_mm"),
    ("linear", _sums,
     "affine_grid_generator _euclidean_dist quantized.linear quantized.linear_relu quantized.linear_dynamic "
     "quantized.linear_relu_dynamic"),
    ("convolution", _quantised_convolution, "quantized.conv1d quantized.conv2d quantized.conv2d_relu quantized.conv3d"),
    ("convolution", _deformable, "torchvision.deform_conv2d"),
    ("attention", _attention,
     "scaled_dot_product_attention _scaled_dot_product_attention_math _scaled_dot_product_flash_attention "
     "_scaled_dot_product_flash_attention_for_cpu _scaled_dot_product_efficient_attention "
     "_scaled_dot_product_cudnn_attention _scaled_dot_product_fused_attention_overrideable "
     "_scaled_dot_product_attention_math_for_mps"),
    ("attention", _native_attention, "_native_multi_head_attention"),
    ("attention", _native_encoder, "_transformer_encoder_layer_fwd"),
    ("attention", _flash, "_flash_attention_forward _efficient_attention_forward _cudnn_attention_forward"),
))  # fmt: skip


def _convolution_backward(args: Sequence[Any]) -> int:
    """Count as many as forward for the gradient of the input, and again for that of the weights, where asked for."""
    gradient, images, weight, transposed, asked = args[0], args[1], args[2], args[7], args[10]
    forward = math.prod((images if transposed else gradient).shape) * math.prod(weight.shape[1:])
    return int(forward * sum(asked[:2]))


def _attention_backward(args: Sequence[Any]) -> int:
    """Count the four products that the gradients need; the scores, which kernels compute again, are left out."""
    return 2 * _attention(arguments(args[1:4]), [])


def _rnn_backward(args: Sequence[Any]) -> int:
    """Count a recurrent layer in one kernel, images [steps, B, in]: weights, input and state, where asked for.

    The kernel makes all of them; no gradient of the first state is needed but where that is asked for too.
    """
    images, of_input, of_state, state = args[0], args[1], args[2], args[5]
    steps, batch = images.shape[:2]
    each, again = of_input.numel() * batch, of_state.numel() * batch
    weights = steps * (each * of_input.requires_grad + again * of_state.requires_grad)
    return int(weights + steps * each * images.requires_grad + (steps - (not state.requires_grad)) * again)


def _recurrent_backward(args: Sequence[Any]) -> int:
    """Count recurrent layers in one kernel of a card as `_rnn_backward` does, layer by layer.

    Of each layer and direction there are as many weights as `stride`: matrices of its input, its state, and the
    projection of its state, if it has one; and biases. A later layer's input is always asked for.
    """
    images, weights, stride, state = args[0], args[1], args[2], args[4]
    directions, asked = 1 + bool(args[-5]), args[-1]
    steps = images.numel() // images.shape[-1]  # of all images together
    macs = 0
    for first in range(0, len(weights), stride):
        matrices = [w for w in weights[first : first + stride] if w.dim() == 2]
        of_input, of_state, *projection = (w.numel() for w in matrices)
        macs += steps * sum(w.numel() for w in matrices if w.requires_grad)
        macs += steps * of_input * (bool(asked[0]) or first >= stride * directions)
        macs += (steps - (not asked[1]) * state.shape[1]) * of_state + steps * sum(projection)
    return macs


# Operators of a backward pass that multiply matrices, all others being those of `MATRIX`: of the arguments, the count.
BACKWARD: dict[OpOverloadPacket, Callable[[Sequence[Any]], int]] = {
    packet: count
    for count, names in (
        (_convolution_backward, "convolution_backward"),
        (_rnn_backward, "mkldnn_rnn_layer_backward"),
        (_recurrent_backward, "_cudnn_rnn_backward miopen_rnn_backward"),
        (
            _attention_backward,
            "_scaled_dot_product_flash_attention_backward _scaled_dot_product_flash_attention_for_cpu_backward "
            "_scaled_dot_product_efficient_attention_backward _scaled_dot_product_cudnn_attention_backward",
        ),
    )
    for packet in _packets(names)
}


def _eval_batch_norm(inputs: _Values, outputs: _Values) -> float:
    return float(batchnorm_flop_jit([*inputs[:5], _TracedValue(False)], outputs))


def _window(inputs: _Values, outputs: _Values) -> int:
    """Count pooling: each output looks at all elements of its window, the second argument."""
    return math.prod(numbers(inputs[1].value, 2)) * int(outputs[0].value.numel())


def _inputs(inputs: _Values, outputs: _Values) -> int:  # noqa: ARG001
    return int(inputs[0].value.numel())


def _outputs(inputs: _Values, outputs: _Values) -> int:  # noqa: ARG001
    return int(outputs[0].value.numel())


def _fourier(inputs: _Values, outputs: _Values) -> int:
    """Count a fast Fourier transform over some dimensions: 5 N log2 n for n points each, the usual convention."""
    larger = max((inputs[0].sizes(), outputs[0].sizes()), key=math.prod)
    points = math.prod(larger[d] for d in inputs[1].value)
    return round(5 * math.prod(larger) * math.log2(max(points, 2)))


# All other work, in operations and not in multiply-accumulates; what torch tags as pointwise is added to it.
OTHER: dict[OpOverloadPacket, tuple[_Other, Handle]] = _table((
    ("normalisation", batchnorm_flop_jit, "native_batch_norm cudnn_batch_norm miopen_batch_norm"),
    ("normalisation", _eval_batch_norm, "_native_batch_norm_legit_no_training"),
    ("normalisation", norm_flop_counter(2), "native_layer_norm"),
    ("normalisation", norm_flop_counter(1), "native_group_norm"),
    ("normalisation", norm_flop_counter(1),
     "_native_batch_norm_legit _batch_norm_with_update _fused_rms_norm rms_norm"),
    ("pooling", _window,
     "max_pool2d_with_indices avg_pool2d max_pool2d max_pool3d_with_indices avg_pool3d mkldnn_max_pool2d"),
    ("pooling", _inputs, "_adaptive_avg_pool2d adaptive_max_pool2d _adaptive_avg_pool3d mkldnn_adaptive_avg_pool2d"),
    ("pooling", _outputs,
     "upsample_nearest2d upsample_bilinear2d upsample_bicubic2d _upsample_bilinear2d_aa "
     "_upsample_bicubic2d_aa _upsample_nearest_exact2d upsample_linear1d upsample_nearest1d grid_sampler_2d"),
    ("softmax", _inputs, "_softmax _log_softmax _safe_softmax logsumexp"),
    ("reduction", _inputs,
     "mean sum amax amin max min var std var_mean std_mean prod linalg_vector_norm norm cumsum argmax argmin any "
     "all col2im index_add index_add_ scatter_add scatter_add_ scatter_reduce index_reduce _weight_norm_interface "
     "norm_except_dim"),
    ("transform", _fourier, "_fft_c2c _fft_r2c _fft_c2r"),
    ("elementwise", _outputs,
     "addr rsub elu_ threshold_ "
     "hardswish hardswish_ hardtanh hardtanh_ elu leaky_relu leaky_relu_ glu prelu _prelu_kernel softplus mish "
     "_thnn_fused_lstm_cell _thnn_fused_gru_cell "
     "mish_ hardsigmoid_ celu addcmul addcdiv lerp where clamp_min_ rrelu_with_noise threshold log_sigmoid_forward"),
))  # fmt: skip

# What moves, makes or names data and computes nothing.
MOVING = frozenset(
    _packets(
        "view _unsafe_view reshape _reshape_alias t transpose permute expand slice select squeeze unsqueeze split "
        "split_with_sizes unbind alias detach as_strided as_strided_ unfold diagonal narrow clone contiguous "
        "_to_copy copy copy_ _copy_from cat stack constant_pad_nd reflection_pad2d replication_pad2d roll flip "
        "rot90 repeat unsafe_split unsafe_split_with_sizes unsafe_chunk im2col "
        "index index_select index_put index_put_ _index_put_impl_ gather scatter scatter_ "
        "slice_scatter select_scatter embedding pixel_shuffle pixel_unshuffle channel_shuffle "
        "native_channel_shuffle native_dropout bernoulli bernoulli_ empty empty_like empty_strided new_empty "
        "new_empty_strided zeros zeros_like new_zeros zero_ ones ones_like new_ones full full_like new_full fill "
        "fill_ scalar_tensor arange linspace eye lift_fresh lift_fresh_copy resize_ set_ tril triu item "
        "_local_scalar_dense is_same_size rand randn randperm rand_like randn_like uniform_ normal_ random_ "
        "nonzero topk sort masked_select masked_fill masked_fill_ unique _unique2 one_hot repeat_interleave "
        "view_as_real view_as_complex complex _conj real imag resolve_conj resolve_neg "
        "transpose_ t_ squeeze_ unsqueeze_ swapaxes_ detach_ masked_scatter masked_scatter_ "
        "quantize_per_tensor dequantize select_copy slice_copy view_copy"
    )
)


def _taken(
    condition: object, when_true: _Function, when_false: _Function, operands: Sequence[object]
) -> object:
    return (when_true if condition else when_false)(*operands)


def _switched(index: Any, branches: Sequence[_Function], operands: Sequence[Any]) -> object:
    return branches[int(index)](*operands)


def _scanned(*args: object, **kwargs: object) -> object:
    from torch._higher_order_ops.scan import generic_scan

    kwargs.pop("mutated_arg_indices", None)
    combine, init, xs, additional = args
    return generic_scan(combine, init, xs, additional_inputs=additional)


# Operators that take functions, and what each does with them. Some of torch's own kernels refuse to be watched; these
# are the same without that. The others are torch's.
_HIGHER_ORDER: dict[str, _Function | None] = {
    "cond": _taken,
    "switch": _switched,
    "scan": _scanned,
    "strict_mode": lambda function, operands: function(*operands),
    "invoke_subgraph": lambda function, _name, *operands: function(*operands),
    "flex_attention": None,
    "map_impl": None,
    "while_loop": None,
    "associative_scan": None,
    "out_dtype": None,
    "hints_wrapper": None,
}


def watched_kernel(func: HigherOrderOperator) -> _Function | None:
    """Return what runs a higher-order operator operator by operator, as a mode can watch it; None where that is open.

    Of branches the one that is taken runs, a loop as often as it goes round, and attention in products.
    """
    if func.name() not in _HIGHER_ORDER:
        return None
    own: _Function | None = func.py_kernels.get(torch._C.DispatchKey.CompositeExplicitAutograd)
    return _HIGHER_ORDER[func.name()] or own


# Operators with results of a shape that values decide, which have no tag that says so.
_OF_VALUES = frozenset(_packets("torchvision.nms"))


def arguments(args: Sequence[object]) -> _Values:
    """Return arguments as fvcore's handles take them."""
    return [_TracedValue(a) for a in args]


def complex_factor(args: Sequence[object]) -> int:
    """Return how many real multiply-accumulates one of an operator is: four, of complex numbers."""
    return 4 if any(isinstance(a, Tensor) and a.is_complex() for a in args) else 1


def reads_values(func: OpOverload, args: Sequence[object]) -> bool:
    """Return whether how much an operator does, or what becomes of its result, depends on values.

    Torch tags operators with outputs of a shape that values decide, and those that hand values to Python. Indexing is
    one of them where an index is a mask.
    """
    if func.overloadpacket in _OF_VALUES:
        return True
    if not {torch.Tag.dynamic_output_shape, torch.Tag.data_dependent_output} & set(func.tags):
        return False
    if func.overloadpacket is not _aten.index:
        return True
    indices = args[1] if isinstance(args[1], list | tuple) else ()
    return any(isinstance(i, Tensor) and i.dtype in (torch.bool, torch.uint8) for i in indices)


def estimated_work(args: Sequence[object], out: Tensor) -> int:
    """Return what an operator without a rule may come to: its elements, times the inner size of two matrices.

    Of an operator that takes several tensors with two dimensions and more, each result is taken for a sum over the last
    dimension of the first.
    """
    tensors = [a for a in args if isinstance(a, Tensor)]
    elements = max([out.numel(), *(t.numel() for t in tensors)])
    matrices = [t for t in tensors if t.dim() > 1]
    return max(elements, out.numel() * matrices[0].shape[-1]) if len(matrices) > 1 else elements


def second_count(
    packet: OpOverloadPacket, args: Sequence[object], kwargs: Mapping[str, object], out: object
) -> int | None:
    """Return the multiply-accumulates that torch's counter sees in an operator; None where it has no formula."""
    formula = flop_registry.get(packet)
    return int(formula(*args, **kwargs, out_val=out)) // 2 if formula is not None else None


def pointwise(func: OpOverload) -> bool:
    """Return whether torch says that an operator works element by element."""
    return torch.Tag.pointwise in func.tags
