"""CIFAR-100: 60,000 colour images of 32 px in a hundred classes."""

from __future__ import annotations

from functools import partial

from bench.datasets import DATASETS, Dataset
from bench.datasets._cifar import kept_as_batches, read_split
from bench.plan.card import DatasetCard

FINE_CLASSES = tuple(
    """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard
lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear
pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark
shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone
television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
""".split()  # noqa: SIM905 - a hundred words read better as text
)

KEPT = kept_as_batches("cifar100", "CIFAR100", "cifar-100-python", "cifar-100-python.tar.gz")

DATASETS.add(
    "cifar100",
    Dataset(
        card=DatasetCard(
            name="cifar100",
            num_classes=100,
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
        load=partial(read_split, KEPT, "CIFAR100"),
        kept=KEPT,
        mean=(0.5071, 0.4865, 0.4409),
        std=(0.2673, 0.2564, 0.2762),
        class_names=FINE_CLASSES,
    ),
)
