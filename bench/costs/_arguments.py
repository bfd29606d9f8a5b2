"""The arguments of an operator: their names, and the tensors and numbers among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from torch import Tensor
from torch._ops import OpOverload
from torch.utils._pytree import tree_iter

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
    """Yield the tensors in arguments or results, in whatever they are kept."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, tuple | list):
        for value in values:
            if isinstance(value, Tensor):
                yield value
            elif value is not None and not isinstance(value, int | float | str):
                yield from tensors_of(value)
    elif values:
        yield from (t for t in tree_iter(values) if isinstance(t, Tensor))
