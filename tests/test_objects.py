"""Networks that are objects of a session: named, sent to a process, and counted there like any other."""

from __future__ import annotations

import os
import re
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import bench
from bench.api._objects import name_of, names_of
from bench.archs.naming import parse, resolve
from bench.archs.naming._ways import NetworkName
from bench.archs.naming.session import _OBJECTS, file_of
from bench.archs.naming.sources import COPIES
from bench.errors import ConfigError, InvalidModelError, StoreError, UnknownNameError
from bench.execution._copies import copies_of


class Local(nn.Module):
    """Defined in a module that a job's process cannot import."""

    input_size = 8

    def __init__(self, num_classes: int = 4, width: int = 5) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, width, 3), nn.Linear(width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.head(self.conv(images).mean((2, 3)))
        return out


def build(num_classes: int = 4) -> nn.Module:
    return Local(num_classes, width=7)


def test_a_name_is_its_own() -> None:
    assert name_of("resnet18") == "resnet18"


@pytest.mark.parametrize(
    ("network", "width"), [(Local(), 5), (Local, 5), (build, 7), (nn.Sequential(Local()), 5)]
)
def test_an_object_is_a_network_like_any_other(network: Any, width: int) -> None:
    model = resolve(name_of(network)).build()
    assert sum(p.numel() for p in model.parameters()) == (27 + 1) * width + (width + 1) * 4


def test_equal_objects_have_one_name_and_others_another() -> None:
    torch.manual_seed(0)
    first = Local()
    assert name_of(first) == name_of(first)
    assert name_of(first) != name_of(Local())  # other weights
    assert re.fullmatch(r"session@[0-9a-f]{8}:Local", name_of(first))
    assert resolve(name_of(Local)).build(num_classes=9).head.out_features == 9


def test_what_is_no_network_or_cannot_be_sent() -> None:
    with pytest.raises(ConfigError, match="7 is no network"):
        name_of(7)  # type: ignore[arg-type]
    stuck = Local()
    stuck.lock = threading.Lock()  # type: ignore[assignment]
    with pytest.raises(InvalidModelError, match="Local cannot be sent to another process"):
        name_of(stuck)


def test_one_network_is_a_list_of_it_whatever_it_is() -> None:
    layers = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))  # a sequence, but a network first
    assert names_of("resnet18") == ["resnet18"]
    assert names_of(layers) == names_of([layers]) == [name_of(layers)]
    assert names_of([]) == []


def test_a_user_without_a_name_and_a_folder_that_cannot_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr("getpass.getuser", nobody)
    monkeypatch.setenv(_OBJECTS, "")
    name = name_of(Local())
    assert f"bench-{os.getuid()}/" in str(file_of(parse(name)))
    assert parse(name) == NetworkName("session", name.partition(":")[0], "Local")
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file"))
    monkeypatch.setenv(_OBJECTS, "")
    with pytest.raises(StoreError, match="Local cannot be written to .*Not a directory") as caught:
        name_of(Local())
    assert "TMPDIR" in str(caught.value.tip)


def test_an_object_whose_file_is_gone_says_so() -> None:
    name = name_of(Local())
    shutil.rmtree(file_of(parse(name)).parent)
    with pytest.raises(UnknownNameError, match="was an object of a session, and is gone") as caught:
        resolve(name)
    assert "path/to/file.py:NAME" in str(caught.value.tip)


def test_an_object_is_found_by_jobs_where_the_folder_of_temporary_files_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By those that a server begins which knows the former folder alone, and by name."""
    smoke = {"tasks": ["cost"], "overrides": ["input_size=8"], "results": tmp_path / "results"}
    bench.run("smoke", ["linear"], **smoke)
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / name))
        last = Local(width=3)
        done = bench.run("smoke", [last], name=name, **smoke)
        assert [r.status for r in done.summary.records] == ["ok"]
    assert resolve(name_of(last)).build().head.in_features == 3


def test_an_object_is_found_among_copies_at_another_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = name_of(Local())
    copies = copies_of([resolve(name).card])
    root = copies.lay_down(tmp_path / "copies")
    shutil.rmtree(file_of(parse(name)).parent)
    monkeypatch.setenv(COPIES, str(root))
    assert root in file_of(parse(name)).parents
    assert resolve(name).build(num_classes=9).head.out_features == 4  # an instance stays as it is


def test_objects_are_shown_and_run(tmp_path: Path) -> None:
    shown = Local()
    frame = bench.show(shown)
    assert frame["parameters"].sum() == (27 + 1) * 5 + (5 + 1) * 4
    assert frame.attrs["arch"] == name_of(shown)
    done = bench.run(
        "smoke", [Local(), "linear"], tasks=["cost"], overrides=["input_size=8"], results=tmp_path
    )
    values = {r.job.arch.rpartition(":")[2]: r.measurement("macs") for r in done.summary.records}
    assert {name: m.samples for name, m in values.items() if m} == {
        "Local": (27 * 5 * 36 + 5 * 4,),
        "linear": (3 * 8 * 8 * 10,),
    }
