"""Typical mistakes of a newcomer: one message that says what is wrong, where, and what to do; nothing is left behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Bench, scripted

from bench.execution import EXECUTORS, ExecutorKind

FILES = {
    "tabs.yaml": "name: x\nblocks:\n\t- task: cost\n",
    "empty.yaml": "",
    "broken.yaml": "blocks: [",
    "task.yaml": "blocks: [{task: infre, grid: {arch: [a]}}]\n",
    "key.yaml": "blocks: [{task: infer, batch_sise: 4, grid: {arch: [a]}}]\n",
    "a-file": "",
    "shallow.py": "",
    "comma.yaml": "blocks: [{task: cost, grid: {arch: [net.py:Net(width=2, num_classes=3), resnet18]}}]\n",
    "bare.yaml": "task: cost\narch: resnet18\n",
    "dash.yaml": "blocks:\n  task: cost\n  grid: {arch: [resnet18]}\n",
}

MISTAKES = [
    ("plan -c smok", "no experiment called 'smok'", "did you mean smoke?"),
    ("plan -c nowhere.yaml", "no experiment file 'nowhere.yaml'", "path of a YAML file"),
    ("plan -c tabs.yaml", "tabs.yaml, line 3, column 1: a tab", "blanks instead of tabs"),
    ("plan -c empty.yaml", "there is nothing in it", "configs/smoke.yaml"),
    ("plan -c broken.yaml", "broken.yaml, line 1, column 10: it ends before a bracket is closed", "close it"),
    ("plan -c task.yaml", "unknown task 'infre'", "did you mean infer?"),
    ("plan -c key.yaml", "unknown key blocks[0].batch_sise", "batch_size"),
    ("plan --set nonsense", "expected key=value", "such as --set device=cpu"),
    (
        "plan --set batchsize=8",
        "no block of experiment default knows 'batchsize'",
        "did you mean batch_size?",
    ),
    (  # timings know it, and none is asked for
        "plan --task cost --set batch_size=8",
        "no block of experiment default knows 'batch_size' of those that run (cost)",
        "",
    ),
    ("plan --set batch_size=[1,", "--set batch_size=[1,, line 1, column 4: it ends", "close it"),
    ("plan --set device=gpu", "'gpu'", "cuda"),
    ("plan --set speed=3", "no block of experiment default knows 'speed'", "known: seed, "),
    ("plan --set batch=3", "no block of experiment default knows 'batch'", "did you mean batch_size?"),
    ("train lenet5 -d digits --precision fp8", "no such option: --precision", "--set precision=...?"),
    ("evaluate lenet5 --data digits --precision fp8", "error: precision: input", "did you mean fp32?"),
    ("show lenet5 --time --precision fp8", "error: precision: input", "did you mean fp32?"),
    ("plan --task speed", "unknown task 'speed'", "known: "),
    ("run --name a/b", "a run cannot be called 'a/b'", "without slashes"),
    ("run --executor slrum", "unknown executor 'slrum'", "did you mean slurm?"),
    ("run --results a-file", "cannot write to a-file/default", "another --results folder"),
    ("run --ray-address auto", "--ray-address", "add --executor ray"),
    ("report", "no run in results", "bench run"),
    ("report nothing", "no run in results/nothing", ""),
    ("report nothing --format htm", "unknown format 'htm'", "did you mean html?"),
    ("diff a b --fail-above 5", "'5' is neither a percentage nor a fraction", "write 5% or 0.05"),
    ("export nothing -f csvv", "unknown", "did you mean csv"),
    ("choose --latency 20", "it has no unit", "such as 20ms"),
    ("choose --on rtx4091 --latency 20ms", "unknown machine 'rtx4091'", "did you mean rtx4090"),
    ("choose --on rtx4090 --accuracy top7", "unknown accuracy 'top7'", "did you mean top5"),
    ("explain nosy", "unknown topic 'nosy'", "did you mean noisy"),
    ("list resnt", "unknown name or pattern 'resnt'", "did you mean resnet"),
    ("facts show resnte50", "unknown network 'resnte50'", "did you mean resnet50"),
    (
        "facts update notes.csv",
        "notes.csv has not the name of a file of published facts",
        "results-imagenet.csv",
    ),
    ("verify --claims nothing.csv", "cannot read the claims nothing.csv", "give a CSV file of claims"),
    (
        "plan -c comma.yaml",
        "blocks[0].grid.arch: a comma of net.py:Net(width=2, num_classes=3) ends an entry",
        'in quotes: "net.py:Net(width=2, num_classes=3)"',
    ),
    ("plan -c bare.yaml", "task and arch: they stand in a block", "blocks: [{task: infer, grid:"),
    ("plan -c dash.yaml", "blocks: a block begins with a dash", "write - task: ..."),
    ("plan --task latency", "unknown task 'latency'", "the task infer measures it"),
    ("show resnet18,resnet34", "unexpected text behind the name", "with a blank between them"),
    ("show batch_size=8", "unexpected text behind the name", "--set batch_size=8"),
    ("show net.py:Net(width=2", "the parenthesis is not closed", "write net.py:Net(width=2)"),
    ("show shallow", "unknown architecture 'shallow'", "one in the file shallow.py is shallow.py:NAME"),
    ("show my_net.Net", "unknown architecture 'my_net.Net'", "did you mean my_net:Net?"),
    ("show torchvision.models.vgg16", "unknown architecture", "did you mean torchvision:vgg16?"),
    ("show resnet50.a1_in1k", "unknown architecture", "did you mean timm:resnet50.a1_in1k?"),
    ("claims", "no such command 'claims'", "`bench explain claims` tells where the word stands"),
    ("runn smoke", "no such command 'runn'", "did you mean run?"),
    ("diff a b --on latency", "no such option: --on", "`bench diff --help` has all"),
    ("show 3", "the name of a network is missing", "see `bench list archs`"),
    ("list timm:", "the name of a network is missing", "such as timm:resnet50"),
    ("show resnet18 vgg16", "unexpected extra argument(s) (vgg16)", "called as bench show [OPTIONS] {NET}"),
    ("evaluate resnet18.pt --data digits", "no file 'resnet18.pt'", "there is none in ."),
    ("train lenet5 -d digits --seeds 0,1,2", "valid integer", "--seeds: Trainings of each network."),
    ("compare lenet5", "", ""),
    ("train lenet5 -d digit", "digit", "did you mean digits?"),
]


PLACES = [
    ("train lenet5 -d pictures", "unknown data set 'pictures'", "given as imagefolder:pictures"),
    ("report results", "no run in results", "name a run in it: results/mine"),
    ("report results/mine/records.jsonl", "no run in results/mine/records.jsonl", "folder: results/mine"),
    ("report reports/mine", "no run in reports/mine", "a run of that name is in results/mine"),
    ("verify results/nothing", "no run in results/nothing", "runs there: mine"),
]


@pytest.mark.parametrize(("line", "message", "tip"), PLACES)
def test_what_is_meant_by_a_place_is_told(
    line: str, message: str, tip: str, run: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A folder of images, and of runs, a file of one, and a report."""
    EXECUTORS.load()
    for name in ("process", "inline"):
        monkeypatch.setitem(EXECUTORS._units, name, ExecutorKind("fake", lambda *_: scripted()))
    (tmp_path / "pictures").mkdir()
    (tmp_path / "results" / "mine").mkdir(parents=True)
    (tmp_path / "results" / "mine" / "records.jsonl").write_text("")
    result = run(*line.split())
    said = " ".join(result.stderr.split())
    assert result.exit_code in (1, 2)
    assert message in said
    assert tip in said


@pytest.mark.parametrize(("line", "message", "tip"), MISTAKES)
def test_a_mistake_has_one_message_with_a_next_step(
    line: str, message: str, tip: str, run: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    EXECUTORS.load()
    for name in ("process", "inline") if line.startswith(("plan", "run", "train", "compare")) else ():
        monkeypatch.setitem(EXECUTORS._units, name, ExecutorKind("fake", lambda *_: scripted()))
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    result = run(*line.split())
    assert result.exit_code in (1, 2)
    assert result.stdout == ""
    error, _, next_step = " ".join(result.stderr.split()).partition(" tip: ")
    assert error.startswith("error: ")
    assert message in error
    assert tip in next_step
    assert next_step
    assert {file.name for file in tmp_path.iterdir()} - {"results"} == set(FILES)


def test_arguments_that_cannot_be_read_are_no_failure_of_the_network(run: Bench, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("from torch import nn\n\nNet = nn.Identity\n")
    result = run("plan", "net.py:Net(4)", "--task", "cost")
    assert result.exit_code == 2
    assert "an argument must be written key=value, at character 12" in result.stderr
