"""Batches: a split lies on the device as uint8, and becomes what the network takes one batch at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.datasets import Dataset, Images
from bench.errors import UnsupportedError
from bench.training.augment import Augmentation, cut_out, draw, normalise, take

Batch = tuple[Tensor, Tensor]  # images [B, C, S, S] float32, labels [B] int64


@dataclass(frozen=True)
class Shape:
    """What the network takes: `channels` of `size` px, in one of torch's memory formats."""

    channels: int
    size: int
    memory_format: torch.memory_format

    def fit(self, images: Tensor) -> Tensor:
        """Resize float images [B, C, H, W] (bilinear, no antialiasing) and repeat a single channel.

        It is done batch by batch: CIFAR-10 as uint8 takes 0.2 GB, and at 224 px it would take 9 GB.
        """
        if images.shape[-1] != self.size:
            images = F.interpolate(images, size=(self.size, self.size), mode="bilinear", align_corners=False)
        if images.shape[1] != self.channels:
            images = images.expand(-1, self.channels, -1, -1)
        return images.contiguous(memory_format=self.memory_format)


class Batches:
    """A split on its device.

    Args:
        data: the split.
        dataset: whose it is.
        shape: what the network takes.
        size: images a batch.
        device: where the split is put.

    Raises:
        UnsupportedError: if the network's channels are neither the images', nor three for grey images.
    """

    def __init__(self, data: Images, dataset: Dataset, shape: Shape, size: int, device: torch.device) -> None:
        own = dataset.card.in_channels
        if shape.channels != own and (own, shape.channels) != (1, 3):
            raise UnsupportedError(
                f"the network takes {shape.channels} channels, and images of {dataset.card.name} have {own}",
                f"build it with in_channels={own}",
            )
        self.data = data.to(device)
        self.shape = shape
        self.size = size
        self.mean = torch.tensor(dataset.mean, device=device)
        self.std = torch.tensor(dataset.std, device=device)

    def __len__(self) -> int:
        """Return the batches of a training epoch."""
        return math.ceil(self._trained / self.size)

    def in_order(self) -> Iterator[Batch]:
        """Yield all images once, as they are."""
        for part in _slices(len(self.data), self.size):
            yield self.shape.fit(self._floats(self.data.images[part])), self.data.labels[part]

    def shuffled(self, how: Augmentation, order: torch.Generator, chance: torch.Generator) -> Iterator[Batch]:
        """Yield an epoch: all images once, in new order and augmented, but for a last batch of one image."""
        device = self.mean.device
        index = torch.randperm(len(self.data), generator=order).to(device)
        draws = draw(len(self.data), how, chance).to(device)
        for part in _slices(self._trained, self.size):
            pixels = take(self.data.images, index[part], draws[part], how)
            images = cut_out(self._floats(pixels), draws[part], how.cutout)
            yield self.shape.fit(images), self.data.labels[index[part]]

    @property
    def _trained(self) -> int:
        """Images of a training epoch.

        A last batch of one image is left out: it has no variance for batch normalisation to work with.
        """
        count = len(self.data)
        return count - 1 if count > self.size and count % self.size == 1 else count

    def _floats(self, images: Tensor) -> Tensor:
        return normalise(images, self.mean, self.std)


def _slices(count: int, size: int) -> Iterator[slice]:
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))
