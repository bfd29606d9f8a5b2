"""bench evaluate, from images to the cause of an accuracy that is not the published one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import Bench
from PIL import Image

pytestmark = pytest.mark.usefixtures("inline_jobs")

NET = """
import torch
from torch import nn


class Net(nn.Module):
    \"\"\"Says whether an image is red, 0, or not, 1; it was made for images without normalisation.\"\"\"

    input_size = 16
    transform = {"resize": 16, "crop": [16, 16], "mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]}

    def __init__(self, num_classes=2):
        super().__init__()
        self.fc = nn.Linear(3, 2)
        with torch.no_grad():
            self.fc.weight.copy_(torch.tensor([[4.0, -2.0, -2.0], [0.0, 0.0, 0.0]]))
            self.fc.bias.copy_(torch.tensor([0.0, 0.7]))

    def forward(self, images):
        if images.shape[-1] != 16:
            raise ValueError("made for 16 px")
        return self.fc(images.mean((2, 3)))
"""
COUNT, WRONG = 30, 3  # images of a class, and how many lie in another one's folder


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Return a folder of images, of which a tenth lie in the wrong folder, beside a network that tells red ones."""
    rng = np.random.default_rng(0)
    (tmp_path / "net.py").write_text(NET)
    for label in range(2):
        folder = tmp_path / "pictures" / "val" / str(label)
        folder.mkdir(parents=True)
        for i in range(COUNT):
            pixels = rng.uniform(0, 150, (20, 20, 3))
            red = label == 0 if i >= WRONG else label == 1
            pixels[..., 0 if red else 1] += 90
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{i}.png")
    return tmp_path / "pictures"


def stored_training(tmp_path: Path, top1: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the evaluation say that its weights are of a training that came to this accuracy."""
    from bench.tasks import _evaluate

    told = {
        "top1": top1,
        "images": 2 * COUNT,
        "dataset": f"imagefolder:{tmp_path}/pictures",
        "source": "job x",
    }
    monkeypatch.setattr(_evaluate, "_of_training", lambda *_: {"trained_top1": told})


def evaluate(run: Bench, pictures: Path, *words: str) -> dict[str, list[dict[str, object]]]:
    done = run("evaluate", "net.py:Net", "--data", f"imagefolder:{pictures}", "--no-report", "--json", *words)
    assert done.exit_code == 0, done.output
    document: dict[str, list[dict[str, object]]] = json.loads(done.stdout)["evaluations"]
    return document


def test_what_is_as_published_is_not_evaluated_again(
    run: Bench, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored_training(tmp_path, (COUNT - WRONG) / COUNT, monkeypatch)
    document = evaluate(run, pictures)
    (one,) = document["accuracy"]
    assert (one["top1"], one["verdict"], one["tries"]) == (0.9, "reproduced", 0)
    assert document["tries"] == []


def test_what_is_not_is_tried_and_named_and_the_same_command_again_tries_nothing(
    run: Bench, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored_training(tmp_path, (COUNT - WRONG) / COUNT, monkeypatch)
    wrong = ("--set", "transform.colour=bgr")
    document = evaluate(run, pictures, *wrong)
    (one,) = document["accuracy"]
    assert (one["verdict"], one["causes"]) == ("not reproduced", ["colour order"])
    tried = {str(row["cause"]) for row in document["tries"]}
    # The network refuses images of another size, which is unsupported and no failure.
    assert tried == {"crop", "interpolation", "normalisation", "colour order", "label order"}
    declared = [row for row in document["tries"] if row["change"] == "RGB"]
    assert [row["top1"] for row in declared] == [0.9]
    records = (tmp_path / "results/evaluate-Net/records.jsonl").read_text().count("\n")
    evaluate(run, pictures, *wrong)
    again = (tmp_path / "results/evaluate-Net/records.jsonl").read_text().count("\n") - records
    sizes = 5  # those that are unsupported are asked again, as any such job is
    assert again <= sizes


def test_nothing_is_tried_where_nobody_wants_it(
    run: Bench, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored_training(tmp_path, 0.9, monkeypatch)
    document = evaluate(run, pictures, "--no-explain", "--set", "transform.colour=bgr")
    (one,) = document["accuracy"]
    assert one["verdict"] == "not reproduced"
    assert [row["cause"] for row in document["tries"]] == ["label order"]
