from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import count, make_catalog, make_planned, ok_events, scripted, seconds
from fake_executor import Crowd, FakeExecutor, Interrupted

from bench.analysis.frame import to_frame
from bench.analysis.machine import Drift
from bench.errors import BenchError, ConfigError, UnknownNameError
from bench.execution import Ended, Event, _sharing
from bench.execution._outcome import judge
from bench.execution._sharing import share_out
from bench.execution._targets import load_target
from bench.execution.catalog import _is_users, ask, catalog_for
from bench.execution.places import Place
from bench.execution.rehearsal import _Rehearsal
from bench.execution.runner import Observer, Summary, run_plan
from bench.plan.config import Experiment
from bench.plan.expand import Catalog, Planned
from bench.records.record import Record
from bench.records.store import Store, latest, read_run

CATALOG = make_catalog()


def plan(count: int) -> list[Planned]:
    return [make_planned(seed=i) for i in range(count)]


def run(path: Path, executor: FakeExecutor, jobs: list[Planned], **kwargs: Any) -> Summary:
    with Store(path) as store:
        return run_plan(jobs, executor, store, kwargs.pop("catalog", CATALOG), **kwargs)


def test_each_job_becomes_a_record_in_the_order_of_the_plan(tmp_path: Path) -> None:
    summary = run(tmp_path, scripted(), plan(3))
    assert [r.job.seed for r in summary.records] == [0, 1, 2]
    assert [r.job.seed for r in read_run(tmp_path).records] == [0, 1, 2]
    assert summary.counts == {"ok": 3}
    assert not summary.failed
    assert {r.attempt for r in summary.records} == {1}
    assert [m.name for m in summary.records[0].measurements] == ["parameters", "macs"]


def test_what_is_measured_is_not_measured_again(tmp_path: Path) -> None:
    run(tmp_path, scripted(), plan(2))
    executor = scripted()
    summary = run(tmp_path, executor, plan(3))
    assert [args[0].seed for _, args in executor.calls] == [2]
    assert summary.reused == 2
    assert len(summary.records) == 3


def test_another_environment_is_measured_again(tmp_path: Path) -> None:
    run(tmp_path, scripted(), plan(1))
    other = make_catalog(environment={"packages": {"torch": "9.9"}})
    assert run(tmp_path, scripted(), plan(1), catalog=other).reused == 0
    assert [r.attempt for r in read_run(tmp_path).records] == [1, 2]


def test_another_card_is_another_machine_only_to_the_jobs_that_ran_on_it(tmp_path: Path) -> None:
    a, b = ({"name": n, "uuid": f"GPU-{n}", "driver": "580"} for n in "ab")
    jobs = [make_planned(), make_planned(task="infer", settings={"device": "cuda:0"})]

    def reused(*gpus: dict[str, str]) -> int:
        environment = {**CATALOG.environment, "gpu": list(gpus)}
        return run(tmp_path, scripted(), jobs, catalog=make_catalog(environment=environment)).reused

    assert reused(a) == 0
    assert reused(a, b) == 2
    assert reused(b, a) == 1


def test_a_failure_stops_nobody_and_is_tried_again(tmp_path: Path) -> None:
    summary = run(tmp_path, scripted((ok_events(), Ended()), ([], Ended(exitcode=-11))), plan(3))
    assert [r.status for r in summary.records] == ["ok", "crashed", "ok"]
    assert summary.failed
    again = run(tmp_path, scripted(), plan(3))
    assert [r.status for r in again.records] == ["ok"] * 3
    assert again.records[1].attempt == 2
    assert not again.failed


def test_ctrl_c_keeps_what_is_done_and_leaves_the_rest(tmp_path: Path) -> None:
    summary = run(tmp_path, scripted((ok_events(), Ended()), KeyboardInterrupt()), plan(4))
    assert summary.cancelled
    assert [r.status for r in summary.records] == ["ok", "cancelled"]
    assert summary.pending == 2
    again = run(tmp_path, scripted(), plan(4))
    assert again.counts == {"ok": 4}
    assert again.reused == 1


def crowd(together: int) -> Crowd:
    """Return an executor that runs two calls at once; each waits until `together` are under way, or it is cancelled."""
    return Crowd(scripted().play, together, at_once=2)


def test_jobs_that_only_count_run_side_by_side(tmp_path: Path) -> None:
    summary = run(tmp_path, crowd(2), plan(4))
    assert summary.counts == {"ok": 4}
    assert [r.job.seed for r in summary.records] == [0, 1, 2, 3]  # of the plan, whoever ended first
    assert sorted(r.job.seed for r in read_run(tmp_path).records) == [0, 1, 2, 3]


def timed_jobs(count: int) -> list[Planned]:
    return [
        make_planned(task="infer", seed=i, settings={"device": "cpu", "batch_size": 1}) for i in range(count)
    ]


def test_one_of_the_first_timed_jobs_is_timed_again_at_the_end(tmp_path: Path) -> None:
    def took(value: float) -> tuple[tuple[Event, ...], Ended]:
        return (("measurement", seconds("step_time", value)), ("outcome", ("ok", None))), Ended()

    oom = ("outcome", ("oom", None)), Ended()
    times = (1.0, 5.0, 6.0, 7.0, 8.0, 9.0)
    summary = run(tmp_path, scripted(((oom[0],), oom[1]), *(took(t) for t in (*times, 1.1))), timed_jobs(7))
    stored = read_run(tmp_path)
    assert [r.job.seed for r in stored.records[:-1]] == [*range(7)]
    first = sorted(stored.records[1:5], key=lambda record: record.duration_s)
    control = first[1]  # of those that ended well; neither the slowest nor the quickest
    assert stored.records[-1].job == control.job
    assert summary.records[control.job.seed].measurements == control.measurements  # the first one stands
    [found] = Drift.in_run(stored)
    (before,) = control.measurements[0].samples
    assert (found.quantity, found.ratio) == ("step_time", pytest.approx(1.1 / before))
    again = run(tmp_path, scripted(), timed_jobs(7))
    assert again.reused == 6  # what failed is tried again, and nothing else is timed anew


def test_few_timed_jobs_have_no_drift_control(tmp_path: Path) -> None:
    run(tmp_path, scripted(), timed_jobs(3))
    assert len(read_run(tmp_path).records) == 3
    assert list(Drift.in_run(read_run(tmp_path))) == []


def trainings(**settings: Any) -> list[Planned]:
    return [
        make_planned(task="accuracy", seed=i, settings={"device": "cpu", "threads": 1, **settings})
        for i in range(2)
    ]


def test_trainings_that_leave_cores_to_others_run_side_by_side_and_say_so(tmp_path: Path) -> None:
    timed = (
        ("measurement", seconds("train_time", 1.0)),
        ("measurement", count("top1", 0.9)),
        ("outcome", ("ok", None)),
    )
    executor = crowd(2)
    executor.play = scripted((timed, Ended()), (timed, Ended())).play
    summary = run(tmp_path, executor, trainings())
    assert [[m.flags for m in r.measurements] for r in summary.records] == [[("side_by_side",), ()]] * 2


def test_one_of_each_network_begins_and_then_the_longest_are_trained_first() -> None:
    takes = {"short": 1.0, "long": 9.0, "middle": 3.0}
    jobs = [
        make_planned(task="accuracy", arch=arch, seed=seed, settings={"device": "cpu"})
        for arch in takes
        for seed in range(2)
    ]
    begun: list[tuple[str, int]] = []

    def begin(planned: Planned, _: Place) -> None:
        begun.append((planned.job.arch, planned.job.seed))

    place = Place(name="", executor=scripted(), environment={})
    crew = _Rehearsal(lambda planned: takes[planned.job.arch])
    at = {planned.job.id: place for planned in jobs}
    ends = list(share_out(jobs, [place], crew, begin, at=at, seconds=lambda end: takes[end.planned.job.arch]))
    assert sorted(end.planned.job.id for end in ends) == sorted(p.job.id for p in jobs)
    assert begun == [("short", 0), ("long", 0), ("middle", 0), ("long", 1), ("middle", 1), ("short", 1)]


@pytest.mark.parametrize("settings", [{"threads": 2}, {"device": "cuda"}, {"ranks": 2}])
def test_trainings_that_need_all_cores_or_a_device_run_alone(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    summary = run(tmp_path, crowd(1), trainings(**settings))
    assert summary.counts == {"ok": 2}
    assert not any(m.flags for r in summary.records for m in r.measurements)


def test_jobs_that_are_timed_run_alone(tmp_path: Path) -> None:
    jobs = [make_planned(task="infer", seed=i, settings={"device": "cpu"}) for i in range(2)]
    assert run(tmp_path, crowd(1), jobs).counts == {"ok": 2}


def test_ctrl_c_ends_all_that_run_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = crowd(3)  # of which there will only be two
    monkeypatch.setattr(_sharing, "SimpleQueue", Interrupted)
    summary = run(tmp_path, executor, plan(5))
    assert summary.cancelled
    assert {r.status for r in summary.records} == {"cancelled"}
    assert len(executor.calls) == 2
    assert summary.pending == 5 - len(summary.records)


@pytest.mark.parametrize("flag", ["contended", "stolen", "shared_device"])
def test_what_others_disturbed_is_tried_once_more_at_the_end(tmp_path: Path, flag: str) -> None:
    def events(flags: tuple[str, ...]) -> list[Event]:
        return [("measurement", seconds("latency", 1.0).changed(flags=flags)), ("outcome", ("ok", None))]

    disturbed, quiet = (events((flag,)), Ended()), (events(()), Ended())
    executor = scripted(disturbed, quiet, disturbed, disturbed, quiet)
    summary = run(tmp_path, executor, plan(3))
    assert [args[0].seed for _, args in executor.calls] == [0, 1, 2, 0, 2]
    stored = [(r.job.seed, r.attempt, r.measurements[0].flags) for r in read_run(tmp_path).records]
    assert stored[3:] == [(0, 2, (flag,)), (2, 2, ())]
    assert [r.attempt for r in summary.records] == [2, 1, 2]  # still disturbed, and kept


@pytest.mark.parametrize("flag", ["launch_bound", "power_capped", "throttled", "clock_varied"])
def test_what_nobody_else_did_is_not_tried_again(tmp_path: Path, flag: str) -> None:
    measured = seconds("step_time", 1.0).changed(flags=(flag,))
    executor = scripted(([("measurement", measured), ("outcome", ("ok", None))], Ended()))
    run(tmp_path, executor, plan(1))
    assert len(executor.calls) == 1


@pytest.mark.parametrize(("again_s", "standing"), [(3.0, 1), (0.5, 2)])
def test_of_two_disturbed_tries_the_quicker_stands(tmp_path: Path, again_s: float, standing: int) -> None:
    def events(taken: float) -> tuple[list[Event], Ended]:
        measured = seconds("step_time", taken).changed(flags=("stolen",))
        return [("measurement", measured), ("outcome", ("ok", None))], Ended()

    summary = run(tmp_path, scripted(events(1.0), events(again_s)), plan(1))
    assert [r.attempt for r in summary.records] == [standing]
    assert [r.attempt for r in latest(read_run(tmp_path).records).values()] == [standing]
    assert len(read_run(tmp_path).records) == 2


def test_a_second_try_that_fails_replaces_nothing(tmp_path: Path) -> None:
    measured = seconds("step_time", 1.0).changed(flags=("stolen",))
    first = ([("measurement", measured), ("outcome", ("ok", None))], Ended())
    summary = run(tmp_path, scripted(first, ([("outcome", ("crashed", {"message": "x"}))], Ended())), plan(1))
    assert [(r.status, r.attempt) for r in summary.records] == [("ok", 1)]
    assert [r.status for r in read_run(tmp_path).records] == ["ok", "crashed"]


def test_the_largest_batch_is_found_before_the_job_runs(tmp_path: Path) -> None:
    def play(target: str, args: tuple[Any, ...]) -> tuple[list[Event], Ended]:
        batch = args[0].settings.batch_size
        if target.endswith(":try_batch"):
            return [("outcome", ("ok" if batch <= 20 else "oom", None))], Ended()
        return [("measurement", seconds("step_time", 0.5)), ("outcome", ("ok", None))], Ended()

    executor = FakeExecutor(play)
    settings = {"device": "cpu", "batch_size": "max", "batch_limit": 64}
    record = run(tmp_path, executor, [make_planned(task="infer", settings=settings)]).records[0]
    assert record.job.settings.batch_size == "max"  # what was asked, so that it resumes
    assert {m.name: m.samples[0] for m in record.measurements} == {"max_batch": 20.0, "step_time": 0.5}
    assert executor.calls[-1][1][0].settings.batch_size == 20
    frame = to_frame([read_run(tmp_path)])
    assert set(frame["batch_size"]) == {20.0}


def test_a_failure_that_is_not_for_want_of_memory_ends_the_search(tmp_path: Path) -> None:
    executor = FakeExecutor(lambda *_: ([("outcome", ("invalid_model", {"message": "no"}))], Ended()))
    settings = {"device": "cpu", "batch_size": "max"}
    record = run(tmp_path, executor, [make_planned(task="infer", settings=settings)]).records[0]
    assert (record.status, record.error and record.error["message"]) == ("invalid_model", "no")
    assert len(executor.calls) == 1


def test_measurements_before_a_failure_are_kept(tmp_path: Path) -> None:
    events: list[Event] = [("stage", "latency"), ("measurement", seconds("latency", 1.0))]
    record = run(tmp_path, scripted((events, Ended(timed_out=True))), plan(1)).records[0]
    assert (record.status, record.stage) == ("timeout", "latency")
    assert record.measurement("latency") is not None
    assert record.error is not None
    assert "no end after 60 s" in record.error["message"]


def test_what_is_known_from_the_plan_is_recorded_once_and_not_run(tmp_path: Path) -> None:

    jobs = [replace(make_planned(), status="unsupported", reason="too small", tip="make it larger")]
    executor = scripted()
    record = run(tmp_path, executor, jobs).records[0]
    assert executor.calls == []
    assert (record.status, record.stage) == ("unsupported", "plan")
    assert record.error == {"type": "Plan", "message": "too small", "tip": "make it larger"}
    run(tmp_path, executor, jobs)
    assert len(read_run(tmp_path).records) == 1


@pytest.mark.parametrize(
    ("ended", "status", "message"),
    [
        (Ended(timed_out=True, exitcode=-15), "timeout", "no end after 9 s, in stage build"),
        (Ended(exitcode=-signal.SIGKILL), "killed", "SIGKILL in stage build"),
        (Ended(exitcode=-signal.SIGKILL, oom_kill=True), "oom", "want of memory"),
        (Ended(exitcode=-signal.SIGSEGV), "crashed", "died of SIGSEGV in stage build"),
        (
            Ended(exitcode=3, output="a\nlast words\n"),
            "crashed",
            "code 3 in stage build without a result: last words",
        ),
        (Ended(), "crashed", "exited with code 0"),
        (Ended(exitcode=-40), "crashed", "died of signal 40 in stage build"),
        (Ended(exitcode=-15, garbled=True), "crashed", "messages were garbled in stage build"),
    ],
)
def test_an_end_without_an_outcome_is_judged(ended: Ended, status: str, message: str) -> None:
    found, error = judge(ended, None, 9.0, "build")
    assert found == status
    assert error is not None
    assert message in error["message"]
    assert error["tip"]


def test_what_the_worker_says_comes_first() -> None:
    status, error = judge(Ended(exitcode=-9, output="printed"), ("oom", {"message": "m"}), 9.0, "x")
    assert status == "oom"
    assert error == {"message": "m", "output": "printed"}
    assert judge(Ended(output="printed"), ("ok", None), 9.0, "done") == ("ok", None)


def test_observers_hear_everything_in_order(tmp_path: Path) -> None:
    class Story(Observer):
        def __init__(self) -> None:
            self.heard: list[str] = []

        def reused(self, records: Any) -> None:
            self.heard.append(f"reused {len(records)}")

        def started(self, planned: Planned, total: int) -> None:
            self.heard.append(f"started 1 of {total}")

        def stage(self, name: str) -> None:
            self.heard.append(name)

        def progress(self, done: int, total: int) -> None:
            self.heard.append(f"epoch {done}/{total}")

        def recorded(self, record: Record) -> None:
            self.heard.append(record.status)

    story = Story()
    events: list[Event] = [("stage", "training"), ("progress", (1, 2)), ("outcome", ("ok", None))]
    run(tmp_path, scripted((events, Ended())), plan(1), observer=story)
    assert story.heard == ["reused 0", "started 1 of 1", "training", "epoch 1/2", "ok"]


def test_files_of_a_job_are_those_of_its_run_wherever_its_network_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def play(target: str, args: tuple[Any, ...]) -> tuple[list[Event], Ended]:
        monkeypatch.chdir("/")  # as a network does in its forward, before its files are written
        args[2].parent.mkdir()
        args[2].write_text("answers")
        monkeypatch.chdir(tmp_path)
        return ok_events(), Ended()

    monkeypatch.chdir(tmp_path)
    job = make_planned(task="accuracy", settings={"device": "cpu"})
    run(Path("results", "mine"), FakeExecutor(play), [job])
    assert (tmp_path / "results" / "mine" / "outputs" / f"{job.job.id}.npz").read_text() == "answers"


@pytest.mark.parametrize(
    ("ended", "kept"), [(Ended(timed_out=True), True), (Ended(exitcode=-9), True), (None, False)]
)
def test_a_training_that_was_cut_short_keeps_its_checkpoint(
    tmp_path: Path, ended: Ended | None, kept: bool
) -> None:
    job = make_planned(task="accuracy", settings={"device": "cpu"})

    def play(target: str, args: tuple[Any, ...]) -> tuple[list[Event], Ended]:
        args[1].parent.mkdir(exist_ok=True)
        args[1].write_text("epoch 1")
        return ([], ended) if ended else (ok_events(), Ended())

    run(tmp_path, FakeExecutor(play), [job])
    assert (tmp_path / "checkpoints" / f"{job.job.id}.pt").exists() == kept
    assert (tmp_path / "checkpoints").exists() == kept


class TestCatalog:
    def test_users_code_is_told_from_names(self) -> None:
        assert [_is_users(n) for n in ("resnet18", "torchvision:resnet18", "timm:vit*", "pattern:INPUT")] == [
            False
        ] * 4
        assert [_is_users(n) for n in ("net.py:Net", "a/b.py:f(x='c:d')", "pkg.mod:Net")] == [True] * 3

    def test_every_name_gets_its_cards(self) -> None:
        experiment = Experiment.parse({"blocks": [{"task": "cost", "grid": {"arch": ["a", "net.py:Net"]}}]})
        executor = scripted()
        catalog = catalog_for(experiment, executor)
        assert set(catalog.archs) == {"a", "net.py:Net"}
        assert [target.rpartition(":")[2] for target, _ in executor.calls] == ["probe_machine", "probe_arch"]

    def test_a_file_that_fails_gets_a_card_of_defaults(self, tmp_path: Path) -> None:
        file = tmp_path / "net.py"
        file.write_text("boom")
        name = f"{file}:Net"

        def play(target: str, args: tuple[Any, ...]) -> tuple[list[Event], Ended]:
            if target.endswith("probe_arch"):
                return [], Ended(exitcode=-11)
            return [("answer", Catalog())], Ended()

        experiment = Experiment.parse({"blocks": [{"task": "cost", "grid": {"arch": [name]}}]})
        (card,) = catalog_for(experiment, FakeExecutor(play)).archs[name]
        first = card.source_sha256
        assert card.name == name
        file.write_text("boom again")
        (card,) = catalog_for(experiment, FakeExecutor(play)).archs[name]
        assert card.source_sha256 != first  # an edited file is a new job

    @pytest.mark.parametrize("error", [ConfigError("no name"), UnknownNameError("no such file")])
    def test_what_is_no_name_ends_the_plan(self, error: BenchError) -> None:
        def play(target: str, args: tuple[Any, ...]) -> tuple[list[Event], Ended]:
            answer: Event = ("error", error) if target.endswith("probe_arch") else ("answer", Catalog())
            return [answer], Ended()

        experiment = Experiment.parse({"blocks": [{"task": "cost", "grid": {"arch": ["net:*"]}}]})
        with pytest.raises(type(error)):
            catalog_for(experiment, FakeExecutor(play))

    def test_errors_of_the_probe_are_raised_here(self) -> None:
        def play(target: str, args: tuple[Any, ...]) -> tuple[list[Event], Ended]:
            return [("error", UnknownNameError("unknown", "a tip"))], Ended()

        with pytest.raises(UnknownNameError) as caught:
            ask(FakeExecutor(play), str, "x:y")
        assert caught.value.tip == "a tip"


def test_targets_are_found_by_name() -> None:
    assert load_target("os.path:join")("a", "b") == "a/b"  # type: ignore[func-returns-value]
