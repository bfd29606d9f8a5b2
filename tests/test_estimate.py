"""How long trainings will take: by the epoch, from trainings on the same images, else by rule of thumb."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from conftest import make_catalog, make_planned

from bench.plan import estimate as estimates
from bench.plan.config import parse_experiment
from bench.plan.estimate import estimator
from bench.plan.expand import Planned, expand
from bench.tasks.accuracy import _GUESS_IMAGE_S, _GUESS_S
from bench.tasks.cost import _GUESS_S as COUNT_S


def training(arch: str = "net", epochs: int = 4, images: int = 1437, **settings: Any) -> Planned:
    settings = {"device": "cpu", "dataset": "digits", "epochs": epochs, **settings}
    return replace(make_planned(task="accuracy", arch=arch, settings=settings), images=images, timeout_s=1e6)


def test_a_training_takes_its_epochs() -> None:
    estimate = estimator([(training(epochs=4).job, 20.0)])
    assert estimate(training(epochs=4)) == 20.0
    assert estimate(training(epochs=40)) == 200.0
    assert estimate(training("other", epochs=2)) == 10.0  # another network on the same images


@pytest.mark.parametrize("other", [{"dataset": "cifar10"}, {"train_images": 100}, {"backend": "compiled"}])
def test_trainings_on_other_images_tell_nothing(other: dict[str, Any]) -> None:
    estimate = estimator([(training(epochs=4).job, 1e5)])
    unlike = training(epochs=4, **other)
    assert estimate(unlike) == estimator([])(unlike)


def test_the_guess_grows_with_images_and_epochs() -> None:
    guess = estimator([])
    work = (training().job.input_size / 28) ** 2  # of an image, to one of 28 px
    assert guess(training(epochs=30, images=50_000)) == pytest.approx(
        _GUESS_S["cpu"] + 30 * 50_000 * _GUESS_IMAGE_S["cpu"] * work
    )
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
    (planned,) = expand(parse_experiment({"blocks": [block]}), make_catalog("a"))
    assert planned.images == images


class TestReference:
    """What no job here says is taken from a reference machine, in proportion to how fast others went here."""

    @pytest.fixture(autouse=True)
    def durations(self, monkeypatch: pytest.MonkeyPatch) -> None:
        known = {"cpu accuracy net digits None None": 2.0, "cpu accuracy other digits None None": 5.0}
        monkeypatch.setattr(estimates, "_reference", lambda: known)

    def test_without_history_it_is_as_there(self) -> None:
        assert estimator([])(training("other", epochs=3)) == 15.0

    def test_others_tell_how_fast_this_machine_is(self) -> None:
        twice = estimator([(training("net", epochs=4).job, 4 * 4.0)])
        assert twice(training("other", epochs=3)) == 30.0

    def test_the_same_job_says_more(self) -> None:
        assert estimator([(training("other", epochs=1).job, 7.0)])(training("other", epochs=3)) == 21.0

    def test_other_networks_here_say_less(self) -> None:
        assert estimator([(training("unknown", epochs=1).job, 7.0)])(training("other", epochs=3)) == 15.0


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
