"""Imagenette: 13,394 photographs of ten easy classes of ImageNet, in files."""

from __future__ import annotations

import tarfile
from dataclasses import replace
from pathlib import Path

from bench.datasets import DATASETS, Dataset, Images, Split
from bench.datasets._folder import NATIVE, folder_dataset
from bench.datasets._places import Kept, by_torchvision, data_folders, reading
from bench.datasets.transforms import MEAN, STD
from bench.errors import UnsupportedError
from bench.plan.card import DatasetCard

# The first that is in the data folder is taken: one of the user's own, then torchvision's, the largest first.
_FOLDERS = ("imagenette", "imagenette2", "imagenette2-320", "imagenette2-160")
_SIZE = "320px"  # that is fetched, of the shorter side: enough for 224 px, and a fifth of the full size to download

_CLASSES = {
    "n01440764": "tench",
    "n02102040": "English springer",
    "n02979186": "cassette player",
    "n03000684": "chain saw",
    "n03028079": "church",
    "n03394916": "French horn",
    "n03417042": "garbage truck",
    "n03425413": "gas pump",
    "n03445777": "golf ball",
    "n03888257": "parachute",
}


def _lacking(place: Path) -> list[str] | None:
    """Return no name for a folder that is called so, or is like it; what it holds is looked at when it is taken."""
    named = place.name in _FOLDERS or (place / "train" / next(iter(_CLASSES))).is_dir()
    return [] if named and place.is_dir() else None


def _bring(draft: Path, root: Path) -> None:
    """Unpack an archive that lies in a data folder; where there is none, download."""
    names = [f"{name}{ending}" for name in _FOLDERS for ending in (".tgz", ".tar.gz")]
    files = (folder / name for folder in data_folders(root) for name in names)
    archive = next((file for file in files if file.is_file()), None)
    if archive is None:
        _DOWNLOAD(draft, root)
        return
    with reading(archive), tarfile.open(archive) as members:
        members.extractall(draft, filter="data")


_DOWNLOAD, _EXPRESSION = by_torchvision("Imagenette", size=_SIZE)
_KEPT = Kept("imagenette", _FOLDERS, _lacking, _bring, _EXPRESSION)


def _at(root: Path, size: int | None) -> Dataset:
    """Return the data set of the files that are on this machine; where there are none, as it is declared."""
    folder = _KEPT.find(root)
    if folder is None:
        declared = DATASETS.get("imagenette")
        return replace(declared, card=declared.card.at(size or NATIVE))
    dataset = folder_dataset("imagenette", folder, size)
    if dataset.class_names != tuple(_CLASSES):
        message = f"{folder} has the classes {', '.join(dataset.class_names[:3])} ..., not Imagenette's ten"
        raise UnsupportedError(message, f"remove it, or ask for imagefolder:{folder}")
    card = replace(dataset.card, source=_SOURCE)
    return replace(dataset, card=card, class_names=tuple(_CLASSES.values()), kept=_KEPT)


def _missing(root: Path, split: Split) -> Images:  # noqa: ARG001 (as every `load`)
    raise _KEPT.missing(root)


_SOURCE = (
    "J. Howard, Imagenette, fast.ai, 2019; from J. Deng et al., ImageNet: A Large-Scale Hierarchical Image "
    "Database, CVPR 2009"
)

DATASETS.add(
    "imagenette",
    Dataset(
        card=DatasetCard(
            name="imagenette",
            num_classes=10,
            in_channels=3,
            size=NATIVE,
            train=9469,
            test=3925,
            source=_SOURCE,
            flip=True,
            cutout=0,
            in_files=True,
        ).at(NATIVE),
        load=_missing,
        mean=MEAN,
        std=STD,
        class_names=tuple(_CLASSES.values()),
        at=_at,
        kept=_KEPT,
    ),
)
