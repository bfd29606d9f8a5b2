"""What is installed: its name, which stands once, and the files of the wheel and of the source, no more and no fewer."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from dataclasses import dataclass
from email.parser import BytesParser
from pathlib import Path
from typing import Any

import pytest
import yaml

import bench
from bench import errors
from bench.errors import DISTRIBUTION

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


def listed(*folders: str) -> list[str]:
    """Return the files of the repository, those that are new too, in some folders of it."""
    words = [
        "git",
        "-C",
        str(ROOT),
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
        "--",
        *folders,
    ]
    names = subprocess.run(words, capture_output=True, check=True, text=True).stdout.split("\0")
    return [name for name in dict.fromkeys(names) if name and (ROOT / name).is_file()]


def texts() -> dict[str, str]:
    """Return what may tell somebody to install something: documents, code and configuration, with no runs or reports."""
    kept = (".py", ".md", ".toml", ".yaml", ".yml", ".cff", "Dockerfile", "constraints.txt", ".ci/run")
    names = [
        n
        for n in listed()
        if n.endswith(kept) and not n.startswith(("results/", "reports/", "tests/models/wild/"))
    ]
    return {name: (ROOT / name).read_text("utf-8") for name in names}


# --- the name ---


def test_the_name_stands_once() -> None:
    assert PROJECT["name"] == DISTRIBUTION
    code = {
        name: text for name, text in texts().items() if name.startswith("bench/") and name.endswith(".py")
    }
    assert [name for name, text in code.items() if DISTRIBUTION in text] == ["bench/errors.py"]


def test_nothing_has_a_strangers_package_installed() -> None:
    extra = re.compile(r"(?<![\w-])bench\[[a-z]")
    bare = re.compile(
        r"(?:pip|pipx|uv tool) (?:install|run)\b[^\n&|;`{]*?[ '\"]bench(?:==|['\"`\s]|$)", re.MULTILINE
    )
    for wrong in ("bench[ray]", "pip install bench", "pip install -U 'bench'", "pip install bench==1"):
        assert extra.search(wrong) or bare.search(wrong), wrong
    for right in ("netbench-torch[ray]", "pip install . && bench run all", "pipx install netbench-torch"):
        assert not extra.search(right), right
        assert not bare.search(right), right
    ours = Path(__file__).relative_to(ROOT).as_posix()
    found = {
        name: match[0]
        for name, text in texts().items()
        if name != ours and (match := extra.search(text) or bare.search(text))
    }
    assert found == {}


def test_each_extra_that_is_named_is_there() -> None:
    for name, text in texts().items():
        for extras in re.findall(rf"{DISTRIBUTION}\[([a-z,]+)\]", text):
            assert set(extras.split(",")) <= set(EXTRAS), name


def test_each_tip_is_of_an_extra_that_is_there() -> None:
    code = (text for name, text in texts().items() if name.startswith("bench/") and name.endswith(".py"))
    named = {extra for text in code for extra in re.findall(r'install_tip\("(\w+)"\)', text)}
    assert named <= set(EXTRAS)
    assert named >= {"timm", "transformers", "onnx", "ray", "slurm", "sql", "hub"}


@pytest.mark.parametrize(
    ("origin", "command"),
    [
        ({}, f"pip install '{DISTRIBUTION}[sql]'"),  # of an index
        ({"url": "file://FOLDER", "dir_info": {}}, "pip install 'FOLDER[sql]'"),
        ({"url": "file://FOLDER/gone", "dir_info": {}}, f"pip install '{DISTRIBUTION}[sql]'"),
        ({"url": "file://FOLDER/bench-1.whl", "archive_info": {}}, "pip install 'FOLDER/bench-1.whl[sql]'"),
        ({"url": "file://FOLDER/gone.whl", "archive_info": {}}, f"pip install '{DISTRIBUTION}[sql]'"),
        (
            {"url": "https://host/bench-1.whl", "archive_info": {}},
            f"pip install '{DISTRIBUTION}[sql] @ https://host/bench-1.whl'",
        ),
        (
            {"url": "https://host/bench", "vcs_info": {"vcs": "git"}},
            f"pip install '{DISTRIBUTION}[sql] @ git+https://host/bench'",
        ),
    ],
)
def test_a_tip_installs_from_where_bench_is_from(
    origin: dict[str, Any], command: str, tmp_path: Path
) -> None:
    clone, libraries = tmp_path / "a clone", tmp_path / "site-packages"
    clone.mkdir()
    (clone / "pyproject.toml").touch()
    (clone / "bench-1.whl").touch()
    noted = {**origin, "url": origin.get("url", "").replace("FOLDER", clone.as_posix().replace(" ", "%20"))}
    assert errors._install_command("sql", libraries, noted) == command.replace("FOLDER", str(clone))
    # What runs in the clone is not to be hidden by a copy of it.
    assert errors._install_command("sql", clone, noted) == f"pip install -e '{clone}[sql]'"
    assert errors._install_command("", clone, noted) == f"pip install -e '{clone}'"


@pytest.mark.parametrize(
    ("place", "file", "text", "command"),
    [
        ("venv", "pyvenv.cfg", "home = /usr/bin\nversion = 3.11\n", "pip install"),
        ("venv", "pyvenv.cfg", "home = /usr/bin\nuv = 0.8\n", "uv pip install"),
        ("archive-v0/a1b2", "pyvenv.cfg", "home = /usr/bin\nuv = 0.8\n", "uvx --from"),
        ("tools/bench", "uv-receipt.toml", "", "uv tool install"),
        ("venvs/bench", "pipx_metadata.json", "{}", "pipx install --force"),
        ("usr", "none", "", "pip install"),
    ],
)
def test_a_tip_installs_where_bench_runs(
    place: str, file: str, text: str, command: str, tmp_path: Path
) -> None:
    prefix = tmp_path / place
    prefix.mkdir(parents=True)
    (prefix / file).write_text(text)
    assert errors._installer(prefix) == command
    told = errors._install_command("sql", tmp_path, {}, errors._installer(prefix))
    assert told == f"{command} '{DISTRIBUTION}[sql]'"


def test_the_guide_has_each_extra() -> None:
    guide = (ROOT / "bench" / "docs" / "install.md").read_text("utf-8")
    rows = [
        line.split("|")[1]
        for line in guide.partition("| extra | brings |")[2].splitlines()
        if line.startswith("| `")
    ]
    assert {word for row in rows for word in re.findall(r"`(\w+)`", row)} == set(EXTRAS)


def test_the_changelog_begins_with_this_version_or_with_the_next() -> None:
    version, rest = re.findall(r"^## (\S+)(.*)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)[0]
    assert version == bench.__version__ or rest == " (unreleased)"


def test_the_citation_says_what_the_package_says() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)  # what the format demands
    assert citation["license"] == PROJECT["license"]
    assert citation["keywords"] == PROJECT["keywords"]
    assert "version" not in citation  # it stands in one place


# --- what is in the image ---


def test_the_image_is_built_from_what_the_package_needs() -> None:
    kept = (ROOT / ".dockerignore").read_text().splitlines()
    needed = [
        "bench",
        "configs",
        "constraints.txt",
        "pyproject.toml",
        PROJECT["readme"],
        *PROJECT["license-files"],
    ]
    assert kept[1] == "*"
    assert [line[1:] for line in kept if line.startswith("!")] == needed


def test_targets_that_documents_name_are_there() -> None:
    targets = re.findall(r"^FROM \S+ AS (\w+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    named = {
        target for text in texts().values() for target in re.findall(r"docker build --target (\w+)", text)
    }
    assert named == {"cpu", "cuda"} <= set(targets)


# --- what is built ---


@dataclass(frozen=True)
class Built:
    """A wheel and the source, with the bytes of their files by name."""

    folder: Path
    wheel: dict[str, bytes]
    source: dict[str, bytes]


def build(project: Path, into: Path, *targets: str) -> Path:
    words = [
        sys.executable,
        "-m",
        "hatchling",
        "build",
        "-d",
        str(into),
        *(w for t in targets for w in ("-t", t)),
    ]
    done = subprocess.run(words, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return into


def files_of_wheel(folder: Path) -> dict[str, bytes]:
    (file,) = folder.glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    pytest.importorskip("hatchling", reason="hatchling is not installed: pip install -e '.[dev]'")
    folder = build(ROOT, tmp_path_factory.mktemp("dist"), "sdist", "wheel")
    (file,) = folder.glob("*.tar.gz")
    with tarfile.open(file) as archive:
        members = {
            m.name.partition("/")[2]: archive.extractfile(m) for m in archive.getmembers() if m.isfile()
        }
        source = {name: stream.read() for name, stream in members.items() if stream}
    return Built(folder, files_of_wheel(folder), source)


def package() -> dict[str, str]:
    """Return the files of the repository that are the package, by their names in it."""
    return {name: name for name in listed("bench")} | {f"bench/{name}": name for name in listed("configs")}


def test_the_wheel_has_the_package_and_nothing_else(built: Built) -> None:
    info = f"netbench_torch-{bench.__version__}.dist-info"
    metadata = {
        f"{info}/{n}" for n in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")
    }
    assert set(built.wheel) == set(package()) | metadata
    assert all(built.wheel[name] == (ROOT / own).read_bytes() for name, own in package().items())
    data = (
        "docs/start.md",
        "facts/accuracy.parquet",
        "plan/durations.csv",
        "archs/published.csv",
        "claims/claims.csv",
        "py.typed",
    )
    assert {
        f"bench/{name}" for name in (*data, "report/page/templates/page.html.j2", "configs/default.yaml")
    } <= set(built.wheel)


def test_the_metadata(built: Built) -> None:
    info = f"netbench_torch-{bench.__version__}.dist-info"
    said = BytesParser().parsebytes(built.wheel[f"{info}/METADATA"])
    assert (said["Name"], said["Version"]) == (DISTRIBUTION, bench.__version__)
    assert built.wheel[f"{info}/METADATA"].partition(b"\n\n")[2] == (ROOT / "README.md").read_bytes()
    assert set(said.get_all("Provides-Extra")) == set(EXTRAS)
    assert b"bench = bench.__main__:main" in built.wheel[f"{info}/entry_points.txt"]


def test_the_source_has_what_the_wheel_is_made_of(built: Built, tmp_path: Path) -> None:
    beside = {"pyproject.toml", "constraints.txt", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff"}
    made = {"PKG-INFO", ".gitignore"}  # by the builder
    assert set(built.source) == {*listed("bench"), *listed("configs"), *beside, *made}
    for name, content in built.source.items():
        (tmp_path / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / name).write_bytes(content)
    assert files_of_wheel(build(tmp_path / "source", tmp_path / "again", "wheel")) == built.wheel


def test_twine_has_nothing_to_say(built: Built) -> None:
    pytest.importorskip("twine", reason="twine is not installed: pip install -e '.[dev]'")
    words = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "twine",
        "check",
        "--strict",
        *map(str, built.folder.iterdir()),
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_wheel_alone_has_all_that_commands_read(built: Built, tmp_path: Path) -> None:
    for name, content in built.wheel.items():
        (tmp_path / "site" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "site" / name).write_bytes(content)
    commands = ["list configs", "explain install", "facts show resnet50"]
    code = "import sys\nfrom typer.testing import CliRunner\nfrom bench.cli.app import app\n" + "\n".join(
        f"assert CliRunner().invoke(app, {line.split()!r}).exit_code == 0, {line!r}" for line in commands
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    words = [sys.executable, "-W", "ignore", "-c", f"{code}\nimport bench\nprint(bench.__file__)"]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "site" / "bench" / "__init__.py")
