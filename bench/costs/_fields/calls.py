"""One dispatched operator as its rule sees it, and the table of the rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from bench.costs._fields.lines import NoRuleError
from bench.costs._fields.places import State

Operator = torch._ops.OpOverload


@dataclass(frozen=True, slots=True)
class Call:
    """One dispatched operator, its results, and what is known of its operands."""

    func: Operator
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    outputs: Sequence[Tensor]
    states: Mapping[int, State]
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

    def of(self, tensor: Any) -> State | None:
        return self.states.get(id(tensor))

    def only(self) -> State:
        """Return the state of the first argument, where it alone depends on the images."""
        state = self.of(self.args[0])
        if state is None or self.tracked > 1:
            raise NoRuleError("is applied with values that depend on the images")
        return state


@cache
def signature(func: Operator) -> dict[str, tuple[int, Any]]:
    """Return the place and the default of each argument of an operator, by name and in order."""
    return {a.name: (i, a.default_value) for i, a in enumerate(func._schema.arguments)}


Rule = Callable[[Call], "State | list[State] | None"]
RULES: dict[Any, Rule] = {}


def rule(*operators: str) -> Callable[[Rule], Rule]:
    """Register a rule for these operators of aten; one that this version of torch lacks is left out."""

    def register(function: Rule) -> Rule:
        RULES.update({getattr(torch.ops.aten, o): function for o in operators if hasattr(torch.ops.aten, o)})
        return function

    return register


def each(value: Any, count: int) -> list[int]:
    """Return a list of `count` numbers from one, or from a list of 1 or `count`."""
    values = [value] if isinstance(value, int) else list(value)
    return values * count if len(values) == 1 else values


def tensors(value: Any) -> Iterator[Tensor]:
    """Yield the tensors of arguments or results, in lists too."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for v in value:
            yield from tensors(v)
    elif isinstance(value, dict):
        yield from tensors(tuple(value.values()))
