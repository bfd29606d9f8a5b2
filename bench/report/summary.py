"""What a report says in words: machine, dates, how far the run came, what stands out, and what is in doubt."""

from __future__ import annotations

import math
import shlex
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.analysis.comparison import Progress, progress
from bench.analysis.doubted import flags_of
from bench.analysis.drift import Drift, drifts
from bench.analysis.machine import flatten, torch_version
from bench.analysis.plausibility import doubts
from bench.records.flags import doubts as doubts_among
from bench.records.flags import explain, spoken
from bench.records.store import Run
from bench.report.reproduce import invocations
from bench.report.text import plain
from bench.report.view import missing
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

    @property
    def state(self) -> str:
        """Return ``41 of 48 jobs measured, 3 out of memory, 4 pending``."""
        return str(self.progress).replace(" measured", " jobs measured", 1)


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
        commands={run.name: command for run in runs if (command := _commands(run))},
    )


def _distinct(values: Iterable[Any]) -> list[str]:
    """Return texts without repetition, in order of first appearance; empty and missing ones are left out."""
    return [plain(v) for v in dict.fromkeys(v for v in values if isinstance(v, str) and v)]


def _dates(started: Iterable[str]) -> str:
    days = sorted({plain(s)[:10] for s in started if s})
    return " to ".join(dict.fromkeys([days[0], days[-1]])) if days else ""


def _bracketed(protocol: Any) -> str:
    """Return `` (10 crops)``, nothing where it is not known how the images were tested."""
    return f" ({plain(protocol)})" if isinstance(protocol, str) and protocol else ""


def _facts(table: pd.DataFrame) -> list[Fact]:
    """Return the best network in each respect that at least two have; undecided where one that is in doubt is ahead."""
    facts = []
    for what, key, who, lowest, text in _ASKED:
        rows = table[table[key].notna()]
        if rows["network"].nunique() < 2 or (key == "accuracy" and rows["dataset"].nunique() > 1):
            continue
        ranked = rows.sort_values(key, ascending=lowest, kind="stable").to_dict("records")
        sound = [row for row in ranked if not doubts_among(flags_of(row, key))]
        ahead = ranked[: ranked.index(sound[0])] if sound else ranked
        if ahead:
            facts.append(Fact(what, "undecided", _in_doubt(ahead, sound, key, who, text)))
        else:
            facts.append(Fact(what, plain(sound[0][who]), _value(sound, key, who, text)))
    return facts


def _in_doubt(
    ahead: Sequence[Mapping[Any, Any]],
    sound: Sequence[Mapping[Any, Any]],
    key: str,
    who: str,
    text: Callable[[float], str],
) -> str:
    """Return who is ahead and why that is no win, and the first of those that are sound."""
    why = plain(spoken(*dict.fromkeys(flag for row in ahead for flag in doubts_among(flags_of(row, key)))))
    if not sound:
        return f"all {len(ahead)} are in doubt: {why}"
    more = f" and {len(ahead) - 1} more are" if len(ahead) > 1 else " is"
    first = f"{plain(ahead[0][who])}{more} ahead and in doubt: {why}"
    return f"{first}; without a doubt {plain(sound[0][who])}, {_value(sound, key, who, text)}"


def _value(ranked: Sequence[Mapping[Any, Any]], key: str, who: str, text: Callable[[float], str]) -> str:
    """Return the first value with its interval, what is told of it, and whose intervals overlap with it."""
    first = ranked[0]
    batch = f" at batch {first['batch_size']:.0f}" if key == "throughput" else ""
    protocol = _bracketed(first["published_protocol"]) if key == "published_top5" else ""
    low, high = (first.get(f"{key}_{end}", math.nan) for end in ("low", "high"))
    if missing(low) or missing(high):
        return text(float(first[key])) + batch + protocol
    told = spoken(*flags_of(first, key))
    near = [row for row in ranked[1:] if row[f"{key}_low"] <= high and low <= row[f"{key}_high"]]
    open_to = (
        f"; not apart from {plain(near[0][who])}" + f" and {len(near) - 1} more" * (len(near) > 1)
        if near
        else ""
    )
    ends = f"{text(float(low))} to {text(float(high))}"
    return f"{text(float(first[key]))}{batch} ({', '.join(filter(None, [ends, told]))}){open_to}"


def _drift(found: Drift) -> Fact:
    change = f"{'+' if found.ratio >= 1 else '−'}{percent(abs(found.ratio - 1))}"
    return Fact("Time at the end of the run against its beginning", plain(found.label), change)


_ASKED: tuple[tuple[str, str, str, bool, Callable[[float], str]], ...] = (
    ("Fastest, one image", "latency", "label", True, lambda v: show(v, "s")),
    ("Highest throughput", "throughput", "label", False, lambda v: f"{significant(v)} images/s"),
    ("Fewest MACs", "macs", "network", True, lambda v: show(v, "MAC")),
    ("Best top-5, published", "published_top5", "network", False, percent),
    ("Best top-1, short training", "accuracy", "network", False, percent),
)


def _doubts(frame: pd.DataFrame) -> list[Doubt]:
    where: defaultdict[str, list[str]] = defaultdict(list)
    flagged = frame[frame["flags"].map(len) > 0]
    for label, name, flags, detail in flagged[["label", "measurement", "flags", "detail"]].itertuples(
        index=False
    ):
        for flag in flags:
            where[flag].append(plain(f"{name} of {label}{_named(flag, detail)}"))
    for flag, places in doubts(frame).items():
        where[flag] += map(plain, places)
    return [Doubt(plain(flag), plain(explain(flag)), places) for flag, places in sorted(where.items())]


def _named(flag: str, detail: Mapping[str, Any]) -> str:
    """Return the operations that were left uncounted, where that is the doubt."""
    missing = detail.get("uncounted")
    if flag != "uncounted_ops" or not isinstance(missing, Mapping):
        return ""
    return ": " + ", ".join(f"{operation} ×{calls}" for operation, calls in missing.items())


def _environment(run: Run) -> list[tuple[str, str]]:
    """Return what the records of a run agree on; where they do not, up to three values."""
    found: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for record in run.records:
        for path, value in flatten(record.environment):
            found[path][value] = None
    return [(plain(path), _values(list(values))) for path, values in sorted(found.items())]


def _values(values: Sequence[str]) -> str:
    return plain(" | ".join(values)) if len(values) <= 3 else f"varied, {len(values)} values"


def _commands(run: Run) -> str:
    """Return the command lines that made a run, each once and one a line; nothing where they are not known."""
    lines = (plain(shlex.join(words), 2000) for words in invocations(run))
    return "\n".join(dict.fromkeys(lines))


def sources(table: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Return (network, published accuracies, source) of each network that has a published one."""
    rows = table.drop_duplicates("network")
    rows = rows[rows["published_top1"].notna() | rows["published_top5"].notna()]
    return [
        (
            plain(row["network"]),
            f"top-1 {percent(row['published_top1'])}, top-5 {percent(row['published_top5'])}"
            f"{_bracketed(row['published_protocol'])}",
            plain(row["published_source"] or DASH),
        )
        for row in rows.to_dict("records")
    ]
