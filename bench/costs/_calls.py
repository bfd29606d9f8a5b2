"""What a pass of one image through a network leaves: a tree of calls, and counts of the whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from bench.costs._fields import Field

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """What a convolution or pooling looks through: rows and columns, px of its input."""

    kernel: Shape
    stride: Shape
    padding: Shape
    dilation: Shape
    groups: int | None = None


@dataclass(slots=True)
class Call:
    """One call of a module, or of a function between modules; all counts are of the call itself, without its parts.

    Attributes:
        name: of the module in the network, or of the caller with the function's name behind it.
        type: the class, or the function.
        depth: 0 for the network.
        input: shape of the first tensor that goes in; output: of the first that comes out.
        window: of a convolution or pooling.
        parameters: elements of those that are used here first; each is counted in one call alone.
        parameter_bytes: alike.
        macs: multiply-accumulates, by fvcore's handles; second_macs: by torch's formulas.
        activations: elements that it writes and hands on.
        activation_bytes: alike.
        matrix_activations: those that convolutions and linear layers write.
        receptive_field: what an element of the output sees of the image.
        parts: the calls inside.
    """

    name: str
    type: str
    depth: int
    input: Shape = ()
    output: Shape = ()
    window: Window | None = None
    parameters: int = 0
    parameter_bytes: int = 0
    macs: int = 0
    second_macs: int = 0
    activations: int = 0
    activation_bytes: int = 0
    matrix_activations: int = 0
    receptive_field: Field | None = None
    atomic: bool = False
    parts: list[Call] = field(default_factory=list)

    def walk(self) -> Iterator[Call]:
        """Yield the call and all inside it, in the order of the calls."""
        yield self
        for part in self.parts:
            yield from part.walk()


@dataclass(slots=True)
class Trace:
    """All that one image met.

    Attributes:
        root: the call of the network.
        macs: by kind: convolution, linear, attention.
        operations: of the other work, by kind.
        uncounted: operators that neither counter has a rule for: calls, and elements written.
        written: elements that all operators wrote.
        unused: parameters that no operator met, by the outermost module that was not called.
        device: where the image was: "meta" or "cpu".
        data_dependent: operators that looked at values which depend on the image.
        failure: what the network raised before it came to its end, if it did.
        result: what came out.
    """

    root: Call
    device: str
    macs: Counter[str] = field(default_factory=Counter)
    operations: Counter[str] = field(default_factory=Counter)
    uncounted: dict[str, list[int]] = field(default_factory=dict)
    written: int = 0
    unused: dict[str, Call] = field(default_factory=dict)
    data_dependent: list[str] = field(default_factory=list)
    failure: BaseException | None = None
    result: Any = None

    @property
    def first(self) -> int:
        """Multiply-accumulates by fvcore's handles and ours."""
        return sum(self.macs.values())

    @property
    def second(self) -> int:
        """Multiply-accumulates by torch's formulas."""
        return sum(call.second_macs for call in self.root.walk())

    @property
    def gap(self) -> float:
        """Difference of the two, as a fraction of the larger."""
        return abs(self.first - self.second) / max(self.first, self.second, 1)

    @property
    def uncounted_share(self) -> float:
        """Share of all written elements that operators wrote which neither counter has a rule for."""
        return sum(elements for _, elements in self.uncounted.values()) / max(self.written, 1)
