"""Ways in: networks that have a name of their own: registered ones, torchvision's and timm's by prefix, and patterns.

A plain name that is not registered is torchvision's, if it is one of its. The language of patterns, layers in a row, is
that of `bench.archs.pattern`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from bench.archs import ARCHS, Arch, _timm, _torchvision, pattern
from bench.archs._arguments import Parameters, with_arguments
from bench.archs.naming._ways import WAYS, NetworkName, Way, is_file_of_weights
from bench.errors import UnknownNameError, unknown_name


def _registered(name: NetworkName) -> NetworkName:
    if name.target in ARCHS:
        return name
    if name.target in _torchvision.names():
        return replace(name, kind="torchvision", source="torchvision")
    if "." in name.target:
        tip = f"a colon stands behind a module: did you mean {_with_colon(name.target)}?"
        raise UnknownNameError(f"unknown architecture {name.target!r}", tip)
    if Path(file := f"{name.target}.py").is_file():
        tip = f"one in the file {file} is {file}:NAME, with the name that it has there"
        raise UnknownNameError(f"unknown architecture {name.target!r}", tip)
    ARCHS.get(name.target)  # raises for one that nobody knows
    return name


def _with_colon(dotted: str) -> str:
    """Return the name that was meant: one of timm, whose weights stand behind a dot, or one of a module."""
    module, _, last = dotted.rpartition(".")
    library = module.partition(".")[0]
    if library in ARCHS or library in _torchvision.names():
        return f"timm:{dotted}"
    return f"{library if library in ('torchvision', 'timm') else module}:{last}"


def _in_torchvision(name: NetworkName) -> NetworkName:
    if name.target not in _torchvision.names():
        hint = "see `bench list 'torchvision:*'`"
        raise unknown_name("torchvision network", name.target, _torchvision.names(), hint)
    return name


def _library_weights(name: NetworkName) -> Parameters:
    """Return `weights` as an argument of a library's own, where it is no file of the user's."""
    asked = name.arguments.get("weights")
    return Parameters(("weights",) if isinstance(asked, str) and not is_file_of_weights(asked) else ())


def _of_library(library: Any, name: NetworkName) -> Arch:
    """Return a network of torchvision or timm, of weights of the library's own where it is asked for with any."""
    if "weights" in name.arguments:
        from bench.archs.naming import _pretrained  # imports torch

        return _pretrained.of_timm(name) if library is _timm else _pretrained.of_torchvision(name)
    arch = Arch(library.card(name.target), partial(library.build, name.target))
    return with_arguments(arch, str(name), name.arguments)


def _in_timm(name: NetworkName) -> NetworkName:
    _timm.card(name.target)
    return name


def _of_pattern(name: NetworkName) -> Arch:
    from bench.archs.pattern._network import resolve  # imports torch

    return resolve(name)


WAYS.add(
    "registered",
    Way(
        place=90,
        begins=re.compile(r"(?![^(]*\.py\s*(?:\(|$))(?=[^:(]*(?:\(|$))"),
        check=_registered,
        resolve=lambda name: with_arguments(ARCHS.get(name.target), str(name), name.arguments),
        parameters=lambda name: Parameters(Parameters.of(ARCHS.get(name.target).builder).names),
        names=ARCHS.names,
    ),
)
WAYS.add(
    "torchvision",
    Way(
        place=30,
        begins=re.compile(r"(?P<source>torchvision):"),
        check=_in_torchvision,
        resolve=partial(_of_library, _torchvision),
        parameters=_library_weights,
        names=lambda: [f"torchvision:{name}" for name in _torchvision.names()],
    ),
)
WAYS.add(
    "timm",
    Way(
        place=31,
        begins=re.compile(r"(?P<source>timm):"),
        check=_in_timm,
        resolve=partial(_of_library, _timm),
        parameters=_library_weights,
        names=lambda: [f"timm:{name}" for name in _timm.names()],
    ),
)
WAYS.add(
    "pattern",
    Way(
        place=10,
        begins=re.compile(r"(?P<source>pattern):"),
        normal=lambda text: str(pattern.parse(text)),
        resolve=_of_pattern,
    ),
)
