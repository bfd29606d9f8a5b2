"""Files that are whole at every moment, and JSON without numbers that it lacks."""

from __future__ import annotations

import math
import os
import pwd
import stat
import tempfile
from pathlib import Path

import pytest

from bench.io import atomic_write, cache_folder, expanded, finite_json


@pytest.mark.parametrize("synced", [True, False])
def test_a_file_is_replaced_when_it_is_whole(tmp_path: Path, synced: bool) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")
    with atomic_write(path, synced=synced) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")
    with pytest.raises(TypeError), atomic_write(path) as file:
        file.writelines([b"half", "no bytes"])  # type: ignore[list-item]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_none_is_what_is_raised(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError), atomic_write(tmp_path / "file" / "a.txt"):
        pass


def test_numbers_that_json_lacks_are_none() -> None:
    value = {"a": (1, math.nan, 2.5), 3: [math.inf, {"b": -math.inf}], "c": "text", "d": None, "e": True}
    assert finite_json(value) == {
        "a": [1, None, 2.5],
        "3": [None, {"b": None}],
        "c": "text",
        "d": None,
        "e": True,
    }


def test_a_pipe_is_written_to_and_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDWR)
    try:
        with atomic_write(pipe) as file:
            file.write(b"told")
        assert os.read(reader, 10) == b"told"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_link_stays_one_to_the_new_content(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target, link = tmp_path / "elsewhere" / "a.txt", tmp_path / "a.txt"
    target.write_bytes(b"old")
    link.symlink_to(target)
    with atomic_write(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert list(target.parent.iterdir()) == [target]


def test_a_link_to_itself_is_no_place(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="symbolic links"), atomic_write(tmp_path / "loop") as file:
        file.write(b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["loop"]


def _nobody(_: object) -> None:
    raise KeyError


def test_a_home_that_there_is_none_of_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", _nobody)  # as of a container's user
    monkeypatch.setattr(pwd, "getpwnam", _nobody)
    for text in ("~", "~/x", "~nobody/x"):
        assert str(expanded(text)) == text
    assert cache_folder("BENCH_TEST", "data") == Path(
        tempfile.gettempdir(), f"bench-of-{os.getuid()}", "data"
    )
    monkeypatch.setenv("BENCH_TEST", "/x")
    assert cache_folder("BENCH_TEST", "data") == Path("/x")


def test_a_home_is_that_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("BENCH_TEST", raising=False)
    assert expanded("~/x") == Path("/home/me/x")
    assert cache_folder("BENCH_TEST", "jobs") == Path("/home/me/.cache/bench/jobs")
