"""Doubts of numbers about each other: rows that contradict one another, each rule a small function in one table.

A rule sees the whole frame, with one row for all processes of a measurement, and yields the rows that break it, in
words. None is a proof: a doubt says where to look twice, and `bench.records.flags` explains it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from bench.analysis._counts import Counts, counts_of
from bench.analysis.flags import Row
from bench.analysis.keys import NUMBERS, SHAPE, VARIANT, WAY, Plain, Rows, grouped, key_of, plain_rows
from bench.analysis.roofline import WEIGHT_BYTES, rooflines
from bench.plan.card import ArchCard
from bench.plan.task import INPUT
from bench.stats.intervals import below_chance
from bench.units import percent, show

_MORE = 1.1  # times as much, from which a network has clearly more of something
_BEYOND = 1.05  # times as long, from which a time is clearly longer
_BUSY = 0.9  # of the pass that measures energy, which the device works at least


_NO_FAMILY = ArchCard(name="").family


class _Doubt(NamedTuple):
    """A row of the frame, and what is wrong there."""

    row: Plain
    where: str


class _Rows(NamedTuple):
    """What rules look at: rows of a frame with the columns of `READ`, and the counts of networks."""

    rows: Rows
    counts: Counts

    def of_names(self, *names: str) -> Rows:
        """Return the rows of some measurements, in their order."""
        return [row for row in self.rows if row["measurement"] in names]

    def side_by_side(self, name: str, other: str, key: Sequence[str]) -> Iterator[tuple[Plain, Plain]]:
        """Yield each row of a measurement with the last of another that agrees with it in a key."""
        return _paired(self.of_names(name), self.of_names(other), key)

    def counted(self, row: Row, name: str) -> float:
        """Return a count of the network of a row, NaN where it is not known."""
        return self.counts[key_of(row, SHAPE)].get(name, math.nan)


_Rule = Callable[[_Rows], Iterator[_Doubt]]

_SIZES = ("parameters", "macs", "activations")
_OF_TASKS = ("cost", "infer", "train_step", "accuracy", "ceiling")
_AT_A_BATCH = ("task", *WAY, "batch_size")
READ = (
    *(*WAY, "task", "family", "label", "device_name", "batch_size", "job_id", "attempt", "status"),
    *("measurement", "flags", "detail", *NUMBERS),
)
"""Columns of the frame that rules look at."""


def doubt(rows: Rows, counts: Counts) -> None:
    """Add the rules that rows break to their flags; rows have the columns of `READ` at least."""
    for flag, some in _contradictions(rows, counts).items():
        for row, _ in some:
            row["flags"] = tuple(dict.fromkeys((*row["flags"], flag)))


def doubts(frame: pd.DataFrame) -> dict[str, list[str]]:
    """Return the places of each doubt, by flag; flags without any are left out."""
    rows = plain_rows(frame, READ)
    contradictions = _contradictions(rows, counts_of(rows)).items()
    return {flag: list(dict.fromkeys(one.where for one in some)) for flag, some in contradictions}


def _contradictions(rows: Rows, counts: Counts) -> dict[str, list[_Doubt]]:
    """Return the rows that break each rule; rules that none breaks are left out."""
    of_tasks = _Rows([row for row in rows if row["task"] in _OF_TASKS], counts)
    by_flag = {flag: list(rule(of_tasks)) for flag, rule in _RULES.items()}
    return {flag: some for flag, some in by_flag.items() if some}


def _larger_but_faster(rows: _Rows) -> Iterator[_Doubt]:
    """Find networks with more of everything than another of their family that took clearly less time."""
    keys = ["run", "task", *INPUT, *VARIANT, "device_name", "batch_size", "measurement"]
    timed = rows.of_names("latency", "step_time")
    groups = grouped(timed, lambda row: (_family(row["family"], row["network"]), *key_of(row, keys)))
    for some in groups.values():
        for large in some:
            for small in some:
                if large["high"] < small["low"] and _more(rows, large, small):
                    other = f"{small['network']} ({show(small['median'], 's')})"
                    yield _Doubt(large, f"{_measured(large)} is below that of {other}")


def _family(family: object, network: str) -> str:
    """Return of which networks one should cost more with more of everything.

    Networks in files say no family, and layer patterns are none: two of them may have nothing in common. Those of one
    class with other arguments are alike.
    """
    if not isinstance(family, str) or family == _NO_FAMILY:
        return network.partition("(")[0]
    return network if family == "pattern" else family


def _more(rows: _Rows, large: Row, small: Row) -> bool:
    """Return whether a network has more of everything, and clearly more MACs: vgg19 has 4 % more weights than vgg16."""
    more = all(rows.counted(large, name) > rows.counted(small, name) for name in _SIZES)
    return more and rows.counted(large, "macs") >= _MORE * rows.counted(small, "macs")


def _slower_without_waiting(rows: _Rows) -> Iterator[_Doubt]:
    """Find steps that took clearly longer than a call of the same batch that is waited for."""
    for step, call in rows.side_by_side("step_time", "latency", _AT_A_BATCH):
        if step["low"] > _BEYOND * call["high"]:
            yield _Doubt(step, f"{_measured(step)} is above its latency ({show(call['median'], 's')})")


def _batch_costs_throughput(rows: _Rows) -> Iterator[_Doubt]:
    """Find batches at which clearly fewer images a second go through than at batch 1."""
    steps = [row for row in rows.of_names("step_time") if row["batch_size"] is not None]
    several, single = ([row for row in steps if (row["batch_size"] > 1) is more] for more in (True, False))
    for step, one in _paired(several, single, ("task", *WAY, "device_name")):
        if step["low"] / step["batch_size"] > _MORE * one["high"]:
            rates = [1 / one["median"], step["batch_size"] / step["median"]]
            yield _Doubt(step, f"{step['label']}: {rates[1]:.3g} images/s, {rates[0]:.3g} at batch 1")


def _backward_too_fast(rows: _Rows) -> Iterator[_Doubt]:
    """Find backward passes that took less than a third of the forward pass."""
    for backward, forward in rows.side_by_side("backward", "forward", _AT_A_BATCH):
        if backward["high"] < forward["low"] / 3:
            where = f"{_measured(backward)}, forward {show(forward['median'], 's')}"
            yield _Doubt(backward, where)


def _above_roofline(rows: _Rows) -> Iterator[_Doubt]:
    """Find work that was done faster than this machine can, where its ceilings were measured."""
    steps = [row for row in rows.of_names("step_time") if row["task"] == "infer" and row["median"] > 0]
    known = [row for row in steps if row["batch_size"] is not None]
    rates = [
        {**row, **rows.counts[key_of(row, SHAPE)], "throughput": row["batch_size"] / row["median"]}
        for row in known
    ]
    for row, share in zip(known, rooflines(rates, rows.rows)[1].tolist(), strict=True):
        if share > 1:
            yield _Doubt(row, f"throughput of {row['label']}: {percent(share)}")


def _memory_below_weights(rows: _Rows) -> Iterator[_Doubt]:
    """Find peaks of memory that do not even hold the weights, where the meter is to be trusted."""
    for row in rows.of_names("peak_memory"):
        if {"shared_process", "outside_allocator"} & set(row["flags"]):
            continue
        least = WEIGHT_BYTES.get(row["precision"], 1) * rows.counted(row, "parameters")
        if row["median"] < least:
            yield _Doubt(row, f"{_measured(row, 'B')} for weights of {show(least, 'B')}")


def _below_chance(rows: _Rows) -> Iterator[_Doubt]:
    """Find accuracies that guessing would exceed, by three standard deviations of guessing."""
    for row in rows.of_names("top1"):
        if row["status"] != "ok" or not row["num_classes"]:
            continue
        images, chance = row["detail"].get("n"), 1 / row["num_classes"]
        if below_chance(row["median"], images if isinstance(images, int | float) else None, chance):
            where = f"{row['label']}: {percent(row['median'])}, chance is {percent(chance)}"
            yield _Doubt(row, where)


def _idle_between(rows: _Rows) -> Iterator[_Doubt]:
    """Find energies over a pass of which the device had nothing to do for a part, by what its steps take."""
    for energy, step in rows.side_by_side("energy", "step_time", _AT_A_BATCH):
        calls, seconds = (energy["detail"].get(name, math.nan) for name in ("calls", "seconds"))
        share = calls * step["median"] / seconds
        if share < _BUSY:
            where = f"energy of {energy['label']}: the device worked for {percent(share)} of the pass"
            yield _Doubt(energy, where)


def _top5_below_top1(rows: _Rows) -> Iterator[_Doubt]:
    """Find trainings with fewer labels among the first five than in the first place; both numbers are in doubt."""
    for top5, top1 in rows.side_by_side("top5", "top1", ("run", "job_id", "attempt")):
        if top5["median"] < top1["median"]:
            where = f"{top5['label']}: {percent(top5['median'])} against {percent(top1['median'])}"
            yield from (_Doubt(row, where) for row in (top5, top1))


_RULES: Mapping[str, _Rule] = {
    "larger_but_faster": _larger_but_faster,
    "slower_without_waiting": _slower_without_waiting,
    "batch_costs_throughput": _batch_costs_throughput,
    "backward_too_fast": _backward_too_fast,
    "above_roofline": _above_roofline,
    "memory_below_weights": _memory_below_weights,
    "idle_between": _idle_between,
    "below_chance": _below_chance,
    "top5_below_top1": _top5_below_top1,
}


def _paired(rows: Rows, others: Rows, key: Sequence[str]) -> Iterator[tuple[Plain, Plain]]:
    last = {key_of(other, key): other for other in others}
    for row in rows:
        if other := last.get(key_of(row, key)):
            yield row, other


def _measured(row: Row, unit: str = "s") -> str:
    """Return ``latency of infer vgg19 224 px batch 1, 39.0 ms``."""
    return f"{row['measurement']} of {row['label']}, {show(row['median'], unit)}"
