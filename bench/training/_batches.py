"""Batches: a split of uint8 images becomes float batches on the device, one at a time.

The split itself lies on the device, in memory, or in files, depending on its size; the batches are the same.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.datasets import Dataset, Files, Images
from bench.datasets.transforms import normalise
from bench.errors import UnsupportedError
from bench.training._augment import Augmentation, crop, cut_out, draw

Batch = tuple[Tensor, Tensor]  # images [B, C, S, S] float32, labels [B] int64
_DEVICE_SHARE = 0.25  # of a GPU's free memory, for each split; a larger one stays in the computer's


@dataclass(frozen=True)
class Shape:
    """The images that a network takes: `channels` of `size` x `size` px, in one of torch's memory formats."""

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
    """The batches of a split of a data set on a device, on which the whole of it lies if it fits.

    Raises:
        UnsupportedError: if the network's channels are neither the images', nor three for grey images.
    """

    def __init__(self, data: Images, dataset: Dataset, shape: Shape, size: int, device: torch.device) -> None:
        channels = dataset.card.in_channels
        if shape.channels != channels and (channels, shape.channels) != (1, 3):
            raise UnsupportedError(
                f"the network takes {shape.channels} channels, and images of {dataset.card.name} have {channels}",
                f"build it with in_channels={channels}",
            )
        self.data = data.to(device) if _fits(data, device) else data
        self.labels = data.labels.to(device)
        self.shape = shape
        self.size = size
        self.device = device
        self.mean = torch.tensor(dataset.mean, device=device)
        self.std = torch.tensor(dataset.std, device=device)

    def __len__(self) -> int:
        """Return the batches of a training epoch."""
        return math.ceil(self.trained / self.size)

    def in_order(self) -> Generator[Batch]:
        """Yield all images once, as they are."""
        labels = self.labels.split(self.size)
        for part, pixels in zip(labels, self._pixels(torch.arange(len(self.data))), strict=True):
            yield self.shape.fit(normalise(pixels, self.mean, self.std)), part

    def shuffled(
        self, augmentation: Augmentation, order_rng: torch.Generator, augment_rng: torch.Generator
    ) -> Generator[Batch]:
        """Yield an epoch: all images once, in new order and augmented, but for a last batch of one image."""
        augmentation = replace(augmentation, size=self.data.images.shape[-1])
        index = torch.randperm(len(self.data), generator=order_rng)
        draws = draw(index, augmentation, augment_rng).to(self.device)
        labels = self.labels[index.to(self.device)]
        starts = range(0, self.trained, self.size)
        for start, pixels in zip(starts, self._pixels(index[: self.trained]), strict=True):
            part = slice(start, start + len(pixels))
            all_of_them = torch.arange(len(pixels), device=self.device)
            crops = crop(pixels, all_of_them, draws[part], augmentation)
            images = cut_out(normalise(crops, self.mean, self.std), draws[part], augmentation.cutout)
            yield self.shape.fit(images), labels[part]

    def _pixels(self, index: Tensor) -> Iterator[Tensor]:
        """Yield the images at `index` [N] as uint8 on the device, a batch at a time."""
        images = self.data.images
        if isinstance(images, Files):
            batches = images.batches(index.split(self.size))
        else:
            batches = (images[part] for part in index.to(images.device).split(self.size))
        return (pixels.to(self.device, non_blocking=True) for pixels in batches)

    @property
    def trained(self) -> int:
        """Images of a training epoch.

        A last batch of one image is left out: it has no variance for batch normalisation to work with.
        """
        count = len(self.data)
        return count - 1 if count > self.size and count % self.size == 1 else count


def _fits(data: Images, device: torch.device) -> bool:
    """Return whether a split takes no more than `_DEVICE_SHARE` of the device's free memory."""
    if device.type != "cuda":
        return True
    return data.images.shape.numel() <= _DEVICE_SHARE * torch.cuda.mem_get_info(device)[0]
