"""The networks, and how a name becomes one.

A network is a function that is registered in one file a family:

    @register("lenet5", family="lenet", input_size=32, num_classes=10)
    def lenet5(*, num_classes: int, in_channels: int, input_size: int) -> nn.Module: ...

A training asks a network, also one of the user's, for two things that it may have:

- a method ``initialise(images)``: it is called before the first step with the first training images, up to 5,000,
  [N, C, S, S], normalised and on the network's device, and sets what depends on them; see `bench.training.prepare`.
- an attribute ``frozen_after``: by the name of a parameter, the epochs that it is trained for before it stays as it is.

`bench.archs.naming.resolve` turns every other way to name a network into the same `Arch`.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bench
from bench.archs._published import published
from bench.errors import UnsupportedError
from bench.plan.card import ArchCard
from bench.registry import Registry

if TYPE_CHECKING:
    from torch import nn

# Called with the keyword arguments `num_classes`, `in_channels` and `input_size` (px), and optional ones of
# its own; returns a network with random weights, in training mode.
Builder = Callable[..., "nn.Module"]

# Called with the shape that was asked for, None where nothing was, and with the one that the network is built for;
# returns a line for each thing that a network was given, and where it was taken from.
Describe = Callable[[Mapping[str, int | None], Mapping[str, int | None]], list[str]]


@dataclass(frozen=True)
class Arch:
    """A network: what is declared of it, and how it is built.

    Attributes:
        card: what is declared; its native values stand for what `build` is not given.
        builder: see `Builder`.
        describe: see `Describe`; None where there is nothing to tell.
    """

    card: ArchCard
    builder: Builder
    describe: Describe | None = None

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
            raise UnsupportedError(
                f"{card.name} needs at least {card.min_input} px, asked for {size} px",
                f"set input_size to {card.min_input} or more, or leave it out",
            )
        return self.builder(
            num_classes=card.num_classes if num_classes is None else num_classes,
            in_channels=card.in_channels if in_channels is None else in_channels,
            input_size=size,
        )


ARCHS: Registry[Arch] = Registry("architecture", "bench.archs")


def register(name: str, *, family: str, input_size: int, **declared: Any) -> Callable[[Builder], Builder]:
    """Return a decorator that registers a builder under `name`.

    Args:
        name: how the network is asked for.
        family: the group it is drawn with.
        input_size: native height and width in px.
        declared: the other fields of its `ArchCard`; `year`, `paper` and `published` are those of `published.csv`
            where they are not given.
    """
    card = ArchCard(
        **{**published(name), **declared, "name": name, "family": family, "input_size": input_size}
    )

    def add(builder: Builder) -> Builder:
        ARCHS.add(name, Arch(replace(card, source_sha256=_source_of(builder)), builder))
        return builder

    return add


def _source_of(builder: Builder) -> str | None:
    """Return the SHA-256 of the file that a builder is from; None of the package's own, whose version tells."""
    file = Path(
        inspect.getfile(inspect.unwrap(getattr(builder, "func", builder)))
    )  # of a partial, its function
    if file.is_relative_to(Path(bench.__file__).parent) or not file.is_file():
        return None
    return hashlib.sha256(file.read_bytes()).hexdigest()
