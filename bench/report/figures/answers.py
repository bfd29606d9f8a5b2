"""What trainings answered to the test images, and the kernels they learnt: of the networks that do best."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from bench.analysis.evaluations import Evaluations
from bench.errors import StoreError
from bench.records.outputs import Outputs
from bench.report.figures import figure
from bench.report.figures._shared import FIXED, draw_cells, grid, heading, not_drawn
from bench.report.figures._style import COLOURS, GRID, drawable, footnote
from bench.units import percent

_Floats = npt.NDArray[np.float64]
_Pixels = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Answers:
    """The trainings of one network that differ in their seed, with the outputs that each stored, the best first."""

    network: str
    dataset: str
    accuracy: float  # top-1 on the test images, the mean over the seeds that ended well
    files: Sequence[tuple[str, str]]  # (path, SHA-256) of each seed's outputs

    @property
    def outputs(self) -> Iterator[Outputs]:
        """Read the files one by one; those that are gone, stale or torn are left out."""
        for path, digest in self.files:
            with suppress(StoreError):  # a report is made of what there is
                outputs = Outputs.load(Path(path), digest)
                if outputs is not None:
                    yield outputs


def _stored_answers(frame: pd.DataFrame) -> list[_Answers]:
    """Return the trainings that stored their answers to the test images, most accurate first."""
    rows = frame[frame["task"] == "accuracy"]
    rows = rows[(rows["measurement"] == "top1") & (rows["status"] == "ok") & rows["outputs"].notna()]
    rows = rows.sort_values("median", ascending=False, kind="stable")
    trainings = []
    for _, seeds in rows.groupby(["run", "series"], sort=False):
        digests = [str(detail.get("outputs_sha256")) for detail in seeds["detail"]]
        files = list(zip(seeds["outputs"], digests, strict=True))
        network, dataset = (str(seeds[key].iloc[0]) for key in ("arch", "dataset"))
        trainings.append(_Answers(network, dataset, float(seeds["median"].mean()), files))
    return sorted(trainings, key=lambda one: -one.accuracy)


# --- confusion ---

_DATA_SETS = 4
_MOST_CLASSES = 20
_NAMED = 3  # confusions below a panel
_WRITTEN = 0.005  # share from which a cell has its number
_WIDE = 46  # letters of a title that the narrowest panel has room for
_DARKEST = 0.75  # opacity, on which text can still be read


@dataclass(frozen=True, slots=True)
class _Confusion:
    """Of each true class (row), the share of its test images that is taken for each class: [K, K], rows add to 1."""

    title: str
    classes: Sequence[str]
    shares: _Floats


@figure(
    "confusion",
    title="Confusion matrix of the best network",
    caption="Of the test images of each class, the share in per cent that the most accurate network of a data set took "
    "for each class, of trainings over all seeds that ended well; shares below 0.5 % are not written. The diagonal, "
    "grey, is what it got right. Of more than 20 classes those are shown that are most often mistaken, and a row then "
    "adds to less than 100 %. Below, the confusions that are most frequent.",
    needs="trainings or evaluations that stored their answers",
    place=70,
)
def _confusion(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:  # noqa: ARG001 (all figures are called alike)
    """Draw a panel for each data set."""
    every = list(_confusions(frame))
    if not every:
        return None
    shown = every[:_DATA_SETS]
    side = 5.4 if max(len(c.classes) for c in shown) <= 10 else 8.2
    drawing, panels = grid(len(shown), 2 if side < 6 else 1, (side, side + 0.9), FIXED)
    for axes, confusion in zip(panels, shown, strict=True):
        _confusion_panel(axes, confusion)
        axes.set_title(confusion.title)
    footnote(drawing, [not_drawn(every, shown, "data set", "")])
    return drawing


def _confusions(frame: pd.DataFrame) -> Iterator[_Confusion]:
    """Yield the confusions of the best network of each data set that was trained, then of each evaluated on."""
    datasets: set[str] = set()
    for best in _stored_answers(frame):
        outputs = [] if best.dataset in datasets else list(best.outputs)
        if outputs:
            datasets.add(best.dataset)
            title = _confusion_title(best.network, best.dataset, best.accuracy)
            classes, labels = outputs[0].class_names, np.concatenate([o.labels for o in outputs])
            answers = np.concatenate([o.logits.argmax(axis=1) for o in outputs])
            yield _Confusion(title, classes, _shares(labels, answers, len(classes)))
    for one in sorted(Evaluations.of(frame).plain, key=lambda one: -one.top1.value):
        if one.answers is not None and one.data not in datasets:
            datasets.add(one.data)
            title = _confusion_title(one.label, one.data, one.top1.value)
            classes, first = one.answers.class_names, one.answers.top5[:, 0]
            yield _Confusion(title, classes, _shares(one.answers.labels, first, len(classes)))


def _confusion_title(network: str, data: str, accuracy: float) -> str:
    """Return what a panel is of, in two lines where one is wider than it."""
    name, rest = drawable(network), f"on {drawable(data, 24)} · {percent(accuracy)}"
    return f"{name}{' ' if len(name) + len(rest) < _WIDE else chr(10)}{rest}"


def _shares(labels: npt.NDArray[np.integer], answers: npt.NDArray[np.integer], classes: int) -> _Floats:
    """Return [K, K]: of the images of each true class, the share taken for each class; NaN where there are none.

    Answers below 0 are no class of the images, and have no column.
    """
    images, known = np.bincount(labels, minlength=classes)[:, None], answers >= 0
    places = labels[known].astype(np.int64) * classes + answers[known]
    counts = np.bincount(places, minlength=classes**2).reshape(classes, classes)
    empty = np.full(counts.shape, math.nan)
    shares: _Floats = np.divide(counts, images, out=empty, where=images > 0)
    return shares


def _most_confused(shares: _Floats, count: int) -> list[tuple[int, int]]:
    """Return the true and the taken class of the largest shares off the diagonal, largest first, none of zero."""
    wrong = np.nan_to_num(shares * (1 - np.eye(len(shares))))
    order = np.argsort(-wrong, axis=None, kind="stable")[:count]
    places = [(int(place) // len(shares), int(place) % len(shares)) for place in order]
    return [place for place in places if wrong[place] > 0]


def _confusion_panel(axes: Axes, confusion: _Confusion) -> None:
    shares, names = confusion.shares, [drawable(name, 20) for name in confusion.classes]
    worst = _most_confused(shares, len(names) ** 2)
    kept = _mistaken(worst, len(names))
    _cells(axes, shares[np.ix_(kept, kept)], [names[k] for k in kept])
    axes.tick_params(axis="x", rotation=90 if max(map(len, names)) > 3 else 0)
    axes.set_ylabel("True class")
    pairs = [
        f"{names[true]} as {names[taken]} {percent(shares[true, taken])}" for true, taken in worst[:_NAMED]
    ]
    pairs = [text.replace(" ", "\N{NO-BREAK SPACE}") for text in pairs]
    often = textwrap.fill(f"Most often: {', '.join(pairs)}", _WIDE + 8) if pairs else ""
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


def _cells(axes: Axes, shares: _Floats, names: Sequence[str]) -> None:
    """Draw a cell for each pair of classes, the darker the more frequent, with its share in per cent."""
    count = len(names)
    wrong = np.nan_to_num(shares * (1 - np.eye(count)))
    darkness = _DARKEST * wrong / max(wrong.max(), 1e-9)
    colours = [
        to_rgba(GRID) if true == taken else to_rgba(COLOURS[0], darkness[true, taken])
        for true, taken in np.ndindex(darkness.shape)
    ]
    draw_cells(axes, colours, names, edgecolors=GRID, linewidths=0.7)
    for true, taken in np.argwhere(np.nan_to_num(shares) >= _WRITTEN):
        text = f"{100 * shares[true, taken]:.0f}"
        size = 8 if count <= 10 else 7
        axes.text(taken + 0.5, true + 0.5, text, ha="center", va="center", fontsize=size)


# --- kernels ---

_NETWORKS = 6
_MOST_KERNELS = 96  # of a network
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
def _kernels(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:  # noqa: ARG001 (all figures are called alike)
    """Draw a panel for each of the best networks."""
    known = list(islice(_with_kernels(frame), _NETWORKS + 1))
    shown = known[:_NETWORKS]
    if not shown:
        return None
    images = [_mosaic(kernels[:_MOST_KERNELS]) for _, kernels in shown]
    tallest = max(image.shape[0] / image.shape[1] for image in images)
    columns = 2 if len(shown) in {2, 4} else 3
    drawing, panels = grid(len(shown), columns, (_SIDE, _SIDE * tallest + 0.6), FIXED)
    for axes, image, (answers, kernels) in zip(panels, images, shown, strict=True):
        axes.imshow(image, interpolation="none")
        axes.set_anchor("NW")
        _describe_kernels(axes, kernels, answers.dataset)
        heading(axes, f"{answers.network} · {percent(answers.accuracy)}", 32)
    if len(shown) < len(known):
        footnote(drawing, [f"The {_NETWORKS} most accurate; others begin with such a convolution too"])
    return drawing


def _with_kernels(frame: pd.DataFrame) -> Iterator[tuple[_Answers, _Pixels]]:
    """Yield the best training of each of the most accurate networks, with kernels [O, C, h, w] that can be shown."""
    names: set[tuple[str, str]] = set()
    for answers in _stored_answers(frame):
        name = (answers.network, answers.dataset)
        outputs = next(answers.outputs, None) if name not in names else None
        kernels = outputs.kernels if outputs else None
        if kernels is not None and kernels.shape[1] in {1, 3} and max(kernels.shape[2:]) > 1:
            names.add(name)
            yield answers, kernels


def _describe_kernels(axes: Axes, kernels: _Pixels, dataset: str) -> None:
    count, channels, height, width = kernels.shape
    some = f"{_MOST_KERNELS} of " if count > _MOST_KERNELS else ""
    kind = "RGB" if channels == 3 else "grey"
    text = f"{dataset} · {some}{count} kernels, {height} × {width} px, {kind}"
    axes.set_xlabel(drawable(text, 60), loc="left")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _mosaic(kernels: _Pixels) -> _Pixels:
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
