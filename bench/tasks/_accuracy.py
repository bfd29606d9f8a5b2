"""The task `accuracy`: train a network as a job says, and measure what it reaches."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from bench.archs.safetensors import check_state, write_safetensors
from bench.datasets import Dataset, Files, check_same, find, hold_back, read, subset
from bench.datasets.transforms import Transform
from bench.plan.job import Job
from bench.plan.recipe import Plateau, Recipe
from bench.plan.task import Hooks
from bench.records.outputs import Outputs, save_outputs
from bench.records.record import Measurement, measured
from bench.training import observations
from bench.training.config import FitConfig, Splits, with_threads
from bench.training.fit import Callbacks, FitResult, fit

if TYPE_CHECKING:
    from bench.tasks.accuracy import AccuracySettings

_VALIDATION = 0.1  # of the training images, for a schedule that needs some where the job does not say
_Detail = dict[str, object]


def _fit_config(job: Job[AccuracySettings], checkpoint: Path | None = None) -> FitConfig:
    """Return the training that a job asks for."""
    settings = job.settings
    recipe = Recipe.read(settings.content.get("recipe"), f"job {job.id}, recipe")
    needed = _VALIDATION if isinstance(recipe.schedule, Plateau) else None
    return FitConfig(
        recipe=recipe,
        dataset=settings.dataset,
        train_images=settings.train_images,
        validation_share=settings.validation or needed,
        epochs=settings.epochs or recipe.epochs,
        seed=job.seed,
        device=torch.device(job.device),
        input_size=job.input_size,
        in_channels=job.in_channels,
        precision=settings.precision,
        memory_format=settings.memory_format,
        backend=settings.backend or "eager",
        ranks=settings.ranks or 1,
        threads=settings.threads,
        test_every=settings.test_every or 1,
        target=settings.target,
        checkpoint=checkpoint,
        checkpoint_key=job.id,
    )


def measure_accuracy(model: nn.Module, job: Job[AccuracySettings], hooks: Hooks) -> Iterator[Measurement]:
    """Train `model` on the job's data set by the job's recipe.

    It ends with the weights that were tested. The checkpoint is left for the caller to remove; the outputs are written
    when all is measured.

    Yields:
        `top1`, `top5`, `train_error`, `train_loss`, `test_loss`, and with validation images `val_top1` and
        `val_loss`: the last epoch's value, and in the detail every epoch's.
        `epoch_time` and `train_throughput`, with a sample an epoch; `train_time`, `eval_time`, `load_time`, and
        `compile_time` where something was compiled; `time_to_accuracy` where the job has a target.
        What `bench.training.observations.measurements` yields.

    Raises:
        BenchError: as `fit`, `bench.datasets.read` and `save_outputs` do.
    """
    config = _fit_config(job, hooks.checkpoint)
    outputs = hooks.outputs
    if hooks.weights is not None:
        check_state(model.state_dict())  # before the training, which would be lost
    with with_threads(config.threads):
        hooks.stage("load")
        start = time.perf_counter()
        data = _load_splits(config)
        check_same(config.dataset, job.settings.dataset_sha256, data.dataset.card.sha256)
        reading_s = time.perf_counter() - start
        hooks.stage("training")
        callbacks = observations.with_observations(Callbacks(on_epoch=hooks.progress), data, config)
        result = fit(model, data, config, callbacks)
    if isinstance(data.train.images, Files) or isinstance(data.test.images, Files):
        now = find(config.dataset, config.input_size).card.sha256
        check_same(config.dataset, job.settings.dataset_sha256, now)  # still: they were read all the while
    content, sha256 = _outputs(model, result, data.dataset).encode()
    stored = {} if outputs is None else {"outputs": f"outputs/{outputs.name}", "outputs_sha256": sha256}
    if hooks.weights is not None:
        hooks.stage("weights")
        digest = write_safetensors(hooks.weights, model.state_dict(), _told(job, data, config, result))
        stored |= {"weights": f"weights/{hooks.weights.name}", "weights_sha256": digest}
    throughput = tuple(len(data.train) / seconds for seconds in result.epoch_time)
    yield from _scores(result, data, config.dataset, stored)
    yield from _times(result, reading_s, throughput)
    yield from _time_to(config.target, result)
    yield from observations.measurements(result, throughput)
    if outputs is not None:
        save_outputs(outputs, content)


def _load_splits(config: FitConfig) -> Splits:
    """Read the images of a training; those held back are the same however many of the others are trained on."""
    dataset = find(config.dataset, config.input_size)
    train, test = read(dataset, "train"), read(dataset, "test")
    validation = None
    if config.validation_share is not None:
        train, validation = hold_back(train, config.validation_share)
    if config.train_images is not None:
        train = subset(train, config.train_images)
    return Splits(dataset, train, test, validation)


def _told(
    job: Job[AccuracySettings], data: Splits, config: FitConfig, result: FitResult
) -> dict[str, object]:
    """Return what a file of weights says beside them: how test images were looked at, so that it can be done again."""
    dataset, size = data.dataset, config.input_size
    in_files = dataset.card.in_files
    transform = Transform(
        resize=size,
        crop=(size, size) if in_files else None,
        library="tensor",
        antialias=in_files,
        channels=1 if dataset.card.in_channels == 1 else 3,
        mean=dataset.mean,
        std=dataset.std,
    )
    return {
        "job": job.to_json(),
        "transform": transform.model_dump(mode="json"),
        "classes": list(dataset.class_names),
        "views": result.test_time_augmentation,
        "batch_size": config.recipe.tested_at_once,
        "top1": result.test_top1[-1],
        "images": len(data.test),
    }


def _outputs(model: nn.Module, result: FitResult, dataset: Dataset) -> Outputs:
    assert result.logits is not None
    assert result.labels is not None
    first = next((m for m in model.modules() if isinstance(m, nn.Conv2d)), None)
    return Outputs(
        logits=result.logits.numpy(),
        labels=result.labels.numpy(),
        kernels=None if first is None else first.weight.detach().float().cpu().numpy(),
        class_names=dataset.class_names,
    )


def _scores(result: FitResult, data: Splits, dataset: str, stored: dict[str, str]) -> Iterator[Measurement]:
    train: _Detail = {"split": "train", "n": len(data.train), "dataset": dataset}
    test: _Detail = {"split": "test", "n": len(data.test), "dataset": dataset}
    if result.test_time_augmentation is not None:
        test["test_time_augmentation"] = result.test_time_augmentation
    smooth = "as minimised, label smoothing and auxiliary losses included"
    best = {"at_best_validation": _at_best_validation(result)} if result.val_top1 else {}
    yield _score("top1", result.test_top1, {**test, **best, **stored})
    if result.test_top5 is not None:
        yield _score("top5", result.test_top5, test)
    augmented = "augmented images, as they are trained on"
    yield _score("train_error", result.train_error, {**train, "of": augmented})
    yield _score("train_loss", result.train_loss, {**train, "of": smooth})
    yield _score("test_loss", result.test_loss, {**test, "of": "cross-entropy"})
    if data.validation is not None:
        validation = {**test, "split": "validation", "n": len(data.validation)}
        yield _score("val_top1", result.val_top1, validation)
        yield _score("val_loss", result.val_loss, {**validation, "of": "cross-entropy"})


def _at_best_validation(result: FitResult) -> float:
    """Return the test accuracy after the tested epoch that validation would choose; of equal ones the first."""
    tested = (i for i, top1 in enumerate(result.test_top1) if not math.isnan(top1))
    return result.test_top1[max(tested, key=result.val_top1.__getitem__)]


def _score(name: str, by_epoch: list[float], detail: _Detail) -> Measurement:
    return measured(name, (by_epoch[-1],), {"by_epoch": by_epoch, **detail})


def _times(result: FitResult, reading_s: float, throughput: tuple[float, ...]) -> Iterator[Measurement]:
    detail: _Detail = {"excluded": "evaluation, checkpoints, loading, compiling, initialising, warming up"}
    if result.warm_up_time is not None:
        detail["warm_up_s"] = result.warm_up_time
    if result.resumed_from is not None:
        detail["resumed_from_epoch"] = result.resumed_from
    if result.checkpoint_ignored is not None:
        detail["checkpoint_ignored"] = result.checkpoint_ignored
    resumed = _resumed(result)
    yield measured("epoch_time", tuple(result.epoch_time), detail, resumed)
    yield measured("train_time", (sum(result.epoch_time),), detail, resumed)
    yield measured("eval_time", (sum(result.eval_time),), {"by_epoch": result.eval_time}, resumed)
    loading: _Detail = {"of": "reading, decoding and moving to the device", "reading_s": reading_s}
    yield measured("load_time", (reading_s + result.load_time,), loading)
    if result.compile_time is not None:
        yield measured("compile_time", (result.compile_time,), {"of": "the first step, less a usual one"})
    yield measured("train_throughput", throughput, detail, resumed)


def _time_to(target: float | None, result: FitResult) -> Iterator[Measurement]:
    """Yield the seconds of training until the end of the first epoch that reached the target; NaN where none did.

    The time in which the network takes something from the training images, before the first step, is part of it.
    """
    if target is None:
        return
    initial_s = result.initial_time or 0.0
    ends = [initial_s + seconds for seconds in accumulate(result.epoch_time)]
    reached = next((i for i, top1 in enumerate(result.test_top1) if top1 >= target), None)
    detail: _Detail = {
        "target": target,
        "best": max(top1 for top1 in result.test_top1 if not math.isnan(top1)),
        "epochs": len(result.test_top1) if reached is None else reached + 1,
        "of": "the steps of all epochs so far, augmentation included, and the network's initialising from images",
        "excluded": "evaluation, checkpoints, loading, compiling, warming up",
        "initialise_s": initial_s,
    }
    flags = ("missed",) if reached is None else ()
    seconds = math.nan if reached is None else ends[reached]
    yield measured("time_to_accuracy", (seconds,), detail, (*flags, *_resumed(result)))


def _resumed(result: FitResult) -> tuple[str, ...]:
    """Return the flag of times of which some may be an earlier process's."""
    return ("resumed",) if result.resumed_from is not None else ()
