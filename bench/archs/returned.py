"""What a network returns: the tensors in it, and which of them is its answer.

That is one rule everywhere: the tensor itself, or what is called `logits`. Where a network has neither, its first
tensor is what backends are compared by; no accuracy is told of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from torch import Tensor


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


def named(result: object) -> Mapping[str, object]:
    """Return what a network returned by name, as of a mapping, named tuple or data class; else nothing."""
    if isinstance(result, Mapping):
        return result
    if isinstance(result, tuple) and hasattr(result, "_asdict"):
        return dict(result._asdict())
    return vars(result) if dataclasses.is_dataclass(result) and not isinstance(result, type) else {}


def logits_of(result: object) -> Tensor | None:
    """Return the answer in what a network returned: the tensor itself, or what is called `logits`; None of others."""
    found = result if isinstance(result, Tensor) else named(result).get("logits")
    return found if isinstance(found, Tensor) else None


def answer_of(result: object) -> Tensor | None:
    """Return the answer, or else the first tensor of all; None where there is none."""
    found = logits_of(result)
    return next(tensors_of(result), None) if found is None else found


def form_of(result: object) -> str:
    """Return in words what a network returned: ``[2, 10]``, or ``dict of features [2, 64], scores [2, 10]``."""
    if isinstance(result, Tensor):
        return str(list(result.shape))
    parts = [(f"{name} ", value) for name, value in named(result).items()]
    if isinstance(result, tuple | list) and not parts:
        parts = [("", value) for value in result]
    shapes = [f"{name}{list(value.shape)}" for name, value in parts if isinstance(value, Tensor)]
    return f"{type(result).__name__}{' of ' * bool(shapes)}{', '.join(shapes)}"
