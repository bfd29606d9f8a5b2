"""Rules of the operators that read windows of positions: convolution, pooling, padding and interpolation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.costs._fields import meeting, places
from bench.costs._fields.calls import Call, each, rule, signature
from bench.costs._fields.lines import Bins, NoRuleError, Points, Reads, Spread, Window
from bench.costs._fields.places import BITS, COLUMNS, ROWS, Factor, State, channels


def _default_axis(dim: int, ndim: int) -> int | None:
    """Return the axis of a dimension of ``[B, C, H, W]`` or ``[C, H, W]``, which only matters where it is 1."""
    return {ndim - 2: ROWS, ndim - 1: COLUMNS}.get(dim) if ndim >= 3 else None


def _read_last(call: Call, state: State, reads: Sequence[Reads]) -> State:
    """Apply these to the last dimensions, as convolution and pooling read them."""
    ndim = len(call.shape)
    for dim, read in enumerate(reads, ndim - len(reads)):
        default = _default_axis(dim, ndim) if len(reads) == 2 else None
        try:
            state = places.read(state, dim, read, call.shape[dim], default)
        except NoRuleError as error:
            state = places.doubted(state, dim, call.shape[dim], f"{call.func} {error}")
    return state


@rule("convolution", "_convolution")
def convolution(call: Call) -> State:
    weight, count = call["weight"], call["weight"].dim() - 2
    sizes = [each(call[n], count) for n in ("stride", "padding", "dilation")]
    kind = Spread if call["transposed"] else Window
    reads = [kind(k, *each) for k, *each in zip(weight.shape[2:], *sizes, strict=True)]
    state = _grouped(call.only(), call["input"].shape[1], call.shape[1], call["groups"], call.name)
    return _read_last(call, state, reads)


def _grouped(state: State, before: int, after: int, groups: int, name: str) -> State:
    """Mix the channels of dimension 1 within their groups; they may hold positions, after space to depth."""
    dims = state.places()
    if places.is_channels(dims[1]):
        return state.at(1, channels(after))
    inner = places.regrouped((dims[1],), (groups, before // groups))
    state = State((dims[0], *inner, *dims[2:]), state.axes)
    state = meeting.mixed(state, [2], name)
    return places.joined(state.at(2, channels(after // groups)), 1)


@rule(*(f"{kind}_pool{n}d" for kind in ("avg", "max") for n in (1, 2, 3)))
@rule("max_pool2d_with_indices", "max_pool3d_with_indices")
def pool(call: Call) -> State:
    kernel = call["kernel_size"]
    count = int(call.name.partition("pool")[2][0])
    sizes = [each(call[n] or [default], count) for n, default in (("stride", 0), ("padding", 0))]
    dilation = each(call["dilation"], count) if "dilation" in signature(call.func) else [1] * count
    reads = [
        Window(k, s or k, p, d) for k, s, p, d in zip(each(kernel, count), *sizes, dilation, strict=True)
    ]
    return _read_last(call, call.only(), reads)


@rule("_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_avg_pool1d", "adaptive_avg_pool2d")
@rule("adaptive_max_pool2d", "adaptive_max_pool3d", "adaptive_max_pool1d")
def adaptive_pool(call: Call) -> State:
    state, before = call.only(), call["self"].shape
    count = int(call.name.partition("pool")[2][0])
    ndim = len(before)
    over = [d for d in range(ndim - count, ndim) if call.shape[d] == 1]
    for d in over:
        state = meeting.mixed(state, [d], f"{call.name} over positions")
        if state.dims is None:
            return state
        state = state.at(d, ())
    sizes = [(before[d], call.shape[d]) for d in range(ndim - count, ndim)]
    reads: list[Reads] = [Window(1) if after in {1, size} else Bins(size, after) for size, after in sizes]
    return _read_last(call, state, reads)


@rule(*(f"{kind}{d}" for kind in ("upsample_nearest", "_upsample_nearest_exact") for d in ("1d", "2d", "3d")))
def nearest(call: Call) -> State:
    def reads(before: int, after: int) -> Reads:
        if after % before == 0:
            return Bins(before, after)
        if before % after == 0:
            step = before // after
            return Window(1, step, -(step // 2) if "exact" in call.name else 0)
        raise NoRuleError("samples by a factor that is not whole")

    return _resized(call, reads)


@rule("upsample_linear1d", "upsample_bilinear2d", "upsample_bicubic2d")
def interpolate(call: Call) -> State:
    """Read the neighbours of ``(j + 1/2) * before / after - 1/2``, or of the corners' map of j."""
    neighbours = 2 if "cubic" in call.name else 1

    def reads(before: int, after: int) -> Reads:
        if call["align_corners"]:
            return Points(before - 1, 0, max(after - 1, 1), neighbours)
        return Points(2 * before, before - after, 2 * after, neighbours)

    return _resized(call, reads)


def _resized(call: Call, reads: Callable[[int, int], Reads]) -> State:
    names = [n for n in signature(call.func) if n.startswith("scales")]
    count = len(names)
    if not count or len(call.shape) != count + 2:
        raise NoRuleError("is called in a form that is not known")
    sizes = list(zip(call["self"].shape[2:], call.shape[2:], strict=True))
    for name, (before, after) in zip(names, sizes, strict=True):
        if call[name] is not None and call[name] * before != after:
            raise NoRuleError("samples by a factor that is not whole")
    return _read_last(call, call.only(), [reads(b, a) if a != b else Window(1) for b, a in sizes])


@rule("constant_pad_nd", *(f"{kind}_pad{n}d" for kind in ("reflection", "replication") for n in (1, 2, 3)))
def pad(call: Call) -> State:
    """Shift the positions; what is read at the border is not of the inner positions."""
    margins = call.args[1]
    return _read_last(call, call.only(), [Window(1, 1, before) for before in margins[-2::-2]])


@rule("im2col")
def im2col(call: Call) -> State:
    """Follow ``[B, C, H, W]`` to ``[B, C * kh * kw, H' * W']``."""
    state = places.settled(places.settled(call.only(), 2), 3)
    rows, columns = state.places()[2:]
    if [f.axes for f in rows + columns] != [ROWS, COLUMNS]:
        raise NoRuleError("reads what is no map")
    padded, near, far = state, [], []
    for i, dim in enumerate((2, 3)):
        k, d, p, s = (each(call[n], 2)[i] for n in ("kernel_size", "dilation", "padding", "stride"))
        size = call["self"].shape[dim]
        padded = places.read(padded, dim, Window(1, 1, p), size + 2 * p)
        near.append(Factor(k, BITS[i], d))
        far.append(Factor((size + 2 * p - d * (k - 1) - 1) // s + 1, BITS[i], s))
    dims = padded.places()
    return places.tidied((dims[0], (*dims[1], *near), tuple(far)), padded.axes)


@rule("col2im")
def col2im(call: Call) -> State:
    """Sum patches ``[B, C * kh * kw, H' * W']`` where they overlap; what they hold was mixed within each."""
    kernel, dilation, padding, stride = (
        each(call[n], 2) for n in ("kernel_size", "dilation", "padding", "stride")
    )
    batch, wide, _ = call["self"].shape
    pairs = zip(call["output_size"], kernel, dilation, padding, stride, strict=True)
    counts = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, d, p, s in pairs]
    state = places.viewed(call.only(), (batch, wide, *counts))
    if not places.is_channels(state.places()[1]):
        raise NoRuleError("sums patches that hold positions")
    reads = [Spread(k, s, p, d) for k, s, p, d in zip(kernel, stride, padding, dilation, strict=True)]
    return _read_last(call, state.at(1, channels(call.shape[1])), reads)
