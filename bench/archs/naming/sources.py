"""Sources: the files of the user's that a network is made of, so that an edit of any of them is another network.

Which files those are is read off the text, without running it: what a file imports, at its top or inside a function,
if it lies in a folder of the user's and not among the installed packages; and what it names in a string, such as
``"net.yaml"``, if that is a file beside it or in the current folder. Modules that were imported under names that the
text does not have are added by whoever imported them.
"""

from __future__ import annotations

import ast
import os
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import bench
from bench.archs.naming._digests import digest
from bench.archs.naming._imports import statements
from bench.io import read_file

COPIES = "BENCH_COPIES"
"""The variable that names the folder below which files of another machine lie, under the paths that they have there."""

_LONGEST_NAME = 255  # bytes that a file's name may have
_WRITES, _MODES = frozenset("wax"), frozenset("rwaxbt+")  # of a file that is opened
_WRITERS = frozenset(("save", "dump", "savefig", "savez", "savetxt", "imwrite", "write_text", "write_bytes"))
_PATHS = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
_INSTALLED = tuple({f"{Path(path).resolve()}{os.sep}" for path in (*_PATHS, os.path.dirname(bench.__file__))})  # noqa: PTH120


def sources(file: Path, folders: Sequence[Path], more: Iterable[Path] = ()) -> Mapping[str, str]:
    """Return the SHA-256 of each file that a network's file depends on, itself included, by its path from there.

    Args:
        file: that defines the network.
        folders: in which its imports are looked for, the first ones first.
        more: files that it depends on besides, with all that those depend on.
    """
    files: dict[Path, None] = {}
    waiting = [file, *more]
    while waiting:
        at = waiting.pop().resolve()
        if at not in files:
            files[at] = None
            waiting += _named(at, folders) if at.suffix == ".py" else ()
    base = file.resolve().parent
    digests = {Path(os.path.relpath(path, base)).as_posix(): digest(path) for path in files}
    return {name: sha for name, sha in sorted(digests.items()) if sha is not None}


def is_users(file: Path) -> bool:
    """Return whether a module's file is the user's: neither Python's, nor an installed package's, nor of bench."""
    path = str(file.resolve())
    return not path.startswith(_INSTALLED) and not {"site-packages", "dist-packages"} & {*Path(path).parts}


def _named(file: Path, folders: Sequence[Path]) -> Iterator[Path]:
    """Yield the user's files that a file of Python names, in imports and in strings."""
    try:
        text = read_file(file)
    except OSError:
        return
    nodes = statements(text)
    calls = (node for node in nodes if isinstance(node, ast.Call) and _writes(node))
    written = {id(node) for call in calls for node in ast.walk(call)}
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _modules(alias.name, folders)
        elif isinstance(node, ast.ImportFrom):
            within = [file.parents[node.level - 1]] if 0 < node.level <= len(file.parents) else folders
            if node.level:
                yield from (init for init in [within[0] / "__init__.py"] if init.is_file())
            yield from _modules(node.module or "", within)
            for alias in node.names:
                yield from _modules(f"{node.module or ''}.{alias.name}".strip("."), within)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in written:
            yield from _file(node.value, (file.parent, Path.cwd(), *folders))


def _writes(call: ast.Call) -> bool:
    """Return whether a call writes a file: what it names is no source."""
    function = ast.unparse(call.func).rpartition(".")[2]
    if function in _WRITERS or function.startswith("to_"):
        return True
    place = 0 if isinstance(call.func, ast.Attribute) else 1  # path.open("w"), open(path, "w")
    modes = [*call.args[place : place + 1], *(word.value for word in call.keywords if word.arg == "mode")]
    texts = [m.value for m in modes if isinstance(m, ast.Constant) and isinstance(m.value, str)]
    return function == "open" and any(_WRITES & set(mode) and set(mode) <= _MODES for mode in texts)


def _modules(name: str, folders: Sequence[Path]) -> Iterator[Path]:
    """Yield the files that importing a module by its dotted name runs, where they are the user's."""
    for folder in folders:
        at, files = folder, []
        for word in filter(None, name.split(".")):
            at = at / word
            files += [at / "__init__.py", at.with_name(f"{word}.py")]
        if name and not files:
            continue
        there = [path for path in files or [folder / "__init__.py"] if path.is_file() and is_users(path)]
        if there:
            yield from there
            return


def _file(text: str, folders: Sequence[Path]) -> Iterator[Path]:
    """Yield the file that a string names; one without an ending, or with a line break, is taken for other text."""
    if not 2 < len(text.encode("utf-8", "replace")) <= _LONGEST_NAME or "\n" in text or "\0" in text:
        return
    if not Path(text).suffix or text.startswith("."):
        return
    for folder in folders:
        path = folder / text
        try:
            if path.is_file() and is_users(path):
                yield path
                return
        except OSError:  # a name that no file can have
            return
