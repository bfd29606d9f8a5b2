"""The two CIFAR data sets as their authors publish them: batches of pickled arrays, in a folder or in its archive."""

from __future__ import annotations

import hashlib
import pickle
import tarfile
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.datasets._images import Images, Split
from bench.datasets._places import Kept, by_torchvision, reading


def kept_as_batches(name: str, torchvision_name: str, folder: str, archive: str) -> Kept:
    """Return how a CIFAR data set is kept.

    Args:
        name: of the data set.
        torchvision_name: of its class in `torchvision.datasets`, which has the names and MD5 sums of its files.
        folder: that its archive holds.
        archive: the archive's name.
    """
    download, expression = by_torchvision(torchvision_name)
    return Kept(name, (folder, archive), partial(_lacking, torchvision_name), download, expression)


def read_split(kept: Kept, torchvision_name: str, root: Path, split: Split) -> Images:
    """Read a split of a CIFAR data set; an archive is read without being unpacked.

    Raises:
        UnsupportedError: if it is not on this machine, or a file of it is damaged.
    """
    place = kept.find(root)
    if place is None:
        raise kept.missing(root)
    batches = _read_batches(place, _sums(torchvision_name, split))
    pixels = np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32)
    labels = [label for batch in batches for label in batch.get("labels") or batch["fine_labels"]]
    return Images(torch.from_numpy(pixels), torch.tensor(labels, dtype=torch.int64))


def _sums(torchvision_name: str, *splits: Split) -> dict[str, str]:
    """Return the MD5 sums of the files of these splits, by their names, in order."""
    import torchvision.datasets

    known = getattr(torchvision.datasets, torchvision_name)
    files = [file for split in splits for file in getattr(known, f"{split}_list")]
    return dict(files)


def _lacking(torchvision_name: str, place: Path) -> list[str] | None:
    """Return the names of the files that a folder lacks; what an archive lacks shows when it is read."""
    if place.is_file():
        return []
    names = list(_sums(torchvision_name, "train", "test"))
    lacking = [name for name in names if not (place / name).is_file()]
    return None if len(lacking) == len(names) else lacking


def _read_batches(place: Path, sums: dict[str, str]) -> list[dict[str, Any]]:
    """Return the batches of these names, in order."""
    if place.is_file():
        with reading(place):
            contents = _unpacked(place, sums)
            return [_batch(name, contents[name], md5) for name, md5 in sums.items()]
    batches = []
    for name, md5 in sums.items():
        with reading(place / name):
            batches.append(_batch(name, (place / name).read_bytes(), md5))
    return batches


def _unpacked(archive: Path, names: Collection[str]) -> dict[str, bytes]:
    """Return the contents of the files of these names.

    Raises:
        ValueError: if the archive lacks one.
    """
    contents: dict[str, bytes] = {}
    with tarfile.open(archive) as members:
        for member in members:
            name = Path(member.name).name
            file = members.extractfile(member) if name in names else None
            if file is not None:
                contents[name] = file.read()
    if lacking := set(names) - contents.keys():
        raise ValueError(f"it lacks {min(lacking)}")
    return contents


def _batch(name: str, content: bytes, md5: str) -> dict[str, Any]:
    """Return a batch; its sum is checked before it is unpickled, as that may run any code.

    Raises:
        ValueError: if it is not as it was published.
    """
    actual = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if actual != md5:
        raise ValueError(f"{name} is not as it was published: {len(content):,} bytes of MD5 {actual}")
    batch: dict[str, Any] = pickle.loads(content, encoding="latin1")
    return batch
