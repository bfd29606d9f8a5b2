"""Imagenette: 13,394 photographs of ten easy classes of ImageNet, in files."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from bench.datasets import DATASETS, Dataset, Images, Split
from bench.datasets._folder import MEAN, NATIVE, STD, folder_dataset
from bench.datasets._torchvision import fetch
from bench.errors import UnsupportedError
from bench.plan.card import DatasetCard

# The first that is in the data folder is taken: one of the user's own, then torchvision's, the largest first.
FOLDERS = ("imagenette", "imagenette2", "imagenette2-320", "imagenette2-160")
SIZE = "320px"  # that is fetched, of the shorter side: enough for 224 px, and a fifth of the full size to download

CLASSES = {
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


def _at(root: Path, size: int | None) -> Dataset:
    """Return the data set of the files in the data folder; where there are none, as it is declared."""
    folder = next((root / name for name in FOLDERS if (root / name).is_dir()), None)
    if folder is None:
        declared = replace(DATASETS.get("imagenette"), load=partial(_download, size=size))
        return replace(declared, card=declared.card.at(size or NATIVE))
    dataset = folder_dataset("imagenette", folder, size)
    if dataset.class_names != tuple(CLASSES):
        raise UnsupportedError(
            f"{folder} has the classes {', '.join(dataset.class_names[:3])} ..., not Imagenette's ten",
            f"remove it, or ask for imagefolder:{folder}",
        )
    return replace(dataset, card=replace(dataset.card, source=SOURCE), class_names=tuple(CLASSES.values()))


def _download(root: Path, split: Split, *, size: int | None) -> Images:
    """Download, and read."""
    import torchvision.datasets

    download = partial(torchvision.datasets.Imagenette, root, size=SIZE, download=True)
    fetch(download, root, "imagenette", "imagenette")
    return _at(root, size).load(root, split)


SOURCE = (
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
            source=SOURCE,
            flip=True,
            cutout=0,
            in_files=True,
        ).at(NATIVE),
        load=partial(_download, size=None),
        mean=MEAN,
        std=STD,
        class_names=tuple(CLASSES.values()),
        at=_at,
    ),
)
