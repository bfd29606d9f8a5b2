"""What a report says in words: machine, dates, how far the run came, what stands out, and what is in doubt."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.analysis.best import Leaders, Row, unsure
from bench.analysis.comparison import Progress, progress, setting_words
from bench.analysis.drift import Drift, drifts
from bench.analysis.flags import flags_of
from bench.analysis.machine import flatten, torch_version
from bench.analysis.plausibility import doubts
from bench.analysis.replicates import pooled
from bench.records.flags import explain, spoken
from bench.records.store import Run
from bench.report.commands import run_commands
from bench.report.tables.columns import COMPARISON
from bench.report.tables.view import Column, leaders_of
from bench.report.text import plain
from bench.units import DASH, percent, show, significant


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that stands out: what, which network, and its value."""

    what: str
    who: str
    value: str


@dataclass(frozen=True, slots=True)
class Doubt:
    """One flag, what it means, and the measurements that bear it."""

    flag: str
    meaning: str
    where: Sequence[str]


@dataclass(frozen=True, slots=True)
class Summary:
    """The words of a report.

    Attributes:
        networks: how many there are.
        machines: models of the devices that measured.
        dates: first and last day, or the only one.
        versions: of torch and bench.
        progress: of all jobs.
        facts: what stands out.
        doubts: flags, with where they are.
        rejected: lines of the stores that are no sound records, as (run, line, reason).
        environments: for each run the parts that did not change while it went on, as (path, value).
        commands: what was typed for each run, where it is known, one line a command.
    """

    networks: int
    machines: Sequence[str]
    dates: str
    versions: Sequence[str]
    progress: Progress
    facts: Sequence[Fact]
    doubts: Sequence[Doubt]
    rejected: Sequence[tuple[str, int, str]]
    environments: Mapping[str, Sequence[tuple[str, str]]]
    commands: Mapping[str, str]

    @property
    def lead(self) -> str:
        """Return ``14 networks on NVIDIA H100, 2026-03-14, torch 2.11.0``, of what is known."""
        networks = f"{self.networks} network{'' if self.networks == 1 else 's'}"
        on = f"{networks} on {' and '.join(self.machines)}" if self.machines else networks
        return ", ".join([on, *([self.dates] if self.dates else []), *self.versions])


def summarise(runs: Sequence[Run], frame: pd.DataFrame, table: pd.DataFrame) -> Summary:
    """Return the words of a report; dates and versions are those of the records, never of now."""
    records = [record for run in runs for record in run.records]
    versions = _distinct(torch_version(r.environment) for r in records)
    benches = _distinct(r.bench_version for r in records)
    ran = frame[frame["device"].notna()]
    return Summary(
        networks=int(frame.loc[frame["task"] != "ceiling", "arch"].nunique()),
        machines=_distinct((ran if len(ran) else frame)["device_name"]),
        dates=_dates(r.started_at for r in records),
        versions=[*(f"torch {v}" for v in versions), *(f"bench {v}" for v in benches)],
        progress=progress(frame),
        facts=[*_facts(table), *(_drift(d) for run in runs for d in drifts(run))],
        doubts=_doubts(frame),
        rejected=[(run.name, r.line, r.reason) for run in runs for r in run.rejected],
        environments={run.name: _environment(run) for run in runs if run.records},
        commands={run.name: command for run in runs if (command := run_commands(run))},
    )


def _distinct(values: Iterable[Any]) -> list[str]:
    """Return texts without repetition, in order of first appearance; empty and missing ones are left out."""
    return [plain(v) for v in dict.fromkeys(v for v in values if isinstance(v, str) and v)]


def _dates(started: Iterable[str]) -> str:
    days = sorted({plain(s)[:10] for s in started if s})
    return " to ".join(dict.fromkeys([days[0], days[-1]])) if days else ""


def _protocol(row: Mapping[Any, Any]) -> str:
    """Return `` (10 crops)``, how the images of a published accuracy were tested; nothing where it is not known."""
    protocol = row["published_protocol"]
    return f" ({plain(protocol)})" if isinstance(protocol, str) and protocol else ""


@dataclass(frozen=True, slots=True)
class _Respect:
    """One respect in which networks are ranked: its title, its column, what names a row, and how numbers are shown."""

    title: str
    column: Column
    name: str
    text: Callable[[float], str]

    def fact(self, rows: Sequence[Row]) -> Fact | None:
        """Return the best of the rows that may be compared, where that is decided; None where at most one has a number.

        Of several groups that may not be compared with each other, it is that with the most networks.
        """
        texts = [self.text(float(row[self.column.key])) for row in rows]
        groups = list(leaders_of(rows, self.column, texts))
        largest = max(groups, key=lambda group: len({rows[i]["network"] for i in group.rows}), default=None)
        if largest is None or len({rows[i]["network"] for i in largest.rows}) < 2:
            return None
        differing = [key for key in self.column.within if len({str(row[key]) for row in rows}) > 1]
        among = ", ".join(plain(word) for word in setting_words(rows[largest.rows[0]], differing))
        what = f"{self.title} ({among})" if among else self.title
        if largest.best:
            return Fact(what, self._who(rows[largest.best[0]]), self._values(rows, largest))
        return Fact(what, "undecided", self._why(rows, largest))

    def _who(self, row: Row) -> str:
        return plain(row[self.name])

    def _why(self, rows: Sequence[Row], ahead: Leaders) -> str:
        """Return why none is the best: who is ahead and not sure, and the first of those that are."""
        key, exact = self.column.key, self.column.exact
        why = plain(
            spoken(*dict.fromkeys(r for i in ahead.unsure for r in unsure(rows[i], key, exact=exact)))
        )
        if not ahead.sure:
            return f"all {len(ahead.unsure)} are in doubt: {why}"
        sure = f"{self._who(rows[ahead.sure[0]])}, {self._values(rows, ahead)}"
        if not ahead.unsure:
            return sure if ahead.near else f"without a doubt is only {sure}"
        more = f" and {len(ahead.unsure) - 1} more are" if len(ahead.unsure) > 1 else " is"
        return f"{self._who(rows[ahead.unsure[0]])}{more} ahead and in doubt: {why}; without a doubt {sure}"

    def _values(self, rows: Sequence[Row], ahead: Leaders) -> str:
        """Return the first sure value with its interval, its flags, and what is not apart from it."""
        first, key = rows[ahead.sure[0]], self.column.key
        value = self.text(float(first[key]))
        if key == "throughput":
            value += f" at batch {first['batch_size']:.0f}"
        ends = [first.get(f"{key}_{end}", math.nan) for end in ("low", "high")]
        interval = "" if self.column.exact else " to ".join(self.text(float(end)) for end in ends)
        remarks = ", ".join(filter(None, [interval, spoken(*flags_of(first, key))]))
        return value + (f" ({remarks})" if remarks else "") + self._near([rows[i] for i in ahead.near])

    def _near(self, rows: Sequence[Row]) -> str:
        if not rows:
            return ""
        more = f" and {len(rows) - 1} more" if len(rows) > 1 else ""
        return f"; not apart from {self._who(rows[0])}{more}"


_COLUMNS = {column.key: column for column in COMPARISON}
_RESPECTS = (
    _Respect("Fastest, one image", _COLUMNS["latency"], "label", lambda v: show(v, "s")),
    _Respect("Highest throughput", _COLUMNS["throughput"], "label", lambda v: f"{significant(v)} images/s"),
    _Respect("Best top-5, published", _COLUMNS["published_top5"], "network", percent),
    _Respect("Best top-1, short training", _COLUMNS["accuracy"], "network", percent),
)


def _facts(table: pd.DataFrame) -> list[Fact]:
    """Return the best network in each respect that at least two have, by the rule of the marks in the table."""
    facts = [
        respect.fact(table[table[respect.column.key].notna()].to_dict("records")) for respect in _RESPECTS
    ]
    return [fact for fact in facts if fact is not None]


def _drift(drift: Drift) -> Fact:
    change = f"{'+' if drift.ratio >= 1 else '−'}{percent(abs(drift.ratio - 1))}"
    return Fact("Time at the end of the run against its beginning", plain(drift.label), change)


def _doubts(frame: pd.DataFrame) -> list[Doubt]:
    """Return the flags of all numbers, each over all of its processes, and where rows contradict each other."""
    where: defaultdict[str, list[str]] = defaultdict(list)
    numbers = pooled(frame)
    flagged = numbers[numbers["flags"].map(len) > 0]
    for label, name, flags, detail in flagged[["label", "measurement", "flags", "detail"]].itertuples(
        index=False
    ):
        for flag in flags:
            where[flag].append(plain(f"{name} of {label}{_uncounted(flag, detail)}"))
    for flag, places in doubts(numbers).items():
        where[flag] += map(plain, places)
    return [Doubt(plain(flag), plain(explain(flag)), places) for flag, places in sorted(where.items())]


def _uncounted(flag: str, detail: Mapping[str, Any]) -> str:
    """Return the operations that were left uncounted, where that is the doubt."""
    operations = detail.get("uncounted")
    if flag != "uncounted_ops" or not isinstance(operations, Mapping):
        return ""
    return ": " + ", ".join(f"{operation} ×{calls}" for operation, calls in operations.items())


def _environment(run: Run) -> list[tuple[str, str]]:
    """Return what the records of a run agree on; where they do not, up to three values."""
    by_path: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for record in run.records:
        for path, value in flatten(record.environment):
            by_path[path][value] = None
    return [(plain(path), _values(list(values))) for path, values in sorted(by_path.items())]


def _values(values: Sequence[str]) -> str:
    return plain(" | ".join(values)) if len(values) <= 3 else f"varied, {len(values)} values"


def sources(table: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Return (network, published accuracies, source) of each network that has a published one."""
    rows = table.drop_duplicates("network")
    rows = rows[rows["published_top1"].notna() | rows["published_top5"].notna()]
    return [
        (
            plain(row["network"]),
            f"top-1 {percent(row['published_top1'])}, top-5 {percent(row['published_top5'])}{_protocol(row)}",
            plain(row["published_source"] or DASH),
        )
        for row in rows.to_dict("records")
    ]
