"""CIFAR-10 and CIFAR-100: 60,000 colour images of 32 px each, of things and animals.

They lie as their authors publish them: batches of pickled arrays, in a folder or in its archive.
"""

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

from bench.datasets import DATASETS, Dataset
from bench.datasets._images import Images, Split
from bench.datasets._places import Kept, by_torchvision, reading
from bench.plan.card import DatasetCard

_SOURCE = "A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, University of Toronto, 2009"
_CLASSES = "airplane automobile bird cat deer dog frog horse ship truck"
_FINE_CLASSES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard
lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear
pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark
shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone
television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""


def _read_split(kept: Kept, torchvision_name: str, root: Path, split: Split) -> Images:
    """Read a split of a CIFAR data set; an archive is read without being unpacked.

    Raises:
        UnsupportedError: if it is not on this machine, or a file of it is damaged.
    """
    batches = _read_batches(kept.found(root), _sums(torchvision_name, split))
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


def _batch(name: str, content: bytes, md5: str) -> dict[str, object]:
    """Return a batch; its sum is checked before it is unpickled, as that may run any code.

    Raises:
        ValueError: if it is not as it was published.
    """
    actual = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if actual != md5:
        raise ValueError(f"{name} is not as it was published: {len(content):,} bytes of MD5 {actual}")
    batch: dict[str, Any] = pickle.loads(content, encoding="latin1")
    return batch


def _add(
    name: str,
    torchvision_name: str,
    folder: str,
    archive: str,
    *,
    classes: str,
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> None:
    """Register a data set; its class in torchvision has the names and MD5 sums of its files."""
    download, expression = by_torchvision(torchvision_name)
    kept = Kept(name, (folder, archive), partial(_lacking, torchvision_name), download, expression)
    names = tuple(classes.split())
    card = DatasetCard(
        name=name,
        num_classes=len(names),
        in_channels=3,
        size=32,
        train=50_000,
        test=10_000,
        source=_SOURCE,
        pad=4,
        flip=True,
        cutout=8,
    )
    load = partial(_read_split, kept, torchvision_name)
    DATASETS.add(name, Dataset(card=card, load=load, kept=kept, mean=mean, std=std, class_names=names))


_add(
    "cifar10",
    "CIFAR10",
    "cifar-10-batches-py",
    "cifar-10-python.tar.gz",
    classes=_CLASSES,
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2470, 0.2435, 0.2616),
)
_add(
    "cifar100",
    "CIFAR100",
    "cifar-100-python",
    "cifar-100-python.tar.gz",
    classes=_FINE_CLASSES,
    mean=(0.5071, 0.4865, 0.4409),
    std=(0.2673, 0.2564, 0.2762),
)
