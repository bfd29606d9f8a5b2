"""`bench choose` as a race: with an executor that plays times back."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import ENVIRONMENT, make_catalog, make_record, seconds
from fake_executor import FakeExecutor
from typer.testing import CliRunner, Result

from bench.analysis.choosing import Budget
from bench.analysis.comparison import compare_table
from bench.analysis.frame import to_frame
from bench.analysis.raced import Raced, _natural_cost, log_cost
from bench.analysis.racing import LEAST, MOST, Race
from bench.api._running import run_name
from bench.api.racing import _AMONG, Chosen, choose
from bench.cli.app import app
from bench.errors import BenchError, ConfigError, StoreError, UnknownNameError
from bench.execution import EXECUTORS, Ended, Event, ExecutorKind, Send, _locks
from bench.execution.runner import Observer
from bench.facts import accuracies
from bench.facts.accuracy import Accuracies
from bench.facts.entrants import Known
from bench.plan.card import ArchCard
from bench.plan.job import Job
from bench.records.record import Measurement, Record, count
from bench.records.store import Store, read_run
from bench.report._choice import at_most
from bench.report.figures import FIGURES
from bench.report.race import _explained, _front, _json, _more, race_sentences, why_not
from bench.report.write import write_report

# Times of one image, of networks whose accuracies torchvision publishes; what is slower is not always better.
TIMES = {
    "mobilenet_v3_small": 0.004, "mobilenet_v3_large": 0.008, "mobilenet_v2": 0.012, "resnet18": 0.015, "alexnet": 0.006,
    "resnet34": 0.028, "resnet50": 0.036, "resnet101": 0.070, "vgg16": 0.200, "densenet121": 0.050, "regnet_y_400mf": 0.011,
    "regnet_y_800mf": 0.018, "regnet_y_1_6gf": 0.030, "efficientnet_b0": 0.017, "efficientnet_b1": 0.029,
    "shufflenet_v2_x1_0": 0.009, "squeezenet1_0": 0.010, "convnext_tiny": 0.060, "swin_t": 0.080, "googlenet": 0.019,
}  # fmt: skip
NAMES = [f"torchvision:{name}" for name in TIMES]
TWENTY = Budget("latency", 0.02)


def times_of(job: Job) -> float:
    """Return a time that differs by 1 % from one process to the next."""
    number = job.settings.given.get("replicate", 0)
    return TIMES[job.arch.rpartition(":")[2]] * (1 + 0.01 * math.sin(number + len(job.arch)))


def measured(job: Job) -> list[Measurement]:
    """Return what a job measures: counts, and the bytes of tensors, in proportion to the time."""
    own = TIMES[job.arch.rpartition(":")[2]]
    if job.task == "cost":
        macs = count("macs", round(1e11 * own), "MAC")
        return [macs, count("matrix_activations", round(1e9 * own)), count("parameters", round(1e9 * own))]
    one, batch = times_of(job), job.settings.given["batch_size"]
    timed = seconds("latency", one) if batch == 1 else seconds("step_time", batch * one * 0.8)
    if job.settings.given.get("replicate"):  # the first process has counted what is the same in each
        return [timed]
    return [timed, Measurement(name="tensor_memory", unit="B", better="lower", samples=(1e10 * own,))]


class Machine(FakeExecutor):
    """Measures each network as `TIMES` has it; some fail, and one call is interrupted.

    Its clock shows the seconds that its jobs have taken: by task, or by network where that is given.
    """

    def __init__(
        self, failing: Sequence[str] = (), interrupt_at: int = -1, takes: dict[str, float] | None = None
    ) -> None:
        super().__init__(self._answer)
        self.failing, self.interrupt_at, self.takes = failing, interrupt_at, takes or {}
        self.clock = 0.0

    @property
    def timed(self) -> list[Job]:
        return self._jobs("infer")

    @property
    def counted(self) -> list[str]:
        return [job.arch for job in self._jobs("cost")]

    def _jobs(self, task: str) -> list[Job]:
        return [args[0] for target, args in self.calls if target.endswith(":work") and args[0].task == task]

    def call(self, target: str, args: tuple[Any, ...], *, timeout_s: float, on_event: Send) -> Ended:
        if target.endswith(":work"):
            job = args[0]
            took = self.takes.get(job.arch.rpartition(":")[2], self.takes.get(job.task, 0.0))
            self.clock += min(took, timeout_s)
            if took > timeout_s:
                self.calls.append((target, args))
                return Ended(exitcode=-9, timed_out=True)
        return super().call(target, args, timeout_s=timeout_s, on_event=on_event)

    def _answer(self, target: str, args: tuple[Any, ...]) -> tuple[Sequence[Event], Ended]:
        if target.endswith(":probe_machine"):
            return [("answer", make_catalog(*args[0], no_cuda="the test has none"))], Ended()
        if target.endswith(":probe_arch"):
            return [("answer", (ArchCard(name=args[0], input_size=32, num_classes=10),))], Ended()
        if len(self.timed) == self.interrupt_at:
            raise KeyboardInterrupt
        (job, *_) = args
        if job.arch.rpartition(":")[2] in self.failing:
            error = {"type": "Memory", "message": "it needs more memory than there is", "tip": None}
            return [("outcome", ("oom", error))], Ended()
        return [*(("measurement", m) for m in measured(job)), ("outcome", ("ok", None))], Ended()


def raced(
    tmp_path: Path, *budgets: Budget, among: Sequence[str] = NAMES, **options: Any
) -> tuple[Chosen, Machine]:
    machine = options.pop("executor", None) or Machine()
    clock = options.pop("clock", lambda: machine.clock)
    options = {"name": "race", **options}
    options |= {one.quantity: f"{one.limit!r}{one.unit.removeprefix('1')}" for one in budgets}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.api.racing._clock", clock)
        return choose(among, results=tmp_path, executor=machine, **options), machine


def best_within(limit: float) -> str:
    """Return the most accurate network by the published table, at 224 px, whose time is within a limit."""
    rows = accuracies().query("set == 'val' and source == 'torchvision'")
    rows = rows[rows["network"].isin(NAMES)]
    holding = [TIMES[name.rpartition(":")[2]] <= limit for name in rows["network"]]
    return str(rows[holding].sort_values("top1")["weights"].iloc[-1])


def test_the_most_accurate_within_the_budget_is_found(tmp_path: Path) -> None:
    done, machine = raced(tmp_path, TWENTY)
    assert done.raced.end == "decided"
    assert done.raced.budget_decided
    assert done.raced.choice.best is not None
    assert done.raced.choice.best["network"] == best_within(0.02)
    table = done.raced.choice.candidates
    assert set(table.loc[table["certain"], "network"]) <= set(table.loc[table["on_front"], "network"])
    stored = read_run(done.path)
    assert len(stored.records) == len([c for c in machine.calls if c[0].endswith(":work")])
    assert {job.id for job in stored.planned} == {record.job.id for record in stored.records}
    assert max(job.settings.given["replicate"] for job in machine.timed) < 8
    said = " ".join(race_sentences(done.raced, done.known))
    assert f"Take {best_within(0.02)}" in said


@pytest.mark.parametrize(
    ("name", "kind", "images"),
    [
        ("torchvision:mobilenet_v3_large", "top1", "val"),
        ("timm:mobilenetv3_large_100", "top1", "val"),
        ("timm:mobilenetv3_large_100", "real", "real"),
    ],
)
def test_what_is_published_beside_a_cost_is_of_the_weights_that_race(
    name: str, kind: str, images: str
) -> None:
    known = Known.of([name], Accuracies.called(kind, ""))
    others = {"top1": 0.5, "source": "others", "protocol": "1 crop"}
    cards = [ArchCard(name=name, input_size=size, num_classes=1000, published=others) for size in (224, 32)]
    own, small = known.cards_of(cards)
    rows = accuracies()
    rows = rows[rows["network"].isin([name, name.removeprefix("timm:")]) & (rows["input_size"] == 224)]
    weights = rows[rows["set"] == images].sort_values("top1")["weights"].iloc[-1]
    row = rows[(rows["weights"] == weights) & (rows["set"] == "val")].iloc[0]
    expected = {"top1": row["top1"], "top5": row["top5"], "source": weights, "protocol": "1 crop"}
    assert own.published == expected
    assert small.published == others


def test_the_same_again_measures_nothing(tmp_path: Path) -> None:
    first, _ = raced(tmp_path, TWENTY)
    again, machine = raced(tmp_path, TWENTY)
    assert machine.timed == []
    assert again.summary.reused == len(first.summary.records)
    assert _json(again.raced)["best"] == _json(first.raced)["best"]


def test_another_budget_goes_on_from_what_is_there(tmp_path: Path) -> None:
    raced(tmp_path, TWENTY)
    done, machine = raced(tmp_path, Budget("latency", 0.01))
    assert done.raced.choice.best is not None
    assert done.raced.choice.best["network"] == best_within(0.01)
    assert len(machine.timed) < len(NAMES)


def test_ctrl_c_keeps_the_answer_so_far_and_goes_on_later(tmp_path: Path) -> None:
    cut, _ = raced(tmp_path, TWENTY, executor=Machine(interrupt_at=18))
    assert cut.summary.cancelled
    assert cut.raced.end == "cancelled"
    assert not cut.raced.budget_decided
    assert "It was cancelled" in race_sentences(cut.raced, cut.known)[-1]
    whole, machine = raced(tmp_path, TWENTY)
    assert whole.raced.budget_decided
    assert all(job.settings.given["replicate"] < 8 for job in machine.timed)


def test_the_time_is_over(tmp_path: Path) -> None:
    done, machine = raced(tmp_path, TWENTY, minutes=0.1, executor=Machine(takes={"infer": 1.0}))
    assert done.raced.end == "time"
    assert len(machine.timed) == 6
    said = race_sentences(done.raced, done.known)
    assert "Too few were measured to say more." in " ".join(said)
    assert said[-1].startswith("The time is over")


@pytest.mark.parametrize(
    ("processes", "said"),
    [
        ([8, 1, 2, 1], "of fewer than 3 processes each it cannot be told"),
        ([8, 8, 3, 5], "their intervals overlap"),
        ([8, 8, 2, 5], "their intervals overlap, and 1 of them has fewer than 3 processes"),
        ([8, 1, 2, 5], "their intervals overlap, and 2 of them have fewer than 3 processes"),
    ],
)
def test_why_the_front_is_open_is_said_of_those_of_whom_it_is_so(processes: list[int], said: str) -> None:
    standing: Any = SimpleNamespace(
        certain=np.array([True, False, False, False]),
        possible=np.array([True] * 4),
        costs=[SimpleNamespace(processes=np.array(processes))],
    )
    raced: Any = SimpleNamespace(choice=SimpleNamespace(cost="latency"))
    assert _front(raced, standing) == [
        f"On the front of accuracy and latency is 1 for certain, and 3 more may be: {said}."
    ]


@pytest.mark.parametrize("processes", [7, MOST])
def test_more_time_is_promised_to_what_has_not_had_all_of_its_processes(processes: int) -> None:
    rows = pd.DataFrame(
        {
            "network": ["a"],
            "input_size": [224],
            "processes": [processes],
            "state": ["measured"],
            "budget_chance": [0.5],
            "accuracy": [0.7],
        }
    )
    choice = SimpleNamespace(candidates=rows, open=rows, best=None)
    raced: Any = SimpleNamespace(end="time", budget_decided=False, choice=choice)
    (said,) = _more(raced, SimpleNamespace())  # type: ignore[arg-type]
    assert ("a at 224 px. The same command goes on" in said) == (processes < MOST)
    assert ("is as open after 8 processes each as it stays" in said) == (processes == MOST)


def test_a_time_that_ends_before_the_first_process_is_told_so(tmp_path: Path) -> None:
    hours = iter(range(0, 360_000, 3600))
    done, machine = raced(tmp_path, TWENTY, minutes=1, clock=lambda: next(hours))
    assert not machine.timed
    (said,) = race_sentences(done.raced, done.known)
    assert "before the first process began" in said


def test_the_time_bounds_what_is_counted_too(tmp_path: Path) -> None:
    """A third of 60 s is two counts of 10 s, the smallest networks first; then 27 processes of 1.5 s are left."""
    machine = Machine(takes={"cost": 10.0, "infer": 1.5})
    done, _ = raced(tmp_path, TWENTY, minutes=1, executor=machine)
    rows = accuracies().query("set == 'val' and source == 'torchvision'").drop_duplicates("network")
    parameters = dict(zip(rows["network"], rows["parameters"], strict=True))
    uncounted = raced(tmp_path / "b", TWENTY)[1].counted
    assert machine.counted == sorted(uncounted, key=lambda name: parameters[name])[:2]
    assert len(machine.timed) == 27
    assert done.raced.end == "time"
    never = done.raced.choice.candidates.query("state == 'never' and not counted")
    assert 0 < done.raced.uncounted == len(never)
    said = " ".join(race_sentences(done.raced, done.known))
    assert (
        f" {len(never)} of them {'was' if len(never) == 1 else 'were'} not counted in that time either"
        in said
    )
    assert "its MACs were not counted in the time, and are guessed" in " ".join(
        _explained(done.raced, done.known, never["network"].tolist())
    )


def test_what_was_counted_once_is_not_counted_again(tmp_path: Path) -> None:
    _, first = raced(tmp_path, TWENTY, minutes=1, executor=Machine(takes={"cost": 10.0, "infer": 2.0}))
    _, again = raced(tmp_path, TWENTY)
    assert not set(first.counted) & set(again.counted)
    _, beside = raced(tmp_path, TWENTY, name="beside")
    assert beside.counted == []
    assert beside.timed
    costs = {r.job.arch for r in read_run(tmp_path / "beside").records if r.job.task == "cost"}
    assert costs == {*first.counted, *again.counted}  # its tables have what was counted, too


def test_a_budget_of_counts_has_what_is_timed_counted_first(tmp_path: Path) -> None:
    """Of 100 minutes a count takes 40, so that none but the first is counted before the race begins."""
    limit = Budget("macs", 1e9)
    machine = Machine(takes={"cost": 2400.0, "infer": 1.0})
    done, _ = raced(tmp_path, limit, TWENTY, minutes=100, executor=machine, overrides=["cost.timeout_s=3000"])
    table = done.raced.choice.candidates
    assert len(machine.counted) == 3
    timed = table[table["state"] == "measured"]
    assert len(timed)
    assert (timed["macs"] <= limit.limit).all()
    over = table[table["state"] == "over"]
    assert (over["macs"] > limit.limit).all()
    assert {job.arch for job in machine.timed} == set(timed["name"])
    assert done.raced.end == "time"
    assert not done.raced.budget_decided


def test_a_process_under_way_at_the_end_is_cut_off_and_not_failed(tmp_path: Path) -> None:
    machine = Machine(takes={"infer": 8.0, "cost": 0.1, "mobilenet_v2": 100.0})
    done, _ = raced(tmp_path, TWENTY, minutes=1, executor=machine)
    table = done.raced.choice.candidates
    assert machine.clock < 60 + 10.5
    assert done.raced.end == "time"
    assert not (table["state"] == "failed").any()
    assert not done.summary.failed
    (cut,) = (record for record in read_run(done.path).records if record.status != "ok")
    assert cut.error is not None
    assert cut.error["message"] == "the time of the run was over"
    alone, _ = raced(
        tmp_path / "b",
        TWENTY,
        minutes=1,
        among=["torchvision:mobilenet_v2"],
        executor=Machine(takes={"mobilenet_v2": 100.0}),
    )
    (said,) = race_sentences(alone.raced, alone.known)
    assert said.startswith("The time was over before anything was measured")


def test_a_device_that_others_hold_is_waited_for_no_longer_than_there_is_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else measures on the CPU all the time, and a look at the lock takes a second of the clock."""
    machine = Machine()
    told: list[str] = []

    def taken(path: Path, within_s: float) -> None:
        machine.clock += 1.0

    monkeypatch.setattr(_locks, "_taken", taken)

    class Waits(Observer):
        def waiting(self, device: str, holder: str) -> None:
            told.append(device)

    done, _ = raced(tmp_path, TWENTY, minutes=1, executor=machine, observer=Waits())
    assert told == ["cpu"]
    assert machine.timed == []
    assert 60 <= machine.clock < 62
    assert (done.raced.end, done.summary.cancelled, done.summary.failed) == ("time", False, False)
    assert race_sentences(done.raced, done.known)[0].startswith(
        "The time was over before anything was measured"
    )


class Interrupts(Observer):
    """Ctrl-C where no job is under way, after so many records."""

    def __init__(self, after: int) -> None:
        self.after = after

    def recorded(self, record: Record) -> None:
        self.after -= 1
        if self.after == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("after", [1, 30])
def test_ctrl_c_between_two_jobs_has_its_answer_too(tmp_path: Path, after: int) -> None:
    done, machine = raced(tmp_path, TWENTY, observer=Interrupts(after))
    assert done.raced.end == "cancelled"
    assert done.summary.cancelled
    assert "cancelled" in race_sentences(done.raced, done.known)[-1]
    stored = read_run(done.path)
    assert len(stored.records) == len(done.summary.records) == after  # the last one as well
    assert {job.id for job in stored.planned} == {record.job.id for record in stored.records}
    times = done.raced.choice.candidates["state"]
    assert (times == "measured").sum() == len({job.arch for job in machine.timed})
    assert len(machine.counted) + len(machine.timed) == after


def test_ctrl_c_while_the_answer_is_made_has_it_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Raced.of
    calls: list[object] = []

    def interrupted(race_: Race, table: pd.DataFrame, **options: Any) -> Raced:
        calls.append(race_)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return whole(race_, table, **options)

    monkeypatch.setattr(Raced, "of", interrupted)
    done, _ = raced(tmp_path, TWENTY)
    assert done.raced.end == "cancelled"
    assert done.raced.choice.best is not None
    assert done.raced.choice.best["network"] == best_within(0.02)


def test_cancelled_while_counting(tmp_path: Path) -> None:
    done, _ = raced(tmp_path, TWENTY, executor=Machine(interrupt_at=0), among=["torchvision:swin_t"])
    assert done.raced.end == "cancelled"
    (said,) = race_sentences(done.raced, done.known)
    assert said == "It was cancelled before anything was measured. The same command goes on from here."


def test_what_fails_is_told_and_stops_nobody(tmp_path: Path) -> None:
    done, _ = raced(tmp_path, TWENTY, executor=Machine(failing=["resnet50", "efficientnet_b0"]))
    table = done.raced.choice.candidates
    assert set(table.loc[table["state"] == "failed", "network"].str.partition(".")[0]) <= {
        "torchvision:resnet50",
        "torchvision:efficientnet_b0",
    }
    assert "needs more memory" in _explained(done.raced, done.known, ["*efficientnet_b0*"])[0]
    assert done.raced.choice.best is not None
    all_fail, _ = raced(tmp_path / "b", TWENTY, executor=Machine(failing=list(TIMES)))
    assert all_fail.raced.choice.best is None
    assert race_sentences(all_fail.raced, all_fail.known)[0].startswith("Nothing was measured: oom")


def test_several_budgets_hold_together(tmp_path: Path) -> None:
    """120 MB are 12 ms here, so that memory is the tighter one."""
    done, _ = raced(tmp_path, TWENTY, Budget("memory", 1.2e8 * 1.001))
    assert done.raced.choice.best is not None
    assert done.raced.choice.best["network"] == best_within(0.012)
    assert math.isnan(done.raced.choice.best["memory_low"])  # the same in each process
    assert done.raced.choice.best["processes"] >= LEAST  # of which the first alone has counted the bytes
    assert not (done.raced.choice.candidates["state"] == "failed").any()


def test_a_network_whose_bytes_were_never_counted_is_told_as_failed(tmp_path: Path) -> None:
    class Uncounted(Machine):
        def _answer(self, target: str, args: tuple[Any, ...]) -> tuple[Sequence[Event], Ended]:
            events, ended = super()._answer(target, args)
            if not (target.endswith(":work") and args[0].arch == NAMES[0]):
                return events, ended
            return [event for event in events if getattr(event[1], "name", None) != "tensor_memory"], ended

    done, _ = raced(tmp_path, TWENTY, Budget("memory", 1.2e8 * 1.001), executor=Uncounted())
    table = done.raced.choice.candidates
    failed = table[table["state"] == "failed"]
    assert [name.partition(".")[0] for name in failed["network"]] == [NAMES[0]]
    assert set(failed["reason"]) == {"no memory was measured"}


def test_throughput_is_raced_in_its_own_direction(tmp_path: Path) -> None:
    done, machine = raced(tmp_path, Budget("throughput", 1 / (0.8 * 0.02)))
    assert done.raced.choice.best is not None
    assert done.raced.choice.best["network"] == best_within(0.02)
    assert {job.settings.given["batch_size"] for job in machine.timed} == {4}
    row = done.raced.choice.best
    assert row["throughput_low"] < row["throughput"] < row["throughput_high"]
    assert _natural_cost("throughput", log_cost("throughput", 50.0)) == pytest.approx(50.0)


def test_what_is_counted_is_not_timed(tmp_path: Path) -> None:
    """resnet50 and larger have more than 12 million parameters, as torchvision says."""
    done, machine = raced(tmp_path, TWENTY, Budget("parameters", 12e6))
    assert not {"torchvision:resnet50", "torchvision:vgg16"} & {job.arch for job in machine.timed}
    (why,) = _explained(done.raced, done.known, ["torchvision:vgg16*"])
    assert why.endswith("parameters 138 M, 11.5 times the budget, by what is counted, and so not timed")
    none, machine = raced(tmp_path / "b", Budget("parameters", 1e5))
    assert machine.timed == []
    (said,) = race_sentences(none.raced, none.known)
    assert said.startswith(
        "None of 20 has parameters ≤ 100 k, by what is counted. The nearest is torchvision:mobilenet_v3_small"
    )


def test_of_a_budget_of_counts_alone_the_most_accurate_is_timed_first(tmp_path: Path) -> None:
    """Where it fails, six processes of small networks say nothing of the next ones; with more time they are timed."""
    fifty = Budget("parameters", 50e6)
    rows = accuracies().query("set == 'val' and source == 'torchvision' and parameters <= 50e6")
    rows = rows[rows["network"].isin(NAMES)].sort_values("top1").drop_duplicates("network", keep="last")
    second, best = rows["weights"].iloc[-2:]

    def chosen(folder: str, failing: Sequence[str] = (), *, few: bool) -> Chosen:
        machine = Machine(failing, takes={"infer": 1.0} if few else None)
        return raced(tmp_path / folder, fifty, executor=machine, minutes=0.1 if few else 10)[0]

    for folder, failing, few, expected in (
        ("a", [], True, best),
        ("b", [best], True, ""),
        ("b", [best], False, second),
    ):
        done = chosen(folder, [name.partition(":")[2].partition(".")[0] for name in failing], few=few)
        assert done.raced.choice.best is not None
        assert done.raced.budget_decided is bool(expected)
        assert (done.raced.choice.best["network"] == expected) is bool(expected)
        told = f"{fifty.text}, as far as is known" in race_sentences(done.raced, done.known)[0]
        assert told is not bool(expected)


def test_nothing_holds_the_budget(tmp_path: Path) -> None:
    done, _ = raced(tmp_path, Budget("latency", 0.001))
    assert done.raced.choice.best is None
    first = race_sentences(done.raced, done.known)[0]
    assert "The nearest is torchvision:mobilenet_v3_small" in first
    assert "by a factor of 4" in first or "by a factor of 3.9" in first


def test_without_a_budget_there_is_the_front(tmp_path: Path) -> None:
    done, _ = raced(tmp_path)
    said = race_sentences(done.raced, done.known)
    assert said[0].startswith("On the front of accuracy and latency")
    assert _json(done.raced)["front"]


def test_networks_without_an_accuracy_are_told(tmp_path: Path) -> None:
    done, _ = raced(tmp_path, TWENTY, among=[*NAMES[:3], "my_net.py:Net"])
    assert done.known.without == ("my_net.py:Net",)
    with pytest.raises(BenchError, match=r"no accuracy is known of my_net\.py:Net"):
        raced(tmp_path, TWENTY, among=["my_net.py:Net"])


def test_accuracies_of_a_run_choose_among_its_networks(tmp_path: Path) -> None:
    TIMES.update({"small": 0.001, "large": 0.030})
    job = {"task": "accuracy", "input_size": 32, "settings": {"dataset": "digits", "device": "cpu"}}
    with Store(tmp_path / "trained") as store:
        for arch, reached in (("small", 0.5), ("large", 0.9)):
            top1 = Measurement(name="top1", unit="1", better="higher", samples=(reached,), detail={"n": 360})
            own = Job(**{**job, "arch": arch, "num_classes": 10, "in_channels": 1})
            store.append(
                make_record(job=own, card=ArchCard(name=arch), measurements=(top1,), environment=ENVIRONMENT)
            )
    done, machine = raced(tmp_path, TWENTY, among=(), accuracy="trained")
    assert done.raced.choice.best is not None
    assert done.raced.choice.best["network"] == "small"
    assert {(job.input_size, job.in_channels, job.num_classes) for job in machine.timed} == {(32, 1, 10)}
    assert "run trained; 360 images" in done.known.remark


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"accuracy": "top7"}, UnknownNameError, "top5"),
        ({"minutes": 0.0}, ConfigError, "no time to race in"),
        ({"minutes": math.nan}, ConfigError, "no time to race in"),
        ({"overrides": ["infer.batch_size=8"]}, ConfigError, "batch of a race"),
        ({"overrides": ["no_such=1"]}, ConfigError, "no_such"),
        ({"among": ["pattern:INPUT -> FC"]}, BenchError, "no accuracy is known"),
    ],
)
def test_what_cannot_be_raced_is_told(
    tmp_path: Path, options: dict[str, Any], error: type[BenchError], message: str
) -> None:
    with pytest.raises(error) as told:
        raced(tmp_path, TWENTY, **options)
    assert message in f"{told.value.message} {told.value.tip}"


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "race").write_text("a file")
    with pytest.raises(StoreError, match="cannot write"):
        raced(tmp_path, TWENTY)


def test_each_network_is_told_why_it_was_not_chosen(tmp_path: Path) -> None:
    done, _ = raced(tmp_path, TWENTY)
    lines = _explained(done.raced, done.known, ["*"])
    assert len(lines) == len(done.raced.choice.candidates)
    assert sum(line.endswith(": the choice") for line in lines) == 1
    for line, (_, row) in zip(lines, done.raced.choice.candidates.iterrows(), strict=True):
        assert line.startswith(row["network"])
        assert ("never measured" in line) == (row["state"] == "never")
    (line,) = _explained(done.raced, done.known, ["torchvision:resnet50"])
    assert line.startswith("torchvision:resnet50.")


def test_why_a_network_was_not_chosen_goes_with_how_it_stands(tmp_path: Path) -> None:
    done, _ = raced(tmp_path, TWENTY)
    choice, standing = done.raced.choice, done.raced.standing
    assert choice.best is not None
    assert standing is not None
    best, table = choice.best.name, choice.candidates
    behind = table[(table["state"] == "measured") & ~table["on_front"] & (table["holds"] == "yes")].iloc[0]
    ahead = table[table["on_front"] & (table["accuracy"] >= behind["accuracy"])]
    ahead = ahead[ahead["latency"] <= behind["latency"]].sort_values("accuracy").iloc[0]
    dominated = f"{ahead['network']} at {ahead['input_size']} px ({1e3 * ahead['latency']:.3g} ms) is as accurate or more"

    def why(budgets: bool = True, enough: bool = True, **changes: Any) -> str:
        changed = table.copy()
        for column, value in {"processes": 4, **changes}.items():
            changed.loc[behind.name, column] = value
        other = replace(choice, candidates=changed, budgets=choice.budgets if budgets else ())
        seen = replace(done.raced, choice=other, standing=replace(standing, enough=enough))
        return why_not(seen)[int(behind.name)]

    never = {
        "state": "never",
        "latency": math.nan,
        "latency_expected_low": 0.018,
        "latency_expected_high": 0.022,
    }
    assert why_not(done.raced)[int(best)] == "the choice"
    assert why() == f"less accurate than the choice; {dominated}"
    assert why(budgets=False) == dominated
    assert why(on_front=True, certain=True) == "less accurate than the choice; on the front"
    assert why(on_front=True, certain=False, budgets=False) == "on the front, not for certain"
    assert why(holds="no", latency=0.05, on_front=True, certain=True) == (
        "latency 50.0 ms, 2.50 times the budget, measured in 4 processes; on the front"
    )
    assert why(holds="open", accuracy=0.99, processes=2) == "2 processes are not enough to tell"
    assert why(holds="open", accuracy=0.99) == (
        "after 4 processes the interval of its cost lies on both sides of the budget"
    )
    assert why(state="failed", reason="out of memory") == "out of memory"
    assert why(state="failed", reason="") == "it failed"
    expected = "never measured: latency expected between 18.0 ms and 22.0 ms (95 %)"
    assert why(**never, accuracy=0.99, budget_chance=0.0002, front_chance=0.0123) == (
        f"{expected}; the chance that it holds the budget is under 0.1 %; "
        "the chance that it belongs on the front is at most 1.2 %"
    )
    assert why(**never).startswith(f"{expected}; not more accurate than the choice; ")
    assert why(**never, enough=False) == "never measured, and too few were to say what it may be"


def test_what_is_to_be_explained_is_known_before_the_race(tmp_path: Path) -> None:
    machine = Machine()
    with pytest.raises(UnknownNameError, match="nothing_like_it"):
        raced(tmp_path, TWENTY, executor=machine, explain=["nothing_like_it"])
    assert machine.timed == []
    done, _ = raced(tmp_path, TWENTY, among=[*NAMES[:3], "my_net.py:Net"], explain=["my_net*"])
    assert _explained(done.raced, done.known, ["my_net*"]) == [
        "my_net.py:Net: left out, as no accuracy of it is known"
    ]


def test_chances_are_told_as_bounds() -> None:
    assert at_most(0.0005) == "under 0.1 %"
    assert at_most(0.0123) == "at most 1.2 %"
    assert at_most(3.0) == "at most 100.0 %"


def test_a_race_is_drawn_from_what_its_run_keeps(tmp_path: Path) -> None:
    done, _ = raced(tmp_path, TWENTY)
    stored = read_run(done.path)
    assert stored.info["race"]["limit"] == 0.02
    assert stored.info["race"]["answer"] == race_sentences(done.raced, done.known)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.report.figures._drawing._MANY_RECORDS", 1_000_000)  # no second process
        report = write_report([stored], tmp_path / "report", formats=["md"], figures=["race"])
    assert (report.folder / "figures" / "race.svg").stat().st_size > 0
    document = (report.folder / "report.md").read_text()
    assert document.index("- Take ") < document.index("![The race") < document.index("## Comparison")
    frame = to_frame([stored])
    drawing = FIGURES.get("race").draw(compare_table(frame), frame)
    assert drawing is not None
    (axes,) = drawing.axes
    labels = {text.get_text() for text in axes.texts}
    front = done.raced.choice.candidates.query("on_front")["network"]
    assert labels <= {name.rpartition(":")[2].partition(".")[0] for name in front}
    assert best_within(0.02).rpartition(":")[2].partition(".")[0] in labels
    assert axes.get_xlabel() == "Latency; the budget is 20 ms"


def test_what_is_no_race_is_not_drawn() -> None:
    frame = pd.DataFrame()
    draw = FIGURES.get("race").draw
    for race_ in (None, {}, {"cost": "latency"}, {"cost": "latency", "networks": [{"state": "measured"}]}):
        frame.attrs["races"] = {"run": race_}
        assert draw(frame, frame) is None
    assert draw(pd.DataFrame(), pd.DataFrame()) is None


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Return `bench choose` with a machine, in a folder that is empty."""
    EXECUTORS.load()
    monkeypatch.chdir(tmp_path)

    def run(machine: Machine, *words: str) -> Result:
        monkeypatch.setitem(EXECUTORS._units, "process", ExecutorKind("a fake", lambda _: machine))
        return CliRunner().invoke(app, ["choose", "--among", NAMES[0], *NAMES[1:], "--no-report", *words])

    return run


def test_the_command_answers_in_each_form(command: Any) -> None:
    answer = json.loads(command(Machine(), "--latency", "20ms", "--json").stdout)
    assert answer["best"]["network"] == best_within(0.02)
    assert answer["decided"]["budget"]
    for words in ([], ["--format", "md"]):
        text = command(Machine(), "--latency", "20ms", "--explain", "*vgg16*", *words).stdout
        assert best_within(0.02) in text.replace("\\_", "_")
        assert "vgg16" in text


def test_the_command_says_130_after_ctrl_c_and_1_after_failures(command: Any) -> None:
    cut = command(Machine(interrupt_at=18), "--latency", "20ms")
    assert cut.exit_code == 130
    assert "It was cancelled" in cut.stdout
    assert (
        command(Machine(failing=["alexnet", "resnet18"]), "--latency", "20ms", "--name", "other").exit_code
        == 1
    )
    assert command(Machine(), "--latency", "20").exit_code == 2


def test_what_is_raced_without_a_name() -> None:
    assert _AMONG == ("torchvision:*",)


def test_a_run_of_globs_is_named_by_what_they_are_of() -> None:
    assert run_name("choose", ["timm:*", "torchvision:*", "my_net.py:Net"]) == "choose-timm-torchvision-Net"
    assert run_name("choose", ["torchvision:resnet*", "*"]) == "choose-resnet"
    assert run_name("choose", ["resnet18", "timm:resnet18", "resnet18"]) == "choose-resnet18-resnet18"
