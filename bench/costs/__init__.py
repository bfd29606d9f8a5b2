"""Costs: what is counted, without a clock. Everything is for one image, and says so in its detail.

`COSTS` holds one function a file: `(Subject) -> Iterator[Measurement]`. A new cost is one new file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import nn

from bench.records.record import Measurement
from bench.registry import Registry


@dataclass(frozen=True, slots=True)
class Subject:
    """A network to count, in evaluation mode, and the shape of one input [1, C, H, W]."""

    model: nn.Module
    shape: tuple[int, int, int, int]


Cost = Callable[[Subject], Iterator[Measurement]]

COSTS: Registry[Cost] = Registry("cost", "bench.costs")


def cost(name: str) -> Callable[[Cost], Cost]:
    """Register a cost under `name`."""
    return lambda function: COSTS.add(name, function)
