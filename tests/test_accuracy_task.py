"""The task `accuracy`: what a job's settings change, what is measured, and what becomes of failures."""

from __future__ import annotations

import errno
import hashlib
import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import make_job, make_record
from torch import Tensor, nn

from bench.datasets import DATASETS, find, hold_back, read, subset
from bench.execution._files import files_of
from bench.execution._worker import work
from bench.plan.job import Job
from bench.plan.recipe import Recipe
from bench.plan.task import Hooks
from bench.records.flags import FLAGS
from bench.records.job_files import JobFile
from bench.records.outputs import Outputs
from bench.records.record import Measurement
from bench.tasks import _accuracy as accuracy_module
from bench.tasks._accuracy import measure_accuracy
from bench.training.config import FitConfig, Splits
from bench.training.fit import Callbacks, FitResult

ALWAYS = [
    *("top1", "top5", "train_error", "train_loss", "test_loss"),
    *("epoch_time", "train_time", "eval_time", "load_time", "train_throughput"),
    *("gradient_norm_start", "gradient_norm_end", "synthetic_share"),
]


def job(recipe: str = "std", epochs: int | None = 2, **settings: Any) -> Job:
    return Job(
        task="accuracy",
        arch="test",
        input_size=8,
        in_channels=1,
        num_classes=10,
        settings={
            "device": "cpu",
            "dataset": "digits",
            "recipe": Recipe.load(recipe).model_dump(mode="json"),
            "epochs": epochs,
            "precision": "fp32",
            "memory_format": "contiguous",
            "threads": 1,
            **settings,
        },
    )


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 10))


def measured(asked: Job, model: nn.Module | None = None, **where: Any) -> dict[str, Measurement]:
    found = measure_accuracy(model or network(), asked, Hooks(**where))
    return {m.name: m for m in found}


# What is measured


def test_every_measurement_has_its_unit_and_its_samples(tmp_path: Path) -> None:
    file = tmp_path / "job.pt"
    found = measured(job(), checkpoint=file)
    assert list(found) == [*ALWAYS[:-1], "dead_units", "synthetic_share"]
    for name in ("top1", "top5", "train_error", "train_loss", "test_loss"):
        m = found[name]
        assert (m.unit, m.better) == ("1", "higher" if name.startswith("top") else "lower")
        assert m.samples == (m.detail["by_epoch"][-1],)
        assert len(m.detail["by_epoch"]) == 2
        split = ("train", 1415) if "train" in name else ("test", 382)
        assert (m.detail["dataset"], m.detail["split"], m.detail["n"]) == ("digits", *split)
    times = found["epoch_time"].samples
    assert len(times) == 2
    assert found["train_time"].samples == (sum(times),)
    assert found["eval_time"].samples == (sum(found["eval_time"].detail["by_epoch"]),)
    assert found["train_throughput"].samples == tuple(1415 / s for s in times)
    assert found["train_throughput"].unit == "image/s"
    assert {found[n].unit for n in ("epoch_time", "train_time", "eval_time", "load_time")} == {"s"}
    share = found["synthetic_share"]
    assert share.samples[0] == pytest.approx(
        np.median(found["train_throughput"].samples) / share.detail["synthetic_throughput"]
    )
    assert [name for name, _ in found["gradient_norm_end"].detail["by_layer"]] == ["0.weight", "3.weight"]
    assert {flag for m in found.values() for flag in m.flags} == {"few_steps"}


def test_a_training_gone_on_from_is_flagged_and_says_the_same(tmp_path: Path) -> None:
    file = tmp_path / "job.pt"
    first, again = measured(job(), checkpoint=file), measured(job(), checkpoint=file)
    for name in ("top1", "test_loss", "epoch_time", "gradient_norm_start", "gradient_norm_end", "dead_units"):
        assert again[name].samples == first[name].samples
    assert again["gradient_norm_start"].detail == first["gradient_norm_start"].detail
    assert {n for n, m in again.items() if "resumed" in m.flags} == {
        *("epoch_time", "train_time", "eval_time", "train_throughput")
    }


def test_observing_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def net() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(
            *(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.2), nn.Flatten()),
            nn.Linear(4 * 36, 10),
        )

    looked = measured(job(), net())
    monkeypatch.setattr(accuracy_module.observations, "with_observations", lambda hooks, *_: hooks)
    blind = measured(job(), net())
    for name in ("top1", "train_loss", "test_loss", "train_error"):
        assert blind[name].detail["by_epoch"] == looked[name].detail["by_epoch"]
    assert "dead_units" in looked
    assert "dead_units" not in blind


def test_an_observation_that_fails_leaves_the_training_be() -> None:
    class Counts(nn.Module):
        """Fails for a batch of 64 images in evaluation mode after the training, as where memory is short."""

        def __init__(self) -> None:
            super().__init__()
            self.net, self.calls = network(), 0

        def forward(self, images: Tensor) -> Tensor:
            self.calls += 1
            if self.calls > 1 + 2 * (45 + 6) + 1:  # a gradient; epochs and tests; a gradient; and no more
                raise MemoryError("no room")
            logits: Tensor = self.net(images)
            return logits

    found = measured(job(), Counts())
    assert found["top1"].samples[0] > 0.5
    for name in ("dead_units", "synthetic_share"):
        assert math.isnan(found[name].samples[0])
        assert found[name].flags == ("unobserved",)
        assert found[name].detail["error"] == "MemoryError: no room"


# What the settings change


def test_validation_images_are_held_back_from_training() -> None:
    found = measured(job(validation=0.2))
    train = read(find("digits"), "train")
    kept, held = hold_back(train, 0.2)
    assert len(kept) + len(held) == 1415
    assert found["train_loss"].detail["n"] == len(kept)
    for name, better in (("val_top1", "higher"), ("val_loss", "lower")):
        assert (found[name].better, found[name].detail["split"], found[name].detail["n"]) == (
            better,
            "validation",
            len(held),
        )
        assert found[name].samples == (found[name].detail["by_epoch"][-1],)
    assert found["top1"].detail["at_best_validation"] in found["top1"].detail["by_epoch"]


def test_the_best_epoch_is_the_validations_and_not_the_tests() -> None:
    result = FitResult(test_top1=[0.1, 0.2, 0.3, 0.9], val_top1=[0.5, 0.7, 0.7, 0.6])
    assert accuracy_module._at_best_validation(result) == 0.2


def test_a_schedule_that_needs_validation_gets_a_tenth() -> None:
    asked = job()
    recipe = {
        **asked.settings.content["recipe"],
        "schedule": {"kind": "plateau", "factor": 0.1, "patience": 1},
    }
    found = measured(replace(asked, settings={**asked.settings.content, "recipe": recipe}))
    assert found["val_top1"].detail["n"] == round(0.1 * 1415)


def test_fewer_images_are_trained_on_and_the_same_are_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Splits] = []

    def fit(model: nn.Module, data: Splits, config: FitConfig, callbacks: Callbacks) -> FitResult:
        given.append(data)
        raise InterruptedError

    monkeypatch.setattr(accuracy_module, "fit", fit)
    for settings in ({"train_images": 100, "validation": 0.2}, {"validation": 0.2}, {"train_images": 100}):
        with pytest.raises(InterruptedError):
            measured(job(**settings))
    few, rest, alone = given
    assert (len(few.train), len(alone.train), len(few.test), alone.validation) == (100, 100, 382, None)
    assert few.validation is not None
    assert rest.validation is not None
    assert torch.equal(few.validation.images[:], rest.validation.images[:])
    assert torch.equal(few.train.images[:], subset(rest.train, 100).images[:])


@pytest.mark.parametrize(
    ("target", "epochs", "flags"), [(0.5, 2, ()), (0.75, 3, ()), (0.8, 3, ()), (0.9, 4, ("missed",))]
)
def test_time_to_accuracy(target: float, epochs: int, flags: tuple[str, ...]) -> None:
    result = FitResult(test_top1=[0.4, 0.6, 0.8, 0.7], epoch_time=[1.0, 2.0, 4.0, 8.0], initial_time=0.25)
    (found,) = accuracy_module._time_to(target, result)
    assert (found.name, found.unit, found.flags) == ("time_to_accuracy", "s", flags)
    told = {"target": target, "best": 0.8, "epochs": epochs, "initialise_s": 0.25}
    assert {key: found.detail[key] for key in told} == told
    assert set(found.detail) - set(told) == {"of", "excluded"}
    expected = math.nan if flags else 0.25 + sum(result.epoch_time[:epochs])
    assert found.samples == pytest.approx((expected,), nan_ok=True)
    assert set(flags) <= FLAGS.keys()


def test_a_target_is_only_looked_for_where_it_is_given() -> None:
    assert "time_to_accuracy" not in measured(job(epochs=1))
    found = measured(job(epochs=1, target=0.01))
    assert found["time_to_accuracy"].samples == found["epoch_time"].samples


def test_mirror_images_at_the_test_are_said() -> None:
    found = measured(job("std(augment.flip=true,test_time_augmentation=mirror)", epochs=1))
    assert found["top1"].detail["test_time_augmentation"] == "mirror"
    found = measured(job("std(test_time_augmentation=mirror)", epochs=1))  # digits have none
    assert "test_time_augmentation" not in found["top1"].detail


# Test outputs


def test_the_stored_outputs_are_the_reported_accuracy(tmp_path: Path) -> None:
    asked, model = job(), network()
    _, file, _ = files_of(tmp_path, asked)
    found = measured(asked, model, outputs=file)
    record = make_record(job=asked, measurements=tuple(found.values()))
    assert found["top1"].detail["outputs"] == f"outputs/{asked.id}.npz"
    outputs = Outputs.read(tmp_path, record)
    assert outputs is not None
    assert np.mean(outputs.logits.argmax(1) == outputs.labels) == found["top1"].samples[0]
    loss = np.logaddexp.reduce(outputs.logits, 1) - outputs.logits[np.arange(382), outputs.labels]
    assert loss.mean() == pytest.approx(found["test_loss"].samples[0], rel=1e-3)
    assert outputs.class_names == find("digits").class_names
    np.testing.assert_array_equal(outputs.labels, read(find("digits"), "test").labels.numpy())
    kernels = model.get_parameter("0.weight").detach().numpy()
    assert outputs.kernels is not None
    np.testing.assert_allclose(outputs.kernels, kernels, rtol=1e-3, atol=1e-6)


def test_trainings_and_evaluations_keep_files(tmp_path: Path) -> None:
    evaluation = make_job(task="evaluate", settings={"data": "digits"})
    for asked in (job(), evaluation):
        checkpoint, file, weights = files_of(tmp_path, asked)
        assert checkpoint == tmp_path / "checkpoints" / f"{asked.id}.pt"
        assert file == JobFile.outputs.path(tmp_path, asked.id)
        assert weights is None
    kept = job().with_settings(keep_weights=True)
    assert files_of(tmp_path, kept)[2] == tmp_path / "weights" / f"{kept.id}.safetensors"
    assert files_of(tmp_path, make_job()) == (None, None, None)


def test_no_file_is_written_and_none_is_named_without_a_place() -> None:
    assert "outputs" not in measured(job(epochs=1))["top1"].detail


# Through the worker: statuses

NETS = """
import torch
from torch import nn

class Good(nn.Module):
    def __init__(self, num_classes=10, in_channels=1):
        super().__init__()
        self.head = nn.Linear(64, num_classes)
    def forward(self, x):
        return self.head(x.flatten(1))

class Few(Good):
    def __init__(self, num_classes=10, in_channels=1):
        super().__init__(7)

class FewInTraining(Good):
    def forward(self, x):
        return super().forward(x)[:, :7] if self.training else super().forward(x)

class Late(Good):
    steps = -1  # but for the look before
    def forward(self, x):
        self.steps += self.training
        return super().forward(x) * (float("nan") if self.steps == 3 else 1.0)
"""


def story(folder: Path, net: str, **settings: Any) -> tuple[str, dict[str, Any], dict[str, Measurement]]:
    file = folder / "nets.py"
    file.write_text(NETS)
    asked = replace(
        job(**settings), arch=f"{file}:{net}", source_sha256=hashlib.sha256(file.read_bytes()).hexdigest()
    )
    events: list[tuple[str, Any]] = []
    work(events.append, asked, *files_of(folder, asked))
    status, error = events[-1][1]
    stage = [value for kind, value in events if kind == "stage"][-1]
    return (
        status,
        {"stage": stage, **(error or {})},
        {m.name: m for kind, m in events if kind == "measurement"},
    )


def test_a_job_leaves_its_outputs_beside_the_records(tmp_path: Path) -> None:
    status, _, found = story(tmp_path, "Good")
    assert status == "ok"
    assert (tmp_path / found["top1"].detail["outputs"]).is_file()
    assert found["macs"].samples == (64 * 10,)
    assert "layers" not in found


@pytest.mark.parametrize(
    ("net", "status", "stage", "message"),
    [
        ("Few", "invalid_model", "check", "expected [2, 10]"),
        ("FewInTraining", "invalid_model", "training", "returned [32, 7], not logits of 10 classes"),
        ("Late", "diverged", "training", "the training loss was nan in epoch 1, step 3 of 45"),
    ],
)
def test_a_network_that_cannot_be_trained(
    tmp_path: Path, net: str, status: str, stage: str, message: str
) -> None:
    found, error, measurements = story(tmp_path, net)
    assert (found, error["stage"]) == (status, stage)
    assert message in error["message"]
    assert error["tip"]
    assert "top1" not in measurements
    assert not (tmp_path / "outputs").exists()


def test_images_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, error, found = story(tmp_path, "Good", dataset=f"imagefolder:{tmp_path / 'nothing'}")
    assert (status, error["stage"]) == ("unsupported", "load")
    assert "there is no folder" in error["message"]
    assert "put the images of each class" in error["tip"]
    assert "top1" not in found


def test_too_few_images_for_the_classes(tmp_path: Path) -> None:
    status, error, _ = story(tmp_path, "Good", train_images=5)
    assert (status, error["message"]) == ("unsupported", "5 training images are too few for 10 classes")


def test_a_full_disk_keeps_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> None:
        fsync = os.fsync
        monkeypatch.setattr("os.fsync", no_space)
        try:
            save(path, content)
        finally:
            monkeypatch.setattr("os.fsync", fsync)

    def no_space(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    save: Callable[[Path, bytes], None] = accuracy_module.save_outputs
    monkeypatch.setattr(accuracy_module, "save_outputs", full)
    status, error, found = story(tmp_path, "Good")
    assert status == "crashed"
    assert "cannot write the test outputs" in error["message"]
    assert "No space left" in error["message"]
    assert found.keys() >= set(ALWAYS)
    assert list((tmp_path / "outputs").iterdir()) == []

    monkeypatch.setattr(accuracy_module, "save_outputs", save)
    status, _, again = story(tmp_path, "Good")  # goes on from the checkpoint, with nothing left to train
    assert status == "ok"
    assert again["top1"].samples == found["top1"].samples
    assert (tmp_path / again["top1"].detail["outputs"]).is_file()


def test_every_data_set_that_could_be_trained_on_has_names_for_its_classes() -> None:
    for name in DATASETS:
        dataset = DATASETS.get(name)
        assert len(dataset.class_names) == dataset.card.num_classes
