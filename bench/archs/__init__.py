"""The networks, and how a name becomes one.

A network is a function that is registered in one file a family:

    @register("lenet5", family="lenet", input_size=32, num_classes=10)
    def lenet5(*, num_classes: int, in_channels: int, input_size: int) -> nn.Module: ...

A training asks a network, also one of the user's, for two things that it may have:

- a method ``initialise(images)``: it is called before the first step with the first training images, up to 5,000,
  [N, C, S, S], normalised and on the network's device, and sets what depends on them; see `bench.training._prepare`.
- an attribute ``frozen_after``: by the name of a parameter, the epochs that it is trained for before it stays as it is.

`bench.archs.naming.resolve` turns every other way to name a network into the same `Arch`.
"""

from __future__ import annotations

import csv
import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bench
from bench.errors import UnsupportedError
from bench.io import JsonObject
from bench.plan.card import ArchCard
from bench.registry import Registry

if TYPE_CHECKING:
    from torch import nn

# Called with the keyword arguments `num_classes`, `in_channels` and `input_size` (px), and optional ones of
# its own; returns a network with random weights, in training mode.
_Builder = Callable[..., "nn.Module"]

# Called with the shape that was asked for, None where nothing was, and with the one that the network is built for;
# returns a line for each thing that a network was given, and where it was taken from.
_Describe = Callable[[Mapping[str, int | None], Mapping[str, int | None]], list[str]]


@dataclass(frozen=True)
class Weights:
    """What is declared of trained weights.

    Attributes:
        name: of them, as in the name of the network: of a library's, or the path of a file.
        transform: what is done to images, as fields of `bench.datasets.transforms.Transform`; None where that is not
            declared.
        classes: names of the outputs, with synonyms behind commas; empty where they are not known.
        source: who declares it.
        training: of a stored training, what decides how its test images were looked at.
        find: where they lie; None where they are not on this machine.
        belongs: where a library looks for them, and which file that is, in words.
        fetch: brings them there; None where they are nobody's to fetch.
        taken: of a checkpoint with several weights, of which none was asked for, the key of those that were taken, and
            the keys of the others.
    """

    name: str
    transform: JsonObject | None = None
    classes: tuple[str, ...] = ()
    source: str = ""
    training: JsonObject | None = None
    find: Callable[[], Path | None] = lambda: None
    belongs: str = ""
    fetch: Callable[[], None] | None = None
    taken: tuple[str, ...] = ()


@dataclass(frozen=True)
class Arch:
    """A network: what is declared of it, and how it is built.

    Attributes:
        card: what is declared; its native values stand for what `build` is not given.
        builder: see `_Builder`.
        describe: see `_Describe`; None where there is nothing to tell.
        weights: what is declared of its weights; None where they are drawn, or its own code's to load.
    """

    card: ArchCard
    builder: _Builder
    describe: _Describe | None = None
    weights: Weights | None = None

    def build(
        self, *, num_classes: int | None = None, in_channels: int | None = None, input_size: int | None = None
    ) -> nn.Module:
        """Return a new network with random weights, in training mode.

        Args:
            num_classes: outputs; None means the card's.
            in_channels: channels of the images; None means the card's.
            input_size: height and width of the images in px; None means the card's.

        Raises:
            UnsupportedError: if the images are too small for it, or it does not come in this size.
            InvalidModelError: if it is a network of the user's that cannot be built.
        """
        card = self.card
        size = card.input_size if input_size is None else input_size
        if size < card.min_input:
            message = f"{card.name} needs at least {card.min_input} px, asked for {size} px"
            raise UnsupportedError(message, f"set input_size to {card.min_input} or more, or leave it out")
        return self.builder(
            num_classes=card.num_classes if num_classes is None else num_classes,
            in_channels=card.in_channels if in_channels is None else in_channels,
            input_size=size,
        )


ARCHS: Registry[Arch] = Registry("architecture", "bench.archs")


def register(name: str, *, family: str, input_size: int, **declared: Any) -> Callable[[_Builder], _Builder]:
    """Return a decorator that registers a builder under `name`.

    Args:
        name: how the network is asked for.
        family: the group it is drawn with.
        input_size: native height and width in px.
        declared: the other fields of its `ArchCard`; `year`, `paper` and `published` are those of `published.csv`
            where they are not given.
    """
    card = ArchCard(
        **{**_published(name), **declared, "name": name, "family": family, "input_size": input_size}
    )

    def add(builder: _Builder) -> _Builder:
        ARCHS.add(name, Arch(replace(card, source_sha256=_source_of(builder)), builder))
        return builder

    return add


_ACCURACIES = ("top1", "top5", "cifar10_top1", "mnist_top1")


def _published(name: str) -> JsonObject:
    """Return what ``published.csv`` has of a network of the package, as fields of its card; nothing of one it lacks.

    Accuracies are fractions, numbers have the digits that are printed. The accuracies of a row are of one network, one
    source and one `protocol`, the way in which the images were tested: ``1 crop``, ``10 crops``, ``dense`` (the whole
    image, at one scale), ``multi-scale`` (at several), and of small ones ``whole image`` or ``six views`` (it, its
    mirror image, and both moved by a pixel). `protocol_source` says where that stands.

    Returns:
        `year`, `paper`, and `published`: accuracies with their `source` and `protocol`, `macs` and `parameters` each
        with theirs, `macs_source` and `parameters_source`.
    """
    row = _rows().get(name)
    if row is None:
        return {}
    facts: dict[str, object] = {key: float(row[key]) for key in _ACCURACIES if row[key]}
    if facts:
        facts |= {key: row[key] for key in ("source", "protocol", "protocol_source")}
    for key in ("macs", "parameters"):
        if row[key]:
            facts |= {key: int(float(row[key])), f"{key}_source": row[f"{key}_source"]}
    return {"year": int(row["year"]), "paper": row["paper"], "published": facts}


@cache
def _rows() -> dict[str, dict[str, str]]:
    with Path(__file__).with_name("published.csv").open(encoding="utf-8", newline="") as lines:
        return {row["name"]: row for row in csv.DictReader(lines)}


def _source_of(builder: _Builder) -> str | None:
    """Return the SHA-256 of the file that a builder is from; None of the package's own, whose version tells."""
    function = getattr(builder, "func", builder)  # of a partial, its function
    file = Path(inspect.getfile(inspect.unwrap(function)))
    if file.is_relative_to(Path(bench.__file__).parent) or not file.is_file():
        return None
    return hashlib.sha256(file.read_bytes()).hexdigest()
