"""The task `accuracy`: train a network as a job says, and measure what it reaches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bench.datasets import DATASETS, load
from bench.plan.job import Job
from bench.plan.recipe import read_recipe
from bench.records.record import Better, Measurement
from bench.training.loop import Fit, fit
from bench.training.seeds import streams


def init_seed(job: Job) -> int:
    """Return the seed to give torch before the network of this job is built."""
    return streams(job.seed).init


def measure_accuracy(
    model: nn.Module,
    job: Job,
    *,
    checkpoint: Path | None,
    on_epoch: Callable[[int, int], None] | None = None,
) -> list[Measurement]:
    """Train `model` on the job's data set by the job's recipe.

    Args:
        model: built after ``torch.manual_seed(init_seed(job))``.
        job: its settings name `dataset`, `recipe` (the recipe's values), `epochs`, `device`, `precision`,
            `memory_format` and `threads`.
        checkpoint: file to go on from, and to write after every epoch; it is left for the caller to remove.
        on_epoch: called with the epochs done and the epochs in all.

    Returns:
        `top1`, `top5`, `train_error`, `train_loss`, `test_loss`: the last epoch's value, and in the detail
        every epoch's; `epoch_time`, with a sample an epoch, and `train_time`, their sum.

    Raises:
        BenchError: as `fit` and `bench.datasets.load` do.
    """
    settings = job.settings
    recipe = read_recipe(settings["recipe"], f"job {job.id}, recipe")
    name = str(settings["dataset"])
    train, test = load(name, "train"), load(name, "test")
    with _threads(settings.get("threads")):
        seen = fit(
            model,
            train,
            test,
            DATASETS.get(name),
            recipe,
            epochs=settings.get("epochs") or recipe.epochs,
            seed=job.seed,
            device=job.device,
            input_size=job.input_size,
            in_channels=job.in_channels,
            precision=settings.get("precision", "fp32"),
            memory_format=settings.get("memory_format", "contiguous"),
            checkpoint=checkpoint,
            checkpoint_key=job.id,
            on_epoch=on_epoch,
        )
    return [*_scores(seen, name, len(train), len(test)), *_times(seen)]


def _scores(seen: Fit, dataset: str, trained: int, tested: int) -> Iterator[Measurement]:
    train: dict[str, Any] = {"split": "train", "n": trained, "dataset": dataset}
    test: dict[str, Any] = {"split": "test", "n": tested, "dataset": dataset}
    smooth = "as minimised, label smoothing and auxiliary losses included"
    yield _score("top1", "higher", seen.test_top1, test)
    if seen.test_top5 is not None:
        yield _score("top5", "higher", seen.test_top5, test)
    yield _score(
        "train_error", "lower", seen.train_error, {**train, "of": "augmented images, as they are trained on"}
    )
    yield _score("train_loss", "lower", seen.train_loss, {**train, "of": smooth})
    yield _score("test_loss", "lower", seen.test_loss, {**test, "of": "cross-entropy"})


def _score(name: str, better: Better, by_epoch: list[float], detail: dict[str, Any]) -> Measurement:
    detail = {"by_epoch": by_epoch, **detail}
    return Measurement(name=name, unit="1", better=better, samples=(by_epoch[-1],), detail=detail)


def _times(seen: Fit) -> Iterator[Measurement]:
    detail: dict[str, Any] = {"excluded": "evaluation, checkpoints, loading", "eval_s": seen.eval_time}
    if seen.resumed_from is not None:
        detail["resumed_from_epoch"] = seen.resumed_from
    if seen.checkpoint_ignored is not None:
        detail["checkpoint_ignored"] = seen.checkpoint_ignored
    flags = ("resumed",) if seen.resumed_from is not None else ()
    for name, samples in (("epoch_time", tuple(seen.epoch_time)), ("train_time", (sum(seen.epoch_time),))):
        yield Measurement(name=name, unit="s", better="lower", samples=samples, detail=detail, flags=flags)


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    """Let torch use `count` threads of the CPU, and as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
