"""What loading and augmenting costs a training: at least 95 % of the speed on one constant batch is promised.

python tests/benchmarks/loading.py [DATASET [RECIPE [ARCH]]]; the data lies in BENCH_DATA.
In turn: the harness; the same step on one batch that lies on the device; and the usual way, torchvision's data set
with its transforms in a DataLoader of two processes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from statistics import median
from typing import Any

import torch
from _side_by_side import in_turn, show
from torch import Tensor

from bench.archs.naming import resolve
from bench.datasets import Dataset, Images, data_root, find, read, subset
from bench.plan.recipe import Recipe
from bench.training._batches import Batches, Shape
from bench.training._learner import Learner
from bench.training.config import FitConfig

ROUNDS = 7
IMAGES = 1024  # an epoch; a few seconds of resnet20 on two cores
WORKERS = 2
TORCHVISION = {
    "cifar10": "CIFAR10",
    "cifar100": "CIFAR100",
    "mnist": "MNIST",
    "fashion_mnist": "FashionMNIST",
}


class Constant:
    """An epoch of one batch, again and again."""

    def __init__(self, batch: tuple[Tensor, Tensor], count: int) -> None:
        self.batch = batch
        self.count = count

    def __len__(self) -> int:
        return self.count

    def shuffled(self, *chance: object) -> Iterator[tuple[Tensor, Tensor]]:
        for _ in range(self.count):
            yield self.batch


class Usual:
    """An epoch as torchvision's examples write it."""

    def __init__(self, dataset: Dataset, count: int, batch_size: int, device: torch.device) -> None:
        import torchvision.datasets
        from torch.utils.data import DataLoader, Subset
        from torchvision import transforms

        steps = [
            transforms.RandomCrop(dataset.card.size, padding=dataset.card.pad),
            *([transforms.RandomHorizontalFlip()] if dataset.card.flip else []),
            transforms.ToTensor(),
            transforms.Normalize(dataset.mean, dataset.std),
            *([transforms.RandomErasing(1.0, (0.06, 0.06), (1, 1))] if dataset.card.cutout else []),
        ]
        kind = getattr(torchvision.datasets, TORCHVISION[dataset.card.name])
        images = kind(data_root(), train=True, transform=transforms.Compose(steps))
        self.device = device
        self.loader: Any = DataLoader(
            Subset(images, range(count)),
            batch_size=batch_size,
            shuffle=True,
            num_workers=WORKERS,
            persistent_workers=True,
            pin_memory=device.type == "cuda",
        )

    def __len__(self) -> int:
        return len(self.loader)

    def shuffled(self, *chance: object) -> Iterator[tuple[Tensor, Tensor]]:
        for images, labels in self.loader:
            yield (
                images.to(self.device, non_blocking=True),
                labels.to(self.device, non_blocking=True),
            )


def learner(arch: str, dataset: Dataset, recipe: Recipe, device: torch.device) -> Learner:
    card = dataset.card
    torch.manual_seed(0)
    model = resolve(arch).build(
        num_classes=card.num_classes, in_channels=card.in_channels, input_size=card.size
    )
    config = FitConfig(
        recipe=recipe,
        dataset=card.name,
        epochs=1,
        seed=0,
        device=device,
        input_size=card.size,
        in_channels=card.in_channels,
    )
    # So many steps that the schedule stays in its warm-up: nothing diverges.
    return Learner(model.to(device), config, card, steps=1_000_000)


def main(name: str = "fashion_mnist", recipe_name: str = "std", arch: str = "resnet20") -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dataset, recipe = find(name), Recipe.load(recipe_name)
    images: Images = subset(read(find(name), "train"), IMAGES // recipe.batch_size * recipe.batch_size)
    shape = Shape(dataset.card.in_channels, dataset.card.size, torch.contiguous_format)
    ours = Batches(images, dataset, shape, recipe.batch_size, device)
    ways: dict[str, Any] = {
        "one constant batch": Constant(next(ours.in_order()), len(ours)),
        "bench": ours,
        "torchvision and DataLoader": Usual(dataset, len(images), recipe.batch_size, device),
    }
    student = learner(arch, dataset, recipe, device)
    taken = in_turn({way: lambda b=b: student.train(b, 0) for way, b in ways.items()}, ROUNDS)
    print(f"{arch} on {name}, batches of {recipe.batch_size}, {device}, {torch.get_num_threads()} threads")
    best = taken["one constant batch"]
    for way, seconds in taken.items():
        show(way, [len(images) / s for s in seconds], "image/s")
        share = median(b / s for b, s in zip(best, seconds, strict=True))
        print(f"{'':40} {share:.1%} of one constant batch")


if __name__ == "__main__":
    main(*sys.argv[1:])
