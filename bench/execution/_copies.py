"""Copies: the user's files on their way to other machines, where networks are asked for by the same names.

All that a network or a plug-in has loaded goes along, and nothing else: it is what the network's identity is a hash of.
Each file lies there below one folder, under the path that it has here, and so does the current folder: relative names
mean the same there as here, and absolute ones are looked for below that folder first, see `users_path`.

Ray's own `runtime_env` is no less code for it: it sends whole folders (all of a repository's data, to reach one file),
none from elsewhere than the current one under the same name, and Slurm has none.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.archs.naming import parse
from bench.archs.naming.session import file_of
from bench.archs.naming.sources import COPIES, is_users, sources
from bench.errors import BenchError
from bench.io import expanded
from bench.plan.card import ArchCard
from bench.registry import PLUGINS

_NAMED_BY_FOLDER = ("hubconf.py", "config.json")  # files of networks that are asked for by their folder
_HOME = "~"


@dataclass(frozen=True, slots=True)
class Copies:
    """Files of this machine, to be laid down on another.

    Attributes:
        folder: the current one here.
        home: the user's here.
        files: content and time of change in ns, by their path, in which no links are.
        links: the paths by which they are asked for where those lead through links, to the files' own.
        plugins: the files that register units, see `bench.registry`.
        path: where modules are looked for here besides, as PYTHONPATH has it.
    """

    folder: str
    home: str = ""
    files: Mapping[str, tuple[bytes, int]] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    plugins: tuple[str, ...] = ()
    path: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """A hash of all of it."""
        known = hashlib.sha256(repr((self.folder, self.home, self.plugins, self.path, self.links)).encode())
        for path, (content, changed_ns) in sorted(self.files.items()):
            known.update(f"\n{path} {changed_ns} {hashlib.sha256(content).hexdigest()}".encode())
        return known.hexdigest()[:16]

    def lay_down(self, folder: Path) -> Path:
        """Write all files below a folder, once for all that have the same, and return where they are.

        Raises:
            OSError: if they cannot be written.
        """
        root = folder / self.digest
        if root.is_dir():
            return root
        folder.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".", dir=folder))
        try:
            self._write(draft)
            draft.rename(root)
        except OSError:
            shutil.rmtree(draft, ignore_errors=True)
            if not root.is_dir():  # nobody else was quicker
                raise
        return root

    def _write(self, root: Path) -> None:
        for path, (content, changed_ns) in self.files.items():
            file = _below(root, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            os.utime(file, ns=(changed_ns, changed_ns))
        for path, target in self.links.items():
            _link(_below(root, path), _below(root, target))
        _below(root, self.folder).mkdir(parents=True, exist_ok=True)
        if self.home:
            _below(root, self.home).mkdir(parents=True, exist_ok=True)
            _link(root / _HOME, _below(root, self.home))

    def enter(self, root: Path) -> None:
        """Let this process, and those that it starts, find the files that were laid down there."""
        os.chdir(_below(root, self.folder))
        os.environ[COPIES] = str(root)
        if self.plugins:
            os.environ[PLUGINS] = os.pathsep.join(str(_below(root, file)) for file in self.plugins)
        sys.path += [str(_below(root, folder)) for folder in self.path]


def _below(root: Path, path: str) -> Path:
    return root / path.lstrip("/")


def _link(path: Path, target: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        path.symlink_to(os.path.relpath(target, path.parent))


def copies_of(cards: Iterable[ArchCard]) -> Copies:
    """Return the files that networks and plug-ins are made of, as they are now."""
    here = Path.cwd()
    plugins = [Path(file) for file in os.environ.get(PLUGINS, "").split(os.pathsep) if file]
    named = (path for card in cards if card.source_sha256 is not None for path in _files_of(card))
    asked = {path for path in named if is_users(path)}
    for plugin in plugins:
        parent = plugin.resolve().parent
        asked |= {plugin, *(parent / name for name in sources(plugin, (parent,)))}
    absolute = {Path(os.path.abspath(path)) for path in asked}  # noqa: PTH100 (links are not to be followed)
    own = {path: path.resolve() for path in absolute}
    return Copies(
        folder=str(here),
        home=_home(),
        files={str(file): content for file in own.values() if (content := _content(file)) is not None},
        links={str(path): str(file) for path, file in own.items() if path != file},
        plugins=tuple(str(plugin.resolve()) for plugin in plugins),
        path=tuple(str(Path(p).resolve()) for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p),
    )


def _home() -> str:
    home = str(expanded("~"))
    return "" if home == "~" else home  # none at all


def _content(file: Path) -> tuple[bytes, int] | None:
    try:
        return file.read_bytes(), file.stat().st_mtime_ns
    except OSError:  # the job will say that it is not there
        return None


def _files_of(card: ArchCard) -> Iterator[Path]:
    """Yield the files that a network is made of; paths on its card are from its own, those of weights from here."""
    base = _defining_file(card.name)
    if base is not None:
        yield base
    from_file = [] if base is None else [base.resolve().parent]
    names = [*card.sources, *([card.weights] if card.weights else [])]
    for name in names:
        places = (folder / expanded(name) for folder in (*from_file, Path.cwd()))
        yield from [place for place in places if place.is_file()][:1]


def _defining_file(text: str) -> Path | None:
    """Return the file that a network's name leads to: itself, one of its folder, or that of its module."""
    try:
        name = parse(text)
    except BenchError:  # the plan has said so
        return None
    if name.kind == "session":
        return file_of(name)
    paths = [expanded(part) for part in (name.source, name.target) if part]
    modules = [
        Path(folder) / part
        for folder in (str(Path.cwd()), *sys.path)
        for stem in [name.source.replace(".", "/")]
        if stem
        for part in (f"{stem}.py", f"{stem}/__init__.py")
    ]
    within = [path / file for path in paths for file in _NAMED_BY_FOLDER]
    return next((path for path in (*paths, *within, *modules) if path.is_file()), None)
