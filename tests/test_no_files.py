"""Pipes and devices in the place of files that a user may name: refused at once, before they are opened.

A pipe that nobody writes to lets whoever opens it wait for ever, and a device may have no end.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from bench.archs.naming import resolve
from bench.datasets import find, read
from bench.errors import BenchError
from bench.facts import sources
from bench.facts.convert import update
from bench.io import read_file
from bench.plan._yaml import find_yaml
from bench.plan.recipe import Recipe
from bench.registry import _import_file, _plug_in

LIMIT_S = 20  # of a loaded machine; nothing is waited for
KINDS = ("pipe", "socket", "device")


@pytest.fixture(autouse=True)
def _ends() -> Iterator[None]:
    def late(*_: object) -> None:
        pytest.fail("it waits, or reads without an end")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(LIMIT_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def put(kind: str, path: Path) -> Path:
    """Let a path be no file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(os.path.relpath(path))
    else:
        path.symlink_to("/dev/zero")
    return path


def _facts(path: Path) -> object:
    return sources(path.parent)


READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a network": ("net.py", lambda path: resolve(f"{path}:Net")),
    "weights": ("w.pt", lambda path: resolve(f"lenet5(weights='{path}')")),
    "safetensors": ("w.safetensors", lambda path: resolve(f"lenet5(weights='{path}')")),
    "a whole network": ("net.pt", lambda path: resolve(str(path))),
    "an experiment": ("mine.yaml", lambda path: find_yaml(str(path), "experiment", path.parent)),
    "a recipe": ("mine.yaml", lambda path: Recipe.load(str(path))),
    "sources of facts": ("sources.json", _facts),
    "published facts": ("results-imagenet.csv", lambda path: update([path], path.parent / "out")),
    "a plug-in": ("units.py", lambda path: _plug_in(str(path), partial(_import_file, str(path)))),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("what", READERS)
def test_what_is_no_file_is_refused_before_it_is_opened(
    what: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name, reader = READERS[what]
    with pytest.raises(BenchError, match="pipe, a device or a socket"):
        reader(put(kind, tmp_path / name))


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_of_facts_that_is_no_file(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bench.facts import _read

    monkeypatch.chdir(tmp_path)
    put(kind, tmp_path / "accuracy.parquet")
    with pytest.raises(BenchError, match="pipe, a device or a socket"):
        _read("accuracy", tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_files_of_a_data_set_that_are_no_files_are_not_there(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_DATA", str(tmp_path))
    put(kind, tmp_path / "cifar-10-batches-py" / "data_batch_1")
    put(kind, tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte")
    for name in ("cifar10", "mnist"):
        with pytest.raises(BenchError, match="is not on this machine"):
            read(find(name), "train")


@pytest.mark.parametrize("kind", KINDS)
def test_reading_by_whatever_way_looks_first(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OSError, match="pipe, a device or a socket"):
        read_file(put(kind, tmp_path / "x"))
