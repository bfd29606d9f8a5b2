"""The training loop, top to bottom: an epoch of training, the test images, a checkpoint, and again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from bench.datasets import Dataset, Images
from bench.plan.recipe import Recipe
from bench.training import checkpoint as checkpoints
from bench.training.augment import decide
from bench.training.batches import Batches, Shape
from bench.training.learner import Learner
from bench.training.precision import check_precision, tf32

LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
CURVES = ("train_loss", "train_error", "test_loss", "test_top1", "test_top5", "epoch_time", "eval_time")


@dataclass
class Fit:
    """What was seen of a training; the lists have one value an epoch.

    Attributes:
        train_loss: mean over the images of what was minimised, label smoothing and auxiliary losses included.
        train_error: share of the augmented images that were wrong at the moment they were trained on.
        test_loss: mean cross-entropy.
        test_top1: share of the test images whose class came first.
        test_top5: share whose class was among the first five; None where there are no more than five classes.
        epoch_time: s, of training alone.
        eval_time: s, of the test images alone.
        resumed_from: epochs that a checkpoint had already done; None for a training in one go.
        checkpoint_ignored: why a checkpoint that was there was not used.
    """

    train_loss: list[float] = field(default_factory=list)
    train_error: list[float] = field(default_factory=list)
    test_loss: list[float] = field(default_factory=list)
    test_top1: list[float] = field(default_factory=list)
    test_top5: list[float] | None = field(default_factory=list)
    epoch_time: list[float] = field(default_factory=list)
    eval_time: list[float] = field(default_factory=list)
    resumed_from: int | None = None
    checkpoint_ignored: str | None = None


def fit(
    model: nn.Module,
    train: Images,
    test: Images,
    dataset: Dataset,
    recipe: Recipe,
    *,
    epochs: int,
    seed: int,
    device: torch.device | str,
    input_size: int,
    in_channels: int,
    precision: str = "fp32",
    memory_format: Literal["contiguous", "channels_last"] = "contiguous",
    checkpoint: Path | None = None,
    checkpoint_key: str = "",
    clock: Callable[[], float] = time.perf_counter,
    on_epoch: Callable[[int, int], None] | None = None,
) -> Fit:
    """Train `model` as it is given, and look at the test images after every epoch.

    Args:
        model: from images [B, C, S, S] to logits [B, classes], or a named tuple of `logits`, `aux_logits*`.
        train: the images to train on.
        test: the images to report on.
        dataset: whose they are.
        recipe: how to train.
        epochs: passes over the training images.
        seed: of order, augmentation and the network's own noise; the initial parameters are the caller's.
        device: where everything happens.
        input_size: S; images of another size are resized.
        in_channels: C; grey images are repeated for three.
        precision: fp32, tf32, bf16 or fp16; the latter two by autocast.
        memory_format: of images and parameters.
        checkpoint: file to go on from, and to write after every epoch; None for none.
        checkpoint_key: of this training; a checkpoint with another key is not used, and overwritten.
        clock: seconds since some moment.
        on_epoch: called with the epochs done and the epochs in all.

    Raises:
        DivergedError: if a loss is not finite.
        InvalidModelError: if the network's output is something else.
        UnsupportedError: if the device cannot train in this precision, or the channels do not fit.
        StoreError: if the checkpoint cannot be written.
    """
    device = torch.device(device)
    check_precision(precision, device)
    shape = Shape(in_channels, input_size, LAYOUTS[memory_format])
    batches = Batches(train, dataset, shape, recipe.batch_size, device)
    # Without gradients to keep, twice the images take about the same memory.
    tests = Batches(test, dataset, shape, 2 * recipe.batch_size, device)
    model.to(device=device, memory_format=shape.memory_format)  # type: ignore[call-overload]
    learner = Learner(
        model,
        recipe=recipe,
        how=decide(recipe.augment, dataset),
        classes=dataset.card.num_classes,
        steps=len(batches) * epochs,
        seed=seed,
        device=device,
        precision=precision,
    )
    result = Fit(test_top5=[] if learner.classes > 5 else None)
    if checkpoint is not None:
        _resume(learner, result, checkpoint, checkpoint_key)

    def now() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return clock()

    with tf32(precision == "tf32"):
        for epoch in range(len(result.train_loss), epochs):
            start = now()
            loss, error = learner.train(batches, epoch)
            middle = now()
            seen = learner.test(tests, epoch)
            end = now()
            result.train_loss.append(loss)
            result.train_error.append(error)
            result.test_loss.append(seen.loss)
            result.test_top1.append(seen.top1)
            if result.test_top5 is not None:
                result.test_top5.append(seen.top5)
            result.epoch_time.append(middle - start)
            result.eval_time.append(end - middle)
            if checkpoint is not None:
                curves = {name: getattr(result, name) for name in CURVES}
                checkpoints.save(checkpoint, checkpoint_key, {"learner": learner.state(), "curves": curves})
            if on_epoch is not None:
                on_epoch(epoch + 1, epochs)
    return result


def _resume(learner: Learner, result: Fit, checkpoint: Path, key: str) -> None:
    """Go on from the checkpoint if it is of this training; otherwise say in `result` why not."""
    state, result.checkpoint_ignored = checkpoints.load(checkpoint, key)
    if state is None:
        return
    if not learner.fits(state["learner"]):
        result.checkpoint_ignored = f"the checkpoint {checkpoint.name} is of a network with other tensors"
        return
    learner.restore(state["learner"])
    for name, values in state["curves"].items():
        setattr(result, name, values)
    result.resumed_from = len(result.train_loss)
