"""Images with their classes, and parts of them in which every class keeps its share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from bench.datasets._files import Files
from bench.errors import UnsupportedError

Split = Literal["train", "test"]


@dataclass(frozen=True)
class Images:
    """Images with their classes.

    Attributes:
        images: [N, C, H, W] uint8; files that stand for such a tensor, where it would not fit into memory.
        labels: [N] int64, 0 to the count of classes - 1.
    """

    images: Tensor | Files
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> Images:
        """Return the same images on `device`; files stay files."""
        images = self.images if isinstance(self.images, Files) else self.images.to(device)
        return Images(images, self.labels.to(device))

    def pick(self, index: Tensor) -> Images:
        """Return the images at `index` [B] int64."""
        images = self.images.pick(index) if isinstance(self.images, Files) else self.images[index]
        return Images(images, self.labels[index])


def subset(images: Images, count: int, seed: int = 0) -> Images:
    """Return `count` of the images in their old order, the classes in their proportions, at least one of each.

    Args:
        images: all of them.
        count: how many to keep; all where there are no more.
        seed: of the choice within each class.

    Raises:
        UnsupportedError: if `count` is smaller than the count of classes.
    """
    return images.pick(choose(images.labels, count, seed)) if count < len(images) else images


def hold_back(images: Images, share: float, seed: int = 0) -> tuple[Images, Images]:
    """Return the images to train on and those held back, as good as in proportion, both in their old order.

    Every class keeps at least one image to train on; a class of very few may have none held back.

    Args:
        images: all of them.
        share: to be held back, above 0 and below 1.
        seed: of the choice within each class.

    Raises:
        UnsupportedError: if that leaves nothing on one of the two sides.
    """
    held = round(share * len(images))
    if not held:
        raise UnsupportedError(
            f"{share:g} of {len(images)} training images is none to hold back", "hold more back, or nothing"
        )
    kept = choose(images.labels, len(images) - held, seed)
    rest = torch.ones(len(images), dtype=torch.bool)
    rest[kept] = False
    return images.pick(kept), images.pick(rest.nonzero().flatten())


def choose(labels: Tensor, count: int, seed: int) -> Tensor:
    """Return the numbers [count] of images chosen by chance within each class, in ascending order.

    Args:
        labels: [N] int64.
        count: at most N, at least the count of classes.
        seed: of the choice.

    Raises:
        UnsupportedError: if `count` is smaller than the count of classes.
    """
    labels = labels.cpu()
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    found, sizes = labels.unique(return_counts=True)
    if count < len(found):
        raise UnsupportedError(
            f"{count} training images are too few for {len(found)} classes", f"ask for {len(found)} or more"
        )
    shares = quotas(sizes.tolist(), count)
    chosen = [order[labels[order] == c][:n] for c, n in zip(found.tolist(), shares, strict=True)]
    return torch.cat(chosen).sort().values


def quotas(sizes: list[int], count: int) -> list[int]:
    """Return how many of `count` each class of these sizes gets: in proportion, rounded, and at least one."""
    exact = [size * count / sum(sizes) for size in sizes]
    given = [max(1, int(share)) for share in exact]
    while sum(given) < count:
        given[max(range(len(given)), key=lambda i: exact[i] - given[i])] += 1
    while sum(given) > count:  # the ones that were given for nothing
        given[max((i for i, n in enumerate(given) if n > 1), key=lambda i: given[i] - exact[i])] -= 1
    return given
