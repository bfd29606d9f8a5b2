"""CIFAR-10: 60,000 colour images of 32 px in ten classes of things and animals."""

from __future__ import annotations

from functools import partial

from bench.datasets import DATASETS, Dataset
from bench.datasets._cifar import kept_as_batches, read_split
from bench.plan.card import DatasetCard

KEPT = kept_as_batches("cifar10", "CIFAR10", "cifar-10-batches-py", "cifar-10-python.tar.gz")

DATASETS.add(
    "cifar10",
    Dataset(
        card=DatasetCard(
            name="cifar10",
            num_classes=10,
            in_channels=3,
            size=32,
            train=50_000,
            test=10_000,
            source="A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, "
            "University of Toronto, 2009",
            pad=4,
            flip=True,
            cutout=8,
        ),
        load=partial(read_split, KEPT, "CIFAR10"),
        kept=KEPT,
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2470, 0.2435, 0.2616),
        class_names=(
            "airplane",
            "automobile",
            "bird",
            "cat",
            "deer",
            "dog",
            "frog",
            "horse",
            "ship",
            "truck",
        ),
    ),
)
