"""What each operator of aten does to receptive fields: one small function for each that is not elementwise.

A rule that does not apply raises `NoRuleError`: the field is then unknown, and never a wrong number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload, OpOverloadPacket

from bench.archs.returned import tensors_of
from bench.costs._arguments import Args, Kwargs, numbers, signature
from bench.costs.receptive_field import _layout as layouts
from bench.costs.receptive_field._axis import (
    UNCHANGED,
    NonlocalAxis,
    NoRuleError,
    Sampling,
    adaptive_bins,
    interpolation,
    transposed_window,
    window,
)
from bench.costs.receptive_field._layout import (
    COLUMNS,
    FLAGS,
    ROWS,
    Factor,
    Layout,
    Slice,
    channel_dim,
    is_channels,
)


@dataclass(frozen=True, slots=True)
class Operation:
    """An operator that ran, its results, and the layouts of those operands that depend on the images.

    Attributes:
        layouts: by the identity of the tensor.
        tracked: how many operands depend on the images.
    """

    func: OpOverload
    args: Args
    kwargs: Kwargs
    outputs: Sequence[Tensor]
    layouts: Mapping[int, Layout]
    tracked: int

    def __getitem__(self, name: str) -> Any:
        """Return an argument by its name in the operator's schema, or its default."""
        place, default = signature(self.func)[name]
        return self.args[place] if place < len(self.args) else self.kwargs.get(name, default)

    @property
    def name(self) -> str:
        return str(self.func.overloadpacket.__name__)

    @property
    def shape(self) -> Sequence[int]:
        return self.outputs[0].shape

    def dim(self, name: str = "dim") -> int:
        """Return an argument that is a dimension of the first operand, counted from the front."""
        return int(self[name] % self.args[0].dim())

    def of(self, tensor: object) -> Layout | None:
        return self.layouts.get(id(tensor))

    def only(self) -> Layout:
        """Return the layout of the first argument, where it alone depends on the images."""
        layout = self.of(self.args[0])
        if layout is None or self.tracked > 1:
            raise NoRuleError("is applied with values that depend on the images")
        return layout


Rule = Callable[[Operation], "Layout | list[Layout] | None"]
RULES: dict[OpOverloadPacket, Rule] = {}


def _rule(*operators: str) -> Callable[[Rule], Rule]:
    """Register a rule for these operators; one that this version of torch lacks is left out."""

    def register(function: Rule) -> Rule:
        RULES.update({getattr(torch.ops.aten, o): function for o in operators if hasattr(torch.ops.aten, o)})
        return function

    return register


# --- what moves positions, or takes some of them ---


@_rule("view", "view_copy", "_unsafe_view", "_reshape_alias", "reshape")
def _view(op: Operation) -> Layout:
    return layouts.reshape(op.only(), op.shape)


@_rule("permute", "transpose", "t", "movedim")
def _permute(op: Operation) -> Layout:
    ndim = len(op.shape)
    if op.name == "permute":
        return layouts.permute(op.only(), [d % ndim for d in op["dims"]])
    order = list(range(ndim))
    if ndim > 1:
        a, b = (0, 1) if op.name == "t" else (op["dim0"] % ndim, op["dim1"] % ndim)
        order[a], order[b] = b, a
    return layouts.permute(op.only(), order)


@_rule("expand")
def _expand(op: Operation) -> Layout:
    return layouts.broadcast(op.only(), op["self"].shape, op.shape)


@_rule("unsqueeze")
def _unsqueeze(op: Operation) -> Layout:
    return _unsqueezed(op.only(), op["dim"] % len(op.shape))


def _unsqueezed(layout: Layout, dim: int) -> Layout:
    dims = layout.known_dims()
    return Layout((*dims[:dim], (), *dims[dim:]), layout.axes)


@_rule("squeeze")
def _squeeze(op: Operation) -> Layout:
    layout, shape = op.only(), op["self"].shape
    argument = op["dim"] if "dim" in signature(op.func) else range(len(shape))
    over = {d % len(shape) for d in ([argument] if isinstance(argument, int) else argument)}
    kept = [f for d, f in enumerate(layout.known_dims()) if not (shape[d] == 1 and d in over)]
    return Layout(tuple(kept), layout.axes)


@_rule("repeat")
def _repeat(op: Operation) -> Layout:
    layout, old = op.only(), op["self"].shape
    dims = ((),) * (len(op.shape) - len(old)) + layout.known_dims()
    for dim, times in zip(dims, op["repeats"], strict=True):
        if times > 1 and not is_channels(dim):
            raise NoRuleError("repeats positions")
    pairs = zip(dims, op.shape, strict=True)
    return Layout(tuple(channel_dim(n) if is_channels(d) else d for d, n in pairs), layout.axes)


@_rule("repeat_interleave")
def _repeat_interleave(op: Operation) -> Layout:
    if not isinstance(op["repeats"], int) or op["dim"] is None:
        raise NoRuleError("repeats by numbers that are not given, or over all dimensions")
    dim = op.dim()
    return layouts.sample_dim(
        op.only(), dim, adaptive_bins(op["self"].shape[dim], op.shape[dim]), op.shape[dim]
    )


@_rule("slice", "slice_copy")
def _slice(op: Operation) -> Layout:
    whole = op["self"].shape[dim := op.dim()]
    start, _, _ = slice(op["start"], None).indices(whole)
    return layouts.slice_dim(op.only(), dim, Slice(whole, start, op.shape[dim], op["step"]), str(op.func))


@_rule("select", "select_copy")
def _select(op: Operation) -> Layout:
    dim = op.dim()
    return layouts.select(op.only(), dim, op["index"] % op["self"].shape[dim])


@_rule("unbind")
def _unbind(op: Operation) -> list[Layout]:
    layout, dim = op.only(), op.dim()
    return [layouts.select(layout, dim, i) for i in range(len(op.outputs))]


@_rule("split", "split_with_sizes", "unsafe_split", "unsafe_split_with_sizes", "chunk", "unsafe_chunk")
def _split(op: Operation) -> list[Layout]:
    layout, dim, start, parts = op.only(), op.dim(), 0, []
    for output in op.outputs:
        part = Slice(op["self"].shape[dim], start, output.shape[dim])
        parts.append(layouts.slice_dim(layout, dim, part, str(op.func)))
        start += output.shape[dim]
    return parts


@_rule("roll")
def _roll(op: Operation) -> Layout:
    """Shift the positions by the shorter way; those that come round from the other end are the border's."""
    layout, shape = op.only(), op.shape
    if not op["dims"]:
        raise NoRuleError("rolls over all dimensions")
    for dim, by in zip(numbers(op["dims"], 1), numbers(op["shifts"], 1), strict=True):
        d, half = dim % len(shape), shape[dim] // 2
        layout = layouts.sample_dim(layout, d, window(1, 1, (by + half) % shape[d] - half), shape[d])
    return layout


@_rule("flip")
def _flip(op: Operation) -> Layout:
    layout, shape = op.only(), op.shape
    for dim in (d % len(shape) for d in op["dims"]):
        layout = layouts.sample_dim(layout, dim, window(1, -1, 1 - shape[dim]), shape[dim])
    return layout


@_rule("unfold")
def _unfold(op: Operation) -> Layout:
    dim = op.dim("dimension")
    layout = layouts.one_factor(op.only(), dim)
    positions = [f for f in layout.known_dims()[dim] if f.axes]
    outer = tuple(Factor(op.shape[dim], f.axes, f.step * op["step"]) for f in positions)
    inner = tuple(Factor(op["size"], f.axes, f.step) for f in positions)
    dims = layout.with_dim(dim, outer or channel_dim(op.shape[dim])).known_dims()
    return layouts.simplify(Layout((*dims, inner or channel_dim(op["size"])), layout.axes))


@_rule("pixel_shuffle", "pixel_unshuffle", "channel_shuffle")
def _shuffle(op: Operation) -> Layout:
    """Follow the view, permutation and view that these are."""
    *batch, c, h, w = op["self"].shape
    n, f = len(batch), op.args[1]
    shape, order = {
        "pixel_shuffle": ((c // f // f, f, f, h, w), (0, 3, 1, 4, 2)),
        "pixel_unshuffle": ((c, h // f, f, w // f, f), (0, 2, 4, 1, 3)),
        "channel_shuffle": ((f, c // f, h, w), (1, 0, 2, 3)),
    }[op.name]
    layout = layouts.reshape(op.only(), (*batch, *shape))
    return layouts.reshape(layouts.permute(layout, (*range(n), *(n + d for d in order))), op.shape)


@_rule("index", "_unsafe_index")
def _index(op: Operation) -> Layout:
    """Take places by tensors that do not depend on the images: in order along one dimension, any of channels."""
    layout, indices = op.only(), {d: index for d, index in enumerate(op["indices"]) if index is not None}
    first, dims = min(indices), layout.known_dims()
    if any(index.dtype in (torch.bool, torch.uint8) for index in indices.values()):
        raise NoRuleError("takes places by a mask")
    if len(indices) == 1 and indices[first].dim() == 1:
        return layouts.take(layout, first, _values(indices[first]), op.shape[first])
    if not all(is_channels(dims[d]) for d in indices):
        raise NoRuleError("takes positions by several indices")
    left = [dim for d, dim in enumerate(dims) if d not in indices]
    at = first if max(indices) - first < len(indices) else 0  # where what takes their place is put
    count = len(op.shape) - len(left)
    new = [channel_dim(n) for n in op.shape[at : at + count]]
    return Layout((*left[:at], *new, *left[at:]), layout.axes)


@_rule("index_select")
def _index_select(op: Operation) -> Layout:
    dim = op.dim()
    return layouts.take(op.only(), dim, _values(op["index"]), op.shape[dim])


@_rule("gather")
def _gather(op: Operation) -> Layout:
    dim = op.dim()
    if any(a != b for d, (a, b) in enumerate(zip(op["self"].shape, op.shape, strict=True)) if d != dim):
        raise NoRuleError("takes a part of other dimensions")
    return layouts.take(op.only(), dim, None, op.shape[dim])


def _values(index: Tensor) -> list[int] | None:
    """Return the places that an index names; None where it has no storage."""
    return None if index.is_meta else [int(i) for i in index.flatten().tolist()]


@_rule("cat", "concat")
def _cat(op: Operation) -> Layout:
    """Join maps of channels, and write maps beside each other."""
    dim = op["dim"] % len(op.shape)
    start, parts = 0, []
    for tensor in op["tensors"]:
        size = tensor.shape[dim] if tensor.dim() == len(op.shape) else 0
        if layout := op.of(tensor):
            part = layouts.mix_among_channels(layout, [dim], op.name)
            parts.append((part, Slice(op.shape[dim], start, size)))
        start += size
    if all(is_channels(part.known_dims()[dim]) for part, _ in parts):
        channels = channel_dim(op.shape[dim])
        return _join((part.with_dim(dim, channels) for part, _ in parts), op.name)
    try:
        return _written(op, dim, parts)
    except NoRuleError:
        return _in_a_row([part for part, _ in parts], dim, op.shape[dim], op.name)


def _written(op: Operation, dim: int, parts: Iterable[tuple[Layout, Slice]]) -> Layout:
    """Return the layout of parts that are written beside each other along a dimension of what comes out."""
    whole: Layout | None = None
    for part, place in parts:
        slices = [place if d == dim else Slice(n, 0, n) for d, n in enumerate(op.shape)]
        whole = layouts.write(whole, part, slices, op.name)
    if whole is None:
        raise NoRuleError("is called in a form that is not known")
    return whole


def _in_a_row(parts: list[Layout], dim: int, total: int, name: str) -> Layout:
    """Join tensors along positions: those keep what they see, in an order that is not followed."""
    factors = tuple(f for layout in parts for f in layout.known_dims()[dim])
    unordered = layouts.unordered_dim(factors, total)
    joined = [layout.with_dim(dim, unordered) for layout in parts]
    for flag in FLAGS:
        if unordered[0].axes & flag and len({layout.axis(flag) for layout in parts}) > 1:
            unknown = NonlocalAxis("unknown", f"{name}: of maps that see differently")
            joined = [layout.with_axis(flag, unknown) for layout in joined]
    return _join(joined, name)


def _join(parts: Iterable[Layout], name: str) -> Layout:
    return reduce(lambda a, b: layouts.join(a, b, name), parts)


@_rule("stack")
def _stack(op: Operation) -> Layout:
    dim, parts = op["dim"] % len(op.shape), []
    for i, tensor in enumerate(op["tensors"]):
        if layout := op.of(tensor):
            parts.append((_unsqueezed(layout, dim), Slice(op.shape[dim], i, 1)))
    return _written(op, dim, parts)


# --- what reads windows of positions ---


def _default_axis(dim: int, ndim: int) -> int | None:
    """Return the axis of a dimension of ``[B, C, H, W]`` or ``[C, H, W]``, which only matters where it is 1."""
    return {ndim - 2: ROWS, ndim - 1: COLUMNS}.get(dim) if ndim >= 3 else None


def _sample_last(op: Operation, layout: Layout, samplings: Sequence[Sampling]) -> Layout:
    """Apply these to the last dimensions, as convolution and pooling read them."""
    ndim = len(op.shape)
    for dim, sampling in enumerate(samplings, ndim - len(samplings)):
        default = _default_axis(dim, ndim) if len(samplings) == 2 else None
        try:
            layout = layouts.sample_dim(layout, dim, sampling, op.shape[dim], default)
        except NoRuleError as error:
            layout = layouts.mark_unknown(layout, dim, op.shape[dim], f"{op.func} {error}")
    return layout


@_rule("convolution", "_convolution")
def _convolution(op: Operation) -> Layout:
    weight, count = op["weight"], op["weight"].dim() - 2
    settings = [numbers(op[n], count) for n in ("stride", "padding", "dilation")]
    kind = transposed_window if op["transposed"] else window
    windows = [kind(k, *others) for k, *others in zip(weight.shape[2:], *settings, strict=True)]
    layout = _mix_groups(op.only(), op["input"].shape[1], op.shape[1], op["groups"], op.name)
    return _sample_last(op, layout, windows)


def _mix_groups(layout: Layout, before: int, after: int, groups: int, name: str) -> Layout:
    """Mix the channels of dimension 1 within their groups; they may hold positions, after space to depth."""
    channels = layout.known_dims()[1]
    if is_channels(channels):
        return layout.with_dim(1, channel_dim(after))
    layout = layout.with_dim(1, *layouts.regroup((channels,), (groups, before // groups)))
    layout = layouts.mix(layout, [2], name)
    return layouts.join_dims(layout.with_dim(2, channel_dim(after // groups)), 1)


@_rule(*(f"{kind}_pool{n}d" for kind in ("avg", "max") for n in (1, 2, 3)))
@_rule("max_pool2d_with_indices", "max_pool3d_with_indices")
def _pool(op: Operation) -> Layout:
    count = _spatial_dims(op)
    settings = [numbers(op[n] or [0], count) for n in ("stride", "padding")]
    dilation = numbers(op["dilation"], count) if "dilation" in signature(op.func) else [1] * count
    sides = zip(numbers(op["kernel_size"], count), *settings, dilation, strict=True)
    return _sample_last(op, op.only(), [window(k, s or k, p, d) for k, s, p, d in sides])


def _spatial_dims(op: Operation) -> int:
    """Return 2 for an operator whose name says pool2d."""
    return int(op.name.partition("pool")[2][0])


@_rule("_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_avg_pool1d", "adaptive_avg_pool2d")
@_rule("adaptive_max_pool2d", "adaptive_max_pool3d", "adaptive_max_pool1d")
def _adaptive_pool(op: Operation) -> Layout:
    layout, before = op.only(), op["self"].shape
    spatial = range(len(before) - _spatial_dims(op), len(before))
    for d in (d for d in spatial if op.shape[d] == 1):
        layout = layouts.mix(layout, [d], f"{op.name} over positions")
        if layout.dims is None:
            return layout
        layout = layout.with_dim(d, ())
    sizes = [(before[d], op.shape[d]) for d in spatial]
    samplings = [UNCHANGED if after in {1, size} else adaptive_bins(size, after) for size, after in sizes]
    return _sample_last(op, layout, samplings)


@_rule(
    *(f"{kind}{d}" for kind in ("upsample_nearest", "_upsample_nearest_exact") for d in ("1d", "2d", "3d"))
)
def _nearest(op: Operation) -> Layout:
    def sampling(before: int, after: int) -> Sampling:
        if after % before == 0:
            return adaptive_bins(before, after)
        if before % after == 0:
            step = before // after
            return window(1, step, -(step // 2) if "exact" in op.name else 0)
        raise NoRuleError("samples by a factor that is not whole")

    return _resize(op, sampling)


@_rule("upsample_linear1d", "upsample_bilinear2d", "upsample_bicubic2d")
def _interpolate(op: Operation) -> Layout:
    """Read the neighbours of ``(j + 1/2) * before / after - 1/2``, or of the corners' map of j."""
    neighbours = 2 if "cubic" in op.name else 1

    def sampling(before: int, after: int) -> Sampling:
        if op["align_corners"]:
            return interpolation(before - 1, 0, max(after - 1, 1), neighbours)
        return interpolation(2 * before, before - after, 2 * after, neighbours)

    return _resize(op, sampling)


def _resize(op: Operation, sampling: Callable[[int, int], Sampling]) -> Layout:
    names = [n for n in signature(op.func) if n.startswith("scales")]
    if not names or len(op.shape) != len(names) + 2:
        raise NoRuleError("is called in a form that is not known")
    sizes = list(zip(op["self"].shape[2:], op.shape[2:], strict=True))
    for name, (before, after) in zip(names, sizes, strict=True):
        if op[name] is not None and op[name] * before != after:
            raise NoRuleError("samples by a factor that is not whole")
    return _sample_last(op, op.only(), [sampling(b, a) if a != b else UNCHANGED for b, a in sizes])


@_rule("constant_pad_nd", *(f"{kind}_pad{n}d" for kind in ("reflection", "replication") for n in (1, 2, 3)))
def _pad(op: Operation) -> Layout:
    """Shift the positions; what is read at the border is not of the inner positions."""
    margins = op.args[1]
    return _sample_last(op, op.only(), [window(1, 1, before) for before in margins[-2::-2]])


@_rule("im2col")
def _im2col(op: Operation) -> Layout:
    """Follow ``[B, C, H, W]`` to ``[B, C * kh * kw, H' * W']``."""
    layout = layouts.one_factor(layouts.one_factor(op.only(), 2), 3)
    rows, columns = layout.known_dims()[2:]
    if [f.axes for f in rows + columns] != [ROWS, COLUMNS]:
        raise NoRuleError("reads what is no map")
    near, far = [], []
    for i, dim in enumerate((2, 3)):
        k, d, p, s = (numbers(op[n], 2)[i] for n in ("kernel_size", "dilation", "padding", "stride"))
        size = op["self"].shape[dim] + 2 * p
        layout = layouts.sample_dim(layout, dim, window(1, 1, p), size)
        near.append(Factor(k, FLAGS[i], d))
        far.append(Factor((size - d * (k - 1) - 1) // s + 1, FLAGS[i], s))
    dims = layout.known_dims()
    return layouts.simplify(Layout((dims[0], (*dims[1], *near), tuple(far)), layout.axes))


@_rule("col2im")
def _col2im(op: Operation) -> Layout:
    """Sum patches ``[B, C * kh * kw, H' * W']`` where they overlap; what they hold was mixed within each."""
    names = ("kernel_size", "stride", "padding", "dilation")
    sides = list(zip(*(numbers(op[n], 2) for n in names), strict=True))
    batch, wide, _ = op["self"].shape
    counts = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, (k, s, p, d) in zip(op["output_size"], sides, strict=True)
    ]
    layout = layouts.reshape(op.only(), (batch, wide, *counts))
    if not is_channels(layout.known_dims()[1]):
        raise NoRuleError("sums patches that hold positions")
    samplings = [transposed_window(*side) for side in sides]
    return _sample_last(op, layout.with_dim(1, channel_dim(op.shape[1])), samplings)


# --- what joins tensors unit by unit, or mixes whole dimensions ---


@_rule("_to_copy", "alias", "detach", "lift_fresh", "hardswish", "hardswish_", "threshold_", "_prelu_kernel")
# Not tagged everywhere.
@_rule("mish_", "hardtanh_", "hardsigmoid_", "leaky_relu", "leaky_relu_", "elu_", "rsub")
@_rule("dropout", "native_dropout")
def elementwise(op: Operation) -> Layout:
    """Join all that depends on the images, position by position."""
    if op.tracked == 1 and (layout := op.of(op.args[0])) and op.args[0].shape == op.shape:
        return layout
    operands = [(t, part) for t in tensors_of((op.args, op.kwargs)) if (part := op.of(t))]
    return _join((layouts.broadcast(part, t.shape, op.shape) for t, part in operands), op.name)


@_rule("copy_")
def copy(op: Operation) -> Layout | None:
    """Forget what was there."""
    source = op.of(op["src"])
    return source and layouts.broadcast(source, op["src"].shape, op.shape)


@_rule("mm", "bmm", "addmm", "baddbmm", "_addmm_activation")
def _matrix_product(op: Operation) -> Layout:
    """Multiply ``[..., M, K]`` by ``[..., K, N]``; where both hold positions it is attention."""
    a, b = ("self", "mat2") if op.name in {"mm", "bmm"} else tuple(signature(op.func))[1:3]
    last, parts = len(op.shape) - 1, []
    for name, inner in ((a, last), (b, last - 1)):
        if layout := op.of(op[name]):
            one = layouts.mix(layout, [inner], f"{op.name} over positions")
            parts.append(one if one.dims is None else one.with_dim(inner, channel_dim(op.shape[inner])))
    if op.tracked > len(parts):
        bias = op.of(op["self"])
        if bias is None:
            raise NoRuleError("is called in a form that is not known")
        parts.append(layouts.broadcast(bias, op["self"].shape, op.shape))
    return layouts.join_all(parts, op.name)


@_rule("mean", "sum", "amax", "amin", "max", "min", "var", "std", "var_mean", "std_mean", "prod", "logsumexp")
@_rule("linalg_vector_norm", "norm", "any", "all", "argmax", "argmin")
def _reduction(op: Operation) -> Layout:
    ndim = op["self"].dim()
    argument = op["dim"] if "dim" in signature(op.func) else None
    over = {d % ndim for d in ([argument] if isinstance(argument, int) else argument or range(ndim))}
    layout = layouts.mix(op.only(), sorted(over), f"{op.name} over positions")
    if layout.dims is None:
        return layout
    keep = len(op.shape) == ndim
    dims = [() if d in over else f for d, f in enumerate(layout.dims) if keep or d not in over]
    return Layout(tuple(dims), layout.axes)


@_rule("_softmax", "_safe_softmax", "_log_softmax", "softmax", "log_softmax", "cumsum", "glu")
def _along_one(op: Operation) -> Layout:
    """Let each unit see its whole dimension, which keeps its positions' number or, in glu, half of it."""
    layout, dim = op.only(), op.dim()
    if "softmax" not in op.name and not is_channels(layout.known_dims()[dim]):
        raise NoRuleError("works along positions")
    layout = layouts.mix(layout, [dim], f"{op.name} over positions")
    return layout if layout.dims is None else layout.with_dim(dim, channel_dim(op.shape[dim]))


@_rule("native_layer_norm", "native_group_norm", "native_batch_norm", "cudnn_batch_norm")
@_rule("_native_batch_norm_legit", "_native_batch_norm_legit_no_training", "_fused_rms_norm")
def _normalisation(op: Operation) -> Layout:
    """Mix what the statistics are taken over; in evaluation, batch norm takes none."""
    ndim, parameters = len(op.shape), signature(op.func)
    over = list(range(1, ndim))
    if "normalized_shape" in parameters:
        over = list(range(ndim - len(op["normalized_shape"]), ndim))
    elif "batch_norm" in op.name:
        if "training" not in parameters or not op["training"]:
            return op.only()
        over = [0, *over[1:]]
    return layouts.mix(op.only(), over, f"statistics of {op.name} over positions")
