"""Images with their classes, in memory or in files; parts of them with every class in proportion; a data set.

Images in files are decoded all at once where they fit into memory, and batch by batch where not.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import psutil
import torch
from torch import Tensor
from torch.utils import data

from bench.datasets._places import Kept, one_line
from bench.errors import UnsupportedError
from bench.plan.card import DatasetCard
from bench.records.environment import usable_cores

if TYPE_CHECKING:
    from PIL.Image import Image

_MEMORY_SHARE = 0.25  # of the memory that is free, for each of the two splits; above it they stay files
_CHUNK = 32  # images that a worker decodes at a time, where the order does not matter

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


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A data set: its card, and how it is read.

    Attributes:
        card: what is declared of it.
        load: reads a split from the data folder, see `bench.datasets.data_root`; called by `bench.datasets.read`,
            which checks.
        mean: of each channel of the training images, scaled to 0..1.
        std: of each channel of the training images, scaled to 0..1.
        class_names: in the order of the labels.
        at: for a data set of files, how it lies in the data folder: its own counts, and its images decoded to
            squares of that many px (None: their own size). None for a data set whose images have one size.
        kept: how its files are looked for and fetched; None where they cannot be missing, or `load` sees to it.
    """

    card: DatasetCard
    load: Callable[[Path, Split], Images]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    class_names: tuple[str, ...]
    at: Callable[[Path, int | None], Dataset] | None = None
    kept: Kept | None = None


@dataclass(frozen=True)
class Files:
    """Image files that stand for a tensor [N, C, S, S] uint8; an index decodes what it asks for.

    Attributes:
        paths: of the N files.
        channels: C, 1 or 3; every image is converted to that number.
        size: S, px; the shorter side is resized to it, and the centre is kept.
    """

    paths: tuple[str, ...]
    channels: int
    size: int
    dtype = torch.uint8
    device = torch.device("cpu")

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def shape(self) -> torch.Size:
        """The form of the tensor that they stand for."""
        return torch.Size((len(self.paths), self.channels, self.size, self.size))

    @property
    def fits_memory(self) -> bool:
        """Whether all of them, decoded, take no more than `_MEMORY_SHARE` of the memory that is free."""
        return self.shape.numel() <= _MEMORY_SHARE * psutil.virtual_memory().available

    def __getitem__(self, index: Tensor | slice) -> Tensor:
        """Return the images [B, C, S, S] uint8 at `index`: numbers [B] int64, or a slice.

        Raises:
            UnsupportedError: as `batches` does.
        """
        numbers = torch.arange(len(self))[index]
        images = torch.empty((len(numbers), *self.shape[1:]), dtype=torch.uint8)
        if len(numbers):
            for part, batch in zip(images.split(_CHUNK), self.batches(numbers.split(_CHUNK)), strict=True):
                part.copy_(batch)
        return images

    def pick(self, index: Tensor) -> Files:
        """Return the files at `index` [B] int64, not decoded."""
        return replace(self, paths=tuple(self.paths[i] for i in index.tolist()))

    def batches(self, parts: Sequence[Tensor]) -> Iterator[Tensor]:
        """Decode in processes that work ahead, and yield the images [B, C, S, S] uint8 of each of `parts`: numbers [B].

        Raises:
            UnsupportedError: if a file cannot be decoded; it names the file.
        """
        import torchvision.transforms.v2  # noqa: F401 - seconds, once here rather than in every process

        loader = data.DataLoader(
            _Reader(self),
            batch_sampler=[part.tolist() for part in parts],
            num_workers=min(usable_cores(), len(parts)) if len(parts) > 1 else 0,
            collate_fn=_stack,
            # Forked, they start in milliseconds; each works with one thread, so no thread is missed.
            multiprocessing_context="fork" if sys.platform == "linux" and len(parts) > 1 else None,
            generator=torch.Generator(),  # not torch's own: the network's noise must not depend on the loading
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of Python 3.12, on forks beside threads
            batches = iter(loader)
        for batch in batches:
            if isinstance(batch, str):
                raise UnsupportedError(batch, "replace the file, or remove it")
            yield torch.from_numpy(batch)


class _Reader(data.Dataset["np.ndarray | str"]):
    """The files as torch's `DataLoader` wants them: an item is pixels [C, S, S], or what is wrong."""

    def __init__(self, files: Files) -> None:
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, number: int) -> np.ndarray | str:
        path = self.files.paths[number]
        try:
            return _decode(path, self.files.channels, self.files.size).numpy()
        except Exception as error:  # Pillow raises many kinds; each means that this is no sound image
            return f"{path} cannot be decoded: {one_line(error)}"


def _stack(items: Sequence[np.ndarray | str]) -> np.ndarray | str:
    """Return a batch, or the first complaint.

    Arrays travel through a pipe; tensors would need shared memory, of which a container may have little.
    """
    complaint = next((item for item in items if isinstance(item, str)), None)
    return complaint or np.stack([item for item in items if not isinstance(item, str)])


def in_mode(image: Image, mode: str) -> Image:
    """Return an image as RGB or grey, without transparency; which way up it was taken is not looked at.

    Raises:
        ValueError: if its pixels have more than 8 bits a channel, which Pillow would clip to white.
    """
    if image.mode.startswith(("I", "F")):
        raise ValueError(f"its pixels, of Pillow's mode {image.mode}, have more than 8 bits a channel")
    # A palette with transparency is asked for in full first: Pillow warns otherwise.
    return (image.convert("RGBA") if image.mode == "P" else image).convert(mode)


def _decode(path: str | Path, channels: int, size: int) -> Tensor:
    """Return an image as [C, S, S] uint8: its shorter side resized to S with antialiasing, the centre kept.

    Args:
        path: of the file.
        channels: C; 1 makes it grey, 3 makes it RGB.
        size: S, px.

    Raises:
        OSError: if it cannot be read; Pillow raises other errors too.
        ValueError: see `in_mode`.
    """
    import PIL.Image
    from torchvision.transforms.v2 import functional as transform

    with PIL.Image.open(path) as image:
        pixels = transform.pil_to_tensor(in_mode(image, "L" if channels == 1 else "RGB"))
    resized: Tensor = transform.resize(pixels, [size], antialias=True)
    centre: Tensor = transform.center_crop(resized, [size, size])
    return centre


def subset(images: Images, count: int, seed: int = 0) -> Images:
    """Return `count` of the images in their old order, or all, the classes in their proportions, at least one of each.

    Raises:
        UnsupportedError: if `count` is smaller than the count of classes.
    """
    return images.pick(choose(images.labels, count, seed)) if count < len(images) else images


def hold_back(images: Images, share: float, seed: int = 0) -> tuple[Images, Images]:
    """Return the images to train on and those held back, the classes nearly in proportion, both in their old order.

    The share is above 0 and below 1. Every class keeps at least one image to train on; a class of very few may have
    none held back.

    Raises:
        UnsupportedError: if that leaves nothing on one of the two sides.
    """
    count = round(share * len(images))
    if not count:
        message = f"{share:g} of {len(images)} training images is none to hold back"
        raise UnsupportedError(message, "hold more back, or nothing")
    kept = choose(images.labels, len(images) - count, seed)
    rest = torch.ones(len(images), dtype=torch.bool)
    rest[kept] = False
    return images.pick(kept), images.pick(rest.nonzero().flatten())


def choose(labels: Tensor, count: int, seed: int) -> Tensor:
    """Return the numbers [count] of images drawn at random within each class of labels [N], in ascending order.

    Raises:
        UnsupportedError: if `count` is smaller than the count of classes.
    """
    labels = labels.cpu()
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    classes, sizes = labels.unique(return_counts=True)
    if count < len(classes):
        message = f"{count} training images are too few for {len(classes)} classes"
        raise UnsupportedError(message, f"ask for {len(classes)} or more")
    shares = _quotas(sizes.tolist(), count)
    parts = [order[labels[order] == c][:n] for c, n in zip(classes.tolist(), shares, strict=True)]
    return torch.cat(parts).sort().values


def _quotas(sizes: list[int], count: int) -> list[int]:
    """Return how many of `count` each class of these sizes gets: in proportion, rounded, and at least one."""
    exact = [size * count / sum(sizes) for size in sizes]
    whole = [max(1, int(share)) for share in exact]
    while sum(whole) < count:
        whole[max(range(len(whole)), key=lambda i: exact[i] - whole[i])] += 1
    while sum(whole) > count:  # classes that are rounded up to one
        whole[max((i for i, n in enumerate(whole) if n > 1), key=lambda i: whole[i] - exact[i])] -= 1
    return whole
