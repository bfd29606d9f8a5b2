"""The table of `bench engines`: a row for each engine of each network, or the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

from bench.analysis.engines import EngineRow
from bench.report.tables.cells import EMPTY, Cell, Fields, Head, View, view_of
from bench.report.text import plain
from bench.stats.verdicts import show_p
from bench.units import percent, show, significant, with_ends


def engines_view(rows: Sequence[EngineRow], *, narrow: bool = False) -> View:
    """Return the table of `bench.analysis.engines.EngineRow`.

    `narrow` leaves out what a terminal has no room for, the reasons of `EngineRow.reasons` among it.
    """
    fields = [field for field in _FIELDS if not (narrow and field[0].title in _WIDE)]
    if narrow:
        fields[-1] = (fields[-1][0], lambda row: _worth(row) if row.is_eager or row.latency else "")
    tested = any(row.accuracy for row in rows)
    fields = [field for field in fields if tested or field[0].title not in _OF_ACCURACY]
    return view_of(rows, fields)


def _latency(row: EngineRow) -> Cell:
    if row.latency is None:
        return EMPTY if row.status == "ok" else Cell(plain(row.status))
    text, ends = with_ends(row.latency.estimate, row.latency.low, row.latency.high, 1e-3)
    return Cell(text, ends, row.latency.estimate, flags=row.flags)


def _speedup(row: EngineRow) -> Cell:
    effect = row.speedup
    if math.isnan(effect.estimate):
        return EMPTY
    ends = "" if math.isnan(effect.low) else f"{effect.low:.2f} – {effect.high:.2f}"
    return Cell(f"{effect.estimate:.2f}", ends, effect.estimate)


def _number(name: str, text: Callable[[float], str], row: EngineRow) -> Cell:
    value = row.values.get(name, math.nan)
    return Cell(text(value), sort=value) if math.isfinite(value) else EMPTY


def _top1(row: EngineRow) -> Cell:
    one = row.accuracy
    return EMPTY if one is None else Cell(f"{100 * one.value:.2f}", sort=one.value, flags=one.flags)


def _lost(row: EngineRow) -> Cell:
    one = row.accuracy
    if one is None or math.isnan(one.lost.low):
        return EMPTY
    ends = f"{100 * one.lost.low:.2f} – {100 * one.lost.high:.2f}, p {show_p(one.lost.p)}"
    return Cell(f"{100 * one.lost.estimate:.2f}", ends, one.lost.estimate)


def _verdict(row: EngineRow) -> str:
    return "" if row.is_eager or row.latency is None else row.speedup.verdict


def _worth(row: EngineRow) -> str:
    if row.is_eager:
        return "the reference"
    return plain(row.shortfall) if row.latency is None else row.worth


_FIELDS: Fields[EngineRow] = (
    (Head("Network"), lambda row: plain(row.network)),
    (Head("Engine", keep=2), lambda row: plain(row.backend)),
    (Head("Precision", keep=2), lambda row: plain(row.precision)),
    (Head("Latency", "ms", numeric=True, keep=2), _latency),
    (Head("Times as fast as eager", numeric=True, keep=2), _speedup),
    (Head("Verdict", keep=3), _verdict),
    (
        Head("Throughput", "images/s", numeric=True),
        lambda row: (
            EMPTY if math.isnan(row.throughput) else Cell(significant(row.throughput), sort=row.throughput)
        ),
    ),
    (
        Head("Batch", numeric=True, keep=0),
        lambda row: Cell(str(row.batch), sort=row.batch) if row.latency else EMPTY,
    ),
    (Head("Peak memory", numeric=True), partial(_number, "peak_memory", lambda value: show(value, "B"))),
    (Head("Preparation", numeric=True), partial(_number, "prepare_time", lambda value: show(value, "s"))),
    (Head("Loading", numeric=True, keep=0), partial(_number, "load_time", lambda value: show(value, "s"))),
    (Head("Files", numeric=True, keep=0), partial(_number, "artefact_size", lambda value: show(value, "B"))),
    (
        Head("Threads used", numeric=True, keep=0),
        partial(_number, "threads_used", lambda value: f"{value:.1f}"),
    ),
    (
        Head("In its precision", "%", numeric=True),
        partial(_number, "precision_share", lambda value: f"{100 * value:.0f}"),
    ),
    (Head("Clipped", numeric=True, keep=0), partial(_number, "clipped_share", percent)),
    (Head("Largest difference", numeric=True), partial(_number, "output_difference", percent)),
    (Head("Mean difference", numeric=True), partial(_number, "mean_difference", percent)),
    (Head("Other answers", numeric=True), partial(_number, "other_answers", percent)),
    (Head("Top-1", "%", numeric=True, keep=2), _top1),
    (Head("Lost", "points", numeric=True), _lost),
    (Head("Worth it", keep=2), _worth),
)

_WIDE = (
    *("Throughput", "Batch", "Peak memory", "Loading", "Files"),
    *("Threads used", "In its precision", "Clipped", "Mean difference"),
)
_OF_ACCURACY = ("Top-1", "Lost")
