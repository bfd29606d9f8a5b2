"""What decides a training: its settings, made once from the job, its images, its precision and its random numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from bench.datasets import Dataset, Images
from bench.errors import UnsupportedError
from bench.plan.recipe import Recipe
from bench.training._batches import Shape

LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """The settings of a training; those that are not told here are those of a job, see `bench.tasks.accuracy`.

    Attributes:
        validation_share: of the training images that are held back, and looked at after every epoch; None is none.
        seed: of order, augmentation and the network's own noise; the initial parameters are the caller's.
        device: where everything happens; of several ranks, the first one's.
        input_size: S; images of another size are resized.
        in_channels: C; grey images are repeated for three.
        precision: fp32, tf32, amp_bf16 or amp_fp16.
        checkpoint: file to go on from, and to write after the last epoch, after others at most every
            `bench.training._checkpoint._EVERY_S`, and where `Callbacks.on_epoch` raises; None for none.
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
    """The images of a training: to train on, to report on, and those held back to look at after every epoch."""

    dataset: Dataset
    train: Images
    test: Images
    validation: Images | None = None


def check_trains(model: nn.Module) -> None:
    """Refuse a network in which there is nothing to train.

    Raises:
        UnsupportedError: if none of its parameters requires a gradient.
    """
    if not any(parameter.requires_grad for parameter in model.parameters()):
        message = "the network has no parameter that requires a gradient: there is nothing to train"
        raise UnsupportedError(message, "time its forward pass: --task infer")


# --- precision ---

AUTOCAST = {"amp_bf16": torch.bfloat16, "amp_fp16": torch.float16}
"""What torch.autocast casts to, by precision, wherever it is used; see `bench.plan.settings` for the names."""


def autocast(precision: str, device: torch.device | str) -> torch.autocast:
    """Return the context of a forward pass and its loss; parameters and gradients stay in fp32."""
    kind, dtype = torch.device(device).type, AUTOCAST.get(precision)
    return torch.autocast(kind, dtype=dtype or torch.bfloat16, enabled=dtype is not None)


_BACKENDS: Any = torch.backends  # some of whose parts are known to no type checker


def allow_tf32(*, products: bool, convolutions: bool) -> None:
    """Allow or forbid TF32 in CUDA's matrix products and convolutions; single precision on the CPU stays single.

    torch has two ways to say so, and the older one raises where the newer one (`fp32_precision`) said something else;
    what a network's file has set by either is gone after this.
    """
    onednn = _BACKENDS.mkldnn
    for part in (_BACKENDS, _BACKENDS.cudnn, onednn, onednn.conv, onednn.rnn):
        part.fp32_precision = "none"  # as the part above says, of which there is none here
    torch.set_float32_matmul_precision("high" if products else "highest")
    _BACKENDS.cudnn.allow_tf32 = convolutions


def is_tf32_allowed() -> dict[str, bool]:
    """Return what `allow_tf32` takes, however it was set."""
    parts = {"products": _BACKENDS.cuda.matmul, "convolutions": _BACKENDS.cudnn.conv}
    return {name: part.fp32_precision == "tf32" for name, part in parts.items()}


@contextmanager
def with_threads(count: int | None) -> Iterator[None]:
    """Let torch use so many threads of the CPU inside the block; None leaves its count."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


# --- random numbers: one seed becomes independent streams, so that a change of one use leaves the others alone ---


@dataclass(frozen=True, slots=True)
class _Seeds:
    """A seed for each use of random numbers in a training.

    Attributes:
        init: of the initial parameters.
        order: of the images within an epoch.
        augment: of crops, flips and cutouts.
        noise: of what the network draws itself, such as dropout.
    """

    init: int
    order: int
    augment: int
    noise: int


def streams(seed: int) -> _Seeds:
    """Return independent seeds, each below 2**63, derived from `seed` by NumPy's `SeedSequence.spawn`."""
    children = np.random.SeedSequence(seed).spawn(4)
    # 63 bits: torch takes 64, but a signed number survives JSON readers and logs.
    return _Seeds(*(int(child.generate_state(1, np.uint64)[0] >> np.uint64(1)) for child in children))
