"""How far a run is: lines on stderr, and on a terminal a table that changes while it goes on, with bars below."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bar
from rich.text import Text

from bench.cli._console import print_lines
from bench.cli._interrupts import keeping
from bench.cli._live import Below, Measured
from bench.cli._screen import Screen
from bench.cli._streams import note
from bench.cli._words import at_place, edits, headline
from bench.errors import listed
from bench.execution.places import HOST
from bench.execution.runner import Observer
from bench.plan.estimate import Forecast, estimator, report_s
from bench.plan.expand import Catalog, Planned
from bench.plan.job import Job
from bench.plan.task import TASKS
from bench.records.environment import usable_cores
from bench.records.history import durations
from bench.records.record import Record
from bench.records.store import Run
from bench.report.text import visible
from bench.units import duration

_ROWS = 16  # on a terminal, of places; more have no row
_WIDE = 100  # characters of a terminal that has room for a long bar
_REFRESH_S = 0.25
_TOLD_S = 60.0  # after which a line tells the time left again
_ROLES = {"drift_control": "once more, to see how the machine drifts: "}  # what a line says of them
_COLOURS = {"ok": "green", "skipped": "dim", "unsupported": "yellow", "cancelled": "yellow"}


class Progress(Observer):
    """A line on a console for each record, or on a screen of its own a table of what was measured, and bars below.

    Use as a context manager.

    Args:
        console: what is printed on.
        screen: where it draws, as long as it may; None where it prints lines alone.
        report: whether a report follows, whose time is a part of what is left.
    """

    def __init__(self, console: Console, screen: Screen | None = None, *, report: bool = False) -> None:
        self.console = console
        self.screen = screen
        self.bar = Bar(
            TextColumn("{task.fields[head]}"),
            BarColumn(bar_width=24 if console.width >= _WIDE else 10),
            TextColumn("{task.description}", markup=False),
            TextColumn("[dim]{task.fields[left]}"),
            console=console,
            auto_refresh=False,
        )
        self.task: TaskID = self.bar.add_task("finding out what is here", total=1, left="", head="0/1")
        self.measured = Measured()
        self.places: dict[str, _AtPlace] = {}
        self.made_at: dict[str, str] = {}  # where each job ran, by its id
        self.label = ""
        self.steps = "epoch"
        self.total = 0
        self.jobs = 0
        self.before = 0
        self.done = 0
        self.reasons: set[str] = set()
        self.job: Job | None = None
        self.job_begin_s = 0.0
        self.begin_s = self.told_s = time.monotonic()  # the time left was last told in a line then
        self.report, self.report_s = report, 0.0
        self.forecast = _nothing()
        self.expected: Callable[[], Forecast] = _nothing
        self.time: tuple[float, Callable[[], float]] | None = None  # seconds, and how many of them are left
        self.live: Live | None = None
        self._guard, self._ended = threading.RLock(), threading.Event()

    def __enter__(self) -> Progress:
        if self.screen is not None and self.screen.take():
            self.live = Live(
                get_renderable=self._drawn, console=self.console, auto_refresh=False, transient=True
            )
            self.live.start(refresh=True)
            threading.Thread(target=self._go_on, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._undraw()
        if self.screen is not None:
            self.screen.leave()

    def _go_on(self) -> None:
        """Draw anew, time and again; no more once another command writes to the terminal."""
        while not self._ended.wait(_REFRESH_S):
            with self._guard:
                if self.live is None or self.screen is None:
                    return
                if self.screen.alone():
                    self.live.refresh()
                else:
                    self._undraw()
                    self.screen.step_aside()

    def _undraw(self) -> None:
        """Take away what is drawn; lines are printed from now on."""
        with self._guard:
            live, self.live = self.live, None
            if live is not None:
                live.stop()

    def _drawn(self) -> RenderableType:
        self.bar.update(self.task, left=self._left(), **self._of_time())
        table = [Below(self.measured, len(self.bar.tasks))] if self.measured else []
        return Group(*table, self.bar)

    def planned(self, plan: Sequence[Planned], before: Run, catalog: Catalog) -> None:
        """Say what could not be read, what is measured again, and how long it will take."""
        self.jobs, self.total, self.done = len(plan), 0, 0
        self.forecast, self.expected = _nothing(), partial(_forecast, plan, before, catalog)
        self.report_s = report_s(time.monotonic() - self.begin_s, len(plan)) if self.report else 0.0
        keeping(before.path)
        for words in dict.fromkeys(p.note for p in plan if p.note):
            self._print(f"[dim]{escape(words)}[/]")
        for line in edits(plan, before):
            self._print(f"[yellow]measured again:[/] {escape(line)}")
        if before.rejected:
            self._print(f"[yellow]{escape(before.set_aside)}[/]")

    def granted(self, left: Callable[[], float], networks: int) -> None:
        """Tell from now on how much of its time the run has left; how many jobs there will be, nobody knows."""
        self.time = (left(), left)
        race = "1 network races" if networks == 1 else f"{networks:,} networks race"
        self._print(f"{race}; {self._left()}")

    def fetching(self, dataset: str) -> None:
        """Say that a data set is fetched."""
        self._print(f"{escape(dataset)} is not on this machine, and is fetched")

    def reused(self, records: Sequence[Record]) -> None:
        """Say how many need not be measured again."""
        if len(records) < self.jobs:  # else nothing is left, and a forecast of very many jobs takes seconds
            self.forecast = self.expected()
            self.forecast.leave_out(record.job for record in records)
        if records:
            jobs, more = len(records), " more" * bool(self.before)
            self.before += jobs
            measured = f"1{more} job was measured" if jobs == 1 else f"{jobs}{more} jobs were measured"
            rest = "; the rest follows" if self.jobs > jobs else ""
            self._print(f"{measured} before, and not again{rest}")

    def started(self, planned: Planned, total: int) -> None:
        """Show the job and the time left."""
        self.label = visible(at_place(planned.job))  # the bar is drawn behind the console's back
        self.steps = TASKS.get(planned.job.task).steps
        self.job, self.job_begin_s = planned.job, time.monotonic()
        self.begun(self.label, total)

    def stage(self, name: str) -> None:
        """Show how far the job has come."""
        self.bar.update(self.task, description=f"{self.label}: {visible(name)}")

    def progress(self, done: int, total: int) -> None:
        """Show the epochs of a training, or the images of an evaluation, and how long the rest will take."""
        left = self.of_whole(self.job, time.monotonic() - self.job_begin_s, done, total)
        self.bar.update(self.task, description=f"{self.label}: {self.steps} {done} of {total}, {left} to go")

    def of_whole(self, job: Job | None, taken_s: float, done: int, total: int) -> str:
        """Tell the forecast how long a job takes that has come so far; return how long the rest of it takes."""
        whole_s = taken_s / done * total
        if job is not None:
            self.forecast.under_way(job, whole_s)
        return duration(whole_s - taken_s)

    def waiting(self, device: str, holder: str) -> None:
        """Say that another run holds the device."""
        self._print(f"[yellow]waiting:[/] another bench is measuring on {device} ({escape(holder)})")

    def begun(self, description: str, total: int) -> None:
        """Show how far the run is, and beside it a description."""
        self.total = max(total, self.total)
        self.forecast.begin()
        self.bar.update(self.task, **{"description": description, "total": total, **self._so_far()})

    def shared_out(self, places: Sequence[str]) -> None:
        """Say where jobs run."""
        self._print(f"jobs run at {len(places)} places side by side: {escape(listed(places, most=_ROWS))}")

    def lost(self, place: str, reason: str) -> None:
        """Say that a place is gone."""
        self._print(f"[red]lost:[/] {escape(place or 'where jobs ran')}: {escape(reason)}")

    def at(self, place: str) -> Observer:
        """Return who shows the jobs at a place, in a row of its own."""
        return self.places.setdefault(place, _AtPlace(self, place, len(self.places) < _ROWS))

    def recorded(self, record: Record) -> None:
        """Print the record's line, or show its numbers in the table; what did not end well is a line in any case."""
        self.done += 1
        self.total = max(self.total, self.done)  # what is repeated was not planned
        self.forecast.took(record.job, record.duration_s)
        self.bar.update(self.task, **self._so_far())
        if record.status == "ok":
            self.measured.add(record, headline(record))
        if record.status != "ok" or self.live is None:
            self._print(self._line(record))

    def _line(self, record: Record) -> str:
        """Return what a line says of a record, and now and then of the time left."""
        colour = _COLOURS.get(record.status, "red")
        count = self._count(f">{len(str(self.total))}")
        words = escape(_ROLES.get(record.role, "") + self._words(record))
        label = at_place(record.job, self.made_at.get(record.job.id, ""))
        line = f"[dim]{count}[/] {escape(label)}  [{colour}]{record.status}[/]  {words}"
        left = ""
        if self.live is None and time.monotonic() - self.told_s >= _TOLD_S:
            self.told_s, left = time.monotonic(), self._left()
        return f"{line}  [dim]{duration(record.duration_s)}{f'  ({left})' if left else ''}[/]"

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

    def _count(self, form: str = "") -> str:
        """Return how many jobs are done, and of how many where that is known."""
        return f"{self.done:{form}}" + ("" if self.time else f"/{self.total}")

    def _so_far(self) -> dict[str, Any]:
        """Return what the bar shows of how far the run is: in jobs, or in the time that it was granted."""
        return {"completed": self.done, "head": self._count(), **self._of_time()}

    def _of_time(self) -> dict[str, Any]:
        if self.time is None:
            return {}
        whole, left = self.time
        return {"completed": whole - left(), "total": whole}

    def _left(self) -> str:
        """Return the time left, as a bar and a line tell it."""
        if self.time is not None:
            return f"at most {duration(max(0.0, self.time[1]()))} left"
        left_s = self.forecast.left_s() + self.report_s
        return f"about {duration(left_s)} left" if left_s else ""

    def _print(self, text: str) -> None:
        print_lines(self.console, Text.from_markup(text))


def _nothing() -> Forecast:
    return Forecast((), lambda _: 0.0)


def _forecast(plan: Sequence[Planned], before: Run, catalog: Catalog) -> Forecast:
    estimate = estimator(durations(before.path, before.records, catalog.environment), catalog.rates)
    return Forecast(plan, estimate, cores=usable_cores())


class Quiet(Observer):
    """Says nothing but that a place is lost, or that another run has the device: it would seem to hang."""

    def planned(self, plan: Sequence[Planned], before: Run, catalog: Catalog) -> None:  # noqa: ARG002
        """Note where the results are kept."""
        keeping(before.path)

    def lost(self, place: str, reason: str) -> None:
        """Say that a place is gone."""
        note(f"lost: {place or 'where jobs ran'}: {reason}")

    def waiting(self, device: str, holder: str) -> None:
        """Say that another run holds the device."""
        note(f"waiting: another bench is measuring on {device} ({holder})")


class _AtPlace(Observer):
    """What one of several places does: on a terminal a row with its job, and the epochs of a training as a bar."""

    def __init__(self, run: Progress, place: str, has_row: bool) -> None:
        self.run, self.place, self.label, self.steps = run, place, "", "epoch"
        self.job: Job | None = None
        self.row: TaskID | None = None
        if has_row:
            self.row = run.bar.add_task("", total=1, left="", head=visible(place))
        self.begin_s = 0.0

    def started(self, planned: Planned, total: int) -> None:
        """Show the job, and how far the run is."""
        self.run.made_at[planned.job.id] = self.place
        self.label, self.begin_s = at_place(planned.job, self.place), time.monotonic()
        self.job = planned.job
        self.steps = TASKS.get(planned.job.task).steps
        self._show(self.label, completed=0, total=1)
        self.run.begun("", total)

    def stage(self, name: str) -> None:
        """Show how far the job has come; what has come to its end is shown no longer."""
        self._show("" if name == "done" else f"{self.label}: {name}")

    def progress(self, done: int, total: int) -> None:
        """Show the epochs of a training, or the images of an evaluation, and how long the rest will take."""
        left = self.run.of_whole(self.job, time.monotonic() - self.begin_s, done, total)
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
