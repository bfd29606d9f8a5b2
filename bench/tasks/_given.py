"""What a network is given in an evaluation: which images, what is done to them, and what its outputs mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from bench.archs import Arch
from bench.datasets import check_same
from bench.datasets.classes import Vocabulary
from bench.datasets.evaluation import EvaluationSet
from bench.datasets.loader import Change, Loader
from bench.datasets.transforms import Transform
from bench.errors import ConfigError, InvalidModelError, UnsupportedError
from bench.io import JsonObject
from bench.plan.corruption import read_corruption
from bench.plan.job import Job
from bench.plan.task import Hooks
from bench.tasks._networks import built, imported

if TYPE_CHECKING:
    from bench.tasks.evaluate import EvaluateSettings

ASSUMED = "assumed, as nothing is declared"


def planned_images(settings: EvaluateSettings) -> EvaluationSet:
    """Return the images of a split.

    Raises:
        UnsupportedError: if they are not those that the job was planned for.
    """
    images = EvaluationSet.of(settings.data, settings.split)
    if settings.data_sha256 is not None:
        check_same(settings.data, settings.data_sha256, images.sha256)
    return images


def transform_of(arch: Arch, model: nn.Module, job: Job[EvaluateSettings]) -> Transform:
    """Return what is done to images: as the weights or the network declare it, or else as is usual.

    Raises:
        InvalidModelError: if a field that is declared is none.
        UnsupportedError: if a field that the job gives is none, or the network takes other channels.
    """
    declared, source = declared_transform(arch, model)
    try:
        base = Transform.declared(declared, job.input_size, job.in_channels)
    except ConfigError as error:
        raise InvalidModelError(f"the transform of {source}: {error.message}", error.tip) from error
    if declared is not None and job.input_size != arch.card.input_size:
        base = base.at(job.input_size)
    try:
        whole = base.changed(job.settings.transform or {})
    except ConfigError as error:
        raise UnsupportedError(error.message, error.tip) from error
    if whole.channels != job.in_channels and (whole.channels, job.in_channels) != (1, 3):
        message = f"{job.arch} takes {job.in_channels} channels, and its transform makes {whole.channels}"
        raise UnsupportedError(message, f"give its own transform: --set transform.channels={job.in_channels}")
    return whole


def declared_transform(arch: Arch, model: nn.Module) -> tuple[JsonObject | None, str]:
    """Return the transform that weights or a network declare, as plain values, and who declares it."""
    if arch.weights is not None and arch.weights.transform is not None:
        return arch.weights.transform, arch.weights.source
    own = getattr(model, "transform", None)
    if isinstance(own, dict):
        return own, "the network"
    return None, ASSUMED


def vocabulary_of(arch: Arch, model: nn.Module, count: int) -> Vocabulary:
    """Return what weights, or else a network in its attribute `classes`, say of its outputs."""
    own = getattr(model, "classes", None)
    if isinstance(own, list | tuple) and len(own) == count and all(isinstance(name, str) for name in own):
        return Vocabulary(count, tuple(own), source="the network")
    weights = arch.weights
    if weights is None:
        return Vocabulary(count)
    return Vocabulary(count, weights.classes if len(weights.classes) == count else (), weights.source)


def corruption_of(job: Job[EvaluateSettings]) -> Change | None:
    """Return what corrupts the pixels of an image; None where nothing does."""
    if job.settings.corruption is None:
        return None
    from bench.datasets.corruptions import corrupt  # SciPy comes with it

    name, severity = read_corruption(job.settings.corruption)
    return lambda pixels, number: corrupt(pixels[None], name, severity, [number])[0]


def as_given(job: Job[EvaluateSettings], count: int) -> tuple[list[Tensor], list[str]]:
    """Return up to `count` of the images as the job's network gets them, and their classes.

    Each is [C, H, W] from 0 to 1: what was normalised is made visible again. Those that cannot be decoded are left out.
    """
    settings, hooks = job.settings, Hooks()
    images = EvaluationSet.of(settings.data, settings.split).limited(settings.limit, job.seed)
    images = images.limited(count, job.seed)
    transform = transform_of(imported(job, hooks), built(job, hooks).eval(), job)
    loader = Loader(images, transform, 1, corruption_of(job))
    (batch,) = loader.batches(range(len(images)), len(images))
    names = [images.classes[int(images.labels[number])] for number in batch.numbers]
    return list(transform.shown(transform.normalised(batch.pixels))), names
