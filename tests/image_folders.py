"""Folders of images for tests: noise in PNGs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def photograph(seed: int, height: int = 12, width: int = 16, channels: int = 3) -> Pixels:
    """Return noise [H, W, C] uint8."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def fill(root: Path, counts: Mapping[str, int], mode: str = "RGB") -> Path:
    """Write so many PNGs into each of these folders, such as ``train/cat``."""
    number = 0
    for place, count in counts.items():
        (root / place).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            image = Image.fromarray(photograph(number)).convert(mode)
            image.save(root / place / f"{i:03}.png")
            number += 1
    return root


def name_of(root: Path) -> str:
    return f"imagefolder:{root}"


SPLIT = {"train/cat": 4, "train/dog": 3, "val/cat": 1, "val/dog": 2}
