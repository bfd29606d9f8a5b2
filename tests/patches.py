"""A data set that is made here, a small network for it, and its training with any argument changed."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.datasets import Dataset, Images
from bench.plan.card import DatasetCard
from bench.plan.recipe import Augment, Recipe, _Triangle
from bench.training.config import FitConfig, Splits
from bench.training.fit import Callbacks, FitResult, fit

SIZE = 6
CLASSES = 8


def no_reader(root: Path, split: str) -> Images:
    raise AssertionError("these tests bring their images")


PATCHES = Dataset(
    card=DatasetCard(
        name="patches",
        num_classes=CLASSES,
        in_channels=1,
        size=SIZE,
        train=160,
        test=80,
        source="made here",
        pad=1,
        flip=True,
        cutout=2,
    ),
    load=no_reader,
    mean=(0.5,),
    std=(0.25,),
    class_names=tuple("abcdefgh"),
)
PLAIN = Recipe(
    name="plain",
    version=1,
    optimiser="sgd",
    batch_size=32,
    learning_rate=0.1,
    momentum=0.9,
    nesterov=True,
    weight_decay=5e-4,
    label_smoothing=0.1,
    schedule=_Triangle(warm_up=0.2, final=0.0),
    epochs=4,
)
STILL = Augment(pad=0, flip=False, cutout=0)


def recipe_with(**change: Any) -> Recipe:
    """Return the plain recipe with some keys changed."""
    return PLAIN.model_copy(update=change)


def patches(count: int, seed: int = 0) -> Images:
    """Return noisy images of a class each, told by where a bright patch of 2x2 px lies."""
    noise = torch.randint(0, 40, (count, 1, SIZE, SIZE), generator=torch.Generator().manual_seed(seed))
    labels = torch.arange(count) % CLASSES
    places = torch.eye(9)[labels].view(-1, 1, 3, 3).repeat_interleave(2, 2).repeat_interleave(2, 3)
    return Images((noise + 200 * places).to(torch.uint8), labels)


def network(channels: int = 1, size: int = SIZE, dropout: float = 0.0, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(8 * size**2, CLASSES),
    )


DATA = Splits(PATCHES, patches(160), patches(80, seed=1))
CONFIG = FitConfig(
    recipe=PLAIN,
    dataset="patches",
    epochs=4,
    seed=0,
    device=torch.device("cpu"),
    input_size=SIZE,
    in_channels=1,
)


def changed(data: Splits, config: FitConfig, change: dict[str, Any]) -> tuple[Splits, FitConfig, Callbacks]:
    """Return the arguments of `fit` with any of their fields changed."""
    rest = dict(change)
    of_data, of_config = (
        {f.name: rest.pop(f.name) for f in fields(thing) if f.name in rest} for thing in (data, config)
    )
    return replace(data, **of_data), replace(config, **of_config), Callbacks(**rest)


def trained(model: nn.Module | None = None, **change: Any) -> FitResult:
    """Train a small network on a few patches, with any field of the arguments of `fit` changed."""
    return fit(network() if model is None else model, *changed(DATA, CONFIG, change))


def curves(result: FitResult) -> tuple[Any, ...]:
    return result.train_loss, result.train_error, result.test_loss, result.test_top1, result.test_top5


class Spy(nn.Module):
    """Keeps what it is given."""

    def __init__(self, size: int, channels: int) -> None:
        super().__init__()
        self.net = network(channels, size)
        self.given: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.given.append(images)
        logits: Tensor = self.net(images)
        return logits
