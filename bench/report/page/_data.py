"""What the charts of the page are drawn from: plain JSON values, in stored units; the page alone scales them."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from bench.analysis.answers import Answer
from bench.analysis.choosing import COSTS
from bench.analysis.comparison import setting_words
from bench.analysis.flags import Row, doubts_of
from bench.analysis.keys import WAY
from bench.analysis.replicates import SHARES, pooled
from bench.analysis.shapes import TRAINED, as_published, as_trained
from bench.analysis.trainings import by_epoch
from bench.io import JsonObject
from bench.plan.task import tasks
from bench.records.flags import spoken
from bench.report._choice import TITLES
from bench.report._raced import bare_name, race_table, races_of
from bench.report._short_names import OWN
from bench.report.figures._style import COLOURS, family_name, looks
from bench.report.tables._columns import COMPARISON, published_share, quantity_column
from bench.report.tables._view import Column, missing, number, share, spread, whole
from bench.report.text import plain
from bench.units import UNITS, Scale, exactly

_NUMERIC = (number, share, spread, whole, published_share)
_TRAINED = ("macs", "parameters")
_TRAINED_IN = ("trained_channels", "trained_classes")
_SIZES = {
    "in_channels": "input_size",
    "trained_channels": "trained_size",
}  # px, told of what is compared within these
# What is of one shape of images, by column: the place of its shape in a row's `shapes`. What sees pixels sees as many
# of any image.
_SHAPES = {"in_channels": 0, "trained_channels": 1, "dataset": 1, "published_protocol": 2, "evaluated_on": 2}
_OF_ANY_SHAPE = ("receptive_field",)


def _more() -> Iterator[Column]:
    """Yield columns that are in no table: percentiles, and what stands beside another quantity in files."""
    titled = {q.name: quantity_column(t, q) for t in tasks().values() for q in t.quantities if q.title}
    for name in SHARES:
        title = f"Latency, {name[1:]}th percentile of a process"
        yield replace(titled["latency"], key=f"latency_{name}", title=title)
    for task in tasks().values():
        yield from (titled[q.name] for q in task.quantities if q.title and q.beside)
    for name in _TRAINED:
        title = f"{titled[name].title} as trained"
        yield replace(titled[name], key=f"trained_{name}", title=title, within=_TRAINED_IN)


_COLUMNS = (*COMPARISON, *_more())
_PERCENTILES = {f"latency_{name}" for name in SHARES}  # that say little against the latency
_DIGITS = 7  # the tables' CSV has them all


def page_data(table: pd.DataFrame, frame: pd.DataFrame, answers: Sequence[Answer] = ()) -> dict[str, object]:
    """Return all that the charts need; rows are numbered as in the table.

    Keys: `families` (name to colour and marker, as in the figures), `scales` (unit to factors and symbols),
        `quantities` (key to title, unit, which direction is better, whether it is exact, `within` which settings it is
        compared, and those that are told as well, that it is `at`; of which `shape` of images it is), `axes` (those to
        be set against each other),
        `rows`, `batches`, `curves`, `layers`, `front` (the columns that the answer weighs, speed and accuracy; None
        where it weighs none), `races` (of each its networks, and why each is the choice or is not), `own` (networks of
        one's own, which stand out in every chart).
    """
    columns = _quantities(table)
    own = table.loc[table["family"] == OWN, "network"].unique()
    return {
        "families": {plain(n): [look.colour, look.marker] for n, look in looks(table["family"]).items()},
        "scales": {unit: [[s.factor, s.symbol] for s in _scales(unit)] for unit in UNITS},
        "quantities": {
            c.key: {
                "title": c.title,
                "unit": c.unit,
                "better": c.better,
                "whole": c.cell is whole,
                "exact": c.exact,
                "within": list(c.within),
                "at": _at(c),
                "shape": _shape(c),
            }
            for c in columns
        },
        "axes": list(_axes(table, columns)),
        "rows": [
            {**_row(row, columns), "shapes": shapes}
            for row, shapes in zip(table.to_dict("records"), _shapes_of(table), strict=True)
        ],
        "batches": list(_batches(table, frame)),
        "curves": list(_curves(frame)),
        "layers": list(_layers(frame)),
        "front": next((list(answer.columns) for answer in answers if answer.columns), None),
        "races": list(_races(table, frame)),
        "own": [plain(name) for name in own],
    }


def packed(rows: Sequence[Mapping[str, Any]]) -> JsonObject:
    """Return rows column by column, so that each name stands once; what a row lacks is None.

    Keys: `count` (of rows), `plain` (key to column), `nested` (key of mappings to their keys to column). A column of
    texts that come again is `words`, each once, and `at`, the place there by row.
    """
    kinds = {key: isinstance(value, Mapping) for row in rows[:1] for key, value in row.items()}
    inner = {name: dict.fromkeys(key for row in rows for key in row[name]) for name in kinds if kinds[name]}
    return {
        "count": len(rows),
        "plain": {key: _column([row[key] for row in rows]) for key in kinds if not kinds[key]},
        "nested": {
            name: {key: _column([row[name].get(key) for row in rows]) for key in keys}
            for name, keys in inner.items()
        },
    }


def _column(cells: Sequence[Any]) -> Any:
    texts = [cell for cell in cells if cell is not None]
    if not all(isinstance(cell, str) for cell in texts) or 2 * len(set(texts)) > len(cells):
        return cells
    place = {word: i for i, word in enumerate(dict.fromkeys(texts))}
    return {"words": list(place), "at": [None if cell is None else place[cell] for cell in cells]}


def to_script(data: Mapping[str, object]) -> str:
    """Return JSON for an element `script`: no text in it can end the element or begin a comment."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def _scales(unit: str) -> list[Scale]:
    """Return the scale of each prefix of a unit, the smallest first."""
    return sorted({Scale.of(10.0**power, unit) for power in range(-12, 16)}, key=lambda scale: scale.factor)


_IMAGES = ("in_channels", "num_classes")  # what a network is given and tells apart, not what it costs or does


def _quantities(table: pd.DataFrame) -> list[Column]:
    """Return the columns that rows differ in, as numbers, and percentiles that some rows are refused."""
    told = [c for c in _COLUMNS if c.cell in _NUMERIC and c.key in table]
    columns = [c for c in told if c.key not in _IMAGES]
    needed = [c.key for c in columns if f"{c.key}_needed" in table and len(table) > 1]
    refused = {key for key in needed if table[f"{key}_needed"].notna().any()}
    return [
        c for c in columns if c.key in refused or pd.to_numeric(table[c.key], errors="coerce").nunique() > 1
    ]


def _axes(table: pd.DataFrame, columns: Sequence[Column]) -> Iterator[str]:
    """Yield what is to be set against each other; nothing where none of it was counted or measured here."""
    keys = [c.key for c in columns if c.key not in _PERCENTILES and table[c.key].notna().any()]
    if {q.name for task in tasks().values() for q in task.quantities} & {*keys}:
        yield from keys


def _at(column: Column) -> list[str]:
    """Return the settings that are told of a comparison, and do not forbid it."""
    return [_SIZES[key] for key in column.within if key in _SIZES]


def _shape(column: Column) -> int | None:
    """Return of which of a row's shapes a quantity is; None of what is the same for images of any."""
    own = (_SHAPES[key] for key in column.within if key in _SHAPES and column.key not in _OF_ANY_SHAPE)
    return next(own, None)


def _shapes_of(table: pd.DataFrame) -> list[str]:
    """Return for each row a letter for each shape: that it has itself, was trained in, and is published for.

    Equal letters are one shape: what is of two shapes is not set against each other.
    """
    tests = (as_published(table), as_published(table, TRAINED), as_trained(table))
    return [
        f"{'p' if own else 'o'}{'p' if trained else 'o' if alike else 't'}p"
        for own, trained, alike in zip(*tests, strict=True)
    ]


def _row(row: Row, columns: Sequence[Column]) -> dict[str, object]:
    ends = {c.key: [_short(row.get(f"{c.key}_{end}")) for end in ("low", "high")] for c in columns}
    return {
        "label": plain(row["label"]),
        **_who(row["network"], row["family"]),
        "settings": {
            key: plain(word)
            for column in columns
            for key in (*column.within, *_at(column))
            for word in setting_words(row, [key])
        },
        "values": {c.key: v for c in columns if (v := _short(row[c.key])) is not None},
        "ends": {key: pair for key, pair in ends.items() if None not in pair},
        "doubts": {c.key: plain(spoken(*own)) for c in columns if (own := doubts_of(row, c.key))},
        "refused": {c.key: n for c in columns if (n := _short(row.get(f"{c.key}_needed"))) is not None},
    }


def _who(network: object, family: object) -> dict[str, str]:
    return {"network": plain(network), "family": plain(family_name(family))}


def _short(value: object) -> float | int | None:
    """Return a number with as many digits as a chart can show; None for what is none."""
    if missing(value) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    short = float(f"{value:.{_DIGITS}g}")
    return int(short) if short.is_integer() and abs(short) < 2**53 else short


_TASKS = {"infer": "inference", "train_step": "training"}


def _batches(table: pd.DataFrame, frame: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Yield for each row of the table and task the images per second by batch size, of two sizes and more."""
    steps = pooled(frame[(frame["measurement"] == "step_time") & frame["task"].isin(list(_TASKS))])
    steps = steps.drop_duplicates([*WAY, "task", "batch_size"], keep="last").sort_values("batch_size")
    steps = steps[steps["batch_size"].notna() & (steps["median"] > 0)]
    rows = table.reset_index(names="row")[["row", *WAY]]
    columns = ["row", "task", "batch_size", "median", "high", "low"]
    points: defaultdict[tuple[int, str], list[list[object]]] = defaultdict(list)
    for row, task, batch, *times in steps.merge(rows, on=WAY)[columns].itertuples(index=False):
        points[int(row), _TASKS[task]].append([_short(batch), *(_short(batch / t) for t in times)])
    for (row, task), some in sorted(points.items()):
        if len(some) > 1:
            yield {"row": row, "task": task, "points": some}


_CURVES = {
    "top1": "Test top-1",
    "top5": "Test top-5",
    "val_top1": "Validation top-1",
    "train_error": "Training error",
    "train_loss": "Training loss",
    "test_loss": "Test loss",
    "val_loss": "Validation loss",
}


def _curves(frame: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Yield the curves of each series of trainings: mean, least and most over its seeds, epoch by epoch."""
    rows = frame[(frame["task"] == "accuracy") & frame["measurement"].isin(list(_CURVES))]
    # Recipes of one network alone are compared with each other.
    alone = rows["arch"].nunique() == 1 and rows["recipe"].nunique() > 1
    conditions, name = (("dataset",), "recipe") if alone else (("dataset", "recipe"), "arch")
    for _, seeds in rows.groupby(["run", "series", "measurement"], sort=False):
        epochs = [(number, [_short(v) or 0 for v in values]) for number, values in by_epoch(seeds["detail"])]
        if not epochs or epochs[-1][0] < 2:
            continue
        first = seeds.iloc[0]
        yield {
            "label": plain(first[name]),
            **_who(first["arch"], first["family"]),
            "metric": _CURVES[first["measurement"]],
            "unit": "" if first["measurement"].endswith("loss") else "%",
            "what": " · ".join(plain(first[k]) for k in conditions if not missing(first[k])),
            "seeds": sum(bool(detail.get("by_epoch")) for detail in seeds["detail"]),
            "points": [[number, _short(sum(v) / len(v)), min(v), max(v)] for number, v in epochs],
        }


def _layers(frame: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Yield the layers of each network that was counted, as its record has them."""
    rows = frame[(frame["task"] == "cost") & (frame["measurement"] == "layers")]
    rows = rows.drop_duplicates(["arch", "input_size", "in_channels", "num_classes"], keep="last")
    several = rows["arch"].duplicated(keep=False)
    for row, more in zip(rows.to_dict("records"), several, strict=True):
        columns, layers = row["detail"].get("columns"), row["detail"].get("rows")
        if isinstance(columns, list | tuple) and isinstance(layers, list | tuple):
            shape = f" · {row['input_size']:.0f} px" if more else ""
            yield {
                "label": plain(row["arch"]) + shape,
                **_who(row["arch"], row["family"]),
                "columns": [plain(c) for c in columns],
                "rows": [[_layer_cell(v) for v in layer] for layer in layers],
            }


def _races(table: pd.DataFrame, frame: pd.DataFrame) -> Iterator[dict[str, object]]:
    """Yield each race: its cost and budget, and its networks with what is known or expected of them."""
    charted = set(table["network"])
    for name, race in races_of(frame):
        rows = race_table(race)
        unit, better = COSTS[race["cost"]]
        limit = _short(race.get("limit"))
        yield {
            "run": plain(name),
            "accuracy": plain(race.get("accuracy") or "Accuracy"),
            "cost": TITLES[race["cost"]],
            "unit": unit,
            "better": better,
            "limit": limit,
            "budget": "" if limit is None else exactly(limit, unit),
            "colours": [*COLOURS[:2], COLOURS[-1]],
            "rows": [_raced(row, charted) for row in rows.to_dict("records")],
        }


def _raced(row: Row, charted: Collection[str]) -> dict[str, object]:
    """Return a network of a race; its cost, where it was never measured, is the middle of what is expected."""
    never = row["state"] == "never"
    ends = [_short(row[f"cost_expected_{end}" if never else f"cost_{end}"]) for end in ("low", "high")]
    middle = math.sqrt(row["cost_expected_low"] * row["cost_expected_high"])
    front = "certain" if row["certain"] else "possible"
    return {
        "label": row["label"],
        "name": f"{row['network']} at {row['input_size']} px" if "input_size" in row else row["network"],
        "network": next(
            (n for n in (bare_name(row["network"]), row["network"]) if n in charted), row["network"]
        ),
        "accuracy": _short(row["accuracy"]),
        "cost": _short(middle if never else row["cost"]),
        "ends": None if None in ends else ends,
        "span": not never or bool(row["span"]),
        "is": front if row["on_front"] else "never" if never else "behind",
        "best": bool(row["best"]),
        "why": row["why"],
    }


def _layer_cell(value: object) -> object:
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, list | tuple):
        return "×".join(f"{v:g}" if isinstance(v, int | float) else plain(v) for v in value)
    if isinstance(value, int | float) and math.isfinite(value) and float(value).is_integer():
        return int(value)
    return _short(value)
