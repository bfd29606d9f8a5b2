"""How a name becomes a network: see `bench.archs.naming.spelling` for the spellings."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from bench.archs import ARCHS, Arch, _timm, _torchvision
from bench.archs._arguments import with_arguments
from bench.archs.naming.spelling import NetworkName, parse
from bench.errors import UnknownNameError, nearest, unknown_name
from bench.plan.card import ArchCard
from bench.registry import natural

_LIBRARIES = {"torchvision": _torchvision, "timm": _timm}


def resolve(text: str) -> Arch:
    """Return the network that a name means.

    Raises:
        ConfigError: if it is no name at all.
        UnknownNameError: if there is no such network, file or module; it names the nearest ones.
        UnsupportedError: if its library is not installed, or the images that it declares are too small for it.
        InvalidModelError: if it is the user's and cannot be imported, or does not take its arguments.
    """
    name = _checked(text)
    match name.kind:
        case "pattern":
            from bench.archs.pattern import network  # imports torch

            return network.resolve(name)
        case "file" | "module":
            from bench.archs.naming import user_code  # imports torch

            return user_code.resolve(name)
        case "registered":
            arch = ARCHS.get(name.target)
        case _:
            library = _LIBRARIES[name.source]
            arch = Arch(library.card(name.target), partial(library.build, name.target))
    return with_arguments(arch, str(name), name.arguments)


def _checked(text: str) -> NetworkName:
    """Parse a name; a plain one that is not registered is torchvision's, if it is one of its.

    Raises:
        ConfigError: if it is no name at all.
        UnknownNameError: if its registry or library does not know it; nothing else is looked into.
        UnsupportedError: if its library is not installed.
    """
    name = parse(text)
    if name.kind == "registered" and name.target not in ARCHS:
        if name.target not in _torchvision.names():
            ARCHS.get(name.target)  # raises
        return replace(name, kind="torchvision", source="torchvision")
    if name.kind == "timm":
        _timm.card(name.target)
    elif name.kind == "torchvision" and name.target not in _torchvision.names():
        hint = "see `bench list 'torchvision:*'`"
        raise unknown_name("torchvision network", name.target, _torchvision.names(), hint)
    return name


def expand_names(texts: Sequence[str]) -> list[str]:
    """Replace patterns such as ``resnet*`` and ``torchvision:*`` by the names they match; keep plain names.

    Returns:
        Each name once, patterns' in natural order.

    Raises:
        ConfigError: if one is no name at all.
        UnknownNameError: if a pattern matches nothing, or a name is not known.
    """
    names: list[str] = []
    for text in texts:
        names += _matches(text) if _is_glob(text) else [str(_checked(text))]
    return list(dict.fromkeys(names))


def _is_glob(text: str) -> bool:
    if text.lstrip().startswith("pattern:"):
        return False  # of layers
    return any(c in text.partition("(")[0] for c in "*?[") and ".py:" not in text


def _matches(glob: str) -> list[str]:
    prefix, colon, _ = glob.rpartition(":")
    known: list[str] = []
    if prefix in _LIBRARIES:
        known = [f"{prefix}:{n}" for n in _LIBRARIES[prefix].names()]
    elif not colon:
        known = ARCHS.names()
    else:
        parse(glob)
    names = sorted((n for n in known if fnmatch.fnmatchcase(n, glob)), key=natural)
    if not names:
        close = nearest(glob.strip("*?"), known)
        tip = f"did you mean {', '.join(close)}?" if close else "see `bench list`"
        raise UnknownNameError(f"no architecture matches {glob!r}", tip)
    return names


def list_archs(pattern: str = "*") -> list[ArchCard]:
    """Return the cards of the networks that a name or pattern means; without a prefix, of registered ones.

    Raises:
        UnknownNameError: if it means none.
    """
    return [resolve(name).card for name in expand_names([pattern])]
