"""README, recipes and a newcomer's ten tasks, line by line as they are written; what measures comes to made numbers.

A newcomer's first command has a process of its own, and measures; of those after it, what counts and trains is run
here. What a fresh interpreter needs, `test_bare.py` shows.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest
import stand_in
import warm
from commands import lines_of
from PIL import Image
from stand_in import StandIn, instead_of_all
from typer.testing import CliRunner

from bench.cli.app import app
from bench.execution import _probe as probe
from bench.report.figures import _drawing
from reports import drawing_only

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
CLASSES = (
    *("n01440764", "n02102040", "n02979186", "n03000684", "n03028079"),
    *("n03394916", "n03417042", "n03425413", "n03445777", "n03888257"),
)  # of Imagenette


def guide(name: str) -> str:
    return (ROOT / "bench" / "docs" / f"{name}.md").read_text("utf-8")


def git(*words: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *words], check=True, capture_output=True)


DRAW_ONE = drawing_only("latency_forest")


@pytest.fixture
def executor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, counted_once: None) -> StandIn:
    """Return what stands in for all executors, in a folder with README's network, images and weights, and two commits."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("COLUMNS", "160")
    network = re.search(r"```python\n# my_net.py\n(.*?)```", README, re.DOTALL)
    assert network is not None
    Path("nets").mkdir()
    for file in ("my_net.py", "nets/mine.py"):
        Path(file).write_text(network[1])
    git("init", "-q", "-b", "main")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    git("checkout", "-q", "-b", "change")
    with Path("nets/mine.py").open("a") as opened:
        opened.write("\n# another commit\n")
    git("commit", "-q", "-a", "-m", "two")
    for part in ("train", "val"):
        for name in CLASSES:
            folder = tmp_path / "data" / "imagenette" / part / name
            folder.mkdir(parents=True)
            for i in range(2):
                Image.new("RGB", (8, 8), (i, 0, 0)).save(folder / f"{i}.png")
    shutil.copytree(tmp_path / "data" / "imagenette", tmp_path / "PATH")  # which README calls so
    weights = tmp_path / "torch" / "hub" / "checkpoints"
    weights.mkdir(parents=True)
    for name in ("resnet50-11ad3fa6.pth", "resnet18-f37072fd.pth"):
        (weights / name).touch()
    monkeypatch.setattr(probe, "is_here", lambda name: True)  # as if all data sets were here
    monkeypatch.setattr(_drawing, "_MANY_RECORDS", 1_000_000)  # no second process
    monkeypatch.setattr(_drawing, "_draw", drawing_only())
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return instead_of_all(monkeypatch)


def say(line: str, code: int = 0) -> str:
    """Carry out a line, and return what it prints."""
    name, *words = shlex.split(line, comments=True)
    assert name == "bench"
    folder = Path.cwd()
    done = CliRunner().invoke(app, words)
    os.chdir(folder)  # which `bench gate` leaves
    assert done.exit_code == code, f"{line}\n{done.output}\n{done.exception!r}"
    return done.output


def session(markdown: str) -> dict[str, str]:
    """Carry out all lines of a text's blocks for the shell, in their order; return what each prints, the last time."""
    return {line.partition("  #")[0].rstrip(): say(line) for line in lines_of(markdown)}


def test_each_line_of_the_readme(executor: StandIn) -> None:
    for name in ("before", "after"):
        say(f"bench run my_net.py:Net --name {name}")
    inline = {" ".join(line.split()): None for line in re.findall(r"`(bench [^`A-Z]+)`", README)}
    assert {"bench run all", "bench run modern", "bench run smoke"} <= set(inline)
    for line in inline:
        say(line)
    shown = session(README)
    assert len(shown) == 9
    (own,) = (text for line, text in shown.items() if line.startswith("bench run my_net.py:Net"))
    assert "torchvision:convnext_tiny" in own
    for name in ("default", "modern", "smoke"):
        assert Path(f"reports/{name}/report.md").is_file()


def test_the_backbone(executor: StandIn) -> None:
    shown = session(guide("recipe-backbone"))
    raced = shown['bench choose --latency 20ms --memory 300MB --among "torchvision:*" --minutes 10']
    assert "Take torchvision:" in raced
    measured = [job.arch for job in executor.jobs if job.task == "infer"]
    assert set(measured) > {"torchvision:resnet50", "torchvision:mobilenet_v2"}
    assert "Take torchvision:" in shown["bench choose --on candidates --latency 20ms --memory 300MB"]


def test_the_paper(executor: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_drawing, "_draw", DRAW_ONE)
    session(guide("recipe-paper"))
    latex = Path("reports/paper/table.tex").read_text()
    assert r"\toprule" in latex
    assert all(name in latex for name in ("Net(width=128)", "resnet50", "convnext"))
    assert [file.name for file in Path("reports/paper/figures").glob("*.pdf")] == ["latency_forest.pdf"]


def test_the_gate(executor: StandIn) -> None:
    shown = session(guide("recipe-gate"))
    told = next(text for line, text in shown.items() if line.startswith("bench gate"))
    assert "nets/mine.py:Net(width=128)" in told
    assert "Nothing is slower for certain" in told


def test_the_lecture(executor: StandIn) -> None:
    shown = session(guide("recipe-lecture"))
    assert "inception4a" in shown["bench show googlenet --depth 2"]
    assert {job.arch for job in executor.jobs if job.task == "accuracy"} >= {"plain20", "resnet56"}


def test_the_cluster(executor: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "")  # set back after the test
    say("bench run modern --name server")  # on the other machine
    shown = session(guide("recipe-cluster"))
    again = shown["bench run modern --executor ray --ray-address HOST:6379"]
    assert "were measured before, and not again" in again
    assert Path("reports/both/report.md").is_file()


@dataclass(frozen=True)
class Task:
    """One of a newcomer's ten: its title, the lines to give, the files and the words that come of them."""

    title: str
    lines: list[str]
    files: list[str]
    words: list[str]


def newcomers_tasks() -> list[Task]:
    parts = re.split(r"^## ", (ROOT / "tests/newcomer.md").read_text("utf-8"), flags=re.MULTILINE)[1:]
    return [
        Task(
            title=part.partition("\n")[0],
            lines="".join(re.findall(r"^```sh\n(.*?)^```", part, re.DOTALL | re.MULTILINE)).splitlines(),
            files=re.findall(r"^- writes `(.+)`$", part, re.MULTILINE),
            words=re.findall(r"^- says `(.+)`$", part, re.MULTILINE),
        )
        for part in parts
    ]


def test_there_are_ten_and_each_says_what_comes_out() -> None:
    assert [task.title.partition(".")[0] for task in newcomers_tasks()] == [str(i) for i in range(1, 11)]
    assert all(task.lines and (task.files or task.words) for task in newcomers_tasks())


def do(line: str) -> str:
    """Carry out a line, of `bench` or of `python -c`; return what it prints."""
    name, *words = shlex.split(line, comments=True)
    if name == "bench":
        return say(line)
    assert (name, words[0]) == ("python", "-c")
    with redirect_stdout(StringIO()) as printed:
        exec(words[1], {})
    return printed.getvalue()


def test_the_ten_tasks_of_a_newcomer(executor: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each comes to what is said there; beyond the words, counts are arithmetic, and files hold what was run."""
    executor.real = ("cost", "accuracy")
    as_it_is = stand_in.time_of  # but that the narrow network takes half of the time of the other
    monkeypatch.setattr(stand_in, "time_of", lambda name, *of: as_it_is("Net", *of) / (1 + ("=8" in name)))
    first, *others = newcomers_tasks()
    done = warm.run([sys.executable, "-m", *shlex.split(first.lines[0])], text=True)
    assert done.returncode == 0, done.stderr
    printed = {first.title: done.stdout + done.stderr}
    for task in others:
        printed[task.title] = "".join(do(line) for line in task.lines)
    for task in (first, *others):
        for words in task.words:
            assert words in printed[task.title]
        for file in task.files:
            assert Path(file).stat().st_size > 0, task.title
    parameters = 64 * (3 * 7 * 7 + 1) + 1000 * (
        64 + 1
    )  # of README's network: a convolution and a linear layer
    said = {title.partition(".")[0]: text for title, text in printed.items()}
    assert f"{parameters:,}" in said["2"]
    mine = [json.loads(line) for line in Path("results/mine/records.jsonl").read_text("utf-8").splitlines()]
    counted = {
        record["job"]["arch"]: measurement["samples"]
        for record in mine
        for measurement in record["measurements"]
        if measurement["name"] == "parameters"
    }
    assert counted["my_net.py:Net"] == [parameters]
    assert set(counted) == {"my_net.py:Net", "resnet18", "torchvision:mobilenet_v2"}
    latex = Path("paper/table.tex").read_text("utf-8")
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == 1
    assert "lenet5" in latex
    with Path("smoke.csv").open(encoding="utf-8") as opened:
        rows = list(csv.DictReader(opened))
    assert {row["arch"] for row in rows} == {"lenet5", "resnet20", "linear", "convnet"}
    assert {"lenet5", "resnet20"} <= set(re.findall(r"'(\w+)'", said["7"]))


def test_a_unit_of_ones_own(executor: StandIn) -> None:
    blocks = re.findall(r"```python\n(.*?)```", guide("extending"), re.DOTALL)
    Path("mine.py").write_text(blocks[0])
    command = [sys.executable, "-m", "bench"]
    for line in lines_of(guide("extending")):
        done = warm.run([*command, *shlex.split(line)[1:]], text=True)
        assert done.returncode == 0, done.stderr
    assert Path("reports/small/figures/parameters.svg").is_file()
    test = f"import os\nos.environ['BENCH_PLUGINS'] = 'mine.py'\n{blocks[1]}\ntest_my_network()\n"
    warm.run([sys.executable, "-c", test], text=True, check=True)
