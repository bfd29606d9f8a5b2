"""Ways in: torchvision's and timm's networks, by prefix."""

from __future__ import annotations

import re
from functools import partial

from bench.archs import Arch, _timm, _torchvision
from bench.archs._arguments import with_arguments
from bench.archs.naming.ways import WAYS, NetworkName, Way
from bench.errors import unknown_name


def _in_torchvision(name: NetworkName) -> NetworkName:
    if name.target not in _torchvision.names():
        hint = "see `bench list 'torchvision:*'`"
        raise unknown_name("torchvision network", name.target, _torchvision.names(), hint)
    return name


def _of_torchvision(name: NetworkName) -> Arch:
    arch = Arch(_torchvision.card(name.target), partial(_torchvision.build, name.target))
    return with_arguments(arch, str(name), name.arguments)


def _in_timm(name: NetworkName) -> NetworkName:
    _timm.card(name.target)
    return name


def _of_timm(name: NetworkName) -> Arch:
    arch = Arch(_timm.card(name.target), partial(_timm.build, name.target))
    return with_arguments(arch, str(name), name.arguments)


WAYS.add(
    "torchvision",
    Way(
        place=30,
        begins=re.compile(r"(?P<source>torchvision):"),
        check=_in_torchvision,
        resolve=_of_torchvision,
        names=lambda: [f"torchvision:{name}" for name in _torchvision.names()],
    ),
)
WAYS.add(
    "timm",
    Way(
        place=31,
        begins=re.compile(r"(?P<source>timm):"),
        check=_in_timm,
        resolve=_of_timm,
        names=lambda: [f"timm:{name}" for name in _timm.names()],
    ),
)
