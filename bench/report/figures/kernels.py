"""The kernels of first convolutions, as images."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report.figures import figure
from bench.report.figures._panels import FIXED, grid, heading
from bench.report.figures._rows import Answers, stored_answers
from bench.report.figures.style import drawable
from bench.units import percent

Floats = npt.NDArray[np.float32]

_MOST = 6  # networks
_MOST_KERNELS = 96  # of a network
_COLUMNS = 3
_SIDE = 3.5  # of a panel in inches
_FINE = 6  # pixels of the picture a weight


@figure(
    "kernels",
    title="Kernels of the first convolution",
    caption="What the first layer of the most accurate networks looks for: each square is one kernel of the seed that "
    "did best, in colour where the images have three channels. Grey is a weight of zero, and each kernel is scaled by "
    "its own largest weight. Smooth edges, bars and blobs of colour are learnt; noise is what a kernel began with. "
    "Beside the name, the top-1 accuracy.",
    needs="trainings that stored their test outputs, of networks that begin with a convolution of 2 px or more",
    place=68,
)
def draw(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:  # noqa: ARG001 (all figures are called alike)
    """Draw a panel for each of the best networks."""
    shown = list(_best(frame))
    if not shown:
        return None
    columns = 2 if len(shown) in {2, 4} else min(len(shown), _COLUMNS)
    rows = math.ceil(len(shown) / columns)
    images = [mosaic(kernels[:_MOST_KERNELS]) for _, kernels in shown]
    tallest = max(image.shape[0] / image.shape[1] for image in images)
    drawing, panels = grid(_SIDE * columns, (_SIDE * tallest + 0.6) * rows, columns, len(shown), FIXED)
    for axes, image, (answers, kernels) in zip(panels, images, shown, strict=True):
        axes.imshow(image, interpolation="none")
        axes.set_anchor("NW")
        _describe(axes, kernels, answers.dataset)
        heading(axes, f"{answers.network} · {percent(answers.accuracy)}", 32)
    return drawing


def _best(frame: pd.DataFrame) -> Iterator[tuple[Answers, Floats]]:
    """Yield the best training of each of the most accurate networks, with kernels [O, C, h, w] that can be shown."""
    names: set[tuple[str, str]] = set()
    for answers in stored_answers(frame):
        name = (answers.network, answers.dataset)
        outputs = next(answers.outputs, None) if name not in names else None
        kernels = outputs.kernels if outputs else None
        if kernels is not None and kernels.shape[1] in {1, 3} and max(kernels.shape[2:]) > 1:
            names.add(name)
            yield answers, kernels
        if len(names) == _MOST:
            return


def _describe(axes: Axes, kernels: Floats, dataset: str) -> None:
    count, channels, height, width = kernels.shape
    some = f"{_MOST_KERNELS} of " if count > _MOST_KERNELS else ""
    kind = "RGB" if channels == 3 else "grey"
    text = f"{dataset} · {some}{count} kernels, {height} × {width} px, {kind}"
    axes.set_xlabel(drawable(text, 60), loc="left")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def mosaic(kernels: Floats) -> Floats:
    """Return kernels [O, C, h, w] of one or three channels side by side, as an image [H, W, 4] with clear gaps.

    Zero is mid-grey, and the largest weight of each kernel, of either sign, reaches black or white.
    """
    count, _, height, width = kernels.shape
    largest = np.abs(kernels).max(axis=(1, 2, 3), keepdims=True)
    shades = 0.5 + kernels / (2 * np.where(largest > 0, largest, 1))
    tiles = np.broadcast_to(shades, (count, 3, height, width)).transpose(0, 2, 3, 1)
    tiles = tiles.repeat(_FINE, axis=1).repeat(_FINE, axis=2)
    columns = math.ceil(math.sqrt(count * height / width))
    rows = math.ceil(count / columns)
    gap = _FINE
    down, across = height * _FINE + gap, width * _FINE + gap
    image = np.zeros((rows * down - gap, columns * across - gap, 4), dtype=np.float32)
    for place, tile in enumerate(tiles):
        top, left = place // columns * down, place % columns * across
        image[top : top + down - gap, left : left + across - gap] = np.dstack([tile, np.ones(tile.shape[:2])])
    return image
