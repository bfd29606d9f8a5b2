"""Measuring on the command line: progress on stderr, and what is said of a run at its end."""

from __future__ import annotations

import re
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bar

from bench.api import Done
from bench.cli._common import EXIT_FAILED
from bench.cli._interrupts import EXIT_CANCELLED, GO_ON, keeping
from bench.cli._streams import note, print_json, stderr
from bench.errors import BenchError
from bench.execution.places import HOST
from bench.execution.runner import Observer, Summary
from bench.plan.card import edited
from bench.plan.estimate import estimator
from bench.plan.expand import Planned
from bench.plan.job import Job
from bench.plan.task import TASKS
from bench.records.flags import OF_SAMPLES, spoken
from bench.records.record import Record, Status
from bench.records.store import Run, set_aside
from bench.report.text import visible
from bench.units import duration, percent, show

_T = TypeVar("_T")


def measure(function: Callable[..., _T], *args: object, **options: object) -> _T:
    """Call a function of `bench.api` that measures, with progress on stderr and this command line noted in the run."""
    with Progress(stderr()) as progress:
        return function(*args, **options, observer=progress, argv=["bench", *sys.argv[1:]])


def conclude(
    done: Done,
    reports: Path | None,
    as_json: bool,
    show: Callable[[Done], None],
    more: Callable[[Done], Mapping[str, object]],
    answers: Collection[Status] = (),
    *,
    after: Sequence[str] = (),
) -> None:
    """Write the report, print what a run came to, and leave with its exit code.

    Args:
        done: the run.
        reports: folder that holds reports; None for no report.
        as_json: print one JSON document.
        show: prints the results.
        more: what the document has beside the records.
        answers: statuses that are an answer to what was asked, and so no failure.
        after: lines at the end, such as what to run next.
    """
    page = _write_report(done.run, reports) if reports and done.summary.records else None
    if as_json:
        print_json({**done.to_json(page), **more(done)})
    else:
        show(done)
    lines = [*failure_lines(done.summary.records), summary_line(done.summary), f"results: {done.path}"]
    finish(done, [*lines, *([] if page is None else [f"report:  {page}"]), *after], answers)


def _write_report(run: Run, reports: Path) -> Path:
    from bench.report.write import write_report

    return write_report([run], reports / run.name).index


def finish(done: Done, lines: Iterable[str], answers: Collection[Status] = ()) -> None:
    """Print lines on stderr, and leave with the exit code that a run has come to; see `conclude` for `answers`."""
    for line in lines:
        note(line)
    if done.summary.cancelled:
        note(f"cancelled; {GO_ON}")
        raise typer.Exit(EXIT_CANCELLED)
    if done.summary.failed and not {r.status for r in done.summary.records} <= {"ok", "skipped", *answers}:
        raise typer.Exit(EXIT_FAILED)


_INSTALLED = re.compile(r"[/\\](site|dist)-packages[/\\]|[/\\]lib[/\\]python\d")
_OF_BENCH = tuple(kind.__name__ for kind in (BenchError, *BenchError.__subclasses__()))
_ROWS = 16  # on a terminal, of places; more have no row
_COLOURS = {"ok": "green", "skipped": "dim", "unsupported": "yellow", "cancelled": "yellow"}


class Progress(Observer):
    """A line on a console for each record, and on a terminal a bar with the time left; use as a context manager."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bar = Bar(
            TextColumn("{task.fields[head]}"),
            BarColumn(bar_width=24),
            TextColumn("{task.description}", markup=False),
            TextColumn("[dim]{task.fields[left]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self.task: TaskID = self.bar.add_task("finding out what is here", total=1, left="", head="0/1")
        self.places: dict[str, _AtPlace] = {}
        self.made_at: dict[str, str] = {}  # where each job ran, by its id
        self.label = ""
        self.steps = "epoch"
        self.total = 0
        self.jobs = 0
        self.done = 0
        self.begin_s = 0.0
        self.reasons: set[str] = set()
        self.job_begin_s = 0.0
        self.pending: dict[str, float] = {}  # of each job that has no record yet, its seconds as estimated
        self.estimated_s = 0.0  # of those that were recorded

    def __enter__(self) -> Progress:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def planned(self, plan: Sequence[Planned], before: Run) -> None:
        """Say what could not be read, and what is measured again."""
        self.jobs, self.total, self.done = len(plan), 0, 0
        estimate = estimator((r.job, r.duration_s) for r in before.records if r.status == "ok")
        self.pending, self.estimated_s = {p.job.id: estimate(p) for p in plan}, 0.0
        keeping(before.path)
        for words in dict.fromkeys(p.note for p in plan if p.note):
            self._print(f"[dim]{escape(words)}[/]")
        for line in edits(plan, before):
            self._print(f"[yellow]measured again:[/] {escape(line)}")
        if before.rejected:
            self._print(escape(set_aside(before)))

    def fetching(self, dataset: str) -> None:
        """Say that a data set is fetched."""
        self._print(f"{escape(dataset)} is not on this machine, and is fetched")

    def reused(self, records: Sequence[Record]) -> None:
        """Say how many need not be measured again."""
        for record in records:
            self.pending.pop(record.job.id, None)
        if records:
            jobs, rest = len(records), self.jobs - len(records)
            measured = "1 job was measured" if jobs == 1 else f"{jobs} jobs were measured"
            self._print(f"{measured} before, and not again" + ("; the rest follows" if rest else ""))

    def started(self, planned: Planned, total: int) -> None:
        """Show the job and the time left."""
        self.label = visible(planned.job.label())  # the bar is drawn behind the console's back
        self.steps = TASKS.get(planned.job.task).steps
        self.job_begin_s = time.monotonic()
        self.begun(self.label, total)

    def stage(self, name: str) -> None:
        """Show how far the job has come."""
        self.bar.update(self.task, description=f"{self.label}: {visible(name)}")

    def progress(self, done: int, total: int) -> None:
        """Show the epochs of a training, or the images of an evaluation, and how long the rest will take."""
        left = duration((time.monotonic() - self.job_begin_s) / done * (total - done))
        self.bar.update(self.task, description=f"{self.label}: {self.steps} {done} of {total}, {left} to go")

    def waiting(self, device: str, holder: str) -> None:
        """Say that another run holds the device."""
        self._print(f"waiting: another bench is measuring on {device} ({escape(holder)})")

    def begun(self, description: str, total: int) -> None:
        """Show how far the run is, and beside it a description."""
        self.total = max(total, self.total)
        self.begin_s = self.begin_s or time.monotonic()
        self.bar.update(
            self.task,
            description=description,
            completed=self.done,
            total=total,
            head=f"{self.done}/{total}",
            left=self._left(),
        )

    def shared_out(self, places: Sequence[str]) -> None:
        """Say where jobs run."""
        self._print(f"jobs run at {len(places)} places side by side: {escape(_few(places, most=_ROWS))}")

    def lost(self, place: str, reason: str) -> None:
        """Say that a place is gone."""
        self._print(f"[red]lost:[/] {escape(place or 'where jobs ran')}: {escape(reason)}")

    def at(self, place: str) -> Observer:
        """Return who shows the jobs at a place, in a row of its own."""
        return self.places.setdefault(place, _AtPlace(self, place, len(self.places) < _ROWS))

    def recorded(self, record: Record) -> None:
        """Print the record's line."""
        self.done += 1
        self.total = max(self.total, self.done)  # what is repeated was not planned
        self.estimated_s += self.pending.pop(record.job.id, 0.0)
        colour = _COLOURS.get(record.status, "red")
        count = f"{self.done:>{len(str(self.total))}}/{self.total}"
        words = escape(self._words(record))
        label = at_place(record.job, self.made_at.get(record.job.id, ""))
        line = f"[dim]{count}[/] {escape(label)}  [{colour}]{record.status}[/]  {words}"
        self._print(f"{line}  [dim]{duration(record.duration_s)}[/]")
        self.bar.update(self.task, completed=self.done, head=f"{self.done}/{self.total}")

    def unused(self, place: str, reason: str) -> None:
        """Say which node of a cluster is not used, and why."""
        self._print(f"[yellow]{escape(place)} is not used:[/] {escape(reason)}")

    def collected(self, records: int) -> None:
        """Say what the nodes of a cluster still had."""
        lay = "1 record of this run lay" if records == 1 else f"{records} records of this run lay"
        self._print(f"{lay} on the nodes, and {'is' if records == 1 else 'are'} stored now")

    def again(self, jobs: int) -> None:
        """Say that disturbed measurements are repeated."""
        what = "measurement was" if jobs == 1 else "measurements were"
        self._print(f"{jobs} {what} disturbed by other work on this machine; once more, then they are kept")

    def _words(self, record: Record) -> str:
        """Return the record's headline; a reason that was told before is not told again."""
        words = headline(record)
        if record.status == "ok" or words not in self.reasons:
            self.reasons.add(words)
            return words
        return "for the same reason" if words else ""

    def _left(self) -> str:
        """Return the time left: what is estimated of the rest, in proportion to how the run has gone so far."""
        pace = (time.monotonic() - self.begin_s) / self.estimated_s if self.estimated_s else 1.0
        left = pace * sum(self.pending.values())
        return f"about {duration(left)} left" if left else ""

    def _print(self, text: str) -> None:
        self.console.print(text)


class _AtPlace(Observer):
    """What one of several places does: on a terminal a row with its job, and the epochs of a training as a bar."""

    def __init__(self, run: Progress, place: str, has_row: bool) -> None:
        self.run, self.place, self.label, self.steps = run, place, "", "epoch"
        self.row: TaskID | None = None
        if has_row:
            self.row = run.bar.add_task("", total=1, left="", head=visible(place))
        self.begin_s = 0.0

    def started(self, planned: Planned, total: int) -> None:
        """Show the job, and how far the run is."""
        self.run.made_at[planned.job.id] = self.place
        self.label, self.begin_s = at_place(planned.job, self.place), time.monotonic()
        self.steps = TASKS.get(planned.job.task).steps
        self._show(self.label, completed=0, total=1)
        self.run.begun("", total)

    def stage(self, name: str) -> None:
        """Show how far the job has come; what has come to its end is shown no longer."""
        self._show("" if name == "done" else f"{self.label}: {name}")

    def progress(self, done: int, total: int) -> None:
        """Show the epochs of a training, or the images of an evaluation, and how long the rest will take."""
        left = duration((time.monotonic() - self.begin_s) / done * (total - done))
        self._show(f"{self.label}: {self.steps} {done} of {total}, {left} to go", completed=done, total=total)

    def waiting(self, device: str, holder: str) -> None:
        """Say that another run holds the device."""
        self.run.waiting(device if self.place == HOST else self.place, holder)

    def lost(self, place: str, reason: str) -> None:
        """Say that it is gone."""
        self.run.lost(place, reason)
        self._show("lost")

    def _show(self, description: str, **fields: int) -> None:
        if self.row is not None:
            self.run.bar.update(self.row, description=visible(description), **fields)  # type: ignore[arg-type]


def at_place(job: Job, place: str) -> str:
    """Return the label of a job with the place where it ran, of several, instead of its device."""
    label, device = job.label(), f" {job.device}"
    if place in ("", HOST):
        return label
    return label.replace(device, f" {place}") if device in label else f"{label} {place}"


def edits(plan: Sequence[Planned], before: Run) -> list[str]:
    """Return a line for each network of the user's whose files are others than when it was last measured."""
    known = {record.job.arch: record.card for record in before.records}
    cards = {planned.job.arch: planned.card for planned in plan if planned.job.arch in known}
    files = {name: edited(known[name], card) for name, card in cards.items()}
    return [
        f"{name}, as {', '.join(changed)} {'has' if len(changed) == 1 else 'have'} changed"
        for name, changed in files.items()
        if changed
    ]


def headline(record: Record) -> str:
    """Return the record's most telling numbers, or why there are none."""
    if record.status != "ok":
        error = record.error or {}
        first = str(error.get("message", "")).strip().splitlines()[:1] or [""]
        places = re.findall(r'File "([^"]+)", line (\d+)', str(error.get("traceback") or ""))
        told = str(error.get("type")) in _OF_BENCH  # it says by itself what and where
        own = [place for place in places if not _INSTALLED.search(place[0])] or ([] if told else places)
        if own:  # the innermost line of the user's own code, where there is one
            first[0] = f"{error.get('type')} in {Path(own[-1][0]).name}, line {own[-1][1]}: {first[0]}"
        return f"{first[0]} ({error['tip']})" if error.get("tip") else first[0]
    values = {m.name: m for m in record.measurements}
    parts: list[str] = []
    if "top1" in values:
        epochs = record.job.settings.given.get("epochs")
        parts = [f"top-1 {percent(values['top1'].samples[0])}"]
        parts += [f"{epochs} epoch{'' if epochs == 1 else 's'}"] if epochs is not None else []
    elif record.job.task == "versus":
        parts = [f"{len(values['step_time'].samples)} rounds"]
    elif "macs" in values:
        parts = [
            show(values["parameters"].samples[0], "1") + " parameters",
            show(values["macs"].samples[0], "MAC"),
        ]
    elif "step_time" in values:
        seconds = median(values["step_time"].samples)
        batch = (
            values["max_batch"].samples[0]
            if "max_batch" in values
            else record.job.settings.given["batch_size"]
        )
        parts = [show(seconds, "s"), f"{_rate(batch / seconds)} images/s"]
        parts += [f"batch {batch:g}"] if "max_batch" in values else []
        parts += [show(values["peak_memory"].samples[0], "B")] if "peak_memory" in values else []
        # How the samples of one of several processes scatter is no doubt.
        replicated = "replicate" in record.job.settings.content
        flags = (f for f in values["step_time"].flags if not (replicated and f in OF_SAMPLES))
        parts += [words] if (words := spoken(*flags)) else []
    return ", ".join(parts)


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def failure_lines(records: Iterable[Record], most: int = 12) -> list[str]:
    """Return a line for each network and reason of jobs that did not end well: ``my.py:Net: oom, 3 jobs: ...``.

    What cannot be done, for one reason, is told once for all networks.
    """
    failed = [r for r in records if r.status not in ("ok", "skipped", "cancelled")]
    archs: defaultdict[tuple[str, str, str], list[str]] = defaultdict(list)
    for record in failed:
        own = "" if record.status == "unsupported" else record.job.arch
        archs[own, record.status, headline(record)].append(record.job.arch)
    lines = [
        f"{_few(of)}: {status}{f', {len(of)} jobs' if len(of) > 1 else ''}: {reason}"
        for (_, status, reason), of in archs.items()
    ]
    more = len(lines) - most
    return lines[:most] + ([f"and {more} more; the report has all"] if more > 0 else [])


def _few(names: Iterable[str], most: int = 3) -> str:
    """Return names without their repetitions, and of many only how many more there are."""
    once = list(dict.fromkeys(names))
    more = len(once) - most
    return ", ".join(once[:most]) + (f" and {more} more" if more > 0 else "")


def summary_line(summary: Summary) -> str:
    """Return one sentence such as ``41 of 48 measured (12 of them before), 3 oom, 4 pending``."""
    total = len(summary.records) + summary.pending
    ok = summary.counts.get("ok", 0)
    line = f"{ok} of {total} measured"
    if summary.reused:
        line += f" ({summary.reused} of them before)" if summary.reused < ok else " (all of them before)"
    others = [f"{n} {status}" for status, n in sorted(summary.counts.items()) if status != "ok"]
    others += [f"{summary.pending} pending"] if summary.pending else []
    return ", ".join([line, *others])
