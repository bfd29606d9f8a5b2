"""MNIST, 70,000 handwritten digits, and Fashion-MNIST, as many pieces of clothes: grey, of 28 px.

Both are in MNIST's form, IDX: a file of images and one of labels for each split, packed with gzip or not. A file has
two zero bytes, 8 for values of a byte, the count of dimensions, each as four bytes, the highest first, and the
values. Y. LeCun, C. Cortes and C. Burges, The MNIST Database of Handwritten Digits.
"""

from __future__ import annotations

import gzip
import math
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from bench.datasets import DATASETS, Dataset
from bench.datasets._images import Images, Split
from bench.datasets._places import Kept, by_torchvision, reading
from bench.errors import UnsupportedError
from bench.plan.card import DatasetCard

_PARTS: dict[Split, str] = {"train": "train", "test": "t10k"}
_PACKED = b"\x1f\x8b"

_Begins = dict[Split, tuple[int, ...]]


def _read_split(kept: Kept, root: Path, split: Split) -> Images:
    """Read a split of a data set in MNIST's form.

    Raises:
        UnsupportedError: if it is not on this machine, or a file of it is damaged.
    """
    place = kept.found(root)
    images, labels = (_read_idx(_named(place, name)) for name in _names(split))
    return Images(images[:, None], labels.long())


def _read_idx(file: Path | None) -> Tensor:
    """Return what a file holds, as uint8 of its shape.

    Raises:
        UnsupportedError: if it is damaged; it names the file.
    """
    if file is None:
        raise UnsupportedError("a file has gone while it was to be read", "run it again")
    with reading(file):
        content = file.read_bytes()
        if content.startswith(_PACKED):
            content = gzip.decompress(content)
        start = 4 + 4 * content[3] if len(content) > 3 else 0
        if not content.startswith(b"\0\0\x08") or len(content) < start:
            raise ValueError("it does not begin as an IDX file of bytes does")
        shape = [int.from_bytes(content[i : i + 4]) for i in range(4, start, 4)]
        if len(content) - start != math.prod(shape):
            raise ValueError(f"it has {len(content):,} bytes of {start + math.prod(shape):,}")
        return torch.frombuffer(bytearray(content), dtype=torch.uint8)[start:].view(shape)


def _names(split: Split) -> tuple[str, str]:
    return f"{_PARTS[split]}-images-idx3-ubyte", f"{_PARTS[split]}-labels-idx1-ubyte"


def _named(place: Path, name: str) -> Path | None:
    """Return the file of this name, in one of its usual spellings, not packed first; None where there is none."""
    spellings = (name, name.replace("-idx", ".idx"))
    files = (place / f"{spelling}{ending}" for ending in ("", ".gz") for spelling in spellings)
    return next((file for file in files if file.is_file()), None)


def _lacking(begins: _Begins, place: Path) -> list[str] | None:
    """Return the names of the files that a place lacks; None where there are none, or another set's."""
    names = [name for split in _PARTS for name in _names(split)]
    lacking = [name for name in names if _named(place, name) is None]
    others = any(_begin_otherwise(_named(place, _names(split)[1]), first) for split, first in begins.items())
    return None if len(lacking) == len(names) or others else lacking


def _begin_otherwise(file: Path | None, first: tuple[int, ...]) -> bool:
    """Return whether a file of labels is another set's; one that cannot be read will be told when it is needed."""
    if file is None:
        return False
    try:
        return _read_idx(file)[: len(first)].tolist() != list(first)
    except UnsupportedError:
        return False


def _add(
    name: str,
    torchvision_name: str,
    folders: tuple[str, ...],
    begins: _Begins,
    *,
    mean: float,
    std: float,
    class_names: tuple[str, ...],
    source: str,
    pad: int = 0,
    package: str = "",
) -> None:
    """Register a data set; the first labels of each split tell it from others, as their files have the same names."""
    download, expression = by_torchvision(torchvision_name)
    kept = Kept(name, folders, partial(_lacking, begins), download, expression, package)
    card = DatasetCard(
        name=name, num_classes=10, in_channels=1, size=28, train=60_000, test=10_000, source=source, pad=pad
    )
    load = partial(_read_split, kept)
    DATASETS.add(
        name, Dataset(card=card, load=load, kept=kept, mean=(mean,), std=(std,), class_names=class_names)
    )


_add(
    "mnist",
    "MNIST",
    ("MNIST/raw", "MNIST", "mnist"),
    {"train": (5, 0, 4, 1, 9, 2, 1, 3, 1, 4), "test": (7, 2, 1, 0, 4, 1, 4, 9, 5, 9)},
    mean=0.1307,
    std=0.3081,
    class_names=tuple("0123456789"),
    source="Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, Gradient-Based Learning Applied to Document Recognition, "
    "Proc. IEEE 86(11), 1998",
    pad=2,  # and no mirroring: a mirrored 2 is no 2
)
_add(
    "fashion_mnist",
    "FashionMNIST",
    ("FashionMNIST/raw", "FashionMNIST", "fashion-mnist", "fashion_mnist"),
    {"train": (9, 0, 0, 3, 0, 2, 7, 2, 5, 5), "test": (9, 2, 1, 1, 6, 1, 4, 6, 5, 7)},
    mean=0.2860,
    std=0.3530,
    class_names=(
        "t-shirt",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    ),
    source="H. Xiao, K. Rasul and R. Vollgraf, Fashion-MNIST, arXiv:1708.07747, 2017",
    # No border, since clothes fill the image, and no mirroring: shoes all point to the left. Chosen on a tenth of the
    # training images, held back: LeNet-5 reaches 90.3 % of them in five epochs (mean of three seeds); with a random
    # crop from 2 px of border 88.7 %, with mirrored images 90.1 %.
    package="dataset-fashion-mnist",
)
