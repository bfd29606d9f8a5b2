"""The ranks of a training: what each has of a batch, and what they tell each other; see `bench.training.parallel`."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Share:
    """What a rank has of a batch [B].

    Attributes:
        images: [n, C, S, S], the rank's.
        labels: [n].
        every: the images are every so many-th of the batch, 1 for all of them.
        first: from this one on.
        seen_by: ranks that have the very same images.
        size: B.
    """

    images: Tensor
    labels: Tensor
    every: int
    first: int
    seen_by: int
    size: int

    @property
    def weight(self) -> float:
        """What the mean over these images counts in the mean over the batch; over the ranks, it sums to 1."""
        return len(self.labels) / (self.size * self.seen_by)

    def spread(self, logits: Tensor) -> Tensor:
        """Return [B, K] with the rank's logits [n, K] in their places, so that the ranks' sum is the batch's."""
        if self.every == 1:
            return logits / self.seen_by
        whole = logits.new_zeros(self.size, logits.shape[1])
        whole[self.first :: self.every] = logits
        return whole


@dataclass(frozen=True, slots=True)
class Group:
    """The ranks of a training, seen from one of them; a training by one process is a group of one."""

    rank: int = 0
    count: int = 1

    def share(self, images: Tensor, labels: Tensor) -> Share:
        """Return the rank's part of a batch; batches with less than two images a rank are everyone's.

        One image has no variance for batch normalisation to work with.
        """
        size = len(labels)
        if self.count == 1 or size < 2 * self.count:
            return Share(images, labels, 1, 0, self.count, size)
        layout = torch.channels_last if _is_channels_last(images) else torch.contiguous_format
        part = images[self.rank :: self.count].contiguous(memory_format=layout)
        return Share(part, labels[self.rank :: self.count], self.count, self.rank, 1, size)

    def averaging(self, model: nn.Module, device: torch.device) -> nn.Module:
        """Return the network whose backward pass averages the gradients over the ranks."""
        if self.count == 1:
            return model
        ids = [device] if device.type == "cuda" else None
        averaging: nn.Module = nn.parallel.DistributedDataParallel(model, device_ids=ids)
        return averaging

    def total(self, values: Tensor) -> Tensor:
        """Return the sum over the ranks."""
        if self.count > 1:
            dist.all_reduce(values)
        return values

    def align(self, model: nn.Module) -> None:
        """Give every rank the running statistics of rank 0."""
        if self.count > 1:
            for buffer in model.buffers():
                dist.broadcast(buffer, 0)

    def device(self, base: torch.device) -> torch.device:
        """Return the rank's own device, where rank 0 has `base`."""
        return torch.device("cuda", (base.index or 0) + self.rank) if base.type == "cuda" else base


ALONE = Group()


def _is_channels_last(images: Tensor) -> bool:
    return images.is_contiguous(memory_format=torch.channels_last) and not images.is_contiguous()
