"""How a name becomes a network: see `bench.archs.naming.spelling` for the spellings."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import replace

from bench.archs import Arch
from bench.archs.naming.spelling import parse
from bench.archs.naming.ways import WAYS, NetworkName, Way, ways
from bench.errors import UnknownNameError, nearest
from bench.plan.card import ArchCard
from bench.registry import natural


def resolve(text: str) -> Arch:
    """Return the network that a name means.

    Raises:
        ConfigError: if it is no name at all.
        UnknownNameError: if there is no such network, file or module; it names the nearest ones.
        UnsupportedError: if its library is not installed, or the images that it declares are too small for it.
        InvalidModelError: if it is the user's and cannot be imported, or does not take its arguments.
    """
    name = _checked(text)
    way = WAYS.get(name.kind)
    ours = _ours(name, way)
    arch = way.resolve(replace(name, arguments={k: v for k, v in name.arguments.items() if k not in ours}))
    if "weights" in ours:
        from bench.archs.naming._weights import with_weights  # imports torch

        arch = with_weights(arch, str(name), ours["weights"])
    if "reparam" in ours:
        from bench.archs._reparam import with_fused_form

        arch = with_fused_form(arch, str(name), ours["reparam"])
    return arch


def _ours(name: NetworkName, way: Way) -> dict[str, object]:
    """Return those arguments that are bench's own, as the network takes none of that name.

    What takes any keyword, ``def net(**kwargs)``, may mean something else by `weights` that are no file.
    """
    written = {key: name.arguments[key] for key in ("weights", "reparam") if key in name.arguments}
    if not written:
        return {}
    parameters = way.parameters(name)
    theirs = {*parameters.names, *(["weights"] if parameters.any_keyword and not _is_file(written) else [])}
    return {key: value for key, value in written.items() if key not in theirs}


def _is_file(arguments: dict[str, object]) -> bool:
    return str(arguments.get("weights")).endswith((".pt", ".pth", ".bin", ".ckpt", ".safetensors"))


def _checked(text: str) -> NetworkName:
    """Return a name as its way in has it, such as torchvision's for a plain one; no code of the user's is loaded.

    Raises:
        ConfigError: if it is no name at all.
        UnknownNameError: if its registry or library does not know it.
        UnsupportedError: if its library is not installed.
    """
    name = parse(text)
    return WAYS.get(name.kind).check(name)


def expand_names(texts: Sequence[str]) -> list[str]:
    """Replace patterns such as ``resnet*`` and ``torchvision:*`` by the names they match; keep plain names.

    Returns:
        Each name once, patterns' in natural order; the arguments of a pattern are those of each.

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


def _matches(text: str) -> list[str]:
    glob, parenthesis, arguments = text.partition("(")
    prefix, colon, _ = glob.rpartition(":")
    lists = {source: way.names for source, way in ways() if way.names is not None}
    known: list[str] = []
    if (source := prefix if colon else "registered") in lists:
        known = lists[source]()
    else:
        parse(text)
    names = sorted((n for n in known if fnmatch.fnmatchcase(n, glob)), key=natural)
    if not names:
        close = nearest(glob.strip("*?"), known)
        tip = f"did you mean {', '.join(close)}?" if close else "see `bench list`"
        raise UnknownNameError(f"no architecture matches {glob!r}", tip)
    return [str(parse(n + parenthesis + arguments)) for n in names] if parenthesis else names


def list_archs(pattern: str = "*") -> list[ArchCard]:
    """Return the cards of the networks that a name or pattern means; without a prefix, of registered ones.

    Raises:
        UnknownNameError: if it means none.
    """
    return [resolve(name).card for name in expand_names([pattern])]
