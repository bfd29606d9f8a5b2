"""Progress of several places: a row each on a terminal, lines that name them elsewhere."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import make_job, make_planned, make_record
from rich.console import Console

from bench.cli._progress import Progress
from bench.cli._words import at_place
from bench.plan.expand import Catalog, Planned
from bench.records.record import Record
from bench.records.store import Run
from bench.units import duration


def on_card(seed: int = 0) -> Planned:
    settings = {"device": "cuda:0", "batch_size": 4}
    return replace(make_planned(task="infer", seed=seed, settings=settings), any_card=True)


def record_of(planned: Planned) -> Record:
    return make_record(job=planned.job, status="oom", error={"message": "no room"}, duration_s=2.0)


@pytest.fixture
def plain() -> Progress:
    return Progress(Console(file=io.StringIO(), width=300))


def told(progress: Progress) -> list[str]:
    file = progress.console.file
    assert isinstance(file, io.StringIO)
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_lines_name_the_card_that_measured(plain: Progress) -> None:
    jobs = [on_card(0), on_card(1)]
    plain.shared_out(["cuda:0", "cuda:1", "host"])
    for place, planned in zip(("cuda:0", "cuda:1"), jobs, strict=True):
        plain.at(place).started(planned, 2)
    for planned in reversed(jobs):
        plain.recorded(record_of(planned))
    assert told(plain) == [
        "jobs run at 3 places side by side: cuda:0, cuda:1, host",
        "1/2 infer net 32 px batch 4 cuda:1  oom  no room  2.0 s",
        "2/2 infer net 32 px batch 4 cuda:0  oom  for the same reason  2.0 s",
    ]


def test_a_place_that_is_lost_is_named_and_so_is_a_card_that_is_waited_for(plain: Progress) -> None:
    plain.at("cuda:1").waiting("cuda:0", "run other, process 7")
    plain.at("host").waiting("cuda:2", "run other, process 8")
    plain.at("node-2/cuda:0").lost("node-2/cuda:0", "the node is gone")
    assert told(plain) == [
        "waiting: another bench is measuring on cuda:1 (run other, process 7)",
        "waiting: another bench is measuring on cuda:2 (run other, process 8)",
        "lost: node-2/cuda:0: the node is gone",
    ]


def test_each_place_has_a_row_on_a_terminal() -> None:
    progress = Progress(Console(file=io.StringIO(), width=120, force_terminal=True, no_color=True))
    training = make_planned(task="accuracy", settings={"device": "cuda:0", "dataset": "digits"})
    one, other = progress.at("cuda:0"), progress.at("cuda:1")
    one.started(on_card(), 7)
    one.stage("latency")
    other.started(training, 7)
    other.progress(1, 4)
    rows = [re.sub(r" [\d.]+ m?s to go", "", row) for row in _cells(progress)]
    assert rows == [
        "0/7",
        "cuda:0 infer net 32 px batch 4 cuda:0: latency",
        "cuda:1 accuracy net 32 px on digits seed 0 cuda:1: epoch 1 of 4,",
    ]
    assert progress.bar.tasks[2].percentage == 25.0
    one.stage("done")
    assert _cells(progress)[1] == "cuda:0"


def _cells(progress: Progress) -> list[str]:
    return [f"{task.fields['head']} {task.description}".strip() for task in progress.bar.tasks]


def test_of_many_places_the_first_have_rows() -> None:
    progress = Progress(Console(file=io.StringIO(), force_terminal=True))
    for number in range(1000):
        progress.at(f"node-{number}").started(on_card(), 5)
    assert len(progress.bar.tasks) == 1 + 16
    assert progress.at("node-3") is progress.at("node-3")


@pytest.mark.parametrize(
    ("settings", "place", "expected"),
    [
        ({"device": "cuda:0"}, "cuda:2", "infer net 32 px cuda:2"),
        ({"device": "cuda:0", "cudnn_benchmark": True}, "cuda:2", "infer net 32 px cuda:2 cudnn_benchmark"),
        ({"device": "cuda:1"}, "host", "infer net 32 px cuda:1"),
        ({"device": "cpu"}, "host", "infer net 32 px"),
        ({"device": "cpu"}, "node-1/cpu", "infer net 32 px node-1/cpu"),
        ({"device": "cuda:0"}, "", "infer net 32 px cuda:0"),
    ],
)
def test_a_label_has_the_place_instead_of_the_device(
    settings: dict[str, object], place: str, expected: str
) -> None:
    assert at_place(make_job(task="infer", settings=settings), place) == expected


def test_a_label_has_the_commits_of_a_gate_and_not_where_they_lie() -> None:
    network = "/tmp/bench-gate-x3j49e9l/652850b/nets/mine.py:Net"
    assert at_place(make_job(task="infer", arch=network)) == "infer 652850b/nets/mine.py:Net 32 px"


def test_a_run_that_was_granted_time_tells_what_is_left_of_it(plain: Progress) -> None:
    plain.granted(lambda: 75.0, 80)
    assert plain._left() == "at most 1 min 15 s left"
    plain.granted(lambda: -2.0, 1)
    assert plain._left() == "at most 0.0 s left"
    plain.granted(iter([60.0, 60.0, 45.0, 45.0]).__next__, 2)
    plain.begun("", 7)
    assert (plain.bar.tasks[0].percentage, plain.bar.tasks[0].fields["head"]) == (25.0, "0")
    plain.recorded(record_of(on_card()))
    assert told(plain)[:2] == [
        "80 networks race; at most 1 min 15 s left",
        "1 network races; at most 0.0 s left",
    ]
    assert told(plain)[-1].startswith("1 infer net")


def test_the_time_left_has_the_report_where_one_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.cli._progress.report_s", lambda _start_s, records: 50.0 * records)
    left = []
    for report in (False, True):
        progress = Progress(Console(file=io.StringIO(), width=300), report=report)
        progress.planned([on_card(0), on_card(1)], Run("r", Path("nowhere/r"), ()), Catalog())
        progress.reused([])
        left.append(progress.report_s)
        assert progress._left() == f"about {duration(progress.forecast.left_s() + left[-1])} left"
    assert left == [0.0, 100.0]


def test_nothing_is_forecast_where_nothing_is_left(plain: Progress, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = [on_card(0), on_card(1)]
    plain.planned(plan, Run("r", Path("nowhere/r"), ()), Catalog())
    with monkeypatch.context() as patch:
        patch.setattr(plain, "expected", lambda: pytest.fail("it takes seconds for very many jobs"))
        plain.reused([make_record(job=planned.job) for planned in plan])
    assert plain._left() == ""
    plain.reused([make_record(job=plan[0].job)])
    assert plain._left() != ""


def test_of_one_place_the_line_has_the_device_of_the_job(plain: Progress) -> None:
    plain.started(on_card(), 1)
    plain.recorded(record_of(on_card()))
    assert told(plain) == ["1/1 infer net 32 px batch 4 cuda:0  oom  no room  2.0 s"]


def test_a_race_says_of_each_part_how_many_more_were_measured_before() -> None:
    told = io.StringIO()
    progress = Progress(Console(file=told, width=300))
    for count in (7, 49):
        progress.reused([make_record()] * count)
    assert told.getvalue().splitlines() == [
        "7 jobs were measured before, and not again",
        "49 more jobs were measured before, and not again",
    ]
