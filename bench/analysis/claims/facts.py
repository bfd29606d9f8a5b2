"""Counted facts of networks, as the probe sends them, and what claims ask of them.

Facts of a network are a dict: `card`, `input` [1, C, H, W], `layers` (rows of `bench.costs.layers.layer_table`),
`totals`, and `counts` (`parameters`, `buffers`, `macs`, `operations`, ...); or `error` and `tip` where there is none.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.analysis.claims.book import Claim
from bench.errors import ConfigError

Facts = Mapping[str, Any]
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Book:
    """All that a check may look at.

    Attributes:
        claims: of the file, in its order.
        networks: facts by name.
        measured: by claim id, what the runs at hand have.
    """

    claims: Sequence[Claim]
    networks: Mapping[str, Facts]
    measured: Mapping[str, str] = field(default_factory=dict)

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

    def alike(self, claim: Claim) -> list[Claim]:
        """Return the column of a claim: the claims of the same source on the same quantity in the same unit."""
        key = (claim.source, claim.quantity, claim.unit)
        return [c for c in self.claims if (c.source, c.quantity, c.unit) == key]

    def variants(self, name: str) -> Iterator[tuple[str, Facts]]:
        """Yield the variants of a network: those called ``NAME_...``."""
        for other, facts in self.networks.items():
            if other.startswith(f"{name}_") and "error" not in facts:
                yield other, facts

    def family(self, name: str) -> Iterator[tuple[str, Facts]]:
        """Yield the other networks whose names begin with the same letters."""
        stem = re.match(r"[a-z]*", name)
        for other, facts in self.networks.items():
            if (
                stem
                and stem[0]
                and other != name
                and re.match(rf"{stem[0]}(?![a-z])", other)
                and "card" in facts
            ):
                yield other, facts

    def rows(self, claim: Claim, facts: Facts | None = None) -> list[Row]:
        """Return the rows of the layers that a claim names; all where it names none.

        Raises:
            ConfigError: if the network has no such layer.
        """
        facts = facts or self.network(claim)
        found = list(facts["layers"]) if not claim.layer[0] else _addressed(claim, facts["layers"])
        if not found:
            kinds = {kind: len(of_kind(facts["layers"], kind)) for kind in ("conv", "pool", "fc")}
            has = ", ".join(f"{n} {kind}" for kind, n in kinds.items())
            raise ConfigError(
                f"{claim.place}: {claim.network} has no layer {claim.subject.rpartition('/')[2]}",
                f"it has {has}; number them from 1",
            )
        return found

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


def _addressed(claim: Claim, rows: Sequence[Row]) -> list[Row]:
    """Return the rows of ``conv3_1`` (first of stage 3), ``fc1``, ``pool2``, ``conv`` (all).

    A layer that has that very name is meant first. Stages end at poolings. A number larger than the count of fully
    connected layers counts the convolutions before them: ``fc6`` of AlexNet.
    """
    kind, number, within = claim.layer
    if number is None:
        return of_kind(rows, kind)
    named = [row for row in rows if row["name"] == claim.subject.rpartition("/")[2]]
    if named:
        return named[:1]
    kind = "pool" if kind == "maxpool" else kind
    if within is not None:
        found, number = of_kind(_stage(rows, number), kind), within
    else:
        found = of_kind(rows, kind)
    if kind == "fc" and number > len(found):
        number -= len(of_kind(rows, "conv"))
    return found[number - 1 : number] if number > 0 else []


def _stage(rows: Sequence[Row], number: int) -> list[Row]:
    stage, found = 1, []
    for row in rows:
        if stage == number:
            found.append(row)
        stage += kind_of(row) == "pool"
    return found


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


def path_layers(rows: Sequence[Row]) -> list[Row]:
    """Return the layers with weights along the longest path: of the branches of a module, the longest.

    A convolution in a shortcut stands beside its block.
    """
    found: list[Row] = []
    modules: dict[str, dict[str, list[Row]]] = {}
    for row in of_kind(rows, "conv", "fc"):
        if ".downsample." in row["name"]:
            continue
        branch = re.fullmatch(r"(.+?)\.?(branch\w+)\..*", row["name"])
        if branch is None:
            found.append(row)
        else:
            modules.setdefault(branch[1], {}).setdefault(branch[2], []).append(row)
    return found + [row for branches in modules.values() for row in max(branches.values(), key=len)]


def window_sum(row: Row) -> str:
    """Write the side of a layer's output out: ``(227 − 11 + 2·0)/4 + 1 = 55``, and how it is rounded."""
    side, kernel, stride, padding = row["input"][2], row["kernel"][0], row["stride"][0], row["padding"][0]
    exact = (side - kernel + 2 * padding) / stride + 1
    rounded = "" if exact == row["output"][2] else f", not whole: torch makes it {row['output'][2]}"
    return f"({side} − {kernel} + 2·{padding})/{stride} + 1 = {exact:g}{rounded}"


def shape(row_shape: Sequence[int]) -> str:
    """Return ``27x27x96`` for [1, 96, 27, 27], and ``1x1x10`` for [1, 10]."""
    if len(row_shape) == 4:
        _, channels, height, width = row_shape
        return f"{height}x{width}x{channels}"
    return f"1x1x{row_shape[-1]}" if len(row_shape) == 2 else "x".join(str(n) for n in row_shape[1:])
