"""Loading: threads decode, resize and crop ahead of the network; what cannot be decoded is left out, and told.

Pillow decodes and resizes without Python's lock, so that threads share the cores as processes would, without their
start and without sending pixels through pipes.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from bench.datasets._images import in_mode
from bench.datasets._places import one_line
from bench.datasets.evaluation import EvaluationSet
from bench.datasets.transforms import Transform
from bench.errors import UnsupportedError, lacks_memory

Change: TypeAlias = Callable[[Tensor, int], Tensor]
"""`(pixels [C, H, W] uint8, number of the image in its split)` to pixels of the same form."""

_Pixels: TypeAlias = npt.NDArray[np.uint8]
_AHEAD = 3  # batches that are decoded while the network has one


@dataclass(frozen=True)
class Loaded:
    """A batch as it was loaded.

    Attributes:
        pixels: [B, C, H, W] uint8.
        numbers: places of the B images among those that are loaded from.
        left_out: places of images that could not be decoded, each with the reason.
        cpu_s: that decoding took, of all threads together.
    """

    pixels: Tensor
    numbers: tuple[int, ...]
    left_out: tuple[tuple[int, str], ...]
    cpu_s: float


@dataclass(frozen=True)
class Loader:
    """Images in the form that a network takes, but for normalising.

    Attributes:
        images: of which.
        transform: what is done to each.
        workers: threads.
        change: what is done to the pixels besides, such as a corruption; None for nothing.
    """

    images: EvaluationSet
    transform: Transform
    workers: int
    change: Change | None = None

    def batches(self, numbers: Sequence[int], size: int) -> Iterator[Loaded]:
        """Yield the images of these numbers, in this order, `size` at a time.

        Raises:
            UnsupportedError: if they come in several sizes, of which no batch can be made.
        """
        parts = [numbers[start : start + size] for start in range(0, len(numbers), size)]
        with ThreadPoolExecutor(self.workers, thread_name_prefix="decode") as pool:
            waiting: deque[list[Future[_One]]] = deque()
            try:
                for part in parts:
                    waiting.append([pool.submit(self._one, number) for number in part])
                    if len(waiting) > _AHEAD:
                        yield _batch(waiting.popleft())
                while waiting:
                    yield _batch(waiting.popleft())
            finally:
                for futures in waiting:
                    for future in futures:
                        future.cancel()

    def one(self, number: int) -> Tensor:
        """Return the pixels [C, H, W] uint8 of one image.

        Raises:
            Exception: whatever Pillow raises where it cannot be decoded.
        """
        images = self.images.images
        grey = self.transform.channels == 1
        if isinstance(images, Tensor):
            pixels = self.transform.pixels(_as_image(images[number], grey))
        else:
            with Image.open(images[number]) as image:
                pixels = self.transform.pixels(in_mode(image, "L" if grey else "RGB"))
        return pixels if self.change is None else self.change(pixels, int(self.images.numbers[number]))

    def _one(self, number: int) -> _One:
        start = time.thread_time()
        try:
            # By NumPy: torch would begin threads of its own in each of these, which wait for work on the same cores.
            result: _Pixels | str = np.ascontiguousarray(self.one(number).numpy())
        except Exception as error:  # Pillow raises many kinds; each means that this is no sound image
            if lacks_memory(error):
                raise
            result = one_line(error)
        return _One(number, result, time.thread_time() - start)


@dataclass(frozen=True)
class _One:
    number: int
    result: _Pixels | str
    cpu_s: float


def _batch(futures: Sequence[Future[_One]]) -> Loaded:
    ones = [future.result() for future in futures]
    pixels = [(one.number, one.result) for one in ones if not isinstance(one.result, str)]
    sizes = {tuple(image.shape) for _, image in pixels}
    if len(sizes) > 1:
        some = ", ".join("x".join(map(str, size)) for size in sorted(sizes)[:3])
        raise UnsupportedError(f"the images come in several sizes ({some}), of which no batch can be made",
                               "give a size that they are brought to: --set transform.crop=[224,224]")  # fmt: skip
    return Loaded(
        pixels=torch.from_numpy(np.stack([image for _, image in pixels]))
        if pixels
        else torch.empty(0, 3, 1, 1, dtype=torch.uint8),
        numbers=tuple(number for number, _ in pixels),
        left_out=tuple((one.number, one.result) for one in ones if isinstance(one.result, str)),
        cpu_s=sum(one.cpu_s for one in ones),
    )


def _as_image(pixels: Tensor, grey: bool) -> Image.Image:
    """Return pixels [C, H, W] uint8 as an image of Pillow's, grey or RGB."""
    array = pixels[0].numpy() if len(pixels) == 1 else pixels.permute(1, 2, 0).numpy()
    return Image.fromarray(array).convert("L" if grey else "RGB")
