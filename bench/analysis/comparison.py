"""The comparison: one row a network and way of running it; what failed; how far a run has come."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.analysis._comparison_columns import CARD, ENTRIES, EVALUATIONS, TRAINED, TRAINED_AS
from bench.analysis._counts import counts_of
from bench.analysis._flag_columns import with_flags
from bench.analysis.accuracy import accuracy_table
from bench.analysis.evaluations import Evaluation, Evaluations
from bench.analysis.flags import Row, flags_text
from bench.analysis.frame import PENDING, UNREADABLE
from bench.analysis.keys import SHAPE, VARIANT, WAY, keys_of, plain
from bench.analysis.plausibility import doubted
from bench.analysis.replicates import percentile_table, pooled
from bench.analysis.roofline import add_roofline
from bench.plan.task import EVALUATED, INPUT, TASKS, TAUGHT, summarised, tasks
from bench.registry import natural

_OF_THE_MACHINE = [name for name, task in tasks().items() if not task.has_network]
_COLUMNS = [entry.column for entry in ENTRIES]
_TEXTS = frozenset(entry.column for entry in ENTRIES if entry.dtype == "string")


def compare_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row a network, its input shape and the way it was run, ordered by year, then MACs.

    A network of which only a part was measured has a row as well. One that was only trained has a row for each data
    set, recipe and count of epochs; the row of one that was counted or timed too has those that most networks share,
    and `accuracy_table` has all. Measurements of jobs that failed later on are used; trainings count only where they
    ended well.

    Columns are those of `ENTRIES`: facts of the card, the shape, the variant, and each quantity of `bench.tasks` that
    has a summary, in its unit, with its interval where it has one and its flags in ``NAME_flags`` (see
    `bench.analysis.flags`). What was evaluated is the first plain evaluation of the network and its weights. Here
    numbers are float64 and texts are objects; `bench.analysis.dictionary.typed` gives each column its dtype.
    """
    processes = _without_the_pending(frame.rename(columns={"arch": "network"}))
    numbers = doubted(pooled(processes))
    machine, frame = numbers, numbers[~numbers["task"].isin(_OF_THE_MACHINE)]
    if frame.empty:  # columns of the kinds that they have where there are rows
        return pd.DataFrame({c: pd.Series(dtype=object if c in _TEXTS else np.float64) for c in _COLUMNS})
    table = _shapes(frame)
    table = table.merge(counts_of(frame), on=SHAPE, how="left").merge(_speeds(frame), on=SHAPE, how="left")
    one_image = (processes["task"] == "infer") & (processes["batch_size"] == 1)
    latencies = processes[one_image & (processes["measurement"] == "latency")]
    table = table.merge(percentile_table(latencies, WAY), on=WAY, how="left")
    table = _with_evaluations(_with_accuracies(table, frame), frame)
    cards = frame.groupby(["run", "network"], sort=False)[list(CARD)].last().reset_index()
    table = table.merge(cards, on=["run", "network"], how="left")
    table["label"] = row_labels(table)
    table = with_flags(add_roofline(table, machine), frame)
    table = table.reindex(columns=_COLUMNS)
    years, macs = (table[c].fillna(np.inf).tolist() for c in ("year", "macs"))  # unknown ones last
    ranks = list(zip(years, macs, map(natural, table["label"]), table["run"].tolist(), strict=True))
    return table.iloc[sorted(range(len(table)), key=ranks.__getitem__)].reset_index(drop=True)


def _without_the_pending(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame without pending jobs of networks of which something is known; trainings count them."""
    pending = frame["status"] == PENDING
    known = frame["network"].isin(frame.loc[~pending, "network"])
    return frame[~(pending & known & (frame["task"] != "accuracy"))]


def _last(frame: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    return frame.drop_duplicates(keys, keep="last")


def _shapes(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the shapes that were asked to be counted or timed; of networks only trained, the trained ones."""
    timed = _last(frame.loc[frame["task"] != "accuracy", SHAPE], SHAPE)
    trained = _last(frame.loc[frame["task"] == "accuracy", SHAPE], SHAPE)
    return pd.concat([timed, trained[_only_trained(trained, frame)]], ignore_index=True)


def _only_trained(rows: pd.DataFrame, frame: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which rows are of a network that was neither counted nor timed in its run."""
    keys = ["run", "network"]
    known = pd.MultiIndex.from_frame(frame.loc[frame["task"] != "accuracy", keys].drop_duplicates())
    return ~pd.MultiIndex.from_frame(rows[keys]).isin(known)


def _speeds(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row a network and way of running it, with what was timed of one image and of the largest batch."""
    timed = {name: frame[frame["task"] == name] for name, _, _ in summarised("image", "rate", "batch")}
    table = _last(pd.concat(timed.values())[[*WAY, "device_name"]], WAY)
    ways = keys_of(table, WAY)
    for name, rows in timed.items():
        numbers = _numbers(rows)
        for column, values in _timed_columns(name, ways, numbers):
            table[column] = np.array(values, dtype=float)
    return table


_Key = tuple[object, ...]
_Ends = tuple[float, float, float]  # a median and its interval
_UNKNOWN: _Ends = (math.nan, math.nan, math.nan)


def _numbers(rows: pd.DataFrame) -> dict[tuple[_Key, str, float], _Ends]:
    """Return the last median and interval by way, measurement and batch size."""
    keys = zip(keys_of(rows, WAY), rows["measurement"], plain(rows["batch_size"]), strict=True)
    ends = zip(*(rows[name].tolist() for name in ("median", "low", "high")), strict=True)
    return {key: one for key, one in zip(keys, ends, strict=True) if key[2] is not None}


def _timed_columns(
    task: str, ways: Sequence[_Key], numbers: Mapping[tuple[_Key, str, float], _Ends]
) -> Iterator[tuple[str, list[float]]]:
    """Yield the columns of a task: those of one image, and those of the largest batch that was timed."""
    own = [quantity for name, _, quantity in summarised("image", "rate", "batch") if name == task]
    of_batches = [quantity for quantity in own if quantity.summary != "image"]
    rates = {quantity.source for quantity in of_batches if quantity.summary == "rate"}
    largest: dict[_Key, float] = {}
    for way, measurement, batch in numbers:
        if measurement in (rates or {quantity.source for quantity in of_batches}):
            largest[way] = max(batch, largest.get(way, batch))
    if of_batches:
        yield TASKS.get(task).batch_column, [largest.get(way, math.nan) for way in ways]
    for quantity in own:
        batches = [1.0 if quantity.summary == "image" else largest.get(way, math.nan) for way in ways]
        keys = ((way, quantity.source, batch) for way, batch in zip(ways, batches, strict=True))
        ends = [numbers.get(key, _UNKNOWN) for key in keys]
        if quantity.summary == "rate":
            ends = [_rates(one, batch) for one, batch in zip(ends, batches, strict=True)]
        for place, column in enumerate((quantity.name, *quantity.ends)):
            yield column, [one[place] for one in ends]


def _rates(times: _Ends, batch: float) -> _Ends:
    """Return images per second of times (s) of a batch; a clock too coarse for a time tells no rate."""
    median, low, high = (batch / seconds if seconds > 0 else math.nan for seconds in times)
    return median, high, low


def _with_accuracies(table: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with what was trained: all conditions of networks only trained, else those that come first."""
    trainings = accuracy_table(frame)
    shape = trainings[list(INPUT)]
    trainings = trainings.rename(columns=TRAINED_AS)[["run", "network", *TRAINED]]
    first = trainings.drop_duplicates(["run", "network"], keep="first")
    every = trainings.join(shape).drop_duplicates([*SHAPE, *TAUGHT], keep="first")
    alone = _only_trained(table, frame)
    beside = table[~alone].merge(first, on=["run", "network"], how="left")
    return pd.concat([beside, table[alone].merge(every, on=SHAPE, how="left")]) if alone.any() else beside


def _with_evaluations(table: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with what their networks came to on the images that they were first evaluated on."""
    first: dict[tuple[str, str], dict[str, object]] = {}
    for one in Evaluations.of(frame).plain:
        first.setdefault((one.run, one.network), _evaluated(one))
    keys = zip(table["run"], table["network"], strict=True)
    rows = [first.get(key, {}) for key in keys]
    names = (*EVALUATED, *EVALUATIONS) if first else ()
    columns: dict[str, Sequence[Any]] = {name: [row.get(name) for row in rows] for name in names}
    return table.assign(**columns)


def _evaluated(one: Evaluation) -> dict[str, object]:
    columns: dict[str, object] = {"evaluated_on": one.data}
    for _, _, quantity in summarised("images"):
        share = one.top1 if quantity.source == "top1" else one.top5
        columns[quantity.name] = share.value
        columns |= dict(zip(quantity.ends, share.interval, strict=True))
        columns[f"{quantity.name}_flags"] = flags_text([one.flags])
    return columns


def row_labels(table: pd.DataFrame) -> list[str]:
    """Return the network's name, with those settings behind it that tell rows of one network apart.

    How it was run is told of all networks where it is of one: fp32 goes without saying only where all is fp32.
    """
    settings = [s for s in (*INPUT, *VARIANT, *TAUGHT, "run") if s in table]
    told_of = ("network", *settings)
    values = zip(*(table[column].tolist() for column in told_of), strict=True)
    rows = [dict(zip(told_of, some, strict=True)) for some in values]
    several = table.groupby("network")[settings].nunique() > 1
    told = {
        network: [
            s for s, own in zip(settings, row, strict=True) if own or (s in VARIANT and several[s].any())
        ]
        for network, row in zip(several.index, several.to_numpy().tolist(), strict=True)
    }
    for network, part in table.groupby("network"):
        told[network] = _needed(part, told[network])
    return [" · ".join([r["network"], *setting_words(r, told[r["network"]])]) for r in rows]


_FIRST_LEFT_OUT = ("in_channels", "num_classes", "run", "epochs", "dataset", "recipe", "input_size")


def _needed(rows: pd.DataFrame, settings: list[str]) -> list[str]:
    """Return those settings without which some rows of a network would be called the same.

    Runs that differ in how they ran alone keep their names.
    """
    for one in _FIRST_LEFT_OUT:
        rest = [s for s in settings if s != one]
        telling = [s for s in rest if one != "run" or s not in VARIANT]
        if one in settings and telling and rows.duplicated(telling).sum() == rows.duplicated(settings).sum():
            settings = rest
    return settings


_UNITS = {
    "input_size": " px",
    "in_channels": " channels",
    "num_classes": " classes",
    "trained_size": " px",
    "trained_channels": " channels",
    "trained_classes": " classes",
    "threads": " threads",
    "epochs": " epochs",
}
_NAMES = {"cudnn_benchmark": "cudnn_benchmark ", "batch_size": "batch ", "train_batch_size": "batch "}


def setting_words(row: Row, settings: Sequence[str]) -> list[str]:
    """Return the settings of a row in words, such as ``224 px`` and ``batch 4``; missing ones are left out."""
    return [_setting_words(s, row[s]) for s in settings if not pd.isna(row[s])]


def _setting_words(setting: str, value: object) -> str:
    word, unit = f"{value:g}" if isinstance(value, float) else str(value), _UNITS.get(setting, "")
    if word == "1":
        unit = unit.removesuffix("es" if unit == " classes" else "s")
    return _NAMES.get(setting, "") + word + unit


def failures(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row a job that has a record and did not end well, with its reason.

    Columns: run, network, label (of the job), task, status, stage, error, tip, attempt, job_id.
    """
    jobs = frame.drop_duplicates(["run", "job_id", "attempt"]).rename(columns={"arch": "network"})
    jobs = jobs[~jobs["status"].isin(["ok", PENDING])]
    columns = ["run", "network", "label", "task", "status", "stage", "error", "tip", "attempt", "job_id"]
    return jobs[columns].astype({"attempt": "Int64"}).reset_index(drop=True)


STATUS_WORDS: Mapping[str, str] = {
    "ok": "measured",
    "unsupported": "unsupported",
    "oom": "out of memory",
    "timeout": "timed out",
    "killed": "killed",
    "crashed": "crashed",
    "invalid_model": "invalid model",
    "diverged": "diverged",
    "skipped": "skipped",
    "cancelled": "cancelled",
    PENDING: "pending",
    UNREADABLE: "that cannot be read",
}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the jobs of some runs have come: `counts` has how many jobs each status has, none that has no job."""

    counts: Mapping[str, int]

    @property
    def planned(self) -> int:
        """Return the count of all jobs."""
        return sum(self.counts.values())

    @property
    def ok(self) -> int:
        """Return the count of jobs that were measured whole."""
        return self.counts.get("ok", 0)

    @property
    def sentence(self) -> str:
        """Return ``41 of 48 jobs measured, 3 out of memory, 4 pending``."""
        return str(self).replace(" measured", " jobs measured", 1)

    def __str__(self) -> str:
        """Return ``41 of 48 measured, 3 out of memory, 4 pending``."""
        rest = [f"{n} {STATUS_WORDS[s]}" for s, n in self.counts.items() if s != "ok"]
        return ", ".join([f"{self.ok} of {self.planned} measured", *rest])

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Progress:
        """Return how many jobs have which status, by their latest attempts, in the order of `STATUS_WORDS`."""
        jobs = frame.drop_duplicates(["run", "job_id"], keep="last")
        counts = Counter(jobs["status"])
        return cls({status: counts[status] for status in STATUS_WORDS if counts[status]})
