"""Images to evaluate on: one split of a data set, whichever it lies in, not decoded, with its classes.

A folder need not have images to train on: ``PATH/val/CLASS/`` and ``PATH/CLASS/`` will both do.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.datasets import data_root, find, folder_of, read
from bench.datasets._fingerprint import File, fingerprint
from bench.datasets._folder import (
    TESTING,
    TRAINING,
    Tree,
    check_folder,
    labels_of,
    plain_key,
    scan,
    shown,
    told,
)
from bench.datasets._images import Files, Split
from bench.errors import UnsupportedError, listed, unknown_name
from bench.plan.card import DatasetCard

_LAYOUT = "put the images of each class into a folder of its own: PATH/val/CLASS/ or PATH/CLASS/"
_SPLITS = {"val": TESTING, "test": TESTING, "train": TRAINING}


@dataclass(frozen=True, kw_only=True)
class EvaluationSet:
    """The images of a split, in a fixed order.

    Attributes:
        name: of the data set.
        images: paths of N files, or pixels [N, C, H, W] uint8.
        names: of each image, as text: its path below `folder`, or its number.
        numbers: [N] int64, of each image among all of the split, whichever of them are here.
        labels: [N] int64, numbers of `classes`.
        classes: names in the order of the labels.
        folder: in which the classes' folders lie; None where there is none.
        digest: returns the SHA-256 of the names, the sizes and the contents of the files; None where a data set of that
            name is always the same.
        note: what a reader should know of what was taken.
    """

    name: str
    images: tuple[str, ...] | Tensor
    names: tuple[str, ...]
    numbers: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    folder: Path | None = None
    digest: Callable[[], str] | None = None
    note: str = ""

    @cached_property
    def sha256(self) -> str | None:
        """What `digest` returns, once it is asked for."""
        return None if self.digest is None else self.digest()

    def __len__(self) -> int:
        return len(self.labels)

    def pick(self, index: Tensor) -> EvaluationSet:
        """Return the images at `index` [M] int64."""
        numbers = index.tolist()
        images = self.images
        return replace(
            self,
            images=images[index] if isinstance(images, Tensor) else tuple(images[i] for i in numbers),
            names=tuple(self.names[i] for i in numbers),
            numbers=self.numbers[index],
            labels=self.labels[index],
        )

    def limited(self, limit: int, seed: int) -> EvaluationSet:
        """Return so many of the images, in their old order, balanced over the classes; 0 is all of them."""
        return self.pick(_balanced(self.labels, limit, seed)) if 0 < limit < len(self) else self

    def card(self) -> DatasetCard:
        """Return what a plan must know of it."""
        return DatasetCard(
            name=self.name,
            num_classes=len(self.classes),
            in_channels=self.images.shape[1] if isinstance(self.images, Tensor) else 3,
            size=self.images.shape[-1] if isinstance(self.images, Tensor) else 1,
            train=0,
            test=len(self),
            source=self.name if self.folder is None else f"the folder {self.folder}",
            in_files=not isinstance(self.images, Tensor),
            sha256=self.sha256,
            note=self.note,
        )

    @classmethod
    def of(cls, name: str, split: str) -> EvaluationSet:
        """Return a split of a data set, called by a registered name or ``imagefolder:PATH``.

        Raises:
            UnknownNameError: if no data set is called so, or it has no such split.
            UnsupportedError: if it is not on this machine, or a folder does not suit.
        """
        if (folder := folder_of(name)) is not None:
            return _of_folder(name, folder, split)
        dataset, root = find(name), data_root()
        if split not in _SPLITS:
            raise unknown_name("split", split, _SPLITS)
        own: Split = "train" if split == "train" else "test"
        note = "its test images are for validation" if split == "val" else ""
        place = dataset.kept.find(root) if dataset.kept else None
        if place is None and (dataset.kept or dataset.card.in_files):
            dataset.load(root, own)  # says so itself
            raise UnsupportedError(f"{name} is not on this machine", f"put it into {root}")
        if dataset.card.in_files and place is not None:
            images_there = _of_folder(name, place, split)
            same = len(dataset.class_names) == len(images_there.classes)  # always the same, by its name
            return replace(images_there, digest=None) if same else images_there
        images = read(dataset, own)
        pixels = images.images[:] if isinstance(images.images, Files) else images.images
        return cls(
            name=name,
            images=pixels,
            names=tuple(map(str, range(len(images)))),
            numbers=torch.arange(len(images)),
            labels=images.labels,
            classes=dataset.class_names,
            digest=None if dataset.card.sha256 is None else partial(str, dataset.card.sha256),
            note=note,
        )


def _balanced(labels: Tensor, count: int, seed: int) -> Tensor:
    """Return the numbers [count], ascending, of images drawn at random: as many of each class as of any other.

    Where that does not come out even, or a class has fewer, it is drawn which classes have one more.
    """
    rng = np.random.default_rng(seed)
    known = labels.numpy()
    order = rng.permutation(len(known))
    ranks = np.empty(len(known), dtype=np.int64)  # of each image among those of its class
    for label in np.unique(known):
        of_class = order[known[order] == label]
        ranks[of_class] = np.arange(len(of_class))
    turns = rng.permutation(int(known.max()) + 1)[known]
    chosen = np.lexsort((turns, ranks))[:count]
    return torch.from_numpy(np.sort(chosen))


def _of_folder(name: str, path: Path, split: str) -> EvaluationSet:
    """Return the images below a folder, in the order of torchvision's `ImageFolder`."""
    check_folder(path, _LAYOUT)
    tree = Tree(str(path))
    place, notes = _place(tree, split)
    if place == tree.path and split == "test":
        return _tested_fifth(name, path)
    folders = tree.look(place).folders
    if not folders:
        raise UnsupportedError(f"{place} holds no folders, one for each class", _LAYOUT)
    files: dict[str, list[File]] = {}
    for folder in folders:  # several may look alike, of one name that is written in several ways
        files.setdefault(shown(folder), []).extend(tree.images(f"{place}/{folder}", above={tree.path, place}))
    tree.count(place)
    if not any(files.values()):
        raise UnsupportedError(f"there are no images below {place}", _LAYOUT)
    if empty := [name for name, inner in files.items() if not inner]:
        notes.append(f"no images of {listed(empty)}")
    if left_out := told(tree.left_out):
        notes.append(f"not taken: {left_out}")
    all_files = [file for inner in files.values() for file in inner]
    relative = partial(os.path.relpath, start=place)
    return EvaluationSet(
        name=name,
        images=tuple(file.path for file in all_files),
        names=tuple(shown(relative(file.path)) for file in all_files),
        numbers=torch.arange(len(all_files)),
        labels=labels_of(files),
        classes=tuple(files),
        folder=Path(place),
        digest=partial(fingerprint, place, {"": all_files}),
        note="; ".join(notes),
    )


def _tested_fifth(name: str, path: Path) -> EvaluationSet:
    """Return the images of an unsplit folder that trainings are tested on, see `bench.datasets._folder.scan`."""
    folder = scan(path)
    files = folder.files["test"]
    names = tuple(shown(os.path.relpath(file, path)) for file in files)
    return EvaluationSet(
        name=name,
        images=files,
        names=names,
        numbers=torch.arange(len(files)),
        labels=folder.labels["test"],
        classes=folder.classes,
        folder=path,
        digest=partial(str, folder.sha256),
        note="it is not split: the fifth that trainings here are tested on",
    )


def _place(tree: Tree, split: str) -> tuple[str, list[str]]:
    """Return the folder that holds the classes of a split, and what should be told of the choice.

    Raises:
        UnknownNameError: if there are folders for splits, and none for this one.
        UnsupportedError: if the one for this split holds images, and no folders for their classes.
    """
    path = tree.path
    folders = {plain_key(folder): folder for folder in tree.look(path).folders}
    keys = [plain_key(split), *(key for key in _SPLITS.get(split, ()) if key != plain_key(split))]
    fits = [folders[key] for key in keys if key in folders]
    inner = [name for name in fits if tree.look(f"{path}/{name}").folders]
    if inner:
        own = f"{inner[0]}/ stands for {split}" if plain_key(inner[0]) != plain_key(split) else ""
        return f"{path}/{inner[0]}", [own] if own else []
    if (
        fits
        and folders.keys() <= {*TRAINING, *TESTING}
        and (flat := len(tree.look(f"{path}/{fits[0]}").images))
    ):
        raise UnsupportedError(
            f"{path}/{fits[0]} holds {flat:,} images, and no folder for each class", _LAYOUT
        )
    parts = [
        folders[key]
        for key in (*TRAINING, *TESTING)
        if key in folders and tree.look(f"{path}/{folders[key]}").folders
    ]
    if parts:
        raise unknown_name("split", split, parts, f"{path} has {', '.join(parts)}: --split chooses one")
    if split not in _SPLITS:
        raise unknown_name("split", split, (), f"{path} holds no folders for splits: leave --split out")
    return path, ["it is not split: all its images are taken"]
