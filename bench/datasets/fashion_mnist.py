"""Fashion-MNIST: 70,000 grey images of clothes of 28 px."""

from __future__ import annotations

from bench.datasets import DATASETS, Dataset
from bench.datasets._torchvision import reader
from bench.plan.card import DatasetCard

DATASETS.add(
    "fashion_mnist",
    Dataset(
        card=DatasetCard(
            name="fashion_mnist",
            num_classes=10,
            in_channels=1,
            size=28,
            train=60_000,
            test=10_000,
            source="H. Xiao, K. Rasul and R. Vollgraf, Fashion-MNIST, arXiv:1708.07747, 2017",
            pad=0,  # clothes fill the image; a crop of 2 px costs LeNet-5 a point in five epochs
            flip=False,  # shoes all point to the left; mirroring costs LeNet-5 half a point
            cutout=0,
        ),
        load=reader("fashion_mnist", "FashionMNIST", "FashionMNIST/raw"),
        mean=(0.2860,),
        std=(0.3530,),
        class_names=(
            "t-shirt",
            "trouser",
            "pullover",
            "dress",
            "coat",
            "sandal",
            "shirt",
            "sneaker",
            "bag",
            "ankle boot",
        ),
    ),
)
