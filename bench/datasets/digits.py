"""Digits: 1,797 handwritten digits of 8 px that come with scikit-learn; needs no download."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import torch

from bench.datasets import DATASETS, Dataset, Images, Split
from bench.errors import UnsupportedError
from bench.plan.card import DatasetCard


def _load(root: Path, split: Split) -> Images:  # noqa: ARG001 - they lie in scikit-learn, not in the data folder
    pixels, labels = _digits()
    mine = _is_test(labels) == (split == "test")
    images = np.rint(pixels[mine] * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    return Images(torch.from_numpy(images), torch.from_numpy(labels[mine]))


def _digits() -> tuple[np.ndarray, np.ndarray]:
    """Return pixels [1797, 64], 0 to 16, and labels [1797] int64: what scikit-learn's `load_digits` returns.

    The table is read from scikit-learn's folder, because importing scikit-learn takes a second and a half,
    which every training in a process of its own would pay.
    """
    package = importlib.util.find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise UnsupportedError("digits come with scikit-learn, which is missing", "pip install scikit-learn")
    file = Path(package.submodule_search_locations[0], "datasets", "data", "digits.csv.gz")
    table = np.loadtxt(file, delimiter=",", dtype=np.int64)
    return table[:, :-1], table[:, -1]


def _is_test(labels: np.ndarray) -> np.ndarray:
    """Return which images [N] are for testing: ordered by class, as they come within a class, each fifth.

    So every class has its share, all writers' runs of images are met, and no generator's version matters.
    """
    test = np.zeros(len(labels), dtype=bool)
    test[np.argsort(labels, kind="stable")[::5]] = True
    return test


DATASETS.add(
    "digits",
    Dataset(
        card=DatasetCard(
            name="digits",
            num_classes=10,
            in_channels=1,
            size=8,
            train=1437,
            test=360,
            source="E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine "
            "Learning Repository, 1998; its test part, as embedded in scikit-learn",
            pad=0,  # 1 px is an eighth of the image; tried, it costs every network accuracy
            flip=False,  # a mirrored 2 is no 2
            cutout=0,
        ),
        load=_load,
        mean=(0.3058,),
        std=(0.3761,),
        class_names=tuple("0123456789"),
    ),
)
