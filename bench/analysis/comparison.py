"""The comparison: one row a network and way of running it; what failed; how far a run has come."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis._comparison_columns import CARD, ENTRIES, FLAGGED, TRAINED, TRAINED_AS
from bench.analysis._counts import counts_of
from bench.analysis.accuracy import TRAININGS, trained
from bench.analysis.evaluations import Evaluation, Evaluations
from bench.analysis.flags import Row, flags_text
from bench.analysis.frame import PENDING, UNREADABLE
from bench.analysis.keys import NUMBERS, SHAPE, VARIANT, WAY, Key, Plain, Rows, grouped, key_of, plain_rows
from bench.analysis.plausibility import doubt
from bench.analysis.replicates import PERCENTILES, percentiles, pooled
from bench.analysis.roofline import rooflines
from bench.plan.task import INPUT, TASKS, TAUGHT, summarised, tasks
from bench.registry import natural

_OF_THE_MACHINE = {name for name, task in tasks().items() if not task.has_network}
_COLUMNS = [entry.column for entry in ENTRIES]
_TEXTS = frozenset(entry.column for entry in ENTRIES if entry.dtype == "string")
_TRAINED = dict(zip(TRAINED, TRAINED, strict=True)) | {column: own for own, column in TRAINED_AS.items()}
_NO_FLAGS = {f"{column}_flags": "" for column in FLAGGED}
_COUNTED = {(task, one.source): one.name for task, _, one in summarised("shape") if one.has_flags}
_SUMMARIES: tuple[Any, ...] = ("image", "rate", "batch")
_TIMED = {
    name: [quantity for quantity in task.quantities if quantity.summary in _SUMMARIES]
    for name, task, _ in summarised(*_SUMMARIES)
}


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
    every = plain_rows(pooled(processes), (*TRAININGS, *CARD))
    counts = counts_of(every)
    doubt(every, counts)
    rows = [row for row in every if row["task"] not in _OF_THE_MACHINE]
    if not rows:  # columns of the kinds that they have where there are rows
        return pd.DataFrame({c: pd.Series(dtype=object if c in _TEXTS else np.float64) for c in _COLUMNS})
    one_image = (processes["task"] == "infer") & (processes["batch_size"] == 1)
    latencies = processes[one_image & (processes["measurement"] == "latency")]
    tails = percentiles(plain_rows(latencies, (*WAY, "replicate", "samples")), WAY)
    cards, speeds, trainings = _cards(rows), _speeds(rows, tails), trained(rows)
    doubted = _count_flags(rows)
    plain = reversed(Evaluations.of(frame).plain)
    evaluated = {(one.run, one.network): _evaluated(one) for one in plain}  # of several the first
    table = [
        cards[shape[:2]] | evaluated.get(shape[:2], {}) | counts[shape] | doubted[shape] | way | one
        for shape, taught in _shapes(rows, trainings)
        for way in speeds.get(shape) or [dict(zip(SHAPE, shape, strict=True))]
        for one in taught
    ]
    for row, label, intensity, share in zip(table, _labels(table), *rooflines(table, every), strict=True):
        row |= {"label": label, "intensity": intensity, "roofline_share": share}
    table.sort(key=_place)
    kinds = processes.dtypes[[*CARD, *WAY, "device_name", "epochs"]].to_dict()
    unknown = (*(() if tails else PERCENTILES), *(() if trainings else TRAINED))
    kinds |= dict.fromkeys(unknown, np.dtype(object))
    columns = {c: [row.get(c, math.nan) for row in table] for c in _COLUMNS}
    return pd.DataFrame({c: pd.Series(values, dtype=kinds.get(c)) for c, values in columns.items()})


def _without_the_pending(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame without pending jobs of networks of which something is known; trainings count them."""
    pending = frame["status"] == PENDING
    known = frame["network"].isin(frame.loc[~pending, "network"])
    return frame[~(pending & known & (frame["task"] != "accuracy"))]


def _place(row: Row) -> Key:
    """Return the place of a row among others: what is unknown comes last."""
    known = (row["year"], row.get("macs"))
    numbers = (math.inf if one is None or math.isnan(one) else one for one in known)
    return *numbers, natural(row["label"]), row["run"]


def _last(keys: Iterable[Key]) -> list[Key]:
    """Return each key once, in the order in which they were met last."""
    return [*dict.fromkeys(reversed([*keys]))][::-1]


def _shapes(rows: Rows, trainings: Rows) -> Iterator[tuple[Key, Rows]]:
    """Yield the shapes that were asked to be counted or timed, each with the training of its network that comes first.

    Of networks only trained it is the shapes that were trained, each with all conditions.
    """
    asked = _last(key_of(row, SHAPE) for row in rows if row["task"] != "accuracy")
    first: dict[Key, Plain] = {}
    every: defaultdict[Key, dict[Key, Plain]] = defaultdict(dict)
    for training in trainings:
        one = {column: training[own] for column, own in _TRAINED.items()}
        first.setdefault(key_of(training, SHAPE[:2]), one)
        every[key_of(training, SHAPE)].setdefault(key_of(training, TAUGHT), one)
    yield from ((shape, [first.get(shape[:2], {})]) for shape in asked)
    known = {shape[:2] for shape in asked}
    for shape in _last(key_of(row, SHAPE) for row in rows if row["task"] == "accuracy"):
        if shape[:2] not in known:
            yield shape, [*every[shape].values()]


def _cards(rows: Rows) -> Mapping[Key, Plain]:
    """Return what the card of each network of a run says, None for what it does not."""
    cards: defaultdict[Key, Plain] = defaultdict(lambda: dict.fromkeys(CARD))
    for run, network, *values in _last(key_of(row, ("run", "network", *CARD)) for row in rows):
        cards[run, network] |= {n: v for n, v in zip(CARD, values, strict=True) if v is not None}
    return cards


def _count_flags(rows: Rows) -> Mapping[Key, Plain]:
    """Return the columns of flags by network and shape: those of what was counted, and empty ones of all else."""
    columns: defaultdict[Key, Plain] = defaultdict(_NO_FLAGS.copy)
    for row in rows:
        if column := _COUNTED.get((row["task"], row["measurement"])):
            columns[key_of(row, SHAPE)][f"{column}_flags"] = flags_text([row["flags"]])
    return columns


def _speeds(rows: Rows, tails: Mapping[Key, Plain]) -> Mapping[Key, Rows]:
    """Return by network and shape the ways of running it, each with what was timed so."""
    ways: dict[Key, Rows] = {}
    for row in (row for task in _TIMED for row in rows if row["task"] == task):
        way = key_of(row, WAY)
        ways[way] = ways.pop(way, [])  # the last one met comes last
        ways[way].append(row)
    speeds: defaultdict[Key, Rows] = defaultdict(list)
    for way, own in ways.items():
        told = {name: own[-1].get(name) for name in (*WAY, "device_name")}
        speeds[way[: len(SHAPE)]].append(told | dict(_timed_columns(own)) | tails.get(way, {}))
    return speeds


def _timed_columns(rows: Rows) -> Iterator[tuple[str, object]]:
    """Yield what was timed of a network in one way, with its flags, by column: of one image, and the largest batch."""
    for task, own in _TIMED.items():
        numbers = {(row["measurement"], row["batch_size"]): row for row in rows if row["task"] == task}
        of_batches = [quantity for quantity in own if quantity.summary != "image"]
        rates = {quantity.source for quantity in of_batches if quantity.summary == "rate"}
        sources = rates or {quantity.source for quantity in of_batches}
        batches = [batch for source, batch in numbers if source in sources and batch is not None]
        largest = max(batches, default=math.nan)
        if of_batches:
            yield TASKS.get(task).batch_column, largest
        for quantity in own:
            batch = 1.0 if quantity.summary == "image" else largest
            row = numbers.get((quantity.source, batch), {})
            ends = [row.get(name, math.nan) for name in NUMBERS]
            if quantity.summary == "rate":
                ends = _rates(ends, batch)
            yield from zip((quantity.name, *quantity.ends), ends, strict=False)
            yield f"{quantity.name}_flags", flags_text([row.get("flags", ())])


def _rates(times: Iterable[float], batch: float) -> list[float]:
    """Return images per second of times (s) of a batch; a clock too coarse for a time tells no rate."""
    median, low, high = (batch / seconds if seconds > 0 else math.nan for seconds in times)
    return [median, high, low]


def _evaluated(one: Evaluation) -> dict[str, object]:
    columns: dict[str, object] = {"evaluated_on": one.data}
    for _, _, quantity in summarised("images"):
        share = one.top1 if quantity.source == "top1" else one.top5
        columns |= share.named(quantity.name)
        columns[f"{quantity.name}_flags"] = flags_text([one.flags])
    return columns


def row_labels(table: pd.DataFrame) -> list[str]:
    """Return the network's name, with those settings behind it that tell rows of one network apart.

    How it was run is told of all networks where it is of one: fp32 goes without saying only where all is fp32.
    """
    return _labels(plain_rows(table, ["network", *(s for s in _SETTINGS if s in table)]))


_SETTINGS = (*INPUT, *VARIANT, *TAUGHT, "run")


def _labels(rows: Rows) -> list[str]:
    """Return the label of each row, see `row_labels`."""
    by_network = grouped(rows, lambda row: row["network"])
    several = {
        network: {s for s in _SETTINGS if len({row.get(s) for row in own} - {None}) > 1}
        for network, own in by_network.items()
    }
    of_any = {s for own in several.values() for s in own if s in VARIANT}
    told = {
        network: _needed(own, [s for s in _SETTINGS if s in several[network] | of_any])
        for network, own in by_network.items()
    }
    return [" · ".join([r["network"], *setting_words(r, told[r["network"]])]) for r in rows]


_FIRST_LEFT_OUT = ("in_channels", "num_classes", "run", "epochs", "dataset", "recipe", "input_size")


def _needed(rows: Rows, settings: list[str]) -> list[str]:
    """Return those settings without which some rows of a network would be called the same.

    Runs that differ in how they ran alone keep their names.
    """
    for one in _FIRST_LEFT_OUT:
        rest = [s for s in settings if s != one]
        telling = [s for s in rest if one != "run" or s not in VARIANT]
        apart, all_apart = (len({key_of(row, some) for row in rows}) for some in (telling, settings))
        if one in settings and telling and apart == all_apart:
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
    return [_setting_words(s, row[s]) for s in settings if not pd.isna(row.get(s))]


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
