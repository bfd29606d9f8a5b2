"""Doubts of numbers about each other: rows that contradict one another, each rule a small function in one table.

A rule sees the whole frame, with one row for all processes of a measurement, and yields the rows that break it, in
words. None is a proof: a doubt says where to look twice, and `bench.records.flags` explains it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from bench.analysis._counts import counts_of
from bench.analysis.keys import SHAPE, VARIANT, WAY
from bench.analysis.roofline import WEIGHT_BYTES, add_roofline
from bench.plan.card import ArchCard
from bench.plan.task import INPUT
from bench.stats.intervals import below_chance
from bench.units import percent, show

_MORE = 1.1  # times as much, from which a network has clearly more of something
_BEYOND = 1.05  # times as long, from which a time is clearly longer
_BUSY = 0.9  # of the pass that measures energy, which the device works at least


_NO_FAMILY = ArchCard(name="").family


class _Doubt(NamedTuple):
    """A row of the frame, by its index, and what is wrong there."""

    row: Hashable
    where: str


_Rule = Callable[[pd.DataFrame], Iterator[_Doubt]]
_Row = Mapping[Hashable, Any]

_SIZES = ("parameters", "macs", "activations")
_READ = [
    *(*WAY, "task", "family", "label", "device_name", "batch_size", "job_id", "attempt", "status"),
    *("measurement", "median", "low", "high", "flags", "detail"),
]  # of a row, by the rules
_AT_A_BATCH = ["task", *WAY, "batch_size"]


def doubted(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with the flags of the rules that its rows break."""
    raised: defaultdict[Hashable, list[str]] = defaultdict(list)
    for flag, some in _contradictions(frame).items():
        for doubt in some:
            raised[doubt.row].append(flag)
    if not raised:
        return frame
    flags = [
        tuple(dict.fromkeys((*own, *raised.get(row, ()))))
        for row, own in zip(frame.index, frame["flags"], strict=True)
    ]
    return frame.assign(flags=pd.Series(flags, index=frame.index, dtype=object))


def doubts(frame: pd.DataFrame) -> dict[str, list[str]]:
    """Return the places of each doubt, by flag; flags without any are left out."""
    contradictions = _contradictions(frame).items()
    return {flag: list(dict.fromkeys(doubt.where for doubt in some)) for flag, some in contradictions}


def _contradictions(frame: pd.DataFrame) -> dict[str, list[_Doubt]]:
    """Return the rows that break each rule; rules that none breaks are left out."""
    frame = frame.loc[frame["task"].isin(["cost", "infer", "train_step", "accuracy", "ceiling"]), _READ]
    if frame.empty:
        return {}
    by_flag = {flag: list(rule(frame)) for flag, rule in _RULES.items()}
    return {flag: some for flag, some in by_flag.items() if some}


def _larger_but_faster(frame: pd.DataFrame) -> Iterator[_Doubt]:
    """Find networks with more of everything than another of their family that took clearly less time."""
    times = _counted(frame, frame["measurement"].isin(["latency", "step_time"]), _SIZES)
    keys = ["run", "task", *INPUT, *VARIANT, "device_name", "batch_size", "measurement"]
    groups: defaultdict[tuple[object, ...], list[_Row]] = defaultdict(list)
    for row in times.to_dict("records"):
        of = (None if pd.isna(row[key]) else row[key] for key in keys)
        groups[(_family(row["family"], row["network"]), *of)].append(row)
    for some in groups.values():
        for large in some:
            for small in some:
                if _more(large, small) and large["high"] < small["low"]:
                    other = f"{small['network']} ({show(small['median'], 's')})"
                    yield _Doubt(large["row"], f"{_measured(large)} is below that of {other}")


def _family(family: object, network: str) -> str:
    """Return of which networks one should cost more with more of everything.

    Networks in files say no family, and layer patterns are none: two of them may have nothing in common. Those of one
    class with other arguments are alike.
    """
    if not isinstance(family, str) or family == _NO_FAMILY:
        return network.partition("(")[0]
    return network if family == "pattern" else family


def _more(large: _Row, small: _Row) -> bool:
    """Return whether a network has more of everything, and clearly more MACs: vgg19 has 4 % more weights than vgg16."""
    return all(large[k] > small[k] for k in _SIZES) and bool(large["macs"] >= _MORE * small["macs"])


def _slower_without_waiting(frame: pd.DataFrame) -> Iterator[_Doubt]:
    """Find steps that took clearly longer than a call of the same batch that is waited for."""
    for row in _side_by_side(frame, "step_time", "latency", _AT_A_BATCH):
        if row["low"] > _BEYOND * row["high_other"]:
            where = f"{_measured(row)} is above its latency ({show(row['median_other'], 's')})"
            yield _Doubt(row["row"], where)


def _batch_costs_throughput(frame: pd.DataFrame) -> Iterator[_Doubt]:
    """Find batches at which clearly fewer images a second go through than at batch 1."""
    steps = frame[frame["measurement"] == "step_time"]
    single, several = steps[steps["batch_size"] == 1], steps[steps["batch_size"] > 1]
    for row in _merged(several, single, ["task", *WAY, "device_name"]):
        if row["low"] / row["batch_size"] > _MORE * row["high_other"]:
            rates = [1 / row["median_other"], row["batch_size"] / row["median"]]
            yield _Doubt(row["row"], f"{row['label']}: {rates[1]:.3g} images/s, {rates[0]:.3g} at batch 1")


def _backward_too_fast(frame: pd.DataFrame) -> Iterator[_Doubt]:
    """Find backward passes that took less than a third of the forward pass."""
    for row in _side_by_side(frame, "backward", "forward", _AT_A_BATCH):
        if row["high"] < row["low_other"] / 3:
            yield _Doubt(row["row"], f"{_measured(row)}, forward {show(row['median_other'], 's')}")


def _above_roofline(frame: pd.DataFrame) -> Iterator[_Doubt]:
    """Find work that was done faster than this machine can, where its ceilings were measured."""
    steps = (frame["task"] == "infer") & (frame["measurement"] == "step_time") & (frame["median"] > 0)
    if not steps.any() or not (frame["task"] == "ceiling").any():
        return
    rows = _counted(frame, steps, ("macs", "activation_bytes", "parameter_bytes"))
    table = add_roofline(rows.assign(throughput=rows["batch_size"] / rows["median"]), frame)
    for row in table[table["roofline_share"] > 1].to_dict("records"):
        yield _Doubt(row["row"], f"throughput of {row['label']}: {percent(row['roofline_share'])}")


def _memory_below_weights(frame: pd.DataFrame) -> Iterator[_Doubt]:
    """Find peaks of memory that do not even hold the weights, where the meter is to be trusted."""
    peaks = frame["measurement"] == "peak_memory"
    for row in _counted(frame, peaks, ("parameters",)).to_dict("records"):
        if {"shared_process", "outside_allocator"} & set(row["flags"]):
            continue
        least = WEIGHT_BYTES.get(row["precision"], 1) * row["parameters"]
        if row["median"] < least:
            yield _Doubt(row["row"], f"{_measured(row, 'B')} for weights of {show(least, 'B')}")


def _below_chance(frame: pd.DataFrame) -> Iterator[_Doubt]:
    """Find accuracies that guessing would exceed, by three standard deviations of guessing."""
    rows = frame[(frame["measurement"] == "top1") & (frame["status"] == "ok")]
    for row in _numbered(rows).to_dict("records"):
        images, chance = row["detail"].get("n"), 1 / row["num_classes"]
        if below_chance(row["median"], images if isinstance(images, int | float) else None, chance):
            where = f"{row['label']}: {percent(row['median'])}, chance is {percent(chance)}"
            yield _Doubt(row["row"], where)


def _idle_between(frame: pd.DataFrame) -> Iterator[_Doubt]:
    """Find energies over a pass of which the device had nothing to do for a part, by what its steps take."""
    for row in _side_by_side(frame, "energy", "step_time", _AT_A_BATCH):
        calls, seconds = (row["detail"].get(name, math.nan) for name in ("calls", "seconds"))
        share = calls * row["median_other"] / seconds
        if share < _BUSY:
            yield _Doubt(
                row["row"], f"energy of {row['label']}: the device worked for {percent(share)} of the pass"
            )


def _top5_below_top1(frame: pd.DataFrame) -> Iterator[_Doubt]:
    """Find trainings with fewer labels among the first five than in the first place; both numbers are in doubt."""
    for row in _side_by_side(frame, "top5", "top1", ["run", "job_id", "attempt"]):
        if row["median"] < row["median_other"]:
            where = f"{row['label']}: {percent(row['median'])} against {percent(row['median_other'])}"
            yield from (_Doubt(row[name], where) for name in ("row", "row_other"))


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


def _numbered(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with their index as the column `row`, which no merge loses."""
    return rows.reset_index(names="row")


def _counted(frame: pd.DataFrame, some: pd.Series[bool], names: Sequence[str]) -> pd.DataFrame:
    """Return some rows of the frame whose networks were counted, with the counts as columns."""
    counts = counts_of(frame, names).dropna(subset=list(names)) if some.any() else frame[:0]
    return _numbered(frame[some]).merge(counts, on=SHAPE, how="inner") if len(counts) else counts


def _side_by_side(frame: pd.DataFrame, name: str, other: str, key: list[str]) -> Iterator[_Row]:
    """Yield the rows of one measurement with the statistics of another that agrees in a key."""
    yield from _merged(frame[frame["measurement"] == name], frame[frame["measurement"] == other], key)


def _merged(rows: pd.DataFrame, others: pd.DataFrame, key: list[str]) -> Iterator[_Row]:
    if rows.empty or others.empty:
        return
    others = _numbered(others.drop_duplicates(key, keep="last"))[[*key, "row", "median", "low", "high"]]
    yield from _numbered(rows).merge(others, on=key, how="inner", suffixes=("", "_other")).to_dict("records")


def _measured(row: _Row, unit: str = "s") -> str:
    """Return ``latency of infer vgg19 224 px batch 1, 39.0 ms``."""
    return f"{row['measurement']} of {row['label']}, {show(row['median'], unit)}"
