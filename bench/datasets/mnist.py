"""MNIST: 70,000 handwritten digits of 28 px."""

from __future__ import annotations

from bench.datasets import DATASETS, Dataset
from bench.datasets._torchvision import reader
from bench.plan.card import DatasetCard

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
        load=reader("mnist", "MNIST", "MNIST/raw"),
        mean=(0.1307,),
        std=(0.3081,),
        class_names=tuple("0123456789"),
    ),
)
