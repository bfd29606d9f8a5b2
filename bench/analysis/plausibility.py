"""Doubts of numbers about each other: rows that contradict one another, each rule a small function in one table.

A rule sees the whole frame and yields the places where it is broken, in words. None is a proof: a doubt says where
to look twice, and `bench.records.flags` explains it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any

import pandas as pd

from bench.analysis.comparison import compare_table
from bench.analysis.frame import SHAPE, VARIANT, wide
from bench.analysis.roofline import WEIGHT_BYTES, add_roofline
from bench.stats.proportions import below_chance
from bench.units import percent, show

MORE = 1.1  # times as much, from which a network has clearly more of something
BEYOND = 1.05  # times as long, from which a time is clearly longer

Rule = Callable[[pd.DataFrame], Iterator[str]]
_Row = Mapping[Hashable, Any]

_SHAPE = ["run", "arch", *SHAPE[2:]]
_SETTINGS = [*VARIANT, "device_name"]
_SIZES = ("parameters", "macs", "activations")


def doubts(frame: pd.DataFrame) -> dict[str, list[str]]:
    """Return the places of each doubt, by flag; flags without any are left out.

    Args:
        frame: of `bench.analysis.frame.to_frame`.
    """
    frame = frame[frame["task"].isin(["cost", "infer", "train_step", "accuracy", "ceiling"])]
    if frame.empty:
        return {}
    by_flag = {flag: list(dict.fromkeys(rule(frame))) for flag, rule in RULES.items()}
    return {flag: places for flag, places in by_flag.items() if places}


def _larger_but_faster(frame: pd.DataFrame) -> Iterator[str]:
    """Find networks with more of everything than another of their family that took clearly less time."""
    times = frame[frame["measurement"].isin(["latency", "step_time"])].merge(
        _counts(frame, _SIZES), on=_SHAPE, how="inner"
    )
    keys = ["run", "task", "family", *SHAPE[2:], *_SETTINGS, "batch_size", "measurement"]
    groups: defaultdict[tuple[Any, ...], list[_Row]] = defaultdict(list)
    for row in times.to_dict("records"):
        groups[tuple(None if pd.isna(row[key]) else row[key] for key in keys)].append(row)
    for some in groups.values():
        for large in some:
            for small in some:
                if _more(large, small) and large["high"] < small["low"]:
                    yield f"{_measured(large)} is below that of {small['arch']} ({show(small['median'], 's')})"


def _more(large: _Row, small: _Row) -> bool:
    """Return whether a network has more of everything, and clearly more MACs: vgg19 has 4 % more weights than vgg16."""
    return all(large[k] > small[k] for k in _SIZES) and bool(large["macs"] >= MORE * small["macs"])


def _slower_without_waiting(frame: pd.DataFrame) -> Iterator[str]:
    """Find steps that took clearly longer than a call of the same batch that is waited for."""
    for row in _side_by_side(frame, "step_time", "latency"):
        if row["low"] > BEYOND * row["high_other"]:
            yield f"{_measured(row)} is above its latency ({show(row['median_other'], 's')})"


def _batch_costs_throughput(frame: pd.DataFrame) -> Iterator[str]:
    """Find batches at which clearly fewer images a second go through than at batch 1."""
    steps = frame[frame["measurement"] == "step_time"]
    keys = ["task", *_SHAPE, *_SETTINGS]
    single = steps.loc[steps["batch_size"] == 1, [*keys, "median", "high"]]
    for row in _merged(steps, single, keys):
        if row["low"] / row["batch_size"] > MORE * row["high_other"]:
            rates = [1 / row["median_other"], row["batch_size"] / row["median"]]
            yield f"{row['label']}: {rates[1]:.3g} images/s, {rates[0]:.3g} at batch 1"


def _backward_too_fast(frame: pd.DataFrame) -> Iterator[str]:
    """Find backward passes that took less than a third of the forward pass."""
    for row in _side_by_side(frame, "backward", "forward"):
        if row["high"] < row["low_other"] / 3:
            yield f"{_measured(row)}, forward {show(row['median_other'], 's')}"


def _above_roofline(frame: pd.DataFrame) -> Iterator[str]:
    """Find work that was done faster than this machine can, where its ceilings were measured."""
    if (frame["task"] == "ceiling").any():
        table = add_roofline(compare_table(frame), frame)
        for row in table[table["roofline_share"] > 1].to_dict("records"):
            yield f"throughput of {row['label']} at batch {row['batch_size']:g}: {percent(row['roofline_share'])}"


def _memory_below_weights(frame: pd.DataFrame) -> Iterator[str]:
    """Find peaks of memory that do not even hold the weights, where the meter is to be trusted."""
    peaks = frame[frame["measurement"] == "peak_memory"]
    for row in peaks.merge(_counts(frame, ("parameters",)), on=_SHAPE, how="inner").to_dict("records"):
        if {"shared_process", "outside_allocator"} & set(row["flags"]):
            continue
        least = WEIGHT_BYTES.get(row["precision"], 1) * row["parameters"]
        if row["median"] < least:
            yield f"{_measured(row, 'B')} for weights of {show(least, 'B')}"


def _below_chance(frame: pd.DataFrame) -> Iterator[str]:
    """Find accuracies that guessing would exceed, by three standard deviations of guessing."""
    for row in frame[(frame["measurement"] == "top1") & (frame["status"] == "ok")].to_dict("records"):
        images, chance = row["detail"].get("n"), 1 / row["num_classes"]
        if below_chance(row["median"], images if isinstance(images, int | float) else None, chance):
            yield f"{row['label']}: {percent(row['median'])}, chance is {percent(chance)}"


def _top5_below_top1(frame: pd.DataFrame) -> Iterator[str]:
    """Find trainings with fewer labels among the first five than in the first place."""
    for row in _side_by_side(frame, "top5", "top1"):
        if row["median"] < row["median_other"]:
            yield f"{row['label']}: {percent(row['median'])} against {percent(row['median_other'])}"


RULES: Mapping[str, Rule] = {
    "larger_but_faster": _larger_but_faster,
    "slower_without_waiting": _slower_without_waiting,
    "batch_costs_throughput": _batch_costs_throughput,
    "backward_too_fast": _backward_too_fast,
    "above_roofline": _above_roofline,
    "memory_below_weights": _memory_below_weights,
    "below_chance": _below_chance,
    "top5_below_top1": _top5_below_top1,
}


def _counts(frame: pd.DataFrame, names: tuple[str, ...]) -> pd.DataFrame:
    """Return the counts of each network and shape, one column a name; NaN where it was not counted."""
    rows = frame[(frame["task"] == "cost") & frame["measurement"].isin(names)]
    return wide(rows, _SHAPE, names)


def _side_by_side(frame: pd.DataFrame, name: str, other: str) -> Iterator[_Row]:
    """Yield the rows of one measurement with the statistics of another of the same record."""
    key = ["run", "job_id", "attempt"]
    others = frame.loc[frame["measurement"] == other, [*key, "median", "low", "high"]]
    yield from _merged(frame[frame["measurement"] == name], others, key)


def _merged(rows: pd.DataFrame, others: pd.DataFrame, key: list[str]) -> Iterator[_Row]:
    yield from rows.merge(others, on=key, how="inner", suffixes=("", "_other")).to_dict("records")


def _measured(row: _Row, unit: str = "s") -> str:
    """Return ``latency of infer vgg19 224 px batch 1, 39.0 ms``."""
    return f"{row['measurement']} of {row['label']}, {show(row['median'], unit)}"
