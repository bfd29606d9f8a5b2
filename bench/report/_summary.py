"""What a report says in words: machine, dates, how far the run came, how the machine changed, and what is in doubt."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

import pandas as pd

from bench.analysis.comparison import Progress
from bench.analysis.flags import Row
from bench.analysis.frame import named
from bench.analysis.keys import PUBLISHED, VARIANT
from bench.analysis.machine import Drift, dig, torch_version
from bench.analysis.plausibility import doubts
from bench.analysis.replicates import pooled
from bench.io import JsonObject
from bench.plan.job import card_of
from bench.records.environment import leaves
from bench.records.flags import explain
from bench.records.record import Record
from bench.records.store import Run
from bench.report.tables._view import missing
from bench.report.text import plain
from bench.units import DASH, percent, significant


@dataclass(frozen=True, slots=True)
class _Doubt:
    """One flag, what it means, and the measurements that bear it."""

    flag: str
    meaning: str
    where: Sequence[str]


@dataclass(frozen=True, slots=True)
class Summary:
    """The words of a report."""

    networks: int  # how many there are
    machines: Sequence[str]  # models of the devices that measured
    dates: str  # first and last day, or the only one
    versions: Sequence[str]  # of torch and bench
    progress: Progress  # of all jobs
    drifts: Sequence[str]  # sentences on how the machine changed while a run went on
    doubts: Sequence[_Doubt]  # flags, with where they are
    # lines of the stores that are no sound records, as (run, line, reason)
    rejected: Sequence[tuple[str, int, str]]
    # for each run the parts that did not change while it went on, as (path, value)
    environments: Mapping[str, Sequence[tuple[str, str]]]
    commands: Mapping[str, str]  # what was typed for each run, where it is known, one line a command

    @property
    def lead(self) -> str:
        """Return ``14 networks on NVIDIA H100, 2026-03-14, torch 2.11.0``, of what is known."""
        networks = f"{self.networks} network{'' if self.networks == 1 else 's'}"
        on = f"{networks} on {' and '.join(self.machines)}" if self.machines else networks
        return ", ".join([on, *([self.dates] if self.dates else []), *self.versions])


def summarise(runs: Sequence[Run], frame: pd.DataFrame) -> Summary:
    """Return the words of a report; dates and versions are those of the records, never of now."""
    records = [record for run in runs for record in run.records]
    versions = _distinct(torch_version(r.environment) for r in records)
    benches = _distinct(r.bench_version for r in records)
    ran = frame[frame["device"].notna()]
    days = sorted({plain(r.started_at)[:10] for r in records if r.started_at})
    return Summary(
        networks=int(frame.loc[frame["task"] != "ceiling", "arch"].nunique()),
        machines=_machines(records, _distinct((ran if len(ran) else frame)["device_name"])),
        dates=" to ".join(dict.fromkeys([days[0], days[-1]])) if days else "",
        versions=[*(f"torch {v}" for v in versions), *(f"bench {v}" for v in benches)],
        progress=Progress.of(frame),
        drifts=[_drift(d) for run in runs for d in Drift.in_run(run)],
        doubts=_doubts(frame),
        rejected=[(name, r.line, r.reason) for name, run in named(runs) for r in run.rejected],
        environments={name: _environment(run) for name, run in named(runs) if run.records},
        commands={
            name: "\n".join(dict.fromkeys(map(_line, invocations)))  # each once
            for name, run in named(runs)
            if (invocations := _invocations(run))
        },
    )


def caption(title: str, summary: Summary, frame: pd.DataFrame) -> str:
    """Return what a table in a paper has to say of itself: machine, dates, versions and the number of processes."""
    numbers = pooled(frame)
    times = numbers[numbers["task"].isin(["infer", "train_step"]) & (numbers["unit"] == "s")]
    alone = times["replicate"].isna()  # `n` counts the samples of these
    counts = sorted({*times.loc[~alone, "n"].astype(int), *([1] if alone.any() else [])})
    few = " to ".join(map(str, dict.fromkeys([counts[0], counts[-1]]))) if counts else ""
    timed = f" Times are of {few} process{'' if few == '1' else 'es'}, with 95 % intervals." if counts else ""
    return f"{title}: {summary.lead}.{timed}"


def _distinct(values: Iterable[object]) -> list[str]:
    """Return texts without repetition, in order of first appearance; empty and missing ones are left out."""
    return [plain(v) for v in dict.fromkeys(v for v in values if isinstance(v, str) and v)]


def _machines(records: Iterable[Record], names: Sequence[str]) -> list[str]:
    """Return the names of machines, with the count of cards where several of one model measured."""
    cards: defaultdict[str, set[str]] = defaultdict(set)
    for record in records:
        card = card_of(record.environment, record.job.device) if record.job.device_kind == "cuda" else {}
        if card.get("uuid"):
            cards[plain(str(card.get("name")))].add(card["uuid"])
    return [f"{len(cards[name])} cards of {name}" if len(cards[name]) > 1 else name for name in names]


def _drift(drift: Drift) -> str:
    change = f"{percent(abs(drift.ratio - 1))} {'longer' if drift.ratio >= 1 else 'less time'} than"
    if drift.ratio >= 2:
        change = f"{significant(drift.ratio, 2)} times as long as"
    return f"The machine: at the end of the run {plain(drift.label)} took {change} at its beginning."


def _doubts(frame: pd.DataFrame) -> list[_Doubt]:
    """Return the flags of all numbers, each over all of its processes, and where rows contradict each other."""
    where: defaultdict[str, list[str]] = defaultdict(list)
    numbers = pooled(frame)
    flagged = numbers.loc[numbers["flags"].map(len) > 0, ["label", "measurement", "flags", "detail"]]
    for label, name, flags, detail in flagged.itertuples(index=False):
        for flag in flags:
            where[flag].append(plain(f"{name} of {label}{_uncounted(flag, detail)}"))
    for flag, places in doubts(numbers).items():
        where[flag] += map(plain, places)
    return [_Doubt(plain(flag), plain(explain(flag)), places) for flag, places in sorted(where.items())]


def _uncounted(flag: str, detail: JsonObject) -> str:
    """Return the operations that were left uncounted, where that is the doubt."""
    operations = detail.get("uncounted")
    if flag != "uncounted_ops" or not isinstance(operations, Mapping):
        return ""
    return ": " + ", ".join(f"{operation} ×{calls}" for operation, calls in operations.items())


def _environment(run: Run) -> list[tuple[str, str]]:
    """Return what the records of a run agree on; where they do not, up to three values."""
    by_path: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for record in run.records:
        for path, value in leaves(record.environment):
            if value is not None and not isinstance(value, Mapping):
                text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
                by_path[path][text] = None
    return [
        (plain(path), plain(" | ".join(values)) if len(values) <= 3 else f"varied, {len(values)} values")
        for path, values in sorted(by_path.items())
    ]


def sources(table: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Return (network, published accuracies and how they were tested, source) of each network that has one."""
    rows = table.drop_duplicates("network")
    rows = rows[rows[[*PUBLISHED]].notna().any(axis=1)]
    lines = []
    for row in rows.to_dict("records"):
        protocol = row["published_protocol"]
        values = ", ".join(f"top-{k[-1]} {percent(row[k])}" for k in PUBLISHED if not missing(row[k]))
        values += f" ({plain(protocol)})" if isinstance(protocol, str) and protocol else ""
        lines.append((plain(row["network"]), values, plain(row["published_source"] or DASH)))
    return lines


# --- the commands that made a run, and those that measure one of its rows again ---

# Options of a command that say what is measured; the others say where it goes, and stay away.
_KEPT = {
    "run": ("--config", "-c", "--task", "-t", "--set", "-s"),
    "train": ("--dataset", "-d", "--recipe", "-r", "--epochs", "--seeds", "--target", "--set", "-s"),
}
_RUN_SETTINGS = ("input_size", *VARIANT)


def row_commands(table: pd.DataFrame, runs: Sequence[Run]) -> list[str]:
    """Return for each row of `bench.analysis.comparison.compare_table` the line that measures it again.

    It is the run's last command with the row's network, the settings in which rows differ, and a name of its own,
    as a run of the old name would take what is stored. Empty where the command is not known.
    """
    commands = {name: invocations[-1] for name, run in named(runs) if (invocations := _invocations(run))}
    differing = [key for key in _RUN_SETTINGS if table[key].nunique() > 1]
    return [_again(commands.get(row["run"], []), row, differing) for row in table.to_dict("records")]


def _invocations(run: Run) -> list[list[str]]:
    """Return the words of the commands that made a run, ``bench`` first, whatever path it was started by."""
    stored = dig(run.info, "invocations")
    stored = stored if isinstance(stored, list | tuple) else [run.info]
    argvs = [dig(invocation, "argv") for invocation in stored]
    commands = [[str(word) for word in argv] for argv in argvs if isinstance(argv, list | tuple) and argv]
    own = {"bench", "__main__.py"}
    return [["bench", *(argv[1:] if PurePath(argv[0]).name in own else argv)] for argv in commands]


def _line(words: Sequence[str]) -> str:
    return plain(shlex.join(words), 2000)


def _again(argv: Sequence[str], row: Row, differing: Sequence[str]) -> str:
    if len(argv) < 2 or argv[1] not in _KEPT:
        return _line(argv)
    task = argv[1]
    values = {key: row[key] for key in differing if task == "run" and not missing(row[key])}
    texts = {key: f"{value:g}" if isinstance(value, float) else str(value) for key, value in values.items()}
    words = [word for key, text in texts.items() for word in ("--set", f"{key}={text}")]
    return _line(["bench", task, row["network"], *_options(argv[2:], _KEPT[task]), *words, "--name", "again"])


def _options(words: Sequence[str], kept: Sequence[str]) -> Iterator[str]:
    """Yield those options, with their values, whether ``--set a=1`` or ``--set=a=1``."""
    for position, word in enumerate(words):
        if word in kept and position + 1 < len(words):
            yield from (word, words[position + 1])
        elif word.partition("=")[0] in kept and "=" in word:
            yield word
