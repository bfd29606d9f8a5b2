"""How long trainings will take: by the epoch, from trainings on the same images, else by rule of thumb."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from conftest import make_catalog, make_planned
from stand_in import StandIn

from bench.execution import Ended, Event, Send
from bench.execution._probe import _rate, probe_macs
from bench.execution.catalog import with_counts
from bench.plan import estimate as estimates
from bench.plan.card import ArchCard
from bench.plan.config import Experiment
from bench.plan.estimate import _RATE, _USUAL_MACS, Forecast, Past, estimator, wants_counts
from bench.plan.expand import Planned, expand
from bench.plan.task import Work
from bench.records.environment import usable_cores
from bench.tasks.accuracy import _GUESS_IMAGE_S, _GUESS_MACS, _GUESS_RATE, _GUESS_S, _GUESS_SIZE
from bench.tasks.cost import _GUESS_S as COUNT_S
from bench.tasks.infer import _FORWARDS as INFER_FORWARDS
from bench.tasks.train_step import _FORWARDS as STEP_FORWARDS


def training(
    arch: str = "net",
    epochs: int = 4,
    images: int = 1437,
    tests: int = 360,
    macs: float | None = None,
    **settings: Any,
) -> Planned:
    settings = {"device": "cpu", "dataset": "digits", "epochs": epochs, **settings}
    planned = make_planned(task="accuracy", arch=arch, settings=settings)
    return replace(planned, work=Work(images, tests, macs), timeout_s=1e6)


def history(*done: tuple[Planned, float]) -> Callable[[Planned], float]:
    """Return the estimate after some jobs."""
    return estimator(Past(planned.job, planned.card, seconds, planned.work) for planned, seconds in done)


def test_a_training_takes_its_epochs() -> None:
    estimate = history((training(epochs=4), 20.0))
    assert estimate(training(epochs=4)) == 20.0
    assert estimate(training(epochs=40)) == 200.0
    assert estimate(training("other", epochs=2)) == 10.0  # another network on the same images


def test_a_training_of_another_network_takes_what_it_computes_more() -> None:
    guess, small, large = estimator([]), training("small", macs=1e6), training("large", macs=1e8)
    factor = guess(large) / guess(small)
    assert factor > 10
    assert history((small, 20.0))(large) == pytest.approx(20.0 * factor)
    assert history((training("small"), 20.0))(large) == 20.0  # of which it is not known what it computes


def evaluation(arch: str, macs: float, images: int) -> Planned:
    settings = {"device": "cpu", "data": "digits", "split": "test"}
    planned = make_planned(task="evaluate", arch=arch, input_size=64, settings=settings)
    return replace(planned, work=Work(images, macs=macs), timeout_s=1e6)


def test_an_evaluation_takes_its_images_and_what_each_computes() -> None:
    guess = estimator([])
    few, many, large = (evaluation("net", macs, n) for macs, n in ((1e9, 10), (1e9, 1010), (9e9, 1010)))
    assert guess(many) - guess(few) == pytest.approx(1000 * (3e-3 + 1e9 / _RATE["cpu"]))
    assert guess(large) - guess(many) == pytest.approx(1010 * 8e9 / _RATE["cpu"])
    # On this machine twice as long, of another network and as many images as were evaluated
    there = history(*[(many, 2 * guess(many))] * 10_000)
    assert there(evaluation("other", 9e9, 1010)) == pytest.approx(2 * guess(large), rel=1e-3)
    slow = estimator([], {"cpu": estimates._reference()["cpu matmul_rate"] / 3})
    assert slow(many) == pytest.approx(3 * guess(many))


def test_what_is_counted_for_a_plan() -> None:
    assert wants_counts(training("new"))
    assert not wants_counts(training("new", macs=1e6))
    assert not wants_counts(training("lenet5"))  # has run on the reference machine
    assert wants_counts(called("new"))
    assert not wants_counts(called("new", 1e9))  # published
    assert not wants_counts(make_planned())
    assert not wants_counts(replace(training("new"), status="skipped"))


@pytest.mark.parametrize("other", [{"dataset": "cifar10"}, {"train_images": 100}, {"backend": "compiled"}])
def test_trainings_on_other_images_tell_nothing(other: dict[str, Any]) -> None:
    estimate = history((training(epochs=4), 1e5))
    unlike = training(epochs=4, **other)
    assert estimate(unlike) == estimator([])(unlike)


def test_the_guess_grows_with_images_epochs_and_what_a_network_computes() -> None:
    guess, macs, forward_s = estimator([]), 4e7, 4e7 / _GUESS_RATE
    image_s = _GUESS_IMAGE_S["cpu"] * (training().job.input_size / _GUESS_SIZE) ** 2
    an_epoch = 50_000 * (image_s + 3 * forward_s) + 10_000 * (image_s + forward_s)
    known = training("other", epochs=30, images=50_000, tests=10_000, macs=macs)
    assert guess(known) == pytest.approx(_GUESS_S["cpu"] + 30 * an_epoch)
    unknown = replace(known, work=replace(known.work, macs=None))
    usual = _GUESS_MACS * (known.job.input_size / _GUESS_SIZE) ** 2
    assert guess(unknown) == guess(replace(known, work=replace(known.work, macs=usual)))
    assert guess(training(epochs=30, images=50_000, device="cuda")) == pytest.approx(
        _GUESS_S["cuda"] + 30 * 50_000 * _GUESS_IMAGE_S["cuda"]
    )
    assert guess(replace(training(epochs=30, images=50_000), timeout_s=60.0)) == 60.0
    assert guess(make_planned()) == COUNT_S


@pytest.mark.parametrize(
    ("asked", "images"), [({}, 1437), ({"train_images": 100}, 100), ({"train_images": 9999}, 1437)]
)
def test_a_plan_knows_its_images(asked: dict[str, Any], images: int) -> None:
    block = {"task": "accuracy", "dataset": "digits", **asked, "grid": {"arch": ["a"]}}
    (planned,) = expand(Experiment.parse({"blocks": [block]}), make_catalog("a"))
    assert planned.work == Work(images, 360)


class TestReference:
    """What no job here says is taken from a reference machine, in proportion to how fast others went here."""

    @pytest.fixture(autouse=True)
    def durations(self, monkeypatch: pytest.MonkeyPatch) -> None:
        known = {"cpu accuracy net digits None None": 2.0, "cpu accuracy other digits None None": 5.0}
        monkeypatch.setattr(estimates, "_reference", lambda: known)

    def test_without_history_it_is_as_there(self) -> None:
        assert estimator([])(training("other", epochs=3)) == 15.0

    def test_others_tell_how_fast_this_machine_is(self) -> None:
        twice = history((training("net", epochs=40_000), 40_000 * 4.0))
        assert twice(training("other", epochs=3)) == pytest.approx(30.0, rel=1e-3)

    def test_the_same_job_says_more(self) -> None:
        assert history((training("other", epochs=1), 7.0))(training("other", epochs=3)) == 21.0

    def test_other_networks_here_say_less(self) -> None:
        assert history((training("unknown", epochs=1), 7.0))(training("other", epochs=3)) == 15.0


def test_the_file_has_the_jobs_of_the_default_experiment() -> None:
    known = estimates._reference()
    assert all(seconds > 0 for seconds in known.values())
    classics = [
        "lenet5",
        "alexnet",
        "zfnet",
        "vgg16",
        "vgg19",
        "googlenet",
        "resnet18",
        "resnet50",
        "resnet152",
    ]
    for arch in classics:
        assert f"cpu cost {arch}" in known
        assert {f"cpu infer {arch} {batch} 0.35s" for batch in (1, 4)} <= known.keys()


def test_a_guess_knows_how_long_it_samples() -> None:
    timing = {"warmup_s": 0.5, "limit_s": 3.0}
    usual, short = (
        make_planned(task="infer", settings={"device": "cpu", "batch_size": 1, "timing": given})
        for given in (timing, {**timing, "limit_s": 1.0})
    )
    assert estimator([])(usual) - estimator([])(short) == pytest.approx(2.0)


def called(
    arch: str, macs: float | None = None, size: int = 64, task: str = "infer", batch: int = 1
) -> Planned:
    """Return a job that times calls of a network at 64 px, which has so many MACs there."""
    settings = {"device": "cpu", "batch_size": batch, "timing": {"warmup_s": 0.1, "limit_s": 0.2}}
    planned = make_planned(task=task, arch=arch, input_size=size, settings=settings)
    published = {} if macs is None else {"macs": macs}
    return replace(planned, card=ArchCard(name=arch, input_size=64, published=published))


@pytest.mark.parametrize(("task", "forwards"), [("infer", INFER_FORWARDS), ("train_step", STEP_FORWARDS)])
def test_a_guess_knows_how_much_a_network_computes(task: str, forwards: float) -> None:
    guess = estimator([])
    a_giga_s = 1e9 / _RATE["cpu"] * forwards
    small, large = (guess(called("any", macs, task=task)) for macs in (0.5e9, 4.5e9))
    assert large - small == pytest.approx(4 * a_giga_s)
    assert guess(called("any", 0.5e9, task=task, batch=9)) == pytest.approx(large)
    assert guess(called("any", 0.5e9, task=task, size=3 * 64)) == pytest.approx(
        large
    )  # nine times the pixels
    assert guess(called("any", task=task)) == pytest.approx(guess(called("any", _USUAL_MACS, task=task)))


def test_a_network_that_has_not_run_takes_what_the_rule_says_in_proportion_to_others() -> None:
    guess, large, small = estimator([]), called("large", 9e9), called("small", 1e9)
    many = history(*[(large, 2.5 * guess(large))] * 10_000)
    assert many(small) == pytest.approx(2.5 * guess(small), rel=1e-3)
    other_batch = called("small", 1e9, batch=8)
    assert many(other_batch) == pytest.approx(2.5 * guess(other_batch), rel=1e-3)


def test_jobs_of_a_moment_say_little_of_long_ones() -> None:
    """Ten seconds are believed as they were expected: two that took half of theirs make it 11 of 12."""
    guess, small, large = estimator([]), called("small", 0.0), called("large", 9e10)
    n = 2.0 / guess(small)
    some = history(*[(small, 0.5 * guess(small))] * round(n))
    expected = round(n) * guess(small)
    assert some(large) == pytest.approx(guess(large) * (0.5 * expected + 10) / (expected + 10))


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def infer(arch: str, replicate: int = 0) -> Planned:
    return make_planned(task="infer", arch=arch, settings={"device": "cpu", "replicate": replicate})


class TestForecast:
    """The time left, by estimates and by what was taken so far; a run is a clock that a test moves."""

    def test_before_anything_ran_it_is_the_estimate(self) -> None:
        plan = [infer("a"), infer("b")]
        assert Forecast(plan, lambda _: 5.0).left_s() == 10.0

    def test_what_need_not_run_takes_no_time(self) -> None:
        plan = [infer("a"), infer("b")]
        forecast = Forecast(plan, lambda _: 5.0)
        forecast.leave_out([plan[0].job])
        assert forecast.left_s() == 5.0

    def run(
        self, plan: list[Planned], expected_s: float, takes_s: dict[str, float], done: int
    ) -> tuple[float, float]:
        """Return what a run says is left after some jobs, one after the other, and what is left.

        At its end the first job is timed once more.
        """
        clock = Clock()
        forecast = Forecast(plan, lambda _: expected_s, now=clock)
        forecast.begin()
        for planned in plan[:done]:
            clock.now_s += takes_s[planned.job.arch]
            forecast.took(planned.job, takes_s[planned.job.arch])
        return forecast.left_s(), sum(takes_s[planned.job.arch] for planned in [*plan[done:], plan[0]])

    @pytest.mark.parametrize("expected_s", [1.0, 10.0, 100.0])
    def test_what_a_network_took_is_expected_of_its_further_processes(self, expected_s: float) -> None:
        takes_s = {"fast": 2.0, "slow": 40.0}
        plan = [infer(arch, number) for number in range(5) for arch in takes_s]
        left_s, truth_s = self.run(plan, expected_s, takes_s, done=2)
        assert left_s == pytest.approx(truth_s)

    @pytest.mark.parametrize("factor", [0.25, 1.0, 4.0])
    def test_networks_that_have_not_run_go_by_the_others(self, factor: float) -> None:
        plan = [infer(f"n{number}") for number in range(40)]
        takes_s = {planned.job.arch: factor * 10.0 for planned in plan}
        left_s, truth_s = self.run(plan, 10.0, takes_s, done=10)
        assert left_s == pytest.approx(truth_s, rel=0.1)

    def test_a_task_that_has_not_begun_goes_by_the_whole(self) -> None:
        plan = [*(infer(f"n{number}") for number in range(20)), training("other")]
        clock = Clock()
        forecast = Forecast(plan, lambda _: 10.0, now=clock)
        forecast.begin()
        for planned in plan[:20]:
            clock.now_s += 30.0
            forecast.took(planned.job, 30.0)
        assert forecast.left_s() == pytest.approx(30.0 + 30.0, rel=0.1)  # and the first job once more

    def test_the_job_that_is_timed_once_more_at_the_end_counts_where_there_are_four(self) -> None:
        plan = [infer(f"n{number}") for number in range(4)]
        assert Forecast(plan[:3], lambda _: 5.0).left_s() == 15.0
        forecast = Forecast(plan, lambda _: 5.0)
        assert forecast.left_s() == 25.0
        forecast.leave_out([plan[0].job])
        assert forecast.left_s() == 15.0
        clock = Clock()
        forecast = Forecast(plan, lambda _: 5.0, now=clock)
        forecast.begin()
        for planned in plan:
            clock.now_s += 5.0
            forecast.took(planned.job, 5.0)
        assert forecast.left_s() == pytest.approx(5.0)
        forecast.took(plan[0].job, 5.0)
        assert forecast.left_s() == 0.0

    def test_a_job_under_way_has_taken_some_of_its_time(self) -> None:
        clock = Clock()
        forecast = Forecast([infer("a"), infer("b")], lambda _: 10.0, now=clock)
        forecast.begin()
        clock.now_s += 10.0
        forecast.took(infer("a").job, 10.0)
        clock.now_s += 4.0
        assert forecast.left_s() == pytest.approx(6.0)
        clock.now_s += 40.0
        assert forecast.left_s() == 0.0

    def test_jobs_side_by_side_take_a_part_of_their_time(self) -> None:
        plan = [make_planned(arch=f"n{number}") for number in range(100)]
        clock = Clock()
        forecast = Forecast(plan, lambda _: 8.0, cores=4, now=clock)
        assert forecast.left_s() == pytest.approx(100 * 8.0 / 4)
        forecast.begin()
        for number, planned in enumerate(plan[:60]):
            clock.now_s += 8.0 if number % 2 == 0 else 0.0  # two end together: one core is another's
            forecast.took(planned.job, 8.0)
        assert forecast.left_s() == pytest.approx(40 * 8.0 / 2, rel=0.1)

    def test_tasks_that_share_places_are_not_told_twice(self) -> None:
        plan = [planned for n in range(50) for planned in (infer(f"n{n}"), training(f"n{n}", epochs=1))]
        clock = Clock()
        forecast = Forecast(plan, lambda _: 10.0, now=clock)
        forecast.begin()
        for number, planned in enumerate(plan[:40]):
            clock.now_s += 10.0 if number % 2 == 0 else 0.0  # one of each at the same time
            forecast.took(planned.job, 10.0)
        assert forecast.left_s() == pytest.approx(60 * 10.0 / 2, rel=0.1)

    def test_a_job_that_tells_how_far_it_has_come_is_believed(self) -> None:
        clock = Clock()
        forecast = Forecast([training("slow"), infer("b")], lambda _: 10.0, now=clock)
        forecast.begin()
        clock.now_s += 20.0
        forecast.under_way(training("slow").job, 80.0)  # a fourth of it is done
        assert forecast.left_s() == pytest.approx(60.0 + 10.0)

    def test_what_lies_between_jobs_counts(self) -> None:
        plan = [infer(f"n{number}") for number in range(60)]
        clock = Clock()
        forecast = Forecast(plan, lambda _: 10.0, now=clock)
        forecast.begin()
        for planned in plan[:30]:
            clock.now_s += 12.0  # two of them to begin and to write the record
            forecast.took(planned.job, 10.0)
        assert forecast.left_s() == pytest.approx(30 * 12.0, rel=0.05)


@pytest.mark.parametrize("slower", [0.5, 1.0, 2.7])
def test_on_a_machine_that_has_measured_nothing_what_is_computed_takes_as_much_longer_as_products(
    slower: float,
) -> None:
    reference = estimates._reference()
    guess, here = estimator([]), estimator([], {"cpu": reference["cpu matmul_rate"] / slower})
    trained = training("resnet20", epochs=4)
    assert here(trained) == pytest.approx(slower * guess(trained))
    timed = called("any", 9e9)
    given_s = estimates._BEGIN_S + 0.1 + 0.2
    assert here(timed) == pytest.approx(given_s + slower * (guess(timed) - given_s))
    assert here(make_planned()) == guess(make_planned())  # to count is no product
    on_card = training("resnet20", device="cuda")
    assert here(on_card) == guess(on_card)


def test_the_look_at_a_machine_counts_for_little_once_it_has_measured() -> None:
    there = estimates._reference()["cpu matmul_rate"]
    done = Past((one := called("any", 9e9)).job, one.card, 12.0)
    other = called("other", 9e9)
    for rate in (there, there / 3):
        assert estimator([done] * 1000, {"cpu": rate})(one) == 12.0
        assert estimator([done] * 1000, {"cpu": rate})(other) == pytest.approx(12.0, rel=0.01)


class Counting(StandIn):
    """Counts what it is asked to, but for the user's networks that end their process; notes what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[list[str]] = []

    def call(self, target: str, args: tuple[Any, ...], *, timeout_s: float, on_event: Send) -> Ended:
        self.asked.append([shape[0] for shape in args[0]])
        if self.asked[-1] == ["evil.py:Net"]:
            return Ended(exitcode=1)
        on_event(("answer", [1e6 * size for _, size, _, _ in args[0]]))
        return Ended()


def test_a_plan_counts_what_its_estimates_need_once_and_the_user_s_networks_apart() -> None:
    names = ("new", "my.py:Net", "evil.py:Net")
    plan = [training(name, epochs=epochs) for name in names for epochs in (1, 2)]
    executor, size = Counting(), plan[0].job.input_size
    counted = with_counts([*plan, training("lenet5")], executor)
    assert executor.asked == [["new"], ["my.py:Net"], ["evil.py:Net"]]
    assert [p.work.macs for p in counted] == [1e6 * size] * 4 + [None] * 3
    assert [p.job for p in counted] == [*(p.job for p in plan), training("lenet5").job]


def test_networks_are_counted_in_the_shape_of_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.execution._probe._COUNT_S", 1e6)
    shapes = [("linear", 8, 1, 10), ("alexnet", 8, 1, 10), ("linear", 16, 3, 5)]
    events: list[Event] = []
    probe_macs(events.append, shapes)
    monkeypatch.setattr("bench.execution._probe._COUNT_S", 0.0)
    probe_macs(events.append, shapes)
    counts, as_the_time_is_over = ([8 * 8 * 10, None, last] for last in (16 * 16 * 3 * 5, None))
    assert events == [("answer", counts), ("answer", as_the_time_is_over)]


@pytest.mark.parametrize(("tick_s", "products"), [(0.03, 4), (1e-4, 100)])
def test_a_core_is_looked_at_for_a_tenth_of_a_second_of_its_own_time_at_most(
    tick_s: float, products: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.execution._probe._LOOK_S", 0.1)
    monkeypatch.setattr("bench.execution._probe._SIDE", 512)
    clock = itertools.count()
    monkeypatch.setattr("time.thread_time", lambda: next(clock) * tick_s)
    monkeypatch.setattr("torch.mm", lambda *_: None)
    threads = torch.get_num_threads()
    assert _rate() == pytest.approx(usable_cores() * products * 512**3 / (products * tick_s))
    assert (next(clock), torch.get_num_threads()) == (products + 1, threads)
