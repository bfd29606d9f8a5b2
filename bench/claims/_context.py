"""Checks, and what one may look at: the claims of a file, the facts of networks, and what the runs at hand have.

Facts of a network are what the probe counts of it, a dict: `card`, `input` [1, C, H, W], `layers` (rows of
`bench.costs.layers.layer_table`), `totals`, and `counts` (`parameters`, `buffers`, `macs`, `operations`, ...); or
`error` and `tip` where there is none.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from bench.claims._claim import Claim
from bench.claims._finding import Finding
from bench.errors import ConfigError
from bench.io import JsonObject

Facts = JsonObject
Row = JsonObject

_Decide: TypeAlias = "Callable[[Claim, Context], Finding]"


@dataclass(frozen=True, slots=True)
class _Check:
    """How the claims of a quantity are decided, see `check`."""

    decide: _Decide
    units: tuple[str, ...]
    needs: Callable[[Claim], list[str]]


CHECKS: dict[str, list[_Check]] = {}
"""The checks of each quantity; the unit of a claim says which of several decides it."""


def check(
    quantity: str, *units: str, needs: Callable[[Claim], list[str]] | None = None
) -> Callable[[_Decide], _Decide]:
    """Register a pure function of a claim and its context as what decides the claims of a quantity.

    `units` are those that such a claim comes in; none: any. `needs` are the networks whose facts it looks at, by
    default the claim's own and, if it is one of the package's, its variants, ``NAME_*``.
    """

    def register(decide: _Decide) -> _Decide:
        CHECKS.setdefault(quantity, []).append(_Check(decide, units, needs or _network))
        return decide

    return register


def check_of(claim: Claim) -> _Check:
    """Return what decides a claim, whose quantity and unit are known."""
    return next(one for one in CHECKS[claim.quantity] if not one.units or claim.unit in one.units)


def nothing(_claim: Claim) -> list[str]:
    """Return the networks that a check needs which looks at none."""
    return []


def _network(claim: Claim) -> list[str]:
    return [claim.network] if ":" in claim.network else [claim.network, f"{claim.network}_*"]


@dataclass(frozen=True)
class Context:
    """All that a check may look at."""

    claims: Sequence[Claim]  # of the file, in its order
    networks: Mapping[str, Facts]  # facts by name
    measured: Mapping[str, str] = field(default_factory=dict)  # by claim id, what the runs at hand have

    def network(self, claim: Claim, name: str | None = None) -> Facts:
        """Return the facts of the claim's network.

        Raises:
            ConfigError: if there is no such network.
        """
        name = name or claim.network
        facts = self.networks.get(name, {"error": f"unknown architecture {name!r}", "tip": None})
        if "error" in facts:
            raise ConfigError(f"{claim.place}: {facts['error']}", facts["tip"])
        return facts

    def of_source(self, claim: Claim) -> list[Claim]:
        """Return the claims of the same source on the same network."""
        return [c for c in self.claims if (c.source, c.network) == (claim.source, claim.network)]

    def column(self, claim: Claim) -> list[Claim]:
        """Return the column that a claim is of: those of the same source on the same quantity in the same unit."""
        key = (claim.source, claim.quantity, claim.unit)
        return [c for c in self.claims if (c.source, c.quantity, c.unit) == key]

    def variants(self, name: str) -> Iterator[tuple[str, Facts]]:
        """Yield the variants of a network, those called ``NAME_...``, as ``NAME_X: its note`` with their facts."""
        for other, facts in self.networks.items():
            if other.startswith(f"{name}_") and "error" not in facts:
                yield f"{other}: {facts['card']['note']}", facts

    def family(self, name: str) -> Iterator[tuple[str, Facts]]:
        """Yield the other networks whose names begin with the same letters."""
        letters = re.match(r"[a-z]+", name)
        for other, facts in self.networks.items():
            related = letters and re.match(rf"{letters[0]}(?![a-z])", other)
            if related and other != name and "card" in facts:
                yield other, facts

    def rows(self, claim: Claim, facts: Facts | None = None) -> list[Row]:
        """Return the rows of the layers that a claim names; all where it names none.

        Raises:
            ConfigError: if the network has no such layer.
        """
        every = (facts or self.network(claim))["layers"]
        name = claim.subject.rpartition("/")[2]
        rows = _layers_called(every, name, *claim.layer) if claim.layer[0] else list(every)
        if not rows:
            has = ", ".join(f"{len(of_kind(every, kind))} {kind}" for kind in ("conv", "pool", "fc"))
            raise ConfigError(
                f"{claim.place}: {claim.network} has no layer {name}", f"it has {has}; number them from 1"
            )
        return rows

    def layer(self, claim: Claim, *kinds: str) -> Row:
        """Return the one layer that a claim names, or the first of the network.

        Raises:
            ConfigError: if it is of another kind, or there is none.
        """
        row = self.rows(claim)[0]
        if kind_of(row) not in kinds:
            raise ConfigError(
                f"{claim.place}: {claim.quantity} of {row['name']}, a {row['type']}",
                f"name a layer, such as {claim.network}/{kinds[0]}1",
            )
        return row


# --- layers of a network as the probe counts them, and sums over them ---


def kind_of(row: Row) -> str:
    """Return `conv`, `fc`, `pool`, `relu` or nothing."""
    name = str(row["type"]).lower()
    if name.startswith("conv") and "transpose" not in name and len(row["kernel"] or ()) == 2:
        return "conv"
    if name == "linear":
        return "fc"
    if "pool" in name and "adaptive" not in name and len(row["kernel"] or ()) == 2:
        return "pool"
    return "relu" if name == "relu" else ""


def of_kind(rows: Sequence[Row], *kinds: str) -> list[Row]:
    """Return the rows of these kinds."""
    return [row for row in rows if kind_of(row) in kinds]


def _layers_called(
    rows: Sequence[Row], name: str, kind: str, number: int | None, within: int | None
) -> list[Row]:
    """Return the rows of ``conv3_1`` (first of stage 3), ``fc1``, ``pool2``, ``conv`` (all).

    A layer that has that very name is meant first. Stages end at poolings. A number larger than the count of fully
    connected layers counts the convolutions before them: ``fc6`` of AlexNet.

    Args:
        rows: all layers of a network.
        name: as it is written, ``conv3_1``.
        kind: `conv`, `pool`, `maxpool` or `fc`.
        number: from 1; of the stage, where `within` is given; None for all layers of the kind.
        within: from 1, of the layers of a stage.
    """
    if number is None:
        return of_kind(rows, kind)
    named = [row for row in rows if row["name"] == name]
    if named:
        return named[:1]
    kind = "pool" if kind == "maxpool" else kind
    candidates = of_kind(rows if within is None else _stage(rows, number), kind)
    number = number if within is None else within
    if kind == "fc" and number > len(candidates):
        number -= len(of_kind(rows, "conv"))
    return candidates[number - 1 : number] if number > 0 else []


def _stage(rows: Sequence[Row], number: int) -> list[Row]:
    stage, inside = 1, []
    for row in rows:
        if stage == number:
            inside.append(row)
        stage += kind_of(row) == "pool"
    return inside


def elements(row: Row, key: str = "output") -> int:
    """Return how many numbers a layer writes (or reads), also where it writes in place."""
    return int(math.prod(row[key]))


def weights(row: Row) -> int:
    """Return the weights of a convolution or a fully connected layer by their formula, without biases."""
    if kind_of(row) == "conv":
        return int(math.prod(row["kernel"]) * row["in_channels"] * row["out_channels"] // row["groups"])
    return int(row["in_channels"] * row["out_channels"]) if kind_of(row) == "fc" else 0


def weights_written(row: Row) -> str:
    """Write that formula out: ``11·11·3·96``."""
    if kind_of(row) != "conv":
        return f"{row['in_channels']}·{row['out_channels']}"
    parts = "·".join(str(n) for n in (*row["kernel"], row["in_channels"], row["out_channels"]))
    return parts if row["groups"] == 1 else f"{parts}/{row['groups']}"


def output_written(row: Row) -> str:
    """Write the elements of an output out: ``55·55·96``."""
    _, channels, *sides = row["output"]
    return "·".join(str(n) for n in (*sides, channels))


def longest_path(rows: Sequence[Row]) -> list[Row]:
    """Return the layers with weights along the longest path: of the branches of a module, the longest.

    A convolution in a shortcut stands beside its block.
    """
    path: list[Row] = []
    modules: dict[str, dict[str, list[Row]]] = {}
    for row in of_kind(rows, "conv", "fc"):
        if ".downsample." in row["name"]:
            continue
        branch = re.fullmatch(r"(.+?)\.?(branch\w+)\..*", row["name"])
        if branch is None:
            path.append(row)
        else:
            modules.setdefault(branch[1], {}).setdefault(branch[2], []).append(row)
    return path + [row for branches in modules.values() for row in max(branches.values(), key=len)]


def window(row: Row) -> tuple[int, int, int, int]:
    """Return the side of a layer's input, and kernel, stride and padding along it."""
    return row["input"][2], row["kernel"][0], row["stride"][0], row["padding"][0]


def fits_exactly(row: Row) -> bool:
    """Return whether a layer's window covers its input without a rest."""
    side, kernel, stride, padding = window(row)
    return (side - kernel + 2 * padding) % stride == 0


def side_written(row: Row) -> str:
    """Write the side of a layer's output out: ``(227 − 11 + 2·0)/4 + 1 = 55``, and how it is rounded."""
    side, kernel, stride, padding = window(row)
    exact = (side - kernel + 2 * padding) / stride + 1
    rounded = "" if exact == row["output"][2] else f", not whole: torch makes it {row['output'][2]}"
    return f"({side} − {kernel} + 2·{padding})/{stride} + 1 = {exact:g}{rounded}"


def shape(row_shape: Sequence[int]) -> str:
    """Return ``27x27x96`` for [1, 96, 27, 27], and ``1x1x10`` for [1, 10]."""
    if len(row_shape) == 4:
        _, channels, height, width = row_shape
        return f"{height}x{width}x{channels}"
    return f"1x1x{row_shape[-1]}" if len(row_shape) == 2 else "x".join(str(n) for n in row_shape[1:])
