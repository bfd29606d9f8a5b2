"""Digits: 1,797 handwritten digits of 8 px that come with scikit-learn; needs no download.

They are split by writers as far as the data tell them apart. The images lie form by form, some 130 to each: twelve
times the labels begin anew with 0 to 9 thrice over, as printed on the form, and forms whose beginning was lost stand
between. The last three forms are for testing. An image's nearest neighbour is of the same form in half of all cases, so
that a split which mixes forms tests on the writers that it was trained on: a linear model reaches 97 % of each fifth
image, and 91 % of the last three forms.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import torch

from bench.datasets import DATASETS, Dataset, Images, Split
from bench.errors import UnsupportedError
from bench.plan.card import DatasetCard

_TEST_FROM = 1415  # where the twelfth form begins; its writer and those after it are for testing alone


def _load(root: Path, split: Split) -> Images:  # noqa: ARG001 - they lie in scikit-learn, not in the data folder
    pixels, labels = _digits()
    mine = slice(_TEST_FROM, None) if split == "test" else slice(_TEST_FROM)
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


DATASETS.add(
    "digits",
    Dataset(
        card=DatasetCard(
            name="digits",
            num_classes=10,
            in_channels=1,
            size=8,
            train=1415,
            test=382,
            source="E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine "
            "Learning Repository, 1998; its test part, as embedded in scikit-learn",
            pad=0,  # 1 px is an eighth of the image; tried, it costs every network accuracy
            flip=False,  # a mirrored 2 is no 2
            cutout=0,
            # Of images and labels, train before test: before, each fifth image was for testing.
            sha256="c66ecc1ff93624b40c5544ae8856736ea72de01d1643f5e4a7a00c4036918b49",
        ),
        load=_load,
        mean=(0.3055,),
        std=(0.3754,),
        class_names=tuple("0123456789"),
    ),
)
