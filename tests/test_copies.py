"""Copies: the user's files mean the same on another machine, under the same names, and nothing else goes along."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
import warm

from bench.archs.naming._paths import users_path
from bench.archs.naming.sources import COPIES
from bench.execution._copies import Copies, copies_of
from bench.plan.card import ArchCard
from bench.registry import PLUGINS

NET = '''"""A network with a part and values in files of their own."""

from pathlib import Path

from parts import layer
from torch import nn

WIDTH = int((Path(__file__).parent / "width.txt").read_text())


class Net(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.body = nn.Sequential(layer(WIDTH), nn.Flatten(), nn.LazyLinear(num_classes))

    def forward(self, x):
        return self.body(x)
'''
RESOLVE = """
import json, sys
from pathlib import Path
from bench.execution._copies import copies_of
import pickle
if sys.argv[1]:
    copies = pickle.loads(Path(sys.argv[1]).read_bytes())
    copies.enter(copies.lay_down(Path(sys.argv[2])))
from bench.archs.naming import resolve
cards = [resolve(name).card for name in sys.argv[4:]]
if not sys.argv[1]:
    Path(sys.argv[3]).write_bytes(pickle.dumps(copies_of(cards)))
print(json.dumps([card.source_sha256 for card in cards]))
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home" / "project"
    folder.mkdir(parents=True)
    (folder / "net.py").write_text(NET)
    (folder / "parts.py").write_text(
        "from torch import nn\n\n\ndef layer(w):\n    return nn.Conv2d(3, w, 3)\n"
    )
    (folder / "width.txt").write_text("4")
    (folder / "secret.txt").write_text("of no concern")
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.delenv(PLUGINS, raising=False)
    monkeypatch.chdir(folder)
    return folder


def card(name: str, *sources: str) -> ArchCard:
    return ArchCard(name=name, source_sha256="sha", sources=dict.fromkeys(sources, "sha"))


def names(copies: Copies, folder: Path) -> set[str]:
    """Return the files that go along, by their path from a folder."""
    return {os.path.relpath(path, folder) for path in copies.files}


SOURCES = ("net.py", "parts.py", "width.txt")


@pytest.mark.parametrize(
    "name", ["net.py:Net", "./net.py:Net(num_classes=2)", "~/project/net.py:Net", "net:Net"]
)
def test_what_a_network_is_made_of_goes_along_and_nothing_else(project: Path, name: str) -> None:
    assert names(copies_of([card(name, *SOURCES)]), project) == set(SOURCES)


def test_absolute_names_too(project: Path) -> None:
    assert names(copies_of([card(f"{project}/net.py:Net", *SOURCES)]), project) == set(SOURCES)


def test_a_network_of_bench_or_of_a_library_needs_no_files(project: Path) -> None:
    own = [ArchCard(name="resnet18"), ArchCard(name="timm:resnet50")]
    assert not copies_of(own).files


def test_a_file_beside_another_folder_is_named_from_the_networks_own(project: Path) -> None:
    (project / "models").mkdir()
    (project / "net.py").rename(project / "models/net.py")
    copies = copies_of([card("models/net.py:Net", "net.py", "../parts.py")])
    assert names(copies, project) == {"models/net.py", "parts.py"}


def test_weights_are_named_from_the_current_folder(project: Path) -> None:
    (project / "models").mkdir()
    (project / "net.py").rename(project / "models/net.py")
    (project / "net.pt").write_bytes(b"weights")
    with_weights = ArchCard(
        name="models/net.py:Net(weights='net.pt')",
        source_sha256="sha",
        sources={"models/net.py": "a", "net.pt": "b"},
        weights="net.pt",
    )
    assert names(copies_of([with_weights]), project) == {"models/net.py", "net.pt"}


def test_folders_and_saved_networks(project: Path) -> None:
    (project / "hub").mkdir()
    (project / "hub/hubconf.py").touch()
    (project / "saved.pt2").touch()
    (project / "vit").mkdir()
    (project / "vit/config.json").write_text("{}")
    cards = [card("./hub:entry"), card("saved.pt2"), card("hf:vit")]
    assert names(copies_of(cards), project) == {"hub/hubconf.py", "saved.pt2", "vit/config.json"}


def test_a_plug_in_goes_along_with_what_it_imports(
    project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    plugin = project / "plugin.py"
    plugin.write_text("import parts\n")
    monkeypatch.setenv(PLUGINS, str(plugin))
    copies = copies_of([])
    assert names(copies, project) == {"plugin.py", "parts.py"}
    root = copies.lay_down(tmp_path / "node")
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv(COPIES, "")
    copies.enter(root)
    assert os.environ[PLUGINS] == f"{root}{plugin}"
    assert Path.cwd() == Path(f"{root}{project}")


def test_they_are_laid_down_once(project: Path, tmp_path: Path) -> None:
    copies = copies_of([card("net.py:Net", *SOURCES)])
    root = copies.lay_down(tmp_path / "node")
    assert (Path(f"{root}{project}") / "width.txt").read_text() == "4"
    assert (Path(f"{root}{project}") / "net.py").stat().st_mtime_ns == (project / "net.py").stat().st_mtime_ns
    (Path(f"{root}{project}") / "width.txt").write_text("9")
    assert copies.lay_down(tmp_path / "node") == root
    assert (Path(f"{root}{project}") / "width.txt").read_text() == "9"
    assert [path.name for path in (tmp_path / "node").iterdir()] == [root.name]
    (project / "width.txt").write_text("5")
    assert copies_of([card("net.py:Net", *SOURCES)]).lay_down(tmp_path / "node") != root


def test_names_that_are_absolute_or_of_the_home_mean_the_copies(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = copies_of([card("net.py:Net", *SOURCES)]).lay_down(tmp_path / "node")
    monkeypatch.setenv(COPIES, str(root))
    monkeypatch.setenv("HOME", str(tmp_path / "elsewhere"))
    there = Path(f"{root}{project}/net.py")
    assert users_path(f"{project}/net.py").resolve() == there
    assert users_path("~/project/net.py").resolve() == there
    assert users_path("~/project/other.py") == tmp_path / "elsewhere/project/other.py"
    assert users_path("net.py") == Path("net.py")
    monkeypatch.delenv(COPIES)
    assert users_path(f"{project}/net.py") == project / "net.py"


def test_links_lead_to_the_same_files(project: Path, tmp_path: Path) -> None:
    (project / "linked").symlink_to(project.parent / "project")
    (project / "alias.py").symlink_to("net.py")
    copies = copies_of([card("linked/net.py:Net", *SOURCES), card("alias.py:Net", *SOURCES)])
    assert names(copies, project) == set(SOURCES)
    root = copies.lay_down(tmp_path / "node")
    for name in ("linked/net.py", "alias.py"):
        assert Path(f"{root}{project}/{name}").resolve() == Path(f"{root}{project}/net.py")


def test_a_file_that_is_gone_is_left_to_the_job(project: Path) -> None:
    copies = copies_of([card("net.py:Net", "net.py", "gone.py"), card("none.py:Net"), card("no name at all")])
    assert names(copies, project) == {"net.py"}


def test_a_network_is_the_same_there(project: Path, tmp_path: Path) -> None:
    asked = ["net.py:Net", f"{project}/net.py:Net", "~/project/net.py:Net", "net:Net"]
    file = tmp_path / "copies"

    def resolve(*words: str, folder: Path, home: Path) -> list[str]:
        root = str(Path(__file__).parent.parent)
        env = {**os.environ, "HOME": str(home), "PYTHONPATH": root}
        command = [sys.executable, "-c", RESOLVE, *words, *asked]
        done = warm.run(command, cwd=folder, env=env, text=True, check=True)
        known: list[str] = json.loads(done.stdout)
        return known

    here = resolve("", "", str(file), folder=project, home=project.parent)
    project.rename(project.with_name("moved"))  # what was here cannot help any more
    (tmp_path / "other").mkdir()
    there = resolve(str(file), str(tmp_path / "node"), "", folder=tmp_path, home=tmp_path / "other")
    assert here == there
    assert None not in here
