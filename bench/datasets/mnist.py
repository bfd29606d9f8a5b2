"""MNIST: 70,000 handwritten digits of 28 px."""

from __future__ import annotations

from functools import partial

from bench.datasets import DATASETS, Dataset
from bench.datasets._idx import kept_as_idx, read_split
from bench.plan.card import DatasetCard

KEPT = kept_as_idx(
    "mnist",
    "MNIST",
    ("MNIST/raw", "MNIST", "mnist"),
    {"train": (5, 0, 4, 1, 9, 2, 1, 3, 1, 4), "test": (7, 2, 1, 0, 4, 1, 4, 9, 5, 9)},
)

DATASETS.add(
    "mnist",
    Dataset(
        card=DatasetCard(
            name="mnist",
            num_classes=10,
            in_channels=1,
            size=28,
            train=60_000,
            test=10_000,
            source="Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, Gradient-Based Learning Applied to "
            "Document Recognition, Proc. IEEE 86(11), 1998",
            pad=2,
            flip=False,  # a mirrored 2 is no 2
            cutout=0,
        ),
        load=partial(read_split, KEPT),
        kept=KEPT,
        mean=(0.1307,),
        std=(0.3081,),
        class_names=tuple("0123456789"),
    ),
)
