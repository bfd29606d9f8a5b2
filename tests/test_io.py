"""Files that are whole at every moment, and JSON without numbers that it lacks."""

from __future__ import annotations

import math
import os
import stat
from pathlib import Path

import pytest

from bench.io import atomic_write, finite_json


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
