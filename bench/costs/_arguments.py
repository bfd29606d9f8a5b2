"""The arguments of an operator: their names, and the tensors and numbers among them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import OpOverload

from bench.archs.returned import tensors_of

# By place and by name: tensors, numbers, lists of them, and more.
Args = tuple[Any, ...]
Kwargs = dict[str, Any]


@cache
def signature(func: OpOverload) -> dict[str, tuple[int, Any]]:
    """Return the place and the default of each argument of an operator, by name and in order."""
    return {a.name: (i, a.default_value) for i, a in enumerate(func._schema.arguments)}


def numbers(value: int | Sequence[int], count: int) -> list[int]:
    """Return a list of `count` numbers from one, or from a list of 1 or `count`."""
    values = [value] if isinstance(value, int) else list(value)
    return values * count if len(values) == 1 else values


def first_of(values: object) -> Tensor | None:
    """Return the first tensor among values; None where there is none."""
    return next(tensors_of(values), None)


def shape_of(values: object) -> tuple[int, ...]:
    """Return the shape of the first tensor among values; empty where there is none."""
    first = first_of(values)
    return () if first is None else tuple(first.shape)


def memory_of(tensor: Tensor) -> int | None:
    """Return what tells memory from other memory; None of a tensor that stands for another."""
    try:
        return int(tensor.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):
        return None


def dtypes_of(model: nn.Module) -> list[torch.dtype]:
    """Return the types of a network's parameters and buffers with a fraction, each once, in their order.

    As a rule the first is that of the images it takes.
    """
    tensors = (*model.parameters(), *model.buffers())
    return list(dict.fromkeys(t.dtype for t in tensors if t.is_floating_point()))


def parameters_of(model: nn.Module) -> list[Tensor]:
    """Return the parameters of a network, one that two modules share once, and the weights of its quantised layers."""
    return [*model.parameters(), *packed_of(model)]


def packed_of(model: nn.Module, *, recurse: bool = True) -> list[Tensor]:
    """Return weights and biases of quantised layers, which torch keeps in an object of its own, not as parameters.

    Without `recurse` they are those of the layer itself, which may keep the object in a module for nothing else.
    """
    modules: Iterable[Any] = model.modules() if recurse else (model, getattr(model, "_packed_params", None))
    layers = [m for m in modules if isinstance(getattr(m, "_packed_params", None), torch.ScriptObject)]
    kept = [(m._weight_bias() if hasattr(m, "_weight_bias") else (m._weight(),)) for m in layers]
    return [tensor for tensors in kept for tensor in tensors if tensor is not None]
