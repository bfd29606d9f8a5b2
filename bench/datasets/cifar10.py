"""CIFAR-10: 60,000 colour images of 32 px in ten classes of things and animals."""

from __future__ import annotations

from bench.datasets import DATASETS, Dataset
from bench.datasets._torchvision import reader
from bench.plan.card import DatasetCard

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
        load=reader("cifar10", "CIFAR10", "cifar-10-batches-py"),
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
