"""A data set that a run needs and this machine lacks: fetched once before the jobs, and told once where it cannot be had."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import DIGITS, make_catalog, make_job, make_record, ok_events
from fake_executor import FakeExecutor
from rich.console import Console

from bench.api import Done, train
from bench.cli._progress import Progress
from bench.cli._words import failure_lines
from bench.errors import UnsupportedError
from bench.execution import Ended, Event
from bench.execution._probe import probe_machine

MNIST = replace(DIGITS, name="mnist", size=28)
ABSENT = UnsupportedError(
    "mnist is not on this machine and cannot be fetched: no network", "`bring mnist` brings it"
)


class Machine:
    """A machine that lacks a data set, until it is fetched; its network may be down."""

    def __init__(self, *, online: bool) -> None:
        self.online = online
        self.missing = ("mnist",)
        self.executor = FakeExecutor(self.play)
        self.told = io.StringIO()

    def play(self, target: str, args: tuple[Any, ...]) -> tuple[Sequence[Event], Ended]:
        name = target.partition(":")[2]
        if name == "probe_machine":
            catalog = make_catalog(*args[0], datasets={"mnist": self.card()}, missing=self.missing)
            return [("answer", catalog)], Ended()
        if name == "fetch_data":
            assert args == ("mnist",)
            if not self.online:
                return [("error", ABSENT)], Ended()
            self.missing = ()
            return [("answer", "mnist")], Ended()
        return ok_events(), Ended()

    def card(self) -> Any:
        """Return the card of the data set, which says more once its files are here."""
        return MNIST if self.missing else replace(MNIST, sha256="of its files")

    def train(self, results: Path) -> Done:
        self.executor.calls.clear()
        with Progress(Console(file=self.told, width=400)) as progress:
            return train(
                ["a", "b"],
                dataset="mnist",
                seeds=3,
                results=results,
                executor=self.executor,
                observer=progress,
            )

    def calls(self, name: str) -> int:
        return sum(target.endswith(f":{name}") for target, _ in self.executor.calls)


def test_the_probe_says_which_sets_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.execution._probe.is_here", lambda name: name != "mnist")
    events: list[Event] = []
    probe_machine(events.append, [], ["digits", "mnist", "fashion_mnist"])
    assert events[0][1].missing == ("mnist",)


def test_it_is_fetched_once_and_then_planned_with_what_it_holds(tmp_path: Path) -> None:
    machine = Machine(online=True)
    done = machine.train(tmp_path)
    assert (machine.calls("fetch_data"), machine.calls("work")) == (1, 6)
    assert done.summary.counts == {"ok": 6}
    assert {r.job.settings.content["dataset_sha256"] for r in done.summary.records} == {"of its files"}
    assert machine.told.getvalue().count("mnist is not on this machine, and is fetched") == 1
    machine.train(tmp_path)
    assert (machine.calls("fetch_data"), machine.calls("work")) == (0, 0)


def test_where_it_cannot_be_had_that_is_told_once_and_no_job_is_started(tmp_path: Path) -> None:
    machine = Machine(online=False)
    done = machine.train(tmp_path)
    assert (machine.calls("fetch_data"), machine.calls("work")) == (1, 0)
    assert done.summary.counts == {"unsupported": 6}
    assert {(r.error or {})["message"] for r in done.summary.records} == {ABSENT.message}
    assert machine.told.getvalue().count("bring mnist") == 1
    assert machine.told.getvalue().count("for the same reason") == 5
    assert failure_lines(done.summary.records) == [
        "a, b: unsupported, 6 jobs: mnist is not on this machine and cannot be fetched: no network "
        "(`bring mnist` brings it)"
    ]


def test_once_it_is_there_the_jobs_are_measured(tmp_path: Path) -> None:
    machine = Machine(online=False)
    machine.train(tmp_path)
    machine.missing = ()
    assert machine.train(tmp_path).summary.counts == {"ok": 6}
    machine.missing = ("mnist",)


def test_what_was_measured_needs_no_data_any_more(tmp_path: Path) -> None:
    machine = Machine(online=True)
    machine.card = lambda: MNIST  # type: ignore[method-assign]
    machine.train(tmp_path)
    machine.missing, machine.online = ("mnist",), False
    done = machine.train(tmp_path)
    assert machine.calls("fetch_data") == 0
    assert (done.summary.counts, done.summary.reused) == ({"ok": 6}, 6)


def test_what_cannot_be_done_for_one_reason_is_told_once_for_all_networks() -> None:
    error = {"message": "no GPU"}
    failed = [make_record(job=make_job(arch=f"n{i}"), status="unsupported", error=error) for i in range(5)]
    assert failure_lines(failed) == ["n0, n1, n2 and 2 more: unsupported, 5 jobs: no GPU"]
