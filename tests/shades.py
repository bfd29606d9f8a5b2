"""Images of four shades and a network that tells them apart, and evaluations of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

import bench
from bench.api import Done
from bench.records.record import Record

NET = '''
import torch
from torch import nn


class Net(nn.Module):
    """Says the class by the brightness of red: 0 to 3."""

    input_size = 8

    def __init__(self, num_classes=4, in_channels=3):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.places = torch.arange(num_classes) / (num_classes - 1)
        self.transform = dict(resize=None, crop=[8, 8], mean=[0, 0, 0], std=[1, 1, 1])

    def forward(self, images):
        red = images[:, 0].mean((1, 2))
        return -self.scale * 20 * (red[:, None] - self.places).abs()
'''
SHADES = {"black": 0, "dark": 85, "light": 170, "white": 255}


def draw(root: Path) -> None:
    """Write images of four shades of red, five of each, one of them in the wrong folder, and a network that tells them."""
    (root / "net.py").write_text(NET)
    for name, red in SHADES.items():
        folder = root / "data" / "val" / name
        folder.mkdir(parents=True)
        for number in range(5):
            Image.new("RGB", (8, 8), (red, number, 0)).save(folder / f"{number}.png")
    Image.new("RGB", (8, 8), (255, 0, 0)).save(root / "data" / "val" / "black" / "4.png")


def evaluate(root: Path, *names: str, data: str = "", **options: Any) -> Done:
    names = names or (f"{root}/net.py:Net",)
    data = data or f"imagefolder:{root}/data"
    return bench.evaluate(names, data=data, results=root / "results", executor="inline", name="e", **options)


def ok(done: Done) -> Record:
    record = done.summary.records[-1]
    assert record.status == "ok", record.error
    return record


def value(record: Record, name: str) -> float:
    measurement = record.measurement(name)
    assert measurement is not None
    return measurement.samples[0]
