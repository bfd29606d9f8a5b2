"""The task `accuracy`: train a network as a job says, and measure what it reaches."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from bench.datasets import Dataset, Images, find, hold_back, load, subset
from bench.plan.job import Job
from bench.plan.recipe import Recipe, read_recipe
from bench.plan.schedules import Plateau
from bench.records.outputs import Outputs, encode_outputs, save_outputs
from bench.records.record import Measurement, measured
from bench.training.batches import Shape
from bench.training.fit import Fit
from bench.training.loop import LAYOUTS, fit
from bench.training.observations import looks, observed

if TYPE_CHECKING:
    from bench.tasks.accuracy import AccuracySettings

VALIDATION = 0.1  # of the training images, for a schedule that needs some where the job does not say


@dataclass(frozen=True)
class _Data:
    """The images of a job, and the seconds that it took to have them."""

    name: str
    dataset: Dataset
    train: Images
    validation: Images | None
    test: Images
    seconds: float


def measure_accuracy(
    model: nn.Module,
    job: Job[AccuracySettings],
    *,
    checkpoint: Path | None,
    outputs: Path | None = None,
    on_epoch: Callable[[int, int], None] | None = None,
    on_stage: Callable[[str], None] = lambda _: None,
) -> Iterator[Measurement]:
    """Train `model` on the job's data set by the job's recipe.

    Args:
        model: as `bench.tasks._networks.checked` gives it; it ends with the weights that were tested.
        job: see `bench.tasks.accuracy`.
        checkpoint: file to go on from, and to write now and then, see `fit`; it is left for the caller to remove.
        outputs: file for what the network said of each test image, written when all is measured; None for none.
        on_epoch: called with the epochs done and the epochs in all.
        on_stage: called with `load` and `training` as they begin.

    Yields:
        `top1`, `top5`, `train_error`, `train_loss`, `test_loss`, and with validation images `val_top1` and
        `val_loss`: the last epoch's value, and in the detail every epoch's.
        `epoch_time` and `train_throughput`, with a sample an epoch; `train_time`, `eval_time`, `load_time`, and
        `compile_time` where something was compiled; `time_to_accuracy` where the job has a target.
        What `bench.training.observations` yields.

    Raises:
        BenchError: as `fit`, `bench.datasets.load` and `save_outputs` do.
    """
    settings = job.settings
    recipe = read_recipe(settings.content.get("recipe"), f"job {job.id}, recipe")
    layout = settings.memory_format
    with _threads(settings.threads):
        on_stage("load")
        data = _data(job, recipe)
        on_stage("training")
        shape = Shape(job.in_channels, job.input_size, LAYOUTS[layout])
        seen = fit(
            model,
            data.train,
            data.test,
            data.dataset,
            recipe,
            epochs=settings.epochs or recipe.epochs,
            seed=job.seed,
            device=job.device,
            input_size=job.input_size,
            in_channels=job.in_channels,
            precision=settings.precision,
            memory_format=layout,
            backend=settings.backend,
            ranks=settings.ranks,
            validation=data.validation,
            test_every=settings.test_every or 1,
            checkpoint=checkpoint,
            checkpoint_key=job.id,
            on_epoch=on_epoch,
            **looks(data.train, data.dataset, recipe, shape, torch.device(job.device)),
        )
    content, sha256 = encode_outputs(_outputs(model, seen, data.dataset))
    kept = {} if outputs is None else {"outputs": f"outputs/{outputs.name}", "outputs_sha256": sha256}
    throughput = tuple(len(data.train) / seconds for seconds in seen.epoch_time)
    yield from _scores(seen, data, kept)
    yield from _times(seen, data.seconds, throughput)
    yield from _time_to(settings.target, seen)
    yield from observed(seen, throughput)
    if outputs is not None:
        save_outputs(outputs, content)


def _data(job: Job[AccuracySettings], recipe: Recipe) -> _Data:
    """Read the images of a job; those held back are the same however many of the others are trained on."""
    settings, start = job.settings, time.perf_counter()
    name = settings.dataset
    dataset = find(name, job.input_size)
    train, test = load(name, "train", job.input_size), load(name, "test", job.input_size)
    share = settings.validation or (VALIDATION if isinstance(recipe.schedule, Plateau) else None)
    validation = None
    if share is not None:
        train, validation = hold_back(train, share)
    if settings.train_images is not None:
        train = subset(train, settings.train_images)
    return _Data(name, dataset, train, validation, test, time.perf_counter() - start)


def _outputs(model: nn.Module, seen: Fit, dataset: Dataset) -> Outputs:
    assert seen.logits is not None
    assert seen.labels is not None
    first = next((m for m in model.modules() if isinstance(m, nn.Conv2d)), None)
    return Outputs(
        logits=seen.logits.numpy(),
        labels=seen.labels.numpy(),
        kernels=None if first is None else first.weight.detach().float().cpu().numpy(),
        class_names=dataset.class_names,
    )


def _scores(seen: Fit, data: _Data, kept: dict[str, str]) -> Iterator[Measurement]:
    train: dict[str, Any] = {"split": "train", "n": len(data.train), "dataset": data.name}
    test: dict[str, Any] = {"split": "test", "n": len(data.test), "dataset": data.name}
    if seen.test_time_augmentation is not None:
        test["test_time_augmentation"] = seen.test_time_augmentation
    smooth = "as minimised, label smoothing and auxiliary losses included"
    chosen = {"at_best_validation": _at_best_validation(seen)} if seen.val_top1 else {}
    yield _score("top1", seen.test_top1, {**test, **chosen, **kept})
    if seen.test_top5 is not None:
        yield _score("top5", seen.test_top5, test)
    yield _score("train_error", seen.train_error, {**train, "of": "augmented images, as they are trained on"})
    yield _score("train_loss", seen.train_loss, {**train, "of": smooth})
    yield _score("test_loss", seen.test_loss, {**test, "of": "cross-entropy"})
    if data.validation is not None:
        held = {**test, "split": "validation", "n": len(data.validation)}
        yield _score("val_top1", seen.val_top1, held)
        yield _score("val_loss", seen.val_loss, {**held, "of": "cross-entropy"})


def _at_best_validation(seen: Fit) -> float:
    """Return the test accuracy after the tested epoch that validation would choose; of equal ones the first."""
    tested = (i for i, top1 in enumerate(seen.test_top1) if not math.isnan(top1))
    return seen.test_top1[max(tested, key=seen.val_top1.__getitem__)]


def _score(name: str, by_epoch: list[float], detail: dict[str, Any]) -> Measurement:
    return measured(name, (by_epoch[-1],), {"by_epoch": by_epoch, **detail})


def _times(seen: Fit, reading: float, throughput: tuple[float, ...]) -> Iterator[Measurement]:
    detail: dict[str, Any] = {
        "excluded": "evaluation, checkpoints, loading, compiling, initialising, warming up"
    }
    if seen.warm_up_time is not None:
        detail["warm_up_s"] = seen.warm_up_time
    if seen.resumed_from is not None:
        detail["resumed_from_epoch"] = seen.resumed_from
    if seen.checkpoint_ignored is not None:
        detail["checkpoint_ignored"] = seen.checkpoint_ignored
    yield _seconds("epoch_time", tuple(seen.epoch_time), detail, seen)
    yield _seconds("train_time", (sum(seen.epoch_time),), detail, seen)
    yield _seconds("eval_time", (sum(seen.eval_time),), {"by_epoch": seen.eval_time}, seen)
    loading = {"of": "reading, decoding and moving to the device", "reading_s": reading}
    yield _seconds("load_time", (reading + seen.load_time,), loading)
    if seen.compile_time is not None:
        yield _seconds("compile_time", (seen.compile_time,), {"of": "the first step, less a usual one"})
    yield measured("train_throughput", throughput, detail, _resumed(seen))


def _time_to(target: float | None, seen: Fit) -> Iterator[Measurement]:
    """Yield the seconds of training until the first epoch was over that reached the target; NaN where none did.

    What the network takes from the training images before the first step is part of them.
    """
    if target is None:
        return
    initial = seen.initial_time or 0.0
    done = zip((initial + s for s in accumulate(seen.epoch_time)), seen.test_top1, strict=True)
    reached = next(((i, s) for i, (s, top1) in enumerate(done, start=1) if top1 >= target), None)
    epochs, seconds = reached or (len(seen.test_top1), math.nan)
    detail: dict[str, Any] = {
        "target": target,
        "best": max(t for t in seen.test_top1 if not math.isnan(t)),
        "epochs": epochs,
    }
    detail["of"] = (
        "the steps of all epochs so far, augmentation included, and the network's initialising from images"
    )
    detail["excluded"] = "evaluation, checkpoints, loading, compiling, warming up"
    detail["initialise_s"] = initial
    yield _seconds("time_to_accuracy", (seconds,), detail, seen, () if reached else ("missed",))


def _seconds(
    name: str,
    samples: tuple[float, ...],
    detail: dict[str, Any],
    seen: Fit | None = None,
    flags: tuple[str, ...] = (),
) -> Measurement:
    """Return a measured time; of `seen` where it is of epochs, of which some may be an earlier process's."""
    flags = (*flags, *(_resumed(seen) if seen else ()))
    return measured(name, samples, detail, flags)


def _resumed(seen: Fit) -> tuple[str, ...]:
    return ("resumed",) if seen.resumed_from is not None else ()


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Let torch use `count` threads of the CPU, and as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
