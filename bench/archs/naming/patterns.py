"""Way in: layers in a row, ``pattern:INPUT -> ... -> FC``, in the language of `bench.archs.pattern`."""

from __future__ import annotations

import re

from bench.archs import Arch, pattern
from bench.archs.naming.ways import WAYS, NetworkName, Way


def resolve(name: NetworkName) -> Arch:
    """Return the network of a pattern."""
    from bench.archs.pattern import network  # imports torch

    return network.resolve(name)


WAYS.add(
    "pattern",
    Way(
        place=10,
        begins=re.compile(r"(?P<source>pattern):"),
        normal=lambda text: str(pattern.parse(text)),
        resolve=resolve,
    ),
)
