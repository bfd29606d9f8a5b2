"""Data sets in MNIST's form: a file of images and one of labels for each split, packed with gzip or not.

The form is called IDX: two zero bytes, 8 for values of a byte, the count of dimensions, each dimension as four bytes,
the highest first, and the values. Y. LeCun, C. Cortes and C. Burges, The MNIST Database of Handwritten Digits.
"""

from __future__ import annotations

import gzip
import math
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from bench.datasets._images import Images, Split
from bench.datasets._places import Kept, by_torchvision, reading
from bench.errors import UnsupportedError

PARTS: dict[Split, str] = {"train": "train", "test": "t10k"}
PACKED = b"\x1f\x8b"

Begins = dict[Split, tuple[int, ...]]


def kept_as_idx(
    name: str, torchvision_name: str, folders: tuple[str, ...], begins: Begins, package: str = ""
) -> Kept:
    """Return how a data set in MNIST's form is kept.

    Args:
        name: of the data set.
        torchvision_name: of its class in `torchvision.datasets`.
        folders: see `Kept`.
        begins: the first labels of each split, which tell it from others, as their files have the same names.
        package: see `Kept`.
    """
    download, expression = by_torchvision(torchvision_name)
    return Kept(name, folders, partial(_lacking, begins), download, expression, package)


def read_split(kept: Kept, root: Path, split: Split) -> Images:
    """Read a split of a data set in MNIST's form.

    Raises:
        UnsupportedError: if it is not on this machine, or a file of it is damaged.
    """
    place = kept.find(root)
    if place is None:
        raise kept.missing(root)
    images, labels = (read_idx(_named(place, name)) for name in _names(split))
    return Images(images[:, None], labels.long())


def read_idx(file: Path | None) -> Tensor:
    """Return what a file holds, as uint8 of its shape.

    Raises:
        UnsupportedError: if it is damaged; it names the file.
    """
    if file is None:
        raise UnsupportedError("a file has gone while it was to be read", "run it again")
    with reading(file):
        content = file.read_bytes()
        if content.startswith(PACKED):
            content = gzip.decompress(content)
        start = 4 + 4 * content[3] if len(content) > 3 else 0
        if not content.startswith(b"\0\0\x08") or len(content) < start:
            raise ValueError("it does not begin as an IDX file of bytes does")
        shape = [int.from_bytes(content[i : i + 4]) for i in range(4, start, 4)]
        if len(content) - start != math.prod(shape):
            raise ValueError(f"it has {len(content):,} bytes of {start + math.prod(shape):,}")
        return torch.frombuffer(bytearray(content), dtype=torch.uint8)[start:].view(shape)


def _names(split: Split) -> tuple[str, str]:
    return f"{PARTS[split]}-images-idx3-ubyte", f"{PARTS[split]}-labels-idx1-ubyte"


def _named(place: Path, name: str) -> Path | None:
    """Return the file of this name, in one of its usual spellings, not packed first; None where there is none."""
    spellings = (name, name.replace("-idx", ".idx"))
    files = (place / f"{spelling}{ending}" for ending in ("", ".gz") for spelling in spellings)
    return next((file for file in files if file.is_file()), None)


def _lacking(begins: Begins, place: Path) -> list[str] | None:
    """Return the names of the files that a place lacks; None where there are none, or another set's."""
    names = [name for split in PARTS for name in _names(split)]
    lacking = [name for name in names if _named(place, name) is None]
    others = any(_begin_otherwise(_named(place, _names(split)[1]), first) for split, first in begins.items())
    return None if len(lacking) == len(names) or others else lacking


def _begin_otherwise(file: Path | None, first: tuple[int, ...]) -> bool:
    """Return whether a file of labels is another set's; one that cannot be read will be told when it is needed."""
    if file is None:
        return False
    try:
        return read_idx(file)[: len(first)].tolist() != list(first)
    except UnsupportedError:
        return False
