"""The data sets that torchvision reads and fetches: one function for all of them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from bench.datasets import Images, Split
from bench.errors import UnsupportedError

PATIENCE_S = 30.0  # without an answer from a server; torchvision would wait for ever


def reader(name: str, torchvision_name: str, folder: str) -> Callable[[Path, Split], Images]:
    """Return the loader of a data set of torchvision's.

    Args:
        name: how bench calls it.
        torchvision_name: its class in `torchvision.datasets`.
        folder: where that class keeps its files, inside the data folder.
    """

    def read(root: Path, split: Split) -> Images:
        import torchvision.datasets

        source = getattr(torchvision.datasets, torchvision_name)
        train = split == "train"
        try:
            found = source(root, train=train, download=False)
        except Exception:  # not there or not whole, in torchvision's many words
            found = _fetch(source, root, train, name, folder)
        return Images(_as_images(found.data), torch.as_tensor(found.targets, dtype=torch.int64))

    return read


def _fetch(source: Any, root: Path, train: bool, name: str, folder: str) -> Any:
    """Download into `root`, one process at a time, and return the data set."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f"{name}.lock"), _patience():
            return source(root, train=train, download=True)
    except (
        Exception
    ) as error:  # no network, no right to write, a wrong checksum: all mean that it cannot be had
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UnsupportedError(
            f"{name} is not in {root} and cannot be downloaded: {reason}",
            f"put its files into {root / folder}, or name the folder that holds {folder} in BENCH_DATA",
        ) from error


@contextmanager
def _patience() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _as_images(data: Tensor | np.ndarray) -> Tensor:
    """Return [N, H, W] as [N, 1, H, W], and [N, H, W, C] as [N, C, H, W]."""
    pixels = torch.as_tensor(data)
    return pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2).contiguous()
