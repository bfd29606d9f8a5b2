"""Images that lie in files: decoded all at once where they fit into memory, and batch by batch where not."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from bench.errors import UnsupportedError
from bench.records.environment import usable_cores

MEMORY_SHARE = 0.25  # of the memory that is free, for each of the two splits; above it they stay files
CHUNK = 32  # images that a worker decodes at a time, where the order does not matter


@dataclass(frozen=True)
class Files:
    """Image files that stand for a tensor [N, C, S, S] uint8; an index decodes what it asks for.

    Attributes:
        paths: of the N files.
        channels: C, 1 or 3; every image is made to have so many.
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
    def fit(self) -> bool:
        """Whether all of them, decoded, take no more than `MEMORY_SHARE` of the memory that is free."""
        return self.shape.numel() <= MEMORY_SHARE * psutil.virtual_memory().available

    def __getitem__(self, index: Tensor | slice) -> Tensor:
        """Return the images [B, C, S, S] uint8 at `index`: numbers [B] int64, or a slice.

        Raises:
            UnsupportedError: as `batches` does.
        """
        numbers = torch.arange(len(self))[index]
        found = torch.empty((len(numbers), *self.shape[1:]), dtype=torch.uint8)
        if len(numbers):
            parts = zip(found.split(CHUNK), self.batches(numbers.split(CHUNK)), strict=True)
            for place, images in parts:
                place.copy_(images)
        return found

    def pick(self, index: Tensor) -> Files:
        """Return the files at `index` [B] int64, not decoded."""
        return replace(self, paths=tuple(self.paths[i] for i in index.tolist()))

    def batches(self, parts: Sequence[Tensor]) -> Iterator[Tensor]:
        """Decode in processes that work ahead, and yield the images [B, C, S, S] uint8 of each of `parts`.

        Args:
            parts: numbers [B] int64 of the images of each batch.

        Raises:
            UnsupportedError: if a file cannot be decoded; it names the file.
        """
        import torchvision.transforms.v2  # noqa: F401 - seconds, once here rather than in every process

        loader = DataLoader(
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
            found = iter(loader)
        for images in found:
            if isinstance(images, str):
                raise UnsupportedError(images, "replace the file, or remove it")
            yield torch.from_numpy(images)


class _Reader(Dataset[Any]):
    """The files as torch's `DataLoader` wants them: an item is pixels [C, S, S], or what is wrong."""

    def __init__(self, files: Files) -> None:
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, number: int) -> np.ndarray | str:
        path = self.files.paths[number]
        try:
            return decode(path, self.files.channels, self.files.size).numpy()
        except Exception as error:  # Pillow raises many kinds; each means that this is no sound image
            return f"{path} cannot be decoded: {' '.join(str(error).split()) or type(error).__name__}"


def _stack(items: Sequence[Any]) -> np.ndarray | str:
    """Return a batch, or the first complaint.

    Arrays travel through a pipe; tensors would need shared memory, of which a container may have little.
    """
    return next((item for item in items if isinstance(item, str)), None) or np.stack(items)


def decode(path: str | Path, channels: int, size: int) -> Tensor:
    """Return an image as [C, S, S] uint8: its shorter side resized to S with antialiasing, the centre kept.

    Args:
        path: of the file.
        channels: C; 1 makes it grey, 3 makes it RGB. Transparency is dropped.
        size: S, px.

    Raises:
        OSError: if it cannot be read; Pillow raises other errors too.
        ValueError: if its pixels have more than 8 bits a channel, which Pillow would clip to white.
    """
    from PIL import Image
    from torchvision.transforms.v2 import functional as transform

    with Image.open(path) as image:
        if image.mode.startswith(("I", "F")):
            raise ValueError(f"its pixels, of Pillow's mode {image.mode}, have more than 8 bits a channel")
        # A palette with transparency is asked for in full first: Pillow warns otherwise.
        full = image.convert("RGBA") if image.mode == "P" else image
        pixels = transform.pil_to_tensor(full.convert("L" if channels == 1 else "RGB"))
    resized = transform.resize(pixels, [size], antialias=True)
    return transform.center_crop(resized, [size, size])
