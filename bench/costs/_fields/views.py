"""Rules of the operators that move the positions, or take some of them."""

from __future__ import annotations

from functools import reduce

from bench.costs._fields import meeting, places
from bench.costs._fields.calls import Call, each, rule, signature
from bench.costs._fields.lines import Axis, Ended, NoRuleError, Window
from bench.costs._fields.places import BITS, ROWS, Factor, State, channels


@rule("view", "_unsafe_view", "_reshape_alias", "reshape")
def view(call: Call) -> State:
    return places.viewed(call.only(), call.shape)


@rule("permute", "transpose", "t", "movedim")
def permute(call: Call) -> State:
    ndim = len(call.shape)
    order = list(range(ndim))
    if call.name == "permute":
        order = [d % ndim for d in call["dims"]]
    elif ndim > 1:
        a, b = (0, 1) if call.name == "t" else (call["dim0"] % ndim, call["dim1"] % ndim)
        order[a], order[b] = b, a
    return places.permuted(call.only(), order)


@rule("expand")
def expand(call: Call) -> State:
    return meeting.broadcast(call.only(), call["self"].shape, call.shape)


@rule("unsqueeze")
def unsqueeze(call: Call) -> State:
    state, dim = call.only(), call["dim"] % len(call.shape)
    dims = state.places()
    return State((*dims[:dim], (), *dims[dim:]), state.axes)


@rule("squeeze")
def squeeze(call: Call) -> State:
    state, shape = call.only(), call["self"].shape
    given = call["dim"] if "dim" in signature(call.func) else range(len(shape))
    over = {d % len(shape) for d in ([given] if isinstance(given, int) else given)}
    kept = [f for d, f in enumerate(state.places()) if not (shape[d] == 1 and d in over)]
    return State(tuple(kept), state.axes)


@rule("repeat")
def repeat(call: Call) -> State:
    state, old = call.only(), call["self"].shape
    dims = ((),) * (len(call.shape) - len(old)) + state.places()
    for dim, times in zip(dims, call["repeats"], strict=True):
        if times > 1 and not places.is_channels(dim):
            raise NoRuleError("repeats positions")
    pairs = zip(dims, call.shape, strict=True)
    return State(tuple(channels(n) if places.is_channels(d) else d for d, n in pairs), state.axes)


@rule("slice")
def slices(call: Call) -> State:
    whole = call["self"].shape[dim := call["dim"] % len(call.shape)]
    start, _, _ = slice(call["start"], None).indices(whole)
    return places.cut(call.only(), dim, (whole, start, call.shape[dim]), str(call.func), call["step"])


@rule("select")
def select(call: Call) -> State:
    shape = call["self"].shape
    dim = call["dim"] % len(shape)
    return places.picked(call.only(), dim, call["index"] % shape[dim])


@rule("unbind")
def unbind(call: Call) -> list[State]:
    state, dim = call.only(), call["dim"] % call["self"].dim()
    return [places.picked(state, dim, i) for i in range(len(call.outputs))]


@rule("split", "split_with_sizes", "unsafe_split", "unsafe_split_with_sizes", "chunk", "unsafe_chunk")
def split(call: Call) -> list[State]:
    state, shape = call.only(), call["self"].shape
    dim, start, parts = call["dim"] % len(shape), 0, []
    for output in call.outputs:
        parts.append(places.cut(state, dim, (shape[dim], start, output.shape[dim]), str(call.func)))
        start += output.shape[dim]
    return parts


@rule("roll")
def roll(call: Call) -> State:
    state, shape = call.only(), call.shape
    if not call["dims"]:
        raise NoRuleError("rolls over all dimensions")
    for dim, by in zip(each(call["dims"], 1), each(call["shifts"], 1), strict=True):
        d = dim % len(shape)
        state = places.read(state, d, Window(1, 1, by), shape[d])
    return state


@rule("flip")
def flip(call: Call) -> State:
    state, shape = call.only(), call.shape
    for dim in (d % len(shape) for d in call["dims"]):
        state = places.read(state, dim, Window(1, -1, 1 - shape[dim]), shape[dim])
    return state


@rule("unfold")
def unfold(call: Call) -> State:
    state, dim = call.only(), call["dimension"] % call["self"].dim()
    state = places.settled(state, dim)
    dims = state.places()
    outer = tuple(Factor(call.shape[dim], f.axes, f.step * call["step"]) for f in dims[dim] if f.axes)
    inner = tuple(Factor(call["size"], f.axes, f.step) for f in dims[dim] if f.axes)
    dims = (*dims[:dim], outer or channels(call.shape[dim]), *dims[dim + 1 :])
    return places.tidied((*dims, inner or channels(call["size"])), state.axes)


@rule("pixel_shuffle", "pixel_unshuffle", "channel_shuffle")
def shuffle(call: Call) -> State:
    """Follow the view, permutation and view that these are."""
    *batch, c, h, w = call["self"].shape
    n, f = len(batch), call.args[1]
    shape, order = {
        "pixel_shuffle": ((c // f // f, f, f, h, w), (0, 3, 1, 4, 2)),
        "pixel_unshuffle": ((c, h // f, f, w // f, f), (0, 2, 4, 1, 3)),
        "channel_shuffle": ((f, c // f, h, w), (1, 0, 2, 3)),
    }[call.name]
    state = places.viewed(call.only(), (*batch, *shape))
    return places.viewed(places.permuted(state, (*range(n), *(n + d for d in order))), call.shape)


@rule("cat", "concat")
def cat(call: Call) -> State:
    dim = call["dim"] % len(call.shape)
    total, start, states = call.shape[dim], 0, []
    for tensor in call["tensors"]:
        if state := call.of(tensor):
            states.append((state, start))
        start += tensor.shape[dim] if tensor.dim() == len(call.shape) else 0
    states = [(meeting.flat(s, [dim], call.name), start) for s, start in states]
    if all(places.is_channels(s.places()[dim]) for s, _ in states):
        wide = [s.at(dim, channels(total)) for s, _ in states]
        return reduce(lambda a, b: meeting.merged(a, b, call.name), wide)
    first, start = states[0]
    factors = first.places()[dim]
    if len(states) == 1 and len(factors) == 1 and factors[0].step:
        return places.read(first, dim, Window(1, 1, start), total)
    return _in_a_row([s for s, _ in states], dim, total, call.name)


def _in_a_row(states: list[State], dim: int, total: int, name: str) -> State:
    """Join tensors along positions: those keep what they see, in an order that is not followed."""
    factors = tuple(f for s in states for f in s.places()[dim])
    loose = [s.at(dim, places.unordered(factors, total)) for s in states]
    along = [bit for bit in BITS if loose[0].places()[dim][0].axes & bit]
    for bit in along:
        if len({s.axes[bit - 1] for s in states}) > 1:
            ended: Axis = Ended("unknown", f"{name}: of maps that see differently")
            loose = [State(s.dims, (ended, s.axes[1]) if bit == ROWS else (s.axes[0], ended)) for s in loose]
    return reduce(lambda a, b: meeting.merged(a, b, name), loose)


@rule("stack")
def stack(call: Call) -> State:
    dim = call["dim"] % len(call.shape)
    states = [s for t in call["tensors"] if (s := call.of(t))]
    state = reduce(lambda a, b: meeting.merged(a, b, call.name), states)
    dims = state.places()
    return State((*dims[:dim], channels(call.shape[dim]), *dims[dim:]), state.axes)
