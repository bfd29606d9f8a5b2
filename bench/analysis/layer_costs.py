"""The layers of a network as a frame: what is counted of each, one row a layer, in the order of the calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import get_type_hints

import pandas as pd

from bench.analysis.entry import Entry, documented
from bench.records.layer import LayerRow

_UNITS = {"macs": "MAC", "activation_bytes": "B"}
_FIELD = "receptive_field"


def _entries() -> Iterator[Entry]:
    """Yield each column: shapes and windows as tuples, and a receptive field as a number, its sides and its reach."""
    kinds, about = get_type_hints(LayerRow), documented(LayerRow)
    for name, kind in kinds.items():
        if name == _FIELD:
            yield Entry(name, "Int64", "px", "of one side, the larger of both; missing where it is not local")
            yield Entry(f"{name}_sides", "object", "px", f"(rows, columns) of `{name}`", "Int64")
            yield Entry("reach", about="how far it sees: local, global or unknown")
        elif name.startswith(_FIELD):
            each = f"(rows, columns) of the {name.removeprefix(_FIELD + '_')} of `{name}`"
            yield Entry(name, "object", "px", each, "float64")
        elif kind is str:
            yield Entry(name, about=about[name])
        elif kind in (int, int | None):
            yield Entry(name, "Int64", _UNITS.get(name, "1"), about[name])
        else:
            unit = "1" if name in ("input", "output") else "px"
            yield Entry(name, "object", unit, about[name], "Int64")


ENTRIES = tuple(_entries())
"""What each column holds."""


def to_table(layers: Sequence[LayerRow]) -> pd.DataFrame:
    """Return one row a layer, with the columns of `ENTRIES`."""
    columns = [entry.column for entry in ENTRIES]
    return pd.DataFrame([_row(layer) for layer in layers], columns=columns, dtype=object)


def _row(layer: LayerRow) -> Mapping[str, object]:
    field = layer["receptive_field"]
    sides = None if field == "global" else _sides(field)
    return {
        **layer,
        "receptive_field": None if sides is None else max(sides),
        "receptive_field_sides": sides,
        "reach": "global" if field == "global" else "unknown" if sides is None else "local",
        "receptive_field_stride": _sides(layer["receptive_field_stride"]),
        "receptive_field_padding": _sides(layer["receptive_field_padding"]),
    }


def _sides(value: float | Sequence[float] | None) -> tuple[float, float] | None:
    """Return rows and columns; the same for both where one number is said."""
    if value is None:
        return None
    rows, columns = value if isinstance(value, Sequence) else (value, value)
    return rows, columns
