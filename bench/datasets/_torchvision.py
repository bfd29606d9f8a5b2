"""The data sets that torchvision reads and fetches: one function for all of them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from bench.datasets import Images, Split
from bench.datasets._images import one_line
from bench.errors import UnsupportedError

TIMEOUT_S = 30.0  # without an answer from a server; torchvision would wait for ever


def reader(name: str, torchvision_name: str, folder: str) -> Callable[[Path, Split], Images]:
    """Return the loader of a data set of torchvision's.

    Args:
        name: how bench calls it.
        torchvision_name: its class in `torchvision.datasets`.
        folder: where that class keeps its files, inside the data folder.
    """
    return partial(_read, name, torchvision_name, folder)


def _read(name: str, torchvision_name: str, folder: str, root: Path, split: Split) -> Images:
    import torchvision.datasets

    open_ = partial(getattr(torchvision.datasets, torchvision_name), root, train=split == "train")
    try:
        dataset = open_(download=False)
    except Exception as error:  # not there or not whole, in torchvision's many words
        dataset = fetch(partial(open_, download=True), root, name, folder, error)
    return Images(_as_images(dataset.data), torch.as_tensor(dataset.targets, dtype=torch.int64))


def fetch(
    download: Callable[[], Any], root: Path, name: str, folder: str, unread: Exception | None = None
) -> Any:
    """Download into `root`, one process at a time, and return what `download` does.

    Args:
        download: does it.
        root: the data folder.
        name: of the data set.
        folder: where its files belong, inside `root`.
        unread: why the files that are there could not be read.

    Raises:
        UnsupportedError: if it cannot be had.
    """
    # Looked up before torchvision makes the folder for what it then cannot fetch.
    present = any((root / folder).glob("*"))
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f"{name}.lock"), _socket_timeout():
            return download()
    except Exception as error:  # no network, no right to write, a wrong checksum: it cannot be had
        place = f"put its files into {root / folder}, or name the folder that holds {folder} in BENCH_DATA"
        if unread is not None and present:
            raise UnsupportedError(
                f"{name} in {root / folder} cannot be read: {one_line(unread)}; nor downloaded anew: {one_line(error)}",
                f"remove {root / folder}, so that it is fetched anew; or {place}",
            ) from error
        raise UnsupportedError(
            f"{name} is not in {root} and cannot be downloaded: {one_line(error)}", place
        ) from error


@contextmanager
def _socket_timeout() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_S)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _as_images(data: Tensor | np.ndarray) -> Tensor:
    """Return [N, H, W] as [N, 1, H, W], and [N, H, W, C] as [N, C, H, W]."""
    pixels = torch.as_tensor(data)
    return pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2).contiguous()
