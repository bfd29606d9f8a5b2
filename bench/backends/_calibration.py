"""Calibration: the images on which an engine of 8-bit integers takes the ranges of activations.

They are training images of the data set that the job names, prepared as the network's weights ask for, and never
images that are tested on. Where no data set is named they are seeded noise, which says nothing of real images: that is
a doubt about every result.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Container, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor

from bench.archs.naming import resolve
from bench.datasets.evaluation import EvaluationSet
from bench.datasets.loader import Loader
from bench.datasets.transforms import Transform
from bench.errors import UnsupportedError
from bench.io import JsonObject
from bench.plan.expand import USUAL_SPLIT
from bench.plan.job import Job
from bench.plan.settings import Timed
from bench.records.environment import usable_cores

IMAGES = 32
"""How many images ranges are taken on, or those of one call where that has more; further ones move them by little, and
each costs a pass of the network."""

_SEED = 2**31  # beyond those of jobs as people number them, so that no noise is calibrated on that is timed


@dataclass(frozen=True, slots=True)
class Calibration:
    """Images to calibrate on.

    Attributes:
        batches: each [B, C, H, W] float32, with as many images as a call of the job.
        detail: what they are, for the record; plain JSON values.
        flags: doubts about whatever is calibrated on them.
    """

    batches: tuple[Tensor, ...]
    detail: JsonObject
    flags: tuple[str, ...] = ()


def calibration(images: Tensor, job: Job[Timed]) -> Calibration:
    """Return the images that a job calibrates on.

    Args:
        images: [B, C, H, W], those that the network will be called with; their shape counts alone.
        job: whose setting `calibration` names a data set.

    Raises:
        UnsupportedError: for a data set without images to train on, or that does not suit the network.
    """
    name = job.settings.given.get("calibration")
    return _noise(images, job) if name is None else _of_dataset(str(name), images, job)


def _of_dataset(name: str, images: Tensor, job: Job[Timed]) -> Calibration:
    count, channels, *size = images.shape
    training = EvaluationSet.of(name, "train").limited(max(IMAGES, count), job.seed)
    _check_apart(training, job)
    transform = _transform(job)
    loader = Loader(training, transform, usable_cores())
    loaded = list(loader.batches(range(len(training)), count))
    reasons = [reason for batch in loaded for _, reason in batch.left_out]
    pixels = torch.cat([batch.pixels for batch in loaded if batch.numbers] or [torch.empty(0)])
    if len(pixels) < count:
        why = f": {reasons[0]}" if reasons else ""
        message = f"{name} has {len(pixels)} training images to calibrate on, and a call takes {count}{why}"
        raise UnsupportedError(message, "name another data set, or take a smaller batch")
    normal = transform.normalised(pixels).expand(-1, channels, -1, -1)
    if list(normal.shape[2:]) != size:
        normal = torch.nn.functional.interpolate(normal, size=size, mode="bilinear", antialias=True)
    batches = tuple(part.contiguous() for part in normal.split(count) if len(part) == count)
    digest = hashlib.sha256("\n".join(training.names).encode("utf-8", "surrogateescape")).hexdigest()[:12]
    detail = {
        "calibration": f"{training.name} train",
        "calibration_images": count * len(batches),
        "calibration_names_sha256": digest,
        "calibration_transform": transform.model_dump(mode="json"),
    }
    return Calibration(batches, detail)


def _check_apart(training: EvaluationSet, job: Job[Timed]) -> None:
    """Refuse to calibrate on an image that the job evaluates the network on, by whatever name.

    Raises:
        UnsupportedError: if an image is on both sides.
    """
    given = job.settings.given
    if "data" not in given:
        return
    tested = EvaluationSet.of(str(given["data"]), str(given.get("split", USUAL_SPLIT)))
    known = {content for _, content in _contents(training)}
    for name, content in _contents(tested, {size for size, _ in known}):
        if content in known:
            message = f"{name} of {tested.name} would be calibrated on and tested on"
            raise UnsupportedError(
                message, "calibrate on a folder of its own, or on one with train/ beside what is tested"
            )


_Content: TypeAlias = tuple[int, bytes]
"""How many bytes an image has, and their digest."""


def _contents(images: EvaluationSet, sizes: Container[int] | None = None) -> Iterator[tuple[str, _Content]]:
    """Yield the name of each image and what it holds; of files those of such sizes alone, as far as they are read."""
    if isinstance(images.images, Tensor):
        for name, image in zip(images.names, images.images, strict=True):
            content = image.numpy().tobytes()
            yield name, (len(content), hashlib.sha256(content).digest())
        return
    for name, path in zip(images.names, map(Path, images.images), strict=True):
        with contextlib.suppress(OSError):  # it is left out on either side
            found = path.stat()
            if sizes is None or found.st_size in sizes:
                yield (
                    name,
                    (found.st_size, _digest(path, (found.st_size, found.st_mtime_ns, found.st_ctime_ns))),
                )


@lru_cache(maxsize=1 << 20)
def _digest(path: Path, _as_it_is: tuple[int, int, int]) -> bytes:
    """Return the digest of a file; one that stays as it is is read once in a process, which prepares many jobs."""
    return hashlib.sha256(path.read_bytes()).digest()


def _transform(job: Job[Timed]) -> Transform:
    """Return what is done to images: as the weights of the network declare it, or else as is usual."""
    weights = resolve(job.arch).weights
    own = job.settings.given.get("transform") or {}
    declared = None if weights is None else weights.transform
    return Transform.declared(declared, job.input_size, job.in_channels).changed(own)


def _noise(images: Tensor, job: Job[Timed]) -> Calibration:
    count = max(1, IMAGES // len(images))
    generator = torch.Generator().manual_seed(_SEED + job.seed)
    batches = tuple(torch.randn(images.shape, generator=generator) for _ in range(count))
    detail = {"calibration": "seeded normal noise, no images", "calibration_images": count * len(images)}
    return Calibration(batches, detail, ("calibrated_on_noise",))
