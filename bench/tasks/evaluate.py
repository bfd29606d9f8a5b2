"""The task `evaluate`: a network with its weights on the images of a data set, and what it says of each of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from bench.io import JsonObject
from bench.plan.card import ArchCard
from bench.plan.corruption import read_corruption
from bench.plan.estimate import compile_s, forward_s
from bench.plan.expand import USUAL_SPLIT, Catalog
from bench.plan.job import Job
from bench.plan.settings import Device, NetworkKeys, OfNetwork
from bench.plan.task import TASKS, Hooks, Outline, Quantity, Task, Work
from bench.records.record import Measurement

_GUESS_S = {"cpu": 2.0, "cuda": 8.0}
_GUESS_IMAGE_S = {"cpu": 3e-3, "cuda": 5e-4}  # to read and decode an image

_QUANTITIES = (
    Quantity("top1", "1", "higher", about="share of the images whose label comes first"),
    Quantity("top5", "1", "higher", about="share of the images whose label is among the first five"),
    Quantity("left_out", "1", "lower", about="images that could not be read; the detail names them"),
    Quantity(
        "evaluated_top1",
        "1",
        "higher",
        "Top-1, evaluated",
        "images",
        of="top1",
        cell="share",
        marked=True,
        about="top-1 of given weights on given images, with its interval over the images",
    ),
    Quantity(
        "evaluated_top5",
        "1",
        "higher",
        "Top-5, evaluated",
        "images",
        of="top5",
        cell="share",
        about="top-5 of given weights on given images",
    ),
    Quantity(
        "evaluation_rate", "image/s", "higher", about="images per second of the whole loop, decoding included"
    ),
    Quantity(
        "decode_rate",
        "image/s",
        "higher",
        about="images per second that are decoded and transformed, without the network",
    ),
)


class _Evaluation(OfNetwork):
    """Settings that a block may give.

    Attributes:
        data: a name of `bench list datasets`, or ``imagefolder:PATH``.
        split: of the data set; `val` of one that has none is what it has for testing.
        limit: evaluate on so many of its images, balanced over the classes, the same ones for every network; 0 is all.
        backend: how the network is run.
        calibration: of int8, the data set on whose training images the ranges of activations are taken; never images
            that it is evaluated on.
        batch_size: images a call; `auto` halves what does not fit.
        transform: what is done to images otherwise than the weights declare, such as ``{crop: [288, 288]}``. There are
            resize, crop, crop_mode, interpolation, antialias, library, channels, mean, std, colour and scale.
        corruption: ``NAME:SEVERITY``, such as ``gaussian_noise:3``, from 1 to 5; by default none.
        workers: threads that decode; by default as many as the job has cores.
    """

    data: Annotated[str, Field(min_length=1)] = ""
    split: Annotated[str, Field(min_length=1)] = USUAL_SPLIT
    limit: Annotated[int, Field(ge=0)] = 0
    backend: Annotated[str, Field(min_length=1)] = "eager"
    calibration: Annotated[str, Field(min_length=1)] | None = None
    batch_size: Annotated[int, Field(ge=1, le=65_536)] | Literal["auto"] = "auto"
    transform: JsonObject | None = None
    corruption: Annotated[str, Field(min_length=1)] | None = None
    workers: Annotated[int, Field(ge=1, le=256)] | None = None

    @property
    def likeness(self) -> tuple[str, ...]:
        """Evaluations on one data set."""
        return self.data, self.split, str(self.limit)


class _EvaluateKeys(_Evaluation, NetworkKeys, extra="forbid", frozen=True):
    """What a block of this task may give; its weights become an argument of the network's name."""

    device: Device = "auto"

    @field_validator("corruption")
    @classmethod
    def _is_known(cls, text: str | None) -> str | None:
        if text is not None:
            read_corruption(text)  # whose error names the nearest
        return text


class EvaluateSettings(_Evaluation):
    """Settings of this task.

    Attributes:
        weights: which the network has: the name of a library's, such as ``IMAGENET1K_V2``, or the path of a file; None
            for a network that comes with its own.
        data_sha256: of a folder's images, to tell them from others that may lie there another time.
    """

    weights: str | None = None
    data_sha256: str | None = None


def _outline(keys: _EvaluateKeys, card: ArchCard, catalog: Catalog) -> Outline:
    """Return what an evaluation has of its images and its network."""
    images = catalog.evaluated_on(keys.data, keys.split)
    return Outline(
        input_size=keys.input_size or card.input_size,
        in_channels=card.in_channels,
        num_classes=card.num_classes,
        settings={
            **({} if card.weights is None else {"weights": card.weights}),
            **({} if images.sha256 is None else {"data_sha256": images.sha256}),
        },
        work=Work(min(keys.limit or images.test, images.test)),
        note=f"{images.name}: {images.note}" if images.note else "",
        refusal=_refusal(card),
    )


def _refusal(card: ArchCard) -> str | None:
    """Return why a network is not evaluated."""
    if card.num_classes is None and not card.any_outputs:
        return f"{card.name} is no classifier: it names no class of an image"
    if card.weights is None and card.source_sha256 is None:
        return f"{card.name} has no trained weights: give some, --weights FILE, or name a library's network"
    return None


def _run(job: Job[EvaluateSettings], hooks: Hooks) -> Iterator[Measurement]:
    """Let the network say what is on each image."""
    from bench.tasks._evaluate import measure_evaluation

    yield from measure_evaluation(job, hooks)


def draw_images(jobs: Sequence[Job[EvaluateSettings]], file: Path) -> Path:
    """Draw what evaluations give their networks into a file; see `bench.tasks._sheet.draw`."""
    from bench.tasks._sheet import draw

    return draw(jobs, file)


def _subject(job: Job[EvaluateSettings]) -> str:
    settings = job.settings
    corrupted = f" {settings.corruption}" if settings.corruption else ""
    changed = "".join(f" {key}={_short(value)}" for key, value in (settings.transform or {}).items())
    return f" {job.arch} on {settings.data} {settings.split}{corrupted}{changed}"


def _short(value: object) -> str:
    """Return a field of a transform in few letters: ``0.485,0.456,0.406``."""
    if isinstance(value, list | tuple):
        return ",".join(map(_short, value))
    return f"{value:.3g}" if isinstance(value, float) else str(value)


TASKS.add(
    "evaluate",
    Task(
        place=7,
        about="tests given weights on images, each network with its own transform",
        keys=_EvaluateKeys,
        settings=EvaluateSettings,
        run=_run,
        estimate=lambda job, work: (
            _GUESS_S[job.device_kind]
            + work.images * (_GUESS_IMAGE_S[job.device_kind] + forward_s(job.device_kind, work))
            + compile_s(job.settings.backend)
        ),
        quantities=_QUANTITIES,
        outline=_outline,
        subject=_subject,
        keeps_files=True,
        steps="image",
        weighted=True,
    ),
)
