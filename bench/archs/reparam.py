"""Networks with two forms: one that is trained, and one for inference that comes of it by adding its branches up.

RepVGG, MobileOne, FastViT, RepViT and their like have a method for it in some of their modules. All such methods are
called from the outermost module inwards, as timm's `reparameterize_model` does, and the network's own one first.
"""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from bench.archs import Arch
from bench.archs.returned import tensors_of
from bench.errors import InvalidModelError, UnsupportedError, lacks_memory, typed_text

_METHODS = ("fuse", "reparameterize", "switch_to_deploy", "convert_to_deploy")
# Of the largest output; roundings of a deep network in single precision add up to a tenth of it.
_TOLERANCE = 1e-3
_IMAGES = 2  # that both forms are held against each other on


def with_fused_form(arch: Arch, name: str, asked: object) -> Arch:
    """Return the network in its form for inference, under the name that asks for it.

    Raises:
        InvalidModelError: if what is asked for is neither yes nor no.
    """
    if not isinstance(asked, bool):
        raise InvalidModelError(f"{name}: reparam is True or False, not {asked!r}", "write (reparam=True)")
    card = replace(arch.card, name=name)
    if not asked:
        return replace(arch, card=card)

    def build(*, in_channels: int, input_size: int, **values: int | None) -> nn.Module:
        model = arch.builder(in_channels=in_channels, input_size=input_size, **values)
        return _fused(model, name, (_IMAGES, in_channels, input_size, input_size))

    reason = "its fused form is for inference alone; without reparam it is trained as it was built"
    return replace(arch, card=replace(card, parameters=None, inference_only=reason), builder=build)


def _fused(model: nn.Module, name: str, shape: tuple[int, ...]) -> nn.Module:
    """Return a network in its form for inference, in evaluation mode, held against the form as it was built.

    The network is changed. Both take noise of `shape`, and are held against each other on a copy whose constant
    parameters and statistics, such as those of batch norms, are drawn: as a network is built, most of what is added up
    is zero or one.

    Raises:
        UnsupportedError: if it has no other form, or one with other outputs, or has no storage to compute them.
    """
    tensors = [*model.parameters(), *model.buffers()]
    if any(t.is_meta for t in tensors):
        raise UnsupportedError("its two forms are compared with each other, which takes values")
    if not has_fused_form(model):
        message = f"{name} comes in one form alone: nothing of it can be fused"
        raise UnsupportedError(message, "leave reparam out")
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        trial = copy.deepcopy(model).eval()
        _draw_constants(trial, rng)
        dtype = next((t.dtype for t in tensors if t.is_floating_point()), torch.float32)
        images = torch.randn(shape, generator=rng).to(dtype)
        before = _values(trial(images))
        difference = _difference(before, _values(_converted(trial, name)(images)))
        if not difference <= max(_TOLERANCE, 10 * torch.finfo(dtype).eps):
            raise UnsupportedError(
                f"{name}: the outputs of its fused form differ from those of the form that was built by "
                f"{difference:.2g} of the largest",
                "its own conversion is at fault; leave reparam out to measure the form that was built",
            )
        return _converted(model.eval(), name)


def has_fused_form(model: nn.Module) -> bool:
    """Return whether a network has a form for inference that is another than its own; it stays as it is.

    A copy without storage is converted; where that fails, there is one, unless what would be fused is no longer there.
    """
    if isinstance(model, torch.jit.ScriptModule) or all(_method(m) is None for m in model.modules()):
        return False
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            trial = _without_storage(model)
            before = _shapes(trial)
            return _shapes(_converted(trial, "")) != before
    except Exception as error:  # of its own code, which may need values, or what it has fused already
        return not isinstance(error.__cause__, AttributeError)


def _method(module: nn.Module) -> Callable[[], object] | None:
    """Return the method of a module that converts it: one of the usual names, without a required argument."""
    names = (name for name in _METHODS if _takes_nothing(getattr(type(module), name, None)))
    return next((getattr(module, name) for name in names), None)


def _takes_nothing(method: object) -> bool:
    """Return whether it is a method that needs nothing but its object: ``fuse(features, more)`` is no conversion."""
    if not callable(method):
        return False
    try:
        _, *others = inspect.signature(method).parameters.values()
    except (TypeError, ValueError):
        return False
    return all(p.default is not p.empty or p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in others)


def _converted(model: nn.Module, name: str) -> nn.Module:
    """Return the network converted, in place where it can be.

    Raises:
        UnsupportedError: if its own conversion fails.
    """
    try:
        made = _call(model)
        _convert_parts(made or model, inside=made is not None)
    except Exception as error:
        if lacks_memory(error):
            raise
        message = f"{name} cannot be converted to its fused form: {typed_text(error)}"
        raise UnsupportedError(message, "leave reparam out to measure the form that was built") from error
    return made or model


def _call(module: nn.Module) -> nn.Module | None:
    """Convert one module by its own method, if it has one; return what came of it, which may be another module."""
    method = _method(module)
    if method is None:
        return None
    made = method()
    return made if isinstance(made, nn.Module) else module


def _convert_parts(above: nn.Module, inside: bool) -> None:
    """Convert the parts of a module.

    One that was converted by itself, or is `inside` such a one, may have converted its parts already: they may then
    fail to do so again.
    """
    for name, part in list(above.named_children()):
        try:
            made = _call(part)
        except Exception:
            if not inside:
                raise
            made = None
        if made is not None and made is not part:
            setattr(above, name, made)
        _convert_parts(made or part, inside or made is not None)


def _without_storage(model: nn.Module) -> nn.Module:
    """Return a copy on the meta device; nothing of the network's own storage is touched."""
    memo: dict[int, object] = {id(b): torch.empty_like(b, device="meta") for b in model.buffers()}
    for p in model.parameters():
        memo[id(p)] = nn.Parameter(torch.empty_like(p, device="meta"), requires_grad=p.requires_grad)
    return copy.deepcopy(model, memo).eval()


def _shapes(model: nn.Module) -> list[tuple[str, tuple[int, ...]]]:
    return [(name, tuple(tensor.shape)) for name, tensor in model.state_dict().items()]


def _draw_constants(model: nn.Module, rng: torch.Generator) -> None:
    """Add noise to parameters, and to statistics of norms, that are one number throughout."""
    statistics = (b for n, b in model.named_buffers() if n.endswith(("running_mean", "running_var")))
    for tensor in (*model.parameters(), *statistics):
        if tensor.is_floating_point() and tensor.numel() and bool((tensor == tensor.flatten()[0]).all()):
            tensor.add_(torch.rand(tensor.shape, generator=rng).to(tensor), alpha=0.2)


def _values(output: object) -> list[Tensor]:
    """Return copies of the tensors in what a network returned."""
    return [tensor.detach().double().clone() for tensor in tensors_of(output)]


def _difference(before: list[Tensor], after: list[Tensor]) -> float:
    """Return the largest difference, as a share of the largest output of the same tensor."""
    if not before or [t.shape for t in before] != [t.shape for t in after]:
        return math.inf
    pairs = zip(before, after, strict=True)
    apart = [float((a - b).abs().max() / b.abs().max()) for b, a in pairs if b.numel()]
    return max(apart) if all(map(math.isfinite, apart)) else math.inf
