"""How a name becomes a network: see `bench.archs.spec` for the spellings."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from types import ModuleType

from bench.archs import ARCHS, Arch, _timm, _torchvision
from bench.archs._arguments import with_arguments
from bench.archs.spec import Kind, Spec, parse
from bench.errors import UnknownNameError, nearest, unknown_name
from bench.plan.card import ArchCard
from bench.registry import natural

_LIBRARIES: dict[str, ModuleType] = {"torchvision": _torchvision, "timm": _timm}


def resolve(name: str) -> Arch:
    """Return the network that `name` means.

    Raises:
        ConfigError: if it is no name at all.
        UnknownNameError: if there is no such network, file or module; it names the nearest ones.
        UnsupportedError: if its library is not installed, or the images that it declares are too small for it.
        InvalidModelError: if it is the user's and cannot be imported, or does not take its arguments.
    """
    spec = _meant(parse(name))
    return _RESOLVERS[spec.kind](spec)


def _meant(spec: Spec) -> Spec:
    """Return torchvision's network for a plain name that is not registered but is one of torchvision's."""
    if spec.kind == "registered" and spec.target not in ARCHS and spec.target in _torchvision.names():
        return replace(spec, kind="torchvision", source="torchvision")
    return spec


def _registered(spec: Spec) -> Arch:
    _check(spec)
    return with_arguments(ARCHS.get(spec.target), str(spec), spec.arguments)


def _from_library(spec: Spec) -> Arch:
    _check(spec)
    library = _LIBRARIES[spec.source]
    arch = Arch(library.card(spec.target), partial(library.build, spec.target))
    return with_arguments(arch, str(spec), spec.arguments)


def _users(spec: Spec) -> Arch:
    from bench.archs import _user  # imports torch

    return _user.resolve(spec)


def _pattern(spec: Spec) -> Arch:
    from bench.archs import _pattern_net  # imports torch

    return _pattern_net.resolve(spec)


_RESOLVERS: dict[Kind, Callable[[Spec], Arch]] = {
    "registered": _registered,
    "torchvision": _from_library,
    "timm": _from_library,
    "file": _users,
    "module": _users,
    "pattern": _pattern,
}


def _check(spec: Spec) -> None:
    """Refuse a name that its registry or library does not know; nothing else is looked into.

    Raises:
        UnknownNameError: naming the nearest ones.
    """
    if spec.kind == "timm":
        _timm.card(spec.target)
    elif spec.kind == "torchvision" and spec.target not in _torchvision.names():
        raise unknown_name(
            "torchvision network", spec.target, _torchvision.names(), "see `bench list 'torchvision:*'`"
        )
    elif spec.kind == "registered" and spec.target not in ARCHS:
        ARCHS.get(spec.target)


def expand_names(names: Sequence[str]) -> list[str]:
    """Replace patterns such as ``resnet*`` and ``torchvision:*`` by the names they match; keep plain names.

    Returns:
        Each name once, patterns' in natural order.

    Raises:
        ConfigError: if one is no name at all.
        UnknownNameError: if a pattern matches nothing, or a name is not known.
    """
    found: list[str] = []
    for name in names:
        found += _matches(name) if _is_glob(name) else [_checked(name)]
    return list(dict.fromkeys(found))


def _checked(name: str) -> str:
    spec = _meant(parse(name))
    _check(spec)
    return str(spec)


def _is_glob(name: str) -> bool:
    if name.lstrip().startswith("pattern:"):
        return False  # of layers
    return any(c in name.partition("(")[0] for c in "*?[") and ".py:" not in name


def _matches(pattern: str) -> list[str]:
    prefix, colon, _ = pattern.rpartition(":")
    if prefix in _LIBRARIES:
        known = [f"{prefix}:{n}" for n in _LIBRARIES[prefix].names()]
    elif not colon:
        known = ARCHS.names()
    else:
        parse(pattern)
        known = []
    found = sorted((n for n in known if fnmatch.fnmatchcase(n, pattern)), key=natural)
    if not found:
        close = nearest(pattern.strip("*?"), known)
        tip = f"did you mean {', '.join(close)}?" if close else "see `bench list`"
        raise UnknownNameError(f"no architecture matches {pattern!r}", tip)
    return found


def list_archs(pattern: str = "*") -> list[ArchCard]:
    """Return the cards of the networks that a name or pattern means; without a prefix, of registered ones.

    Raises:
        UnknownNameError: if it means none.
    """
    return [resolve(name).card for name in expand_names([pattern])]
