"""What decides a training: its settings, made once from the job, and its images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from bench.datasets import Dataset, Images
from bench.plan.recipe import Recipe
from bench.training.batches import Shape

LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """The settings of a training.

    Attributes:
        recipe: how to train.
        dataset: name of the data set.
        train_images: how many of its training images are trained on; None is all of them.
        validation_share: of the training images that are held back, and looked at after every epoch; None is none.
        epochs: passes over the training images.
        seed: of order, augmentation and the network's own noise; the initial parameters are the caller's.
        device: where everything happens; of several ranks, the first one's.
        input_size: S; images of another size are resized.
        in_channels: C; grey images are repeated for three.
        precision: fp32, tf32, amp_bf16 or amp_fp16.
        memory_format: of images and parameters.
        backend: eager, or compiled.
        ranks: processes that share each batch, see `bench.training.parallel`.
        threads: of the CPU; None leaves torch's count.
        test_every: the test images are looked at after so many epochs, and after the last.
        target: top-1 accuracy, to measure the time until it is reached; None is none.
        checkpoint: file to go on from, and to write after the last epoch, after others at most every
            `bench.training.checkpoint.EVERY_S`, and where `Callbacks.on_epoch` raises; None for none.
        checkpoint_key: of this training; a checkpoint with another key is not used, and overwritten.
    """

    recipe: Recipe
    dataset: str
    train_images: int | None = None
    validation_share: float | None = None
    epochs: int
    seed: int
    device: torch.device
    input_size: int
    in_channels: int
    precision: str = "fp32"
    memory_format: Literal["contiguous", "channels_last"] = "contiguous"
    backend: str = "eager"
    ranks: int = 1
    threads: int | None = None
    test_every: int = 1
    target: float | None = None
    checkpoint: Path | None = None
    checkpoint_key: str = ""

    @property
    def shape(self) -> Shape:
        """The images that the network takes."""
        return Shape(self.in_channels, self.input_size, LAYOUTS[self.memory_format])


@dataclass(frozen=True)
class Splits:
    """The images of a training.

    Attributes:
        dataset: whose they are.
        train: to train on.
        test: to report on.
        validation: held back from `train`, and looked at after every epoch; a schedule may need them.
    """

    dataset: Dataset
    train: Images
    test: Images
    validation: Images | None = None
