"""Ways in: registered networks; a plain name that is not registered is torchvision's, if it is one of its."""

from __future__ import annotations

import re
from dataclasses import replace

from bench.archs import ARCHS, Arch, _torchvision
from bench.archs._arguments import Parameters, with_arguments
from bench.archs.naming.ways import WAYS, NetworkName, Way


def check(name: NetworkName) -> NetworkName:
    """Return the name, or that of the torchvision network that it means.

    Raises:
        UnknownNameError: if it is neither.
    """
    if name.target in ARCHS:
        return name
    if name.target not in _torchvision.names():
        ARCHS.get(name.target)  # raises
    return replace(name, kind="torchvision", source="torchvision")


def resolve(name: NetworkName) -> Arch:
    """Return the registered network."""
    return with_arguments(ARCHS.get(name.target), str(name), name.arguments)


WAYS.add(
    "registered",
    Way(
        place=90,
        begins=re.compile(r"(?![^(]*\.py\s*(?:\(|$))(?=[^:(]*(?:\(|$))"),
        check=check,
        resolve=resolve,
        parameters=lambda name: Parameters(Parameters.of(ARCHS.get(name.target).builder).names),
        names=ARCHS.names,
    ),
)
