"""How a network is named, and how a name becomes a network. Nothing of the text is executed.

    NAME                        registered, or else one of torchvision
    torchvision:NAME  timm:NAME of a library
    hf:NAME                     of transformers: a type, a class, a folder with config.json, or a name of the hub
    path/to/file.py:NAME        of the user's, in a file
    package.module:NAME         of the user's, in a module
    path/to/folder:NAME         an entry of the folder's hubconf.py
    session@DIGEST:NAME         an object of a Python session, such as a notebook's class
    path/to/net.pt2             saved by torch.export
    path/to/net.pt              saved by torch.jit (.pt, .pth, .torchscript)
    pattern:INPUT -> ... -> FC  layers in a row, see `bench.archs.pattern`

each but the last with arguments behind it if need be: ``my_net.py:Net(width=2, activation='relu')``. They are in the
files of this folder, see `bench.archs.naming._ways`. Two arguments are bench's own wherever the network has none of
that name: ``weights='net.pt'`` loads a state dict, of a library's network also trained weights of its own,
``torchvision:resnet50(weights=IMAGENET1K_V2)``, and ``reparam=True`` takes the form for inference that the network
comes with. Weights need no quotes.
"""

from __future__ import annotations

import ast
import fnmatch
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.archs import Arch
from bench.archs.naming._ways import WAYS, NetworkName, Way, is_file_of_weights
from bench.errors import BenchError, UnknownNameError, error_at, nearest
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
        from bench.archs.reparam import with_fused_form

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
    theirs = {
        *parameters.names,
        *(["weights"] if parameters.any_keyword and not is_file_of_weights(written.get("weights")) else []),
    }
    return {key: value for key, value in written.items() if key not in theirs}


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
    """Return whether a text means several networks: where what it begins with has no list of names, it does not."""
    way = next((way for _, way in _ways() if way.begins.match(text.strip())), None)
    return any(c in text.partition("(")[0] for c in _GLOB) and (way is None or way.names is not None)


def _matches(text: str) -> list[str]:
    glob, parenthesis, arguments = text.partition("(")
    prefix, colon, _ = glob.rpartition(":")
    lists = {source: way.names for source, way in _ways() if way.names is not None}
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


# --- spelling ---


def _ways() -> list[tuple[str, Way]]:
    """Return all ways in by name, in the order in which they are tried."""
    return sorted(WAYS.items(), key=lambda named: named[1].place)


_GLOB = ("*", "?", "[")
_PREFIX = re.compile(r"([^(:]*):")
_OURS_BEHIND = re.compile(r"\s*\(\s*weights\s*=[^()]*\)$")  # what stands behind a language of its own


def parse(text: str) -> NetworkName:
    """Parse the name of a network.

    Raises:
        ConfigError: if it is none; the message points at the character.
    """
    text = " ".join(text.splitlines()).strip()
    for kind, way in _ways():
        if begun := way.begins.match(text):
            return _read(kind, way, text, begun)
    raise _unread(text)


def _read(kind: str, way: Way, text: str, begun: re.Match[str]) -> NetworkName:
    groups, end = begun.groupdict(), begun.end()
    source = groups.get("source") or ""
    if way.normal is not None:
        behind = _OURS_BEHIND.search(text)
        end = behind.start() if behind else len(text)
        return NetworkName(kind, source, way.normal(text[:end]), _arguments(text, end))
    target = groups.get("target")
    if target is None:
        named = way.target.match(text, end)
        stop = named.end() if named else end
        if source and text[stop : stop + 1] in _GLOB:
            raise _no_list(text, stop, source)
        if named is None:
            inside = f"in a file of that folder: {text.rstrip('/')}/FILE.py:NAME"
            tip = inside if Path(text).is_dir() else _NAMES_OF.get(source, "see `bench list archs`")
            raise error_at(text, end, "the name of a network is missing", tip)
        target, end = named.group(), stop
    return NetworkName(kind, source, target, _arguments(text, end))


_NAMES_OF = {
    name: f"such as {name}:resnet50; see `bench list '{name}:*'`" for name in ("torchvision", "timm")
}


def _no_list(text: str, at: int, source: str) -> BenchError:
    """Return the error for a pattern of names that are listed nowhere."""
    listed = [kind for kind, way in _ways() if way.names is not None and kind != "registered"]
    otherwise = f"write each of them, {source}:NAME; patterns are for registered names and those of {', '.join(listed)}"
    close = nearest(source, listed, 1)
    tip = f"did you mean {text.replace(source, close[0], 1)}?" if close else otherwise
    return error_at(text, at, f"the networks of {source} are listed nowhere, so no pattern finds them", tip)


def _unread(text: str) -> BenchError:
    path = text.partition("(")[0].rstrip()
    if path.endswith(".py"):
        return error_at(text, len(path), "which network of the file?", f"write {path}:NAME")
    prefix = _PREFIX.match(text)
    tip = "the colon stands behind torchvision, timm, hf, pattern, a path that ends in .py, a folder, or a module"
    return error_at(text, 0, f"{prefix[1] if prefix else text!r} is no library, file or module", tip)


_BARE = re.compile(
    r"(?<=[(,\s])weights\s*=\s*(?!(?:None|True|False|[\d.+-]+)\s*[,)])([^\s'\"(),=\[{]+)(?=\s*[,)])"
)


_BEHIND = {
    ",": "several networks stand beside each other, with a blank between them: resnet18 resnet34",
    "=": "a setting is given by --set batch_size=8, an argument of a network in brackets: NAME(width=2)",
}
"""What is meant by a sign right behind a name."""


def _arguments(text: str, end: int) -> dict[str, object]:
    """Return the arguments that follow the name, which ends at `end`."""
    text = text[:end] + _BARE.sub(r"weights='\1'", text[end:])
    rest = text[end:].lstrip()
    if not rest:
        return {}
    start = len(text) - len(rest)
    if not rest.startswith("("):
        tip = next(
            (tip for sign, tip in _BEHIND.items() if rest.startswith(sign)), "arguments look like (width=2)"
        )
        raise error_at(text, start, "unexpected text behind the name", tip)
    if not rest.endswith(")"):
        raise error_at(text, len(text), "the parenthesis is not closed", f"write {text})")
    values: dict[str, object] = {}
    for keyword in _keywords(text, start):
        at = _position(text, start, keyword.col_offset)
        if keyword.arg is None:
            raise error_at(text, at, "an argument must be written key=value")
        if keyword.arg in values:
            raise error_at(text, at, f"the argument {keyword.arg!r} is given twice")
        values[keyword.arg] = _literal(text, start, keyword.arg, keyword.value)
    return values


def _keywords(text: str, start: int) -> list[ast.keyword]:
    """Parse the arguments as those of a call; nothing is evaluated."""
    try:
        call = ast.parse("f" + text[start:], mode="eval").body
    except SyntaxError as error:
        at = start + (error.offset or 1) - 2
        raise error_at(text, min(max(at, start), len(text)), f"bad arguments: {error.msg}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise error_at(text, start, f"bad arguments: {error}") from error
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise error_at(text, start, "expected one pair of parentheses: (key=value, ...)")
    if call.args:
        at = _position(text, start, call.args[0].col_offset)
        raise error_at(text, at, "an argument must be written key=value")
    return call.keywords


def _literal(text: str, start: int, key: str, value: ast.expr) -> object:
    try:
        literal: object = ast.literal_eval(value)
    except (ValueError, TypeError, RecursionError, MemoryError) as error:
        tip = f"put a text in quotes: {key}='{value.id}'" if isinstance(value, ast.Name) else None
        at = _position(text, start, value.col_offset)
        raise error_at(text, at, f"the value of {key!r} must be a literal", tip) from error
    return literal


def _position(text: str, start: int, column: int) -> int:
    """Return the index in `text` of a column in bytes of the parsed call, which has an f before `start`."""
    return start - 1 + len(("f" + text[start:]).encode()[:column].decode())
