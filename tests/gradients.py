"""What a unit of any layer depends on, by its gradient: the second way to a receptive field, which knows no rule.

The network runs as it is written, with each operator replaced by one of equal weights that reads the same: nothing can
cancel, die, saturate or underflow, so that the gradient of a unit is other than zero wherever it depends on the image.
A convolution of equal weights is the mean over its channels, spread again, so that the largest networks take seconds
and no memory.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, NamedTuple
from unittest import mock

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.module import register_module_forward_hook

from bench.archs import Arch
from bench.archs.returned import tensors_of
from bench.costs import _trace, prepare
from bench.costs.receptive_field import _layout as layouts
from bench.costs.receptive_field._axis import _NOTHING, NonlocalAxis, NoRuleError, _Span
from bench.costs.receptive_field._layout import FLAGS, ROWS, Layout

MASK = 50.0  # a key whose score is so much below the largest one is hidden by a mask


def unit(x: Tensor, *_: Any, **__: Any) -> Tensor:
    """Return ones whose gradients are those of x: any activation, or a norm that takes no statistics."""
    return x - x.detach() + 1


def half(x: Tensor, *_: Any, **__: Any) -> Tensor:
    """Return a gate that is neither open nor shut."""
    return unit(x) / 2


def mean_over(x: Tensor, dims: Any) -> Tensor:
    return unit(x + x.mean(dims, keepdim=True))


def layer_norm(x: Tensor, normalized_shape: Any, *_: Any, **__: Any) -> Tensor:
    return mean_over(x, tuple(range(-len(normalized_shape), 0)))


def group_norm(x: Tensor, groups: int, *_: Any, **__: Any) -> Tensor:
    grouped = x.reshape(x.shape[0], groups, -1)
    return mean_over(grouped, -1).reshape(x.shape)


def instance_norm(x: Tensor, *_: Any, **__: Any) -> Tensor:
    return mean_over(x, tuple(range(2, x.dim())))


def normalize(x: Tensor, p: float = 2.0, dim: int = 1, *_: Any, **__: Any) -> Tensor:
    return mean_over(x, dim)


largest = torch.amax


def softmax(x: Tensor, dim: int = -1, *_: Any, **__: Any) -> Tensor:
    """Return equal weights for all that is not hidden by a mask, depending on all of those.

    The gradients differ from place to place, since equal ones would cancel where weights are divided by their sum.
    """
    alive = x.detach() > largest(x.detach(), dim, keepdim=True) - MASK
    weights = (alive / alive.sum(dim, keepdim=True).clamp(min=1)).to(x.dtype)
    total = torch.where(alive, x, 0).sum(dim, keepdim=True)
    return weights * (1 + weights.detach().cumsum(dim) ** 2 * (total - total.detach()))


def attention(q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None, *_: Any, **__: Any) -> Tensor:
    scores = q @ k.transpose(-2, -1)
    if attn_mask is not None:
        hidden = ~attn_mask if attn_mask.dtype == torch.bool else attn_mask < -MASK
        scores = scores.masked_fill(hidden, -1e9)
    return softmax(scores) @ v


def linear(x: Tensor, weight: Tensor, *_: Any, **__: Any) -> Tensor:
    return unit(x.mean(-1, keepdim=True)).expand(*x.shape[:-1], weight.shape[0]).contiguous()


def convolution(plain: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return a convolution, transposed or not, of equal weights: one channel for each group, spread again."""

    def convolve(x: Tensor, weight: Tensor, bias: Any = None, *args: Any, **kwargs: Any) -> Tensor:
        transposed, at = "transpose" in plain.__name__, 3  # of the groups, behind the bias
        groups = args[at] if len(args) > at else kwargs.get("groups", 1)
        outputs = weight.shape[1] * groups if transposed else weight.shape[0]
        batched = x if x.dim() == weight.dim() else x[None]
        one = batched.unflatten(1, (groups, -1)).mean(2)
        ones = torch.ones(groups, 1, *weight.shape[2:], dtype=x.dtype)
        ones = ones / ones[0].numel()
        if len(args) > at:
            args = (*args[:at], groups, *args[at + 1 :])
        out = plain(one, ones, None, *args, **kwargs)
        out = out.repeat_interleave(outputs // groups, 1)
        return out if batched is x else out[0]

    return convolve


def average(pool: Callable[..., Tensor]) -> Callable[..., Any]:
    """Return the mean over the windows of a maximum."""

    def pooled(
        x: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1,
        ceil_mode: bool = False, return_indices: bool = False,
    ) -> Tensor:  # fmt: skip
        assert dilation in (1, (1, 1), [1, 1]), "a dilated maximum has no mean"
        return pool(x, kernel_size, stride, padding, ceil_mode)

    return pooled


def mean(x: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    return x.mean() if dim is None else x.mean(dim, keepdim=keepdim)


_ACTIVATIONS = (
    "relu relu_ relu6 gelu silu hardswish hardtanh mish leaky_relu elu selu celu tanh softplus "
    "logsigmoid prelu tanh_ hardtanh_ elu_ leaky_relu_"
)
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(_ACTIVATIONS.split(), unit),
    **dict.fromkeys(("dropout", "dropout1d", "dropout2d", "alpha_dropout"), lambda x, *_, **__: x),
    **dict.fromkeys(("sigmoid", "sigmoid_", "hardsigmoid"), half),
    "batch_norm": unit,
    "layer_norm": layer_norm,
    "rms_norm": layer_norm,
    "group_norm": group_norm,
    "instance_norm": instance_norm,
    "normalize": normalize,
    "softmax": softmax,
    "scaled_dot_product_attention": attention,
    "linear": linear,
    "max_pool1d": average(F.avg_pool1d),
    "max_pool2d": average(F.avg_pool2d),
    "adaptive_max_pool2d": F.adaptive_avg_pool2d,
    "amax": mean,
}


@contextmanager
def equal_weights() -> Iterator[None]:
    """Let the functions of torch, and the methods of its tensors, have equal weights; so do the modules that call them."""
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    with ExitStack() as stack:
        stack.callback(torch.backends.mha.set_fastpath_enabled, fast_path)
        for name, function in _FUNCTIONS.items():
            for owner in (F, torch, Tensor):
                if hasattr(owner, name):
                    stack.enter_context(mock.patch.object(owner, name, function))
        for name in ("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d"):
            for owner in (F, torch):
                stack.enter_context(mock.patch.object(owner, name, convolution(getattr(owner, name))))
        yield


def weightless(model: nn.Module) -> nn.Module:
    """Give a network parameters that are all equal, of one number each, in double precision, and return it."""
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                value = 1 / max(1, math.prod(parameter.shape[1:]))
                one = torch.tensor(value, dtype=torch.double).expand(parameter.shape)
                module._parameters[name] = nn.Parameter(one, requires_grad=False)
        for name, buffer in module._buffers.items():
            if buffer is not None and buffer.is_meta:
                module._buffers[name] = torch.ones((), dtype=torch.double).expand(buffer.shape)
            elif buffer is not None and buffer.is_floating_point():
                module._buffers[name] = buffer.double()
    return model


class Claim(NamedTuple):
    """What a layer is said to see, and the shape of what it gives."""

    layer: str
    layout: Layout
    shape: tuple[int, ...]


@contextmanager
def claiming() -> Iterator[list[Claim | None]]:
    """Note what the last trace claims of the result of each call of a module, in their order; None of what sees no image."""
    made: list[Claim | None] = []

    class Recorder(_trace._Recorder):
        def __init__(self, model: nn.Module, images: Tensor) -> None:
            super().__init__(model, images)
            made.clear()

        def leave(self, module: nn.Module, inputs: Any, output: Any) -> None:
            super().leave(module, inputs, output)
            first = next(tensors_of(output), None)
            layout = None if first is None else self.fields._layouts.get(id(first))
            if first is None or layout is None:
                made.append(None)
            else:
                made.append(Claim(self.names.get(id(module), ""), layout, tuple(first.shape)))

    with mock.patch.object(_trace, "_Recorder", Recorder):
        yield made


def claims(model: nn.Module, shape: tuple[int, int, int, int]) -> list[Claim | None]:
    """Return what is claimed of each call.

    Raises:
        Exception: what the network raised.
    """
    with claiming() as made:
        failure = _trace.trace(model, shape).failure
    if failure is not None:
        raise failure
    return made


class _ReachedError(Exception):
    """Nothing behind this layer is asked for."""


def outputs_of(model: nn.Module, images: Tensor, wanted: set[int]) -> dict[int, Tensor]:
    """Return what some calls of modules give, by their number; what follows the last one does not run."""
    outputs: dict[int, Tensor] = {}
    count = 0

    def keep(module: nn.Module, inputs: Any, output: Any) -> None:
        nonlocal count
        if count in wanted:
            outputs[count] = next(tensors_of(output)) + 0  # what is written to it later is not its own
        count += 1
        if count > max(wanted):
            raise _ReachedError

    hook = register_module_forward_hook(keep)
    try:
        with equal_weights(), suppress(_ReachedError):
            model(images)
    finally:
        hook.remove()
    return outputs


def difference(claim: Claim, output: Tensor, images: Tensor) -> str:
    """Return what the gradient of the unit in the middle says other than is claimed; empty where they agree."""
    layout, index = _together(claim.layout), _middle(claim)
    total, differences = output[index].sum(), []
    gradient = torch.zeros_like(images)
    if total.requires_grad:
        (gradient,) = torch.autograd.grad(total, images, retain_graph=True)
    reached = gradient[0].abs().sum(0)
    for flag, other in zip(FLAGS, (1, 0), strict=True):
        pixels = reached.sum(other).nonzero().flatten().tolist()
        span = (pixels[0], pixels[-1]) if pixels else _NOTHING
        if (claimed := _contradicted(layout, flag, index, span, images.shape[1 + flag])) is not None:
            differences.append(f"{'rows' if flag == ROWS else 'columns'}: {claimed} claimed, {span} reached")
    return "; ".join(differences)


def _contradicted(layout: Layout, flag: int, index: tuple[Any, ...], span: _Span, pixels: int) -> object:
    """Return what is claimed of an axis where the unit reaches another `span` of the image; else None.

    Where the claim goes over the border, all is to be reached up to there, but for what strides leave out; so it is
    where it is global. Of positions whose order is not followed, only the size is compared.
    """
    axis = layout.axis(flag)
    if isinstance(axis, NonlocalAxis):
        whole = span[0] <= pixels // 7 and span[1] >= pixels - 1 - pixels // 7
        return None if axis.reach == "unknown" or whole else axis.reach
    position = _position(layout, flag, index)
    if position is None:
        sizes = {high - low for low, high in zip(axis.lows, axis.highs, strict=True)}
        cut = span[0] == 0 or span[1] == pixels - 1
        return None if span[1] - span[0] in sizes or (cut and span[1] - span[0] < max(sizes)) else sizes
    claimed = axis.span([position])
    if claimed[0] >= pixels or claimed[1] < 0:
        return None if span == _NOTHING else claimed
    slack = -(-abs(axis.shift) // axis.period)
    low = span[0] == claimed[0] or (claimed[0] <= 0 and span[0] <= slack)
    high = span[1] == claimed[1] or (claimed[1] >= pixels - 1 - slack and span[1] >= pixels - 1 - slack)
    return None if low and high else claimed


def _together(layout: Layout) -> Layout:
    """Return the layout with positions among the channels seen together, as the field of a unit counts them."""
    try:
        return layouts.mix_among_channels(layout, range(len(layout.dims or ())), "channels")
    except NoRuleError as error:
        return layouts.unknown([layout], str(error))


def _middle(claim: Claim) -> tuple[Any, ...]:
    """Return the index of the unit in the middle with all its channels; those are second where nothing is known."""
    dims = _together(claim.layout).dims
    channels = {1 if len(claim.shape) == 4 else len(claim.shape) - 1}
    if dims is not None:
        channels = {d for d, dim in enumerate(dims) if layouts.is_channels(dim)}
    return tuple(slice(None) if d in channels else n // 2 for d, n in enumerate(claim.shape))


def _position(layout: Layout, flag: int, index: tuple[Any, ...]) -> int | None:
    """Return where along an axis a unit is; None where the order of the positions is not followed."""
    position = 0
    for value, dim in zip(index, layout.known_dims(), strict=True):
        for factor in reversed(dim if isinstance(value, int) else ()):
            value, digit = divmod(value, factor.size)  # noqa: PLW2901
            if factor.axes & flag and not factor.step:
                return None
            position += digit * factor.step if factor.axes & flag else 0
    return position


def chosen(made: Sequence[Claim | None], local: int, whole: int) -> list[int]:
    """Return the numbers of calls to look at: so many local ones, spread over the network, and the first global ones.

    Of calls of which the same is claimed, such as an activation behind a layer, the last one counts.
    """
    different = {(c.layout.axes, c.layout.dims, c.shape): i for i, c in enumerate(made) if c is not None}
    numbers = sorted(different.values())
    reaches = {i: _reach(made[i]) for i in numbers}
    bounded = [i for i in numbers if reaches[i] == "local"]
    spread = {
        bounded[round(k * (len(bounded) - 1) / max(1, local - 1))] for k in range(min(local, len(bounded)))
    }
    return sorted(spread | set([i for i in numbers if reaches[i] == "global"][:whole]))


def _reach(claim: Claim | None) -> str:
    reaches = [a.reach for a in claim.layout.axes if isinstance(a, NonlocalAxis)] if claim else []
    return "unknown" if "unknown" in reaches else "global" if reaches else "local"


def unknown(made: Sequence[Claim | None]) -> dict[str, int]:
    """Return why nothing is claimed, with the number of calls."""
    doubts = (
        a.reason
        for c in made
        if c
        for a in c.layout.axes
        if isinstance(a, NonlocalAxis) and a.reach == "unknown"
    )
    return dict(Counter(doubts))


def _lacks_values(model: nn.Module) -> bool:
    """Return whether a buffer has no storage that is more than statistics, such as a mask or an index."""
    plain = (module for module in model.modules() if not isinstance(module, _NormBase))
    return any(buffer.is_meta for module in plain for buffer in module.buffers(recurse=False))


class Comparison(NamedTuple):
    """What came of a network: how many calls were compared, what differs by layer, and why nothing is claimed."""

    local: int
    compared: int
    differences: dict[str, str]
    unknown: dict[str, int]


def compare(
    arch: Arch, shape: tuple[int, int, int, int] | None = None, local: int = 8, whole: int = 2
) -> Comparison:
    """Hold what is claimed of a network against its gradients, by default for its own shape of images."""
    with claiming() as made:
        subject = prepare(arch)
        failure = subject.trace.failure
    if failure is not None:
        raise failure
    model = subject.model
    if shape not in (None, subject.shape):
        made = claims(model, shape)
    shape = subject.shape if shape is None else shape
    if _lacks_values(model):
        model = arch.build().eval()
    numbers = chosen(made, local, whole)
    images = torch.ones(shape, dtype=torch.double, requires_grad=True)
    outputs = outputs_of(weightless(model), images, set(numbers)) if numbers else {}
    differences = {}
    for number in numbers:
        claim = made[number]
        assert claim is not None
        if found := difference(claim, outputs[number], images):
            differences[f"{number} {claim.layer}"] = found
    bounded = sum(_reach(claim) == "local" for claim in made if claim)
    return Comparison(bounded, len(numbers), differences, unknown(made))
