"""The lists of layers that records of cost jobs hold."""

from __future__ import annotations

import pandas as pd

from bench.io import JsonObject


def weighted_layers(frame: pd.DataFrame) -> dict[tuple[str, str], int]:
    """Return how many layers of each (run, network) hold weights and multiply, such as 16 of vgg16.

    Convolutions and fully connected layers on all branches count, and so do projections on shortcuts: 21 of resnet18.
    Networks of which whole modules are listed have none.
    """
    whole = {key: table for key, table in layer_lists(frame).items() if table["depth"].isna().all()}
    return {key: int(((t["macs"] > 0) & (t["parameters"] > 0)).sum()) for key, t in whole.items()}


def layer_lists(frame: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
    """Return the layers of each (run, network), in the order of the pass, with the columns of the record's list.

    Of a network that was counted in several shapes, those of the largest image. Lists that hold no such table are
    left out.
    """
    rows = frame[(frame["task"] == "cost") & (frame["measurement"] == "layers")]
    rows = rows.sort_values("input_size", kind="stable")
    keys = zip(rows["run"], rows["arch"], rows["detail"], strict=True)
    tables = {(run, arch): _layer_table(detail) for run, arch, detail in keys}
    return {key: table for key, table in tables.items() if table is not None}


_LAYER_NUMBERS = ("parameters", "macs", "activation_bytes")


def _layer_table(detail: JsonObject) -> pd.DataFrame | None:
    columns, rows = detail.get("columns"), detail.get("rows")
    if not isinstance(columns, list | tuple) or not isinstance(rows, list | tuple) or not rows:
        return None
    if not {"name", "kind", *_LAYER_NUMBERS} <= {*map(str, columns)}:
        return None
    if any(not isinstance(row, list | tuple) or len(row) != len(columns) for row in rows):
        return None
    table = pd.DataFrame([list(row) for row in rows], columns=[str(c) for c in columns], dtype=object)
    numbers = {
        key: pd.to_numeric(table[key], errors="coerce").fillna(0).clip(lower=0) for key in _LAYER_NUMBERS
    }
    return table.assign(depth=detail.get("depth"), **numbers)
