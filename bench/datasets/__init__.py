"""Data sets: images and labels as whole tensors, checked when they are read.

A data set is one file that adds a `Dataset` to `DATASETS`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from bench.errors import UnsupportedError
from bench.plan.card import DatasetCard
from bench.registry import Registry

Split = Literal["train", "test"]


@dataclass(frozen=True)
class Images:
    """Images with their classes.

    Attributes:
        images: [N, C, H, W] uint8.
        labels: [N] int64, 0 to the count of classes - 1.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> Images:
        """Return the same images on `device`."""
        return Images(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A data set: its facts, how it is read, and which changes of a training image keep its class.

    Attributes:
        card: the declared facts.
        load: reads a split from the data folder, see `data_root`; called through `load` below, which checks.
        mean: of each channel of the training images, scaled to 0..1.
        std: of each channel of the training images, likewise.
        pad: px of reflected border for a random crop.
        flip: whether a mirrored image keeps its class.
        cutout: px of the side of the square that may be hidden.
        class_names: in the order of the labels.
    """

    card: DatasetCard
    load: Callable[[Path, Split], Images]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    pad: int
    flip: bool
    cutout: int
    class_names: tuple[str, ...]


DATASETS: Registry[Dataset] = Registry("data set", "bench.datasets")


def data_root() -> Path:
    """Return the folder of the data sets: the environment's BENCH_DATA, or ~/.cache/bench/data."""
    given = os.environ.get("BENCH_DATA")
    return Path(given).expanduser() if given else Path.home() / ".cache" / "bench" / "data"


def load(name: str, split: Split) -> Images:
    """Read a split of the data set called `name` and check it against its card.

    Raises:
        UnknownNameError: if no data set is called so.
        UnsupportedError: if it is not there and cannot be fetched, or is not what its card says.
    """
    dataset = DATASETS.get(name)
    images = dataset.load(data_root(), split)
    problem = mismatch(images, dataset.card, split)
    if problem:
        raise UnsupportedError(
            f"the {split} images of {name} are not as declared: {problem}",
            f"remove its files from {data_root()} so that they are fetched anew",
        )
    return images


def mismatch(data: Images, card: DatasetCard, split: Split) -> str | None:
    """Return the first way in which `data` differs from the card, or None."""
    images, labels = data.images, data.labels
    shape = (card.train if split == "train" else card.test, card.in_channels, card.size, card.size)
    if tuple(images.shape) != shape or images.dtype != torch.uint8:
        return f"images {_form(images)}, expected {list(shape)} uint8"
    if tuple(labels.shape) != shape[:1] or labels.dtype != torch.int64:
        return f"labels {_form(labels)}, expected {[shape[0]]} int64"
    found = labels.unique().tolist()
    if found != list(range(card.num_classes)):
        return f"{len(found)} classes from {found[0]} to {found[-1]}, expected 0 to {card.num_classes - 1}"
    if images.max() < 128:
        # Real sets use the full range; a loader that forgot to scale to 255 would train badly and quietly.
        return f"pixels from {images.min()} to {images.max()}, expected a range of 0 to 255"
    return None


def _form(tensor: Tensor) -> str:
    return f"{list(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"
