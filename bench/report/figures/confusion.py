"""Which classes the best network takes for which."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from bench.records.outputs import Outputs
from bench.report.figures import figure
from bench.report.figures._panels import FIXED, grid, heading
from bench.report.figures._rows import stored_answers
from bench.report.figures.style import COLOURS, GRID, drawable, ticks_at
from bench.units import percent

Floats = npt.NDArray[np.float64]

_MOST = 4  # data sets
_MOST_CLASSES = 20
_NAMED = 3  # confusions below a panel
_WRITTEN = 0.005  # share from which a cell has its number
_DARKEST = 0.75  # opacity, on which text can still be read


@dataclass(frozen=True, slots=True)
class Confusion:
    """Of each true class (row), the share of its test images that is taken for each class: [K, K], rows add to 1."""

    title: str
    classes: Sequence[str]
    shares: Floats


@figure(
    "confusion",
    title="Confusion matrix of the best network",
    caption="Of the test images of each class, the share in per cent that the most accurate network of a data set took "
    "for each class, over all seeds that ended well; shares below 0.5 % are not written. The diagonal, grey, is what "
    "it got right. Of more than 20 classes those are shown that are most often mistaken, and a row then adds to less "
    "than 100 %. Below, the confusions that are most frequent.",
    needs="trainings that stored their test outputs",
    place=70,
)
def draw(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:  # noqa: ARG001 (all figures are called alike)
    """Draw a panel for each data set."""
    shown = list(_best(frame))[:_MOST]
    if not shown:
        return None
    side = 5.4 if max(len(c.classes) for c in shown) <= 10 else 8.2
    columns = 2 if len(shown) > 1 and side < 6 else 1
    height = (side + 0.9) * math.ceil(len(shown) / columns)
    drawing, panels = grid(side * columns, height, columns, len(shown), FIXED)
    for axes, confusion in zip(panels, shown, strict=True):
        _panel(axes, confusion)
        heading(axes, confusion.title)
    return drawing


def _best(frame: pd.DataFrame) -> Iterator[Confusion]:
    """Yield the confusions of the best network of each data set."""
    datasets: set[str] = set()
    for best in stored_answers(frame):
        outputs = [] if best.dataset in datasets else list(best.outputs)
        if outputs:
            datasets.add(best.dataset)
            title = f"{best.network} on {best.dataset} · {percent(best.accuracy)}"
            yield Confusion(title, outputs[0].class_names, confusion_shares(outputs))


def confusion_shares(outputs: Sequence[Outputs]) -> Floats:
    """Return [K, K]: of the images of each true class, the share taken for each class; NaN where there are none."""
    classes = len(outputs[0].class_names)
    places = np.concatenate([o.labels * classes + o.logits.argmax(axis=1) for o in outputs])
    counts = np.bincount(places, minlength=classes**2).reshape(classes, classes)
    images = counts.sum(axis=1, keepdims=True)
    shares: Floats = np.divide(counts, images, out=np.full(counts.shape, math.nan), where=images > 0)
    return shares


def most_confused(shares: Floats, count: int) -> list[tuple[int, int]]:
    """Return the true and the taken class of the largest shares off the diagonal, largest first, none of zero."""
    wrong = np.nan_to_num(shares * (1 - np.eye(len(shares))))
    order = np.argsort(-wrong, axis=None, kind="stable")[:count]
    places = [(int(place) // len(shares), int(place) % len(shares)) for place in order]
    return [place for place in places if wrong[place] > 0]


def _panel(axes: Axes, confusion: Confusion) -> None:
    shares, names = confusion.shares, [drawable(name, 20) for name in confusion.classes]
    worst = most_confused(shares, len(names) ** 2)
    kept = _mistaken(worst, len(names))
    _cells(axes, shares[np.ix_(kept, kept)])
    ticks_at(axes.xaxis, range(len(kept)), [names[k] for k in kept])
    ticks_at(axes.yaxis, range(len(kept)), [names[k] for k in kept])
    axes.tick_params(length=0)
    axes.tick_params(axis="x", rotation=90 if max(map(len, names)) > 3 else 0)
    axes.set_ylabel("True class")
    pairs = [
        f"{names[true]} as {names[taken]} {percent(shares[true, taken])}" for true, taken in worst[:_NAMED]
    ]
    pairs = [text.replace(" ", "\N{NO-BREAK SPACE}") for text in pairs]
    often = textwrap.fill(f"Most often: {', '.join(pairs)}", 64) if pairs else ""
    axes.set_xlabel(f"Taken for\n\n{often}".rstrip())


def _mistaken(worst: Sequence[tuple[int, int]], classes: int) -> list[int]:
    """Return all classes, or of many those of the worst confusions, in their usual order."""
    if classes <= _MOST_CLASSES:
        return list(range(classes))
    kept: set[int] = set()
    for pair in worst:
        if len(kept.union(pair)) <= _MOST_CLASSES:
            kept.update(pair)
    return sorted(kept or range(_MOST_CLASSES))


def _cells(axes: Axes, shares: Floats) -> None:
    """Draw a cell for each pair of classes, the darker the more frequent, with its share in per cent."""
    count = len(shares)
    wrong = np.nan_to_num(shares * (1 - np.eye(count)))
    darkness = _DARKEST * wrong / max(wrong.max(), 1e-9)
    colours = [
        to_rgba(GRID) if true == taken else to_rgba(COLOURS[0], darkness[true, taken])
        for true in range(count)
        for taken in range(count)
    ]
    corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    squares = [corners + np.array([taken, true]) for true in range(count) for taken in range(count)]
    axes.add_collection(PolyCollection(squares, facecolors=colours, edgecolors=GRID, linewidths=0.7))
    for true, taken in np.argwhere(np.nan_to_num(shares) >= _WRITTEN):
        text = f"{100 * shares[true, taken]:.0f}"
        axes.text(taken, true, text, ha="center", va="center", fontsize=8 if count <= 10 else 7)
    axes.set_xlim(-0.5, count - 0.5)
    axes.set_ylim(count - 0.5, -0.5)
    axes.set_aspect("equal")
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
