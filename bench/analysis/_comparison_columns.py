"""The columns of the comparison: what each holds, from what is said of quantities and of the columns of the frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from bench.analysis.entry import Dtype, Entry
from bench.analysis.frame import entries
from bench.analysis.keys import PUBLISHED, VARIANT
from bench.analysis.replicates import SHARES
from bench.plan.task import INPUT, TAUGHT, Quantity, summarised

CARD = (
    *("family", "year", *PUBLISHED),
    *("published_source", "published_protocol"),
    *("published_size", "published_channels", "published_classes"),
)
"""Columns of the frame that are of a network's card."""

TRAINED_AS = {
    "input_size": "trained_size",
    "in_channels": "trained_channels",
    "num_classes": "trained_classes",
    "parameters": "trained_parameters",
    "macs": "trained_macs",
}
"""Where the comparison has what is a training's own: its shape, and what was counted in that."""

_ENDS = {
    "sd": "standard deviation over seeds",
    "low": "lower end of the 95 % interval",
    "high": "upper end of the 95 % interval",
}


def _of_quantity(quantity: Quantity) -> Iterator[Entry]:
    """Yield the columns of a quantity: its number, and its spread and interval."""
    dtype: Dtype = "Int64" if quantity.is_whole else "float64"
    head = quantity.title or f"beside `{quantity.beside}`"
    yield Entry(quantity.name, dtype, quantity.unit, f"{head}: {quantity.about}")
    for end in quantity.ends:
        about = f"{_ENDS[end.rpartition('_')[2]]} of `{quantity.name}`"
        yield Entry(end, "float64", quantity.unit, about)


def _flags_of(column: str) -> Entry:
    return Entry(f"{column}_flags", about=f"doubts and remarks on `{column}`: codes with ; between, or empty")


FLAGGED = tuple(
    dict.fromkeys(q.name for _, _, q in summarised("shape", "image", "rate", "batch") if q.has_flags)
)
"""The columns of counts and times that have one of flags beside them."""

_FRAME = {entry.column: entry for entry in entries()}
_COUNTED = {e.column: e for _, _, quantity in summarised("shape") for e in _of_quantity(quantity)}


def _percentiles(quantity: Quantity) -> Iterator[Entry]:
    """Yield the columns of the percentiles of a time."""
    for name, share in SHARES.items():
        key = f"{quantity.name}_{name}"
        about = f"median over processes of the {100 * share:g}th percentile of each one's samples"
        yield Entry(key, "float64", quantity.unit, f"{about}; missing where these cannot carry it")
        for end in ("low", "high"):
            yield Entry(f"{key}_{end}", "float64", quantity.unit, f"{_ENDS[end]} of `{key}`")
        yield Entry(f"{key}_needed", "Int64", "1", f"how many samples of each process could carry `{key}`")


def _measured() -> Iterator[Entry]:
    """Yield the columns of what was timed, and of what is derived of that."""
    for _, task, quantity in summarised("image", "rate", "batch", "derived"):
        yield from _of_quantity(quantity)
        if quantity.name == "latency":
            yield from _percentiles(quantity)
        if quantity.summary == "rate":
            about = f"images a call of which `{quantity.name}` is, the most that were timed"
            yield Entry(task.batch_column, "Int64", "1", about)


def _with_flags(summary: Literal["seeds", "images"]) -> Iterator[Entry]:
    """Yield the columns of quantities that have their flags beside them."""
    for _, _, quantity in summarised(summary):
        yield from (*_of_quantity(quantity), _flags_of(quantity.name))


def _trained() -> Iterator[Entry]:
    """Yield the columns of what was trained."""
    yield from (_FRAME[name] for name in TAUGHT)
    yield from _with_flags("seeds")
    yield Entry("n_ok", "Int64", "1", "trainings that ended well")
    yield Entry("n_planned", "Int64", "1", "trainings that were planned")
    yield Entry("diverged", "Int64", "1", "trainings whose loss was no longer finite")
    for name, column in TRAINED_AS.items():
        own = _FRAME.get(name) or _COUNTED[name]
        yield replace(own, column=column, about=f"as it was trained; {own.about}")


def _entries() -> Iterator[Entry]:
    yield Entry("label", about="the network, with the settings that tell its rows apart")
    yield replace(_FRAME["arch"], column="network")
    yield from (_FRAME[name] for name in (*CARD, *INPUT))
    yield from _COUNTED.values()
    yield from (_FRAME[name] for name in (*VARIANT, "device_name"))
    yield from _measured()
    yield from _trained()
    yield Entry("evaluated_on", about="data set and images of the first evaluation")
    yield from _with_flags("images")
    yield from map(_flags_of, FLAGGED)
    yield _FRAME["run"]


ENTRIES = tuple(_entries())
"""What each column of the comparison holds, in order."""

TRAINED = tuple(entry.column for entry in _trained())
