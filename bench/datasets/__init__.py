"""Data sets: images and labels as whole tensors, checked when they are read.

A data set is added to `DATASETS` by its file; ``imagefolder:PATH`` names any folder of images.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from bench.datasets import _places
from bench.datasets._images import Dataset, Files, Images, Split, hold_back, subset
from bench.errors import UnsupportedError
from bench.io import cache_folder, expanded
from bench.plan.card import DatasetCard
from bench.registry import Registry

__all__ = [
    "DATASETS",
    "Dataset",
    "Files",
    "Images",
    "Split",
    "check_same",
    "data_root",
    "fetch",
    "find",
    "folder_of",
    "hold_back",
    "is_here",
    "is_known",
    "read",
    "subset",
]

_FOLDER = "imagefolder:"  # before the path of a folder of images

DATASETS: Registry[Dataset] = Registry("data set", "bench.datasets")


def data_root() -> Path:
    """Return the folder of the data sets: the environment's BENCH_DATA, or ~/.cache/bench/data."""
    return cache_folder("BENCH_DATA", "data")


def is_known(name: str) -> bool:
    """Return whether a name is of a data set here, or of the form ``imagefolder:PATH``."""
    return name.startswith(_FOLDER) or name in DATASETS


def folder_of(name: str) -> Path | None:
    """Return the folder of a name ``imagefolder:PATH``; None for any other name.

    Raises:
        UnsupportedError: if it names none.
    """
    if name == _FOLDER:
        raise UnsupportedError(f"{_FOLDER} names no folder", f"write {_FOLDER}PATH")
    return expanded(name.removeprefix(_FOLDER)) if name.startswith(_FOLDER) else None


def find(name: str, size: int | None = None) -> Dataset:
    """Return the data set called `name`; of one in files, with the counts and classes of the files that are there.

    Args:
        name: a registered name, or ``imagefolder:PATH``.
        size: px of the squares to which images in files are decoded; None is their own size, at most 224.

    Raises:
        UnknownNameError: if no data set is called so.
        UnsupportedError: if a folder is not there, or does not suit.
    """
    if (folder := folder_of(name)) is not None:
        from bench.datasets._folder import folder_dataset

        return folder_dataset(name, folder, size)
    dataset, root = DATASETS.get(name), data_root()
    if dataset.at:
        dataset = dataset.at(root, size)
    place = dataset.kept.find(root) if dataset.kept else None
    if place is None or place.is_relative_to(root):
        return dataset
    note = "; ".join(filter(None, [dataset.card.note, f"read from {place}"]))
    return replace(dataset, card=replace(dataset.card, note=note))


def is_here(name: str) -> bool:
    """Return whether the files of a data set, called by its registered name, are on this machine, or it needs none."""
    kept = DATASETS.get(name).kept
    return kept is None or kept.find(data_root()) is not None


def fetch(name: str) -> None:
    """Bring the files of a data set, called by its registered name, into the user's data folder where they are missing.

    Raises:
        UnsupportedError: if they cannot be had.
    """
    if kept := DATASETS.get(name).kept:
        _places.fetch(kept, data_root())


def read(dataset: Dataset, split: Split) -> Images:
    """Read a split of a data set, as `find` returns it, and check it against its card.

    Raises:
        UnsupportedError: if it is not here, or is not what its card says.
    """
    name, root = dataset.card.name, data_root()
    images = dataset.load(root, split)
    problem = _mismatch(images, dataset.card, split)
    if problem is None:
        return images
    if name.startswith(_FOLDER):
        raise UnsupportedError(f"the {split} images of {name}: {problem}", "look at a few of them")
    place = dataset.kept.find(root) if dataset.kept else root
    message = f"the {split} images of {name} are not as declared: {problem}"
    raise UnsupportedError(message, f"remove its files from {place} so that they are fetched anew")


def check_same(name: str, planned: str | None, here: str | None) -> None:
    """Check that the images of a folder are those that a job was planned for, by their fingerprints.

    Raises:
        UnsupportedError: if they are others.
    """
    if planned is not None and here != planned:
        message = f"the images of {name} are not those that the job was planned for: files there have changed"
        raise UnsupportedError(message, "give the command again, which plans with what lies there then")


def _mismatch(data: Images, card: DatasetCard, split: Split) -> str | None:
    """Return the first way in which `data` differs from the card, or None."""
    images, labels = data.images, data.labels
    shape = (card.train if split == "train" else card.test, card.in_channels, card.size, card.size)
    if tuple(images.shape) != shape or images.dtype != torch.uint8:
        return f"images {_form(images)}, expected {list(shape)} uint8"
    if tuple(labels.shape) != shape[:1] or labels.dtype != torch.int64:
        return f"labels {_form(labels)}, expected {[shape[0]]} int64"
    classes = labels.unique().tolist()
    if classes != list(range(card.num_classes)):
        return (
            f"{len(classes)} classes from {classes[0]} to {classes[-1]}, expected 0 to {card.num_classes - 1}"
        )
    if isinstance(images, Tensor) and images.max() < 128:
        # Real sets use the full range; a loader that forgot to scale to 255 would train badly and quietly.
        return f"pixels from {images.min()} to {images.max()}, expected a range of 0 to 255"
    return None


def _form(tensor: Tensor | Files) -> str:
    return f"{list(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"
