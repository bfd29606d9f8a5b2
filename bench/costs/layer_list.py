"""The layers of a network in its record, so that a report can draw them without the network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.costs import Subject, cost
from bench.costs.layers import layer_table
from bench.records.record import Measurement, count

COLUMNS = ("name", "kind", "output", "parameters", "macs", "activation_bytes", "receptive_field")
_MOST = 400  # rows of a record, some 25 kB


@cost("layers")
def layers(subject: Subject) -> Iterator[Measurement]:
    """List the `layers` of one image's pass: how many there are, with the table of them in the detail.

    The detail has `columns` and `rows`, in the order of the calls: name, kind (the class or function), output
    (``64×112×112``, without the image's own dimension), parameters (counted where they are used first), MACs,
    activation bytes of one image, and receptive field (px; [rows, columns] where they differ; "global"; None where
    it is not known). What neither holds parameters nor writes anything, such as a ReLU in place, is left out. Of a
    network with more than 400 of them, the deepest level of modules with fewer is listed, and `depth` says which;
    it is None where all are.
    """
    if subject.trace.failure is not None:
        return
    depth, rows = None, _rows(subject, None)
    if len(rows) > _MOST:
        deepest = max(call.depth for call in subject.trace.root.walk())
        levels = ((level, _rows(subject, level)) for level in range(deepest - 1, 0, -1))
        depth, rows = next(found for found in levels if len(found[1]) <= _MOST or found[0] == 1)
    yield count(
        "layers", len(rows), better="neither", images=1, depth=depth, columns=list(COLUMNS), rows=rows[:_MOST]
    )


def _rows(subject: Subject, depth: int | None) -> list[list[Any]]:
    rows = layer_table(subject, depth)["layers"]
    return [_row(row) for row in rows if row["parameters"] or row["activation_bytes"]]


def _row(row: dict[str, Any]) -> list[Any]:
    output = "×".join(str(side) for side in row["output"][1:])
    return [row["name"], row["type"], output, *(row[key] for key in COLUMNS[3:])]
