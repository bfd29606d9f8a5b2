"""Layers of a network as the probe counts them: rows of `bench.costs.layers.layer_table`, and sums over them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from bench.io import JsonObject

Row = JsonObject


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


def layers_called(
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
