"""Runs in data sets of a hub: each is a folder there, with a manifest that says what belongs to it.

``RUN/manifest.json`` of the data set has the size and the SHA-256 of each file of the run: ``records.jsonl``,
``run.json``, ``outputs/`` and, on request, ``weights/``. What is pulled is held against it before anything is written
here. Records are only ever added: what a hub has of a run and what lies here are of one run where one begins with the
other.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import msgspec

import bench
from bench.errors import ConfigError, StoreError, unknown_name
from bench.io import write_file
from bench.records._hub import Address, Contents, Hub, HuggingFace
from bench.records.job_files import JobFile
from bench.records.store import INFO, RECORDS, Run, Store, read_run, sound_lines

__all__ = ["Address", "HuggingFace", "Push", "pull", "runs_of"]

_MANIFEST = "manifest.json"
_SCHEMA = 1
_KNOWN = re.compile(r"records\.jsonl|run\.json|outputs/[\w-]+\.npz|weights/[\w-]+\.safetensors", re.ASCII)
_FREE = "free space there, then pull again: what is whole is not fetched twice"


class _File(msgspec.Struct, frozen=True):
    """What the manifest says of a file."""

    size: Annotated[int, msgspec.Meta(ge=0)]
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class _Manifest(msgspec.Struct, frozen=True):
    """What belongs to a run in a data set, by the names in its folder."""

    files: dict[str, _File]
    records: Annotated[int, msgspec.Meta(ge=0)]
    schema: int = _SCHEMA
    bench_version: str = ""


@dataclass(frozen=True, slots=True)
class Push:
    """What goes to a data set, once that is agreed to.

    Attributes:
        address: with the run.
        contents: of the data set as it is; None where it is to be made.
        private: whether only its owners will see it.
        files: what goes, by the names in the run's folder: contents, or files.
        records: how many the run has.
        unsound: lines of it that are no sound records, and stay here.
        weights_left: bytes of weights that stay here.
    """

    address: Address
    contents: Contents | None
    private: bool
    files: Mapping[str, bytes | Path]
    records: int
    unsound: int
    weights_left: int

    @classmethod
    def of(cls, path: Path, address: Address, hub: Hub, *, weights: bool, public: bool) -> Push:
        """Return what of a run would go to a data set: what is not there already. Nothing is sent.

        Args:
            path: the folder of the run.
            address: of the data set; its run is by default called as the folder.
            hub: that keeps it.
            weights: whether those go too that trainings have kept.
            public: whether all may see a data set that is made for it.

        Raises:
            StoreError: for a folder that is no run, and where another run has its name there.
            ConfigError: where a revision is named, and where one that all should see is private.
        """
        if address.revision:
            raise ConfigError(f"nothing can be pushed to the revision {address.revision}", "leave it out")
        run = read_run(path)
        if not run.records:
            raise StoreError(f"there is no record in {path}", "measure something first: bench run smoke")
        address = address.of(address.run or run.name)
        contents = hub.contents(address.repo)
        if contents is not None and contents.private and public:
            raise ConfigError(
                f"{address.repo} is private", "leave --public out, or make it public on its own page first"
            )
        files = _files(run, weights=weights)
        there = _known(address, contents, hub)
        _check_begins(files[RECORDS], there, address)
        says = {name: _File(_size(content), _sha256(content)) for name, content in files.items()}
        before = {} if there is None else there.files
        new = {name: content for name, content in files.items() if before.get(name) != says[name]}
        if new:
            whole = _Manifest({**before, **says}, len(run.records), bench_version=bench.__version__)
            new[_MANIFEST] = msgspec.json.format(msgspec.json.encode(whole), indent=1) + b"\n"
        left = {} if weights else _kept(run, JobFile.weights)
        return cls(
            address=address,
            contents=contents,
            private=not public if contents is None else contents.private,
            files=new,
            records=len(run.records),
            unsound=len(run.rejected),
            weights_left=sum(map(_size, left.values())),
        )

    def size(self, name: str) -> int:
        """Return the bytes of a file."""
        return _size(self.files[name])

    def mentions(self, words: Mapping[str, str]) -> dict[str, int]:
        """Return how often what goes says each of some words, such as the folder of the user, by what the word is."""
        texts = [content for content in self.files.values() if isinstance(content, bytes)]
        counts = {}
        for what, word in words.items():
            spellings = {word.encode(), json.dumps(word)[1:-1].encode()}
            said = re.compile(
                b"|".join(rb"(?<!\w)" + re.escape(one) + rb"(?!\w)" for one in sorted(spellings))
            )
            counts[what] = sum(len(said.findall(text)) for text in texts)
        return {what: count for what, count in counts.items() if count}

    def send(self, hub: Hub) -> str:
        """Send what was prepared, in one commit, and return that.

        Raises:
            StoreError: where the hub does not take it, or the data set has changed meanwhile.
        """
        repo, run, contents = self.address.repo, self.address.run, self.contents
        if contents is None:
            hub.make(repo, private=self.private)
            contents = hub.contents(repo)
            if contents is None or contents.private != self.private:
                message = f"{repo} was made, and is not to be seen as it was asked for; nothing was sent"
                raise StoreError(message, "look at its page, then give the command again")
        files = {f"{run}/{name}": content for name, content in self.files.items()}
        return hub.commit(repo, files, f"{self.records} records of {run}", contents.commit)


def _files(run: Run, *, weights: bool) -> dict[str, bytes | Path]:
    """Return what belongs to a run, by its name in the folder: the sound lines of its records, and what they name."""
    info = run.path / INFO
    return {
        RECORDS: _sound(run.path / RECORDS),
        **({INFO: info.read_bytes()} if info.is_file() else {}),
        **_kept(run, JobFile.outputs),
        **(_kept(run, JobFile.weights) if weights else {}),
    }


def _kept(run: Run, kind: JobFile) -> dict[str, Path]:
    return {f"{kind}/{file.name}": file for file, _, _ in kind.all_in(run.path, run.records)}


def _check_begins(content: bytes | Path, there: _Manifest | None, address: Address) -> None:
    """Refuse to replace records that are not here: those of the hub must be the first of those here."""
    if there is not None and isinstance(content, bytes) and not _begins(content, there.files[RECORDS]):
        raise StoreError(
            f"{address} has records that are not here, and would be lost",
            "push to another name, hf://OWNER/NAME/RUN; or pull it under another --name and `bench merge` both",
        )


# --- pulling ---


@dataclass(frozen=True, slots=True)
class Pulled:
    """A run that was pulled.

    Attributes:
        path: its folder here.
        address: it came from, with the commit.
        records: how many the run has here now.
        fetched: files that were not here already.
    """

    path: Path
    address: Address
    records: int
    fetched: int


def runs_of(address: Address, hub: Hub) -> tuple[Contents, list[str]]:
    """Return what is in a data set, and the names of the runs in it that an address means.

    Raises:
        StoreError: where there is no such data set, or no run in it.
        UnknownNameError: for a run that it does not have.
    """
    contents = hub.contents(address.repo, address.revision)
    if contents is None:
        raise StoreError(
            f"there is no data set {address.repo}, or you may not see it",
            "mend its name; where it is private: hf auth login",
        )
    folders = (path.partition(f"/{_MANIFEST}") for path in sorted(contents.files))
    runs = [run for run, mark, rest in folders if mark and not rest and "/" not in run]
    if not runs:
        raise StoreError(f"no run in {address}", "`bench push RUN` puts one there")
    if address.run is None:
        return contents, runs
    if address.run not in runs:
        raise unknown_name(f"run of {address.repo}", address.run, runs)
    return contents, [address.run]


def pull(address: Address, contents: Contents, folder: Path, hub: Hub) -> Pulled:
    """Fetch a run into a folder; what lies there of the same run is not fetched again, and goes on from it.

    Nothing is written before all that was lacking is here and whole; the records come last.

    Args:
        address: with the run.
        contents: of its data set.
        folder: of the run here.
        hub: that keeps it.

    Raises:
        StoreError: where files are lacking there or damaged, where another run is in the folder, and where it cannot be
            written.
    """
    address = replace(address, revision=contents.commit)
    manifest = _known(address, contents, hub)
    if manifest is None:
        raise StoreError(f"no run in {address}", "`bench push RUN` puts one there")
    before = _sound(folder / RECORDS)
    names = _lacking(manifest, folder, before)
    files = {name: _fetched(name, manifest.files[name], address, contents, hub) for name in names}
    rest = _rest(files[RECORDS], manifest, before, folder, address) if RECORDS in files else b""
    with Store(folder) as store:  # whose lock is held meanwhile
        if _sound(store.file) != before:
            raise StoreError(f"{folder} was written to meanwhile", "pull again")
        for name in names:
            if name != RECORDS:
                write_file(folder / name, files[name].read_bytes(), tip=_FREE)
        if rest:
            write_file(folder / RECORDS, store.file.read_bytes() + rest, tip=_FREE)
    return Pulled(folder, address, len(read_run(folder).records), len(names))


def _sound(file: Path) -> bytes:
    """Return the sound lines of a file of records; nothing where there is none."""
    return b"".join(line + b"\n" for line, _ in sound_lines(file))


def _lacking(manifest: _Manifest, folder: Path, here: bytes) -> list[str]:
    """Return which files of a run are to be fetched into a folder whose sound records are `here`.

    Of a run that has gone on here, its own files stand.
    """
    records = manifest.files[RECORDS]
    begins = _begins(here, records)
    is_ahead = begins and len(here) > records.size

    def lacks(name: str, file: _File) -> bool:
        path = folder / name
        if name == RECORDS:
            return not begins
        if not path.is_file():
            return True
        replaceable = not begins if name == INFO else not is_ahead
        return replaceable and _File(_size(path), _sha256(path)) != file

    return [name for name, file in manifest.files.items() if lacks(name, file)]


def _fetched(name: str, file: _File, address: Address, contents: Contents, hub: Hub) -> Path:
    """Return a file of a run, held against the manifest; one that a cache has damaged is fetched anew."""
    path = f"{address.run}/{name}"
    if path not in contents.files:
        raise StoreError(f"{address} lacks {name}, which its manifest names", "have it pushed again")
    for anew in (False, True):
        here = hub.file(address.repo, path, contents.commit, anew=anew)
        if _File(_size(here), _sha256(here)) == file:
            return here
    raise StoreError(
        f"{name} of {address} is damaged: it has {_size(here):,} bytes with the SHA-256 {_sha256(here)[:12]}, "
        f"its manifest says {file.size:,} with {file.sha256[:12]}",
        "nothing of it was written here; have it pushed again, or pull an earlier commit: hf://OWNER/NAME@COMMIT/RUN",
    )


def _rest(file: Path, manifest: _Manifest, here: bytes, folder: Path, address: Address) -> bytes:
    """Return what records of the hub have beyond the sound ones of the folder, with which they must begin."""
    content = file.read_bytes()
    if not content.startswith(here):
        raise StoreError(f"{folder} has another run than {address}", "choose another --name")
    if sum(1 for _ in sound_lines(file)) != manifest.records or _sound(file) != content:
        raise StoreError(f"{address} has lines that are no sound records", "have it pushed again")
    return content[len(here) :]


# --- both ways ---


def _known(address: Address, contents: Contents | None, hub: Hub) -> _Manifest | None:
    """Return what a data set says of a run; None where it does not have it.

    Raises:
        StoreError: where the manifest is none, or names what no run has: it comes from elsewhere.
    """
    path = f"{address.run}/{_MANIFEST}"
    if contents is None or path not in contents.files:
        return None
    try:
        manifest = msgspec.json.decode(
            hub.file(address.repo, path, contents.commit).read_bytes(), type=_Manifest
        )
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise StoreError(f"the manifest of {address} is none: {error}", "have it pushed again") from error
    if manifest.schema > _SCHEMA:
        message = f"{address} is of a newer version: its schema is {manifest.schema}, not {_SCHEMA}"
        raise StoreError(message, "update bench")
    strange = [name for name in manifest.files if not _KNOWN.fullmatch(name)]
    if strange or RECORDS not in manifest.files:
        what = f"names {strange[0]!r}, which no run has" if strange else f"names no {RECORDS}"
        raise StoreError(f"the manifest of {address} {what}", "have it pushed again")
    return manifest


def _begins(content: bytes, file: _File) -> bool:
    """Return whether a file of the manifest is what some content begins with."""
    return len(content) >= file.size and _sha256(content[: file.size]) == file.sha256


def _size(content: bytes | Path) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def _sha256(content: bytes | Path) -> str:
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()
    with content.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
