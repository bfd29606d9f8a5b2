"""The arguments of an operator: their names, and the tensors and numbers among them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import OpOverload

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


def tensors_of(values: object) -> Iterator[Tensor]:
    """Yield the tensors in arguments or results: in tuples, lists, mappings and data classes, however deep.

    Of other objects nothing is asked, not even whether they are true: some cannot answer.
    """
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, tuple | list):
        for value in values:
            if isinstance(value, Tensor):
                yield value
            elif value is not None and not isinstance(value, int | float | str):
                yield from tensors_of(value)
    elif isinstance(values, Mapping):
        yield from tensors_of(tuple(values.values()))
    elif dataclasses.is_dataclass(values) and not isinstance(values, type):
        yield from tensors_of(tuple(vars(values).values()) if hasattr(values, "__dict__") else ())


def dtype_of(model: nn.Module) -> torch.dtype:
    """Return the type of a network's first parameter or buffer with a fraction: that of the images it takes."""
    tensors = (*model.parameters(), *model.buffers())
    return next((t.dtype for t in tensors if t.is_floating_point()), torch.float32)
