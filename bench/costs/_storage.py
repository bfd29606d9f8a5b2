"""Networks whose parameters have shapes but no storage, so that the largest cost neither memory nor time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.parameter import UninitializedParameter, is_lazy
from torch.utils._pytree import tree_map_only

from bench.archs.returned import tensors_of
from bench.costs._arguments import Args, Kwargs


@contextlib.contextmanager
def without_storage() -> Iterator[None]:
    """Let networks built inside have their parameters, and the statistics of batch norm, on the meta device.

    Other buffers and constants stay real.

    A parameter moves there the moment its module takes it, before it is initialised, so that nothing is drawn and
    no page of it is ever touched. (Building under ``torch.device("meta")`` fails where a network computes its
    widths with tensors, as torchvision's RegNets do, and is no faster.)
    """
    register, register_buffer = nn.Module.register_parameter, _NormBase.register_buffer

    def register_empty(self: nn.Module, name: str, param: nn.Parameter | None) -> None:
        register(self, name, param)
        if isinstance(param, UninitializedParameter):
            self._parameters[name] = UninitializedParameter(param.requires_grad, device="meta")
        elif type(param) is nn.Parameter and not param.is_meta:
            empty = nn.Parameter(param.detach().to("meta"), requires_grad=param.requires_grad)
            self._parameters[name] = empty

    def register_empty_buffer(
        self: nn.Module, name: str, tensor: Tensor | None, persistent: bool = True
    ) -> None:
        register_buffer(self, name, tensor if tensor is None else tensor.to("meta"), persistent)

    nn.Module.register_parameter = register_empty  # type: ignore[method-assign]
    _NormBase.register_buffer = register_empty_buffer  # type: ignore[method-assign]
    try:
        yield
    finally:
        nn.Module.register_parameter = register  # type: ignore[method-assign]
        del _NormBase.register_buffer


class MixedDevicesError(RuntimeError):
    """A network writes what has no storage into memory that has some: its values would be wrong from there on."""


def all_meta(func: OpOverload, args: Args, kwargs: Kwargs) -> tuple[Args, Kwargs]:
    """Return arguments that are all on the meta device if one of them is; else as they were.

    So that buffers and constants, which stay real, may be combined with tensors without storage.

    Raises:
        MixedDevicesError: if the operator would write into a real tensor.
    """
    tensors = [*tensors_of(args), *tensors_of(kwargs)]
    metas = sum(t.is_meta for t in tensors)
    if metas in (0, len(tensors)):
        return args, kwargs
    written = (a for a, s in zip(args, func._schema.arguments, strict=False) if s.is_write)
    if any(isinstance(a, Tensor) and not a.is_meta for a in written):
        raise MixedDevicesError(f"{func} writes into a real tensor")
    moved: tuple[Args, Kwargs] = tree_map_only(
        Tensor, lambda t: t if t.is_meta else t.to("meta"), (args, kwargs)
    )
    return moved


def with_lazy_shapes(model: nn.Module, shape: tuple[int, ...]) -> nn.Module:
    """Return a network whose lazy parameters have shapes: where it has any, an image goes through it once."""
    lazy = [p for p in model.parameters() if is_lazy(p)]
    if lazy:
        with torch.no_grad():
            model(torch.zeros(shape, device=lazy[0].device))
    return model
