"""Placing: a network and its images on the job's device, in its precision and memory format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from bench.costs.fitting import dtype_taken
from bench.plan.job import Job
from bench.plan.settings import OfNetwork, Timed
from bench.plan.task import Hooks
from bench.training.config import AUTOCAST, LAYOUTS, autocast

# What weights and images are kept in; see `bench.plan.settings` for what the names mean.
DTYPES = {
    **dict.fromkeys(("fp32", "tf32", "int8", *AUTOCAST), torch.float32),
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}

_DRAWN = 64  # images; a larger batch repeats them, since the host is slow to draw and no kernel's time depends on it


class _Autocast(nn.Module):
    """A network under torch.autocast; the context is entered in each call, which casts the weights anew."""

    def __init__(self, model: nn.Module, job: Job[OfNetwork]) -> None:
        super().__init__()
        self.model = model
        self.precision, self.device = job.settings.precision, job.device

    def forward(self, images: Tensor) -> object:
        """Return what the network returns for images [B, C, H, W]."""
        with autocast(self.precision, self.device):
            return self.model(images)


def place(images: Tensor, job: Job[OfNetwork]) -> Tensor:
    """Return images [B, C, H, W] on the job's device, in its precision and memory format."""
    return images.to(job.device, DTYPES[job.settings.precision]).to(memory_format=_layout(job))


def place_network(model: nn.Module, job: Job[OfNetwork], hooks: Hooks) -> nn.Module:
    """Return a network on the job's device, in its precision and memory format.

    Only numbers of the type that its images have are cast: what its author keeps in another one, and casts images to in
    its forward, stays as it is. It is flagged `other_precision` where that is more than half of them.
    """
    dtype, shape = DTYPES[job.settings.precision], (2, job.in_channels, job.input_size, job.input_size)
    model = model.to(job.device)
    own = dtype_taken(model, shape, job.device)
    if own != dtype:
        model._apply(lambda tensor: tensor.to(dtype) if tensor.dtype == own else tensor)
    numbers = Counter[torch.dtype]()
    for tensor in (*model.parameters(), *model.buffers()):
        numbers[tensor.dtype] += tensor.numel() if tensor.is_floating_point() else 0
    if 2 * numbers[dtype] < numbers.total():
        hooks.flag("other_precision")
    return model if job.settings.memory_format == "contiguous" else model.to(memory_format=_layout(job))


def _layout(job: Job[OfNetwork]) -> torch.memory_format:
    return LAYOUTS[job.settings.memory_format]


def with_autocast(model: nn.Module, job: Job[OfNetwork]) -> nn.Module:
    """Return the network, under autocast where the job's precision asks for it."""
    return _Autocast(model, job) if job.settings.precision in AUTOCAST else model


def noise(job: Job[Timed]) -> Tensor:
    """Return normal noise [B, C, H, W], placed; the same for every network of this shape and seed.

    The images from the 65th on are the first 64 again, copied on the device: the host holds no more than those.
    """
    return _drawn(job, torch.Generator().manual_seed(job.seed))


def further_noise(job: Job[Timed], count: int) -> Iterator[Tensor]:
    """Yield batches of other noise, as many as hold so many images."""
    generator = torch.Generator().manual_seed(job.seed + 1)
    for _ in range(-(-count // job.settings.batch)):
        yield _drawn(job, generator)


def _drawn(job: Job[Timed], generator: torch.Generator) -> Tensor:
    batch = job.settings.batch
    shape = (min(batch, _DRAWN), job.in_channels, job.input_size, job.input_size)
    drawn = place(torch.randn(shape, generator=generator), job)
    if batch <= _DRAWN:
        return drawn
    layout = _layout(job)
    images = torch.empty((batch, *shape[1:]), dtype=drawn.dtype, device=drawn.device, memory_format=layout)
    for part in images.split(_DRAWN):
        part.copy_(drawn[: len(part)])
    return images
