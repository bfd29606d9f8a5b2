"""What is seen of a training: its curves, an epoch at a time, and its answers to the test images."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from bench.training.learner import Seen

CURVES = (
    *("train_loss", "train_error", "test_loss", "test_top1", "test_top5", "val_loss", "val_top1"),
    *("epoch_time", "eval_time"),
)


@dataclass
class Fit:
    """What was seen of a training; the lists have one value an epoch, NaN of the test images where it was not tested.

    Attributes:
        train_loss: mean over the images of what was minimised, label smoothing and auxiliary losses included.
        train_error: share of the augmented images that were wrong at the moment they were trained on.
        test_loss: mean cross-entropy.
        test_top1: share of the test images whose class came first.
        test_top5: share whose class was among the first five; None where there are no more than five classes.
        val_loss: mean cross-entropy of the validation images; empty where there are none.
        val_top1: share of them whose class came first; likewise.
        epoch_time: s, of training alone.
        eval_time: s, of the test and the validation images alone.
        logits: [N, K] float32 on the CPU, of the test images in order, as they were reported last.
        labels: [N] int64 on the CPU, of the same images.
        test_time_augmentation: `mirror`, `translate` or `mirror_translate`, where the logits of test images are means
            over these views of them; else None.
        load_time: s, of moving the images to the device.
        initial_time: s, see `bench.training.initial`; None where the network takes nothing from the images.
        warm_up_time: s, see `bench.training.warm_up`; None where there was none.
        compile_time: s, see `bench.training.compiling`; None where nothing was compiled.
        started: what `before` returned, of the first process where a checkpoint was gone on from.
        ended: what `after` returned.
        last: what `last` returned.
        resumed_from: epochs that a checkpoint had already done; None for a training in one go.
        checkpoint_ignored: why a checkpoint that was there was not used.
    """

    train_loss: list[float] = field(default_factory=list)
    train_error: list[float] = field(default_factory=list)
    test_loss: list[float] = field(default_factory=list)
    test_top1: list[float] = field(default_factory=list)
    test_top5: list[float] | None = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_top1: list[float] = field(default_factory=list)
    epoch_time: list[float] = field(default_factory=list)
    eval_time: list[float] = field(default_factory=list)
    logits: Tensor | None = None
    labels: Tensor | None = None
    test_time_augmentation: str | None = None
    load_time: float = 0.0
    initial_time: float | None = None
    warm_up_time: float | None = None
    compile_time: float | None = None
    started: Any = None
    ended: Any = None
    last: Any = None
    resumed_from: int | None = None
    checkpoint_ignored: str | None = None

    def add(
        self, loss: float, error: float, seen: Seen | None, held: Seen | None, *, times: tuple[float, float]
    ) -> None:
        """Take in what an epoch showed of the training, the test and the validation images, and its two times in s."""
        self.epoch_time.append(times[0])
        self.eval_time.append(times[1])
        self.train_loss.append(loss)
        self.train_error.append(error)
        self.test_loss.append(seen.loss if seen else math.nan)
        self.test_top1.append(seen.top1 if seen else math.nan)
        if self.test_top5 is not None:
            self.test_top5.append(seen.top5 if seen else math.nan)
        if held is not None:
            self.val_loss.append(held.loss)
            self.val_top1.append(held.top1)
        if seen is not None:
            self.logits, self.labels = seen.logits, seen.labels
