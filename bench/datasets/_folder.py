"""Folders of images: a folder for each class, found by looking at names and sizes alone."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import median_low

import torch
from torch import Tensor

from bench.datasets._images import Dataset, Files, Images, Split, choose
from bench.errors import UnsupportedError
from bench.plan.card import DatasetCard

NATIVE = 224  # px, at most: what the networks for photographs take
SAMPLE = 16  # files whose headers are read for the channels and the size
TEST_SHARE = 0.2  # of a folder that is not split
ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")  # torchvision's
TRAINING = ("train", "training", "trainset", "train_set", "training_set")
TESTING = (
    "test",
    "testing",
    "testset",
    "test_set",
    "val",
    "valid",
    "validation",
    "val_set",
    "validation_set",
)
LAYOUT = "put the images of each class into a folder of its own: PATH/train/CLASS/ and PATH/test/CLASS/"

# Of ImageNet's training images, as torchvision's and timm's networks use them.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

Listing = dict[str, list[str]]  # the files of each class, in order


@dataclass(frozen=True)
class Folder:
    """What lies in a folder of images.

    Attributes:
        classes: names in the order of the labels.
        files: paths of each split.
        labels: [N] int64 of each split.
        sha256: of the files' relative names and their sizes; other images have another.
        note: what was taken, and what was left out.
    """

    classes: tuple[str, ...]
    files: dict[Split, tuple[str, ...]]
    labels: dict[Split, Tensor]
    sha256: str
    note: str


def folder_dataset(name: str, path: Path, size: int | None = None) -> Dataset:
    """Return the data set of the images below `path`.

    The images are decoded to squares of `size` px, and cropped at random from a border of an eighth of it.

    Args:
        name: how it is asked for.
        path: holds a folder for training and one for testing (see `TRAINING` and `TESTING`, in any case of letters)
            with a folder for each class; or the classes' folders, of which a fifth, always the same, is for testing.
        size: px; None is the images' own, at most 224.

    Raises:
        UnsupportedError: if there are no such folders, or they do not suit.
    """
    folder = scan(path)
    channels, native = _form(folder.files["train"])
    size = size or native
    return Dataset(
        card=DatasetCard(
            name=name,
            num_classes=len(folder.classes),
            in_channels=channels,
            size=size,
            train=len(folder.files["train"]),
            test=len(folder.files["test"]),
            source=f"the folder {path}",
            flip=True,
            in_files=True,
            sha256=folder.sha256,
            note=folder.note,
        ).at(size),
        load=partial(_load, folder, channels, size),
        mean=MEAN if channels == 3 else (sum(MEAN) / 3,),
        std=STD if channels == 3 else (sum(STD) / 3,),
        class_names=folder.classes,
    )


def _load(folder: Folder, channels: int, size: int, root: Path, split: Split) -> Images:  # noqa: ARG001
    files = Files(folder.files[split], channels, size)
    return Images(files[:] if files.fits_memory else files, folder.labels[split])


def scan(path: Path) -> Folder:
    """Read the names and the sizes of the files below `path`; no image is opened.

    Raises:
        UnsupportedError: if there is nothing to train on and to test, or the two do not agree.
    """
    if not path.is_dir():
        raise UnsupportedError(f"there is no folder {path}", LAYOUT)
    left_out: Counter[str] = Counter()
    parts = _parts(path, left_out)
    listings = parts or _cut(_listing(path, left_out))
    train, test = listings["train"], listings["test"]
    for first, second, purpose in ((train, test, "test"), (test, train, "training")):
        if missing := sorted(first.keys() - second.keys()):
            raise UnsupportedError(f"{path} has no {purpose} images of class {missing[0]}", LAYOUT)
    if len(train) < 2:
        raise UnsupportedError(f"{path} has one class, {next(iter(train))}: nothing to tell apart", LAYOUT)
    return Folder(
        classes=tuple(train),
        files={split: tuple(chain(*listing.values())) for split, listing in listings.items()},
        labels={split: _labels(listing) for split, listing in listings.items()},
        sha256=_fingerprint(path, listings),
        note=_note(path, listings, bool(parts), left_out),
    )


def _note(path: Path, listings: dict[Split, Listing], parts: bool, left_out: Counter[str]) -> str:
    """Return one line on what was taken and what was left out."""
    taken = []
    for listing, purpose, share in zip(
        listings.values(), ("to train on", "to test"), ("four fifths", "a fifth"), strict=True
    ):
        place = f"of {_top(path, listing)}/" if parts else share
        taken.append(f"{sum(map(len, listing.values())):,} images {purpose} ({place})")
    rest = ", ".join(f"{what} ({count:,})" for what, count in sorted(left_out.items()) if count)
    return f"{len(listings['train'])} classes, {' and '.join(taken)}" + (
        f"; left out: {rest}" if rest else ""
    )


def _top(path: Path, listing: Listing) -> str:
    """Return the folder right below `path` that the files of a split lie in."""
    return Path(os.path.relpath(next(chain(*listing.values())), path)).parts[0]


def _parts(path: Path, left_out: Counter[str]) -> dict[Split, Listing] | None:
    """Return the files of a folder that is split; None for one that holds the classes.

    A folder called `train` that holds images and no folders is a class.

    Raises:
        UnsupportedError: if there is something to train on, and nothing to test.
    """
    by_name = {folder.name.lower(): folder for folder in _folders(path, Counter())}
    trains, tests = ([by_name[n] for n in names if n in by_name] for names in (TRAINING, TESTING))
    tests = [folder for folder in tests if _folders(folder, Counter())]
    if not trains or not (tests or _folders(trains[0], Counter())):
        return None
    train = trains[0]
    if not _folders(train, Counter()):
        raise UnsupportedError(f"{train} holds no folders, one for each class", LAYOUT)
    if not tests:
        raise UnsupportedError(
            f"{path} has {train.name}, and neither test nor val with a folder for each class",
            f"add one ({', '.join(TESTING)}), or name {train} itself: a fifth of it is then for testing",
        )
    test = tests[0]
    for folder in _folders(path, left_out):
        if folder not in (train, test):
            left_out[f"folder {folder.name}/"] += 1
    return {"train": _listing(train, left_out), "test": _listing(test, left_out)}


def _cut(whole: Listing) -> dict[Split, Listing]:
    """Return the files of a folder that is not split: a fifth of each class for testing, always the same."""
    train: Listing = {}
    test: Listing = {}
    for name, files in whole.items():
        if len(files) == 1:
            raise UnsupportedError(
                f"class {name} has a single image, {files[0]}: training and test need one each",
                "add images, or remove the class",
            )
        count = max(1, round(TEST_SHARE * len(files)))
        tested = set(choose(torch.zeros(len(files), dtype=torch.int64), count, seed=0).tolist())
        train[name] = [f for i, f in enumerate(files) if i not in tested]
        test[name] = [f for i, f in enumerate(files) if i in tested]
    return {"train": train, "test": test}


def _listing(path: Path, left_out: Counter[str]) -> Listing:
    """Return the image files of each folder in `path`, in the order of torchvision's `ImageFolder`.

    Raises:
        UnsupportedError: if there are no folders, or one of them has no images.
    """
    listing = {folder.name: sorted(_images(folder, left_out)) for folder in _folders(path, left_out)}
    if not listing:
        raise UnsupportedError(f"{path} holds no folders, one for each class", LAYOUT)
    for name, files in listing.items():
        if not files:
            raise UnsupportedError(
                f"class {name} is empty: no images in {path / name}",
                f"add images ({', '.join(ENDINGS)}), or remove the folder",
            )
    return listing


def _folders(path: Path, left_out: Counter[str]) -> list[Path]:
    """Return the folders in `path`, but for hidden ones, by name."""
    folders = sorted(f for f in path.glob("*") if f.is_dir())
    shown = [folder for folder in folders if not _is_hidden(folder.name)]
    left_out["hidden folders"] += len(folders) - len(shown)
    return shown


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _images(folder: Path, left_out: Counter[str]) -> Iterator[str]:
    """Yield the image files below a folder; of folders that links lead to again and again, those of the first way."""
    seen: set[tuple[int, int]] = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        place = os.stat(parent)  # noqa: PTH116
        if (place.st_dev, place.st_ino) in seen:
            folders.clear()
            left_out["links to folders that were met before"] += 1
            continue
        seen.add((place.st_dev, place.st_ino))
        left_out["hidden folders"] += sum(map(_is_hidden, folders))
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        for name in names:
            ending = os.path.splitext(name)[1].lower()  # noqa: PTH122
            if name.startswith(".") or name.lower() == "thumbs.db":
                left_out["hidden files"] += 1
            elif ending in ENDINGS:
                yield os.path.join(parent, name)  # noqa: PTH118 - a million of them, as text
            else:
                left_out[f"*{ending}" if ending else "files without an ending"] += 1


def _labels(listing: Listing) -> Tensor:
    counts = torch.tensor([len(files) for files in listing.values()])
    return torch.arange(len(listing)).repeat_interleave(counts)


def _fingerprint(path: Path, listings: dict[Split, Listing]) -> str:
    """Return the SHA-256 of a line for each file: split, name below `path`, size in bytes."""
    digest = hashlib.sha256()
    for split, listing in listings.items():
        for files in listing.values():
            for file in files:
                name = os.path.relpath(file, path)
                digest.update(f"{split}\t{name}\t{os.stat(file).st_size}\n".encode())  # noqa: PTH116
    return digest.hexdigest()


def _form(files: Sequence[str]) -> tuple[int, int]:
    """Return the channels and the native size in px of images, from the headers of a few.

    They are grey where all of these are. A file that is not an image is left for the decoder to name.
    """
    from PIL import Image

    grey, sides = [], []
    for file in files[:: max(1, len(files) // SAMPLE)]:
        try:
            with Image.open(file) as image:
                grey.append(image.mode in {"1", "L", "LA"})
                sides.append(min(image.size))
        except Exception:  # Pillow raises many kinds
            continue
    return (1 if grey and all(grey) else 3), min(NATIVE, median_low(sides) if sides else NATIVE)
