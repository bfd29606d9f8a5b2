"""The look of all figures: colours, marker shapes, axes with units, and how a figure becomes bytes.

Only matplotlib's object-oriented interface is used, so that no figure outlives its function, and only its own
defaults, so that the same records give the same bytes whatever the user's matplotlibrc says.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import font_manager
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from bench.report._short_names import OWN
from bench.report.text import plain
from bench.units import Scale

INK, MUTED, GRID, SURFACE = "#1c2128", "#59636e", "#dfe3e8", "#ffffff"

# Hues of Okabe and Ito that differ for colour-blind readers too, each at least 3:1 against white and against
# near-black; what is still close differs in its marker.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#B5568F", "#3A9BD0", "#9A6F00", "#7B5CC9", "#7A7A7A")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p", "<", "h", ">", "*")
# Families that are often shown together have colours that differ, and these are theirs in every report.
_USUAL = (
    *("lenet", "alexnet", "zfnet", "vgg", "googlenet", "plain", "resnet", "densenet"),
    *("mobilenetv2", "mobilenetv3", "efficientnet", "regnet", "convnext", "swin_transformer"),
    *("vision_transformer", "shufflenetv2", "mlp", "convnet", "inception", "squeezenet", "mnasnet"),
)

_RC: Mapping[str, object] = {
    "font.family": "DejaVu Sans",  # ships with matplotlib
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,  # names are text, never formulas
    "text.hinting": "none",  # equally wide at any resolution
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.7,
    "figure.facecolor": SURFACE,
    "axes.facecolor": SURFACE,
    "savefig.facecolor": SURFACE,
    "pdf.fonttype": 42,  # journals refuse type 3
    "svg.hashsalt": "bench",
    "svg.fonttype": "path",  # looks the same with any fonts, and labels stay where they were placed
}


# Metadata of a file that say when and by which version it was written: left out.
_DATED: Mapping[str, tuple[str, ...]] = {
    "svg": ("Date", "Creator"),
    "png": ("Software",),
    "pdf": ("CreationDate", "Creator", "Producer"),
}
KINDS = tuple(_DATED)


@contextmanager
def styled(more: Mapping[str, object] | None = None) -> Iterator[None]:
    """Draw inside with this style alone, and with settings of matplotlib that replace some of it."""
    with mpl.rc_context():
        mpl.rcdefaults()
        for settings in (_RC, more or {}):
            mpl.rcParams.update(dict(settings))  # type: ignore[arg-type]
        yield


@dataclass(frozen=True, slots=True)
class Look:
    """How a family is drawn, the same in every figure of every report."""

    colour: str
    marker: str


OWN_LOOK = Look("#D1004B", "*")


def looks(families: Iterable[object]) -> dict[str, Look]:
    """Return a look for each family, in the order of their first appearance; 88 differ.

    A usual family has its own, another one that follows from its name, or the next where two names come to the same.
    """
    names = dict.fromkeys(family_name(f) for f in families)
    places = {name: place for place, name in enumerate(_USUAL)}
    markers = MARKERS[:-1]  # the star is for one's own alone
    count = len(COLOURS) * len(markers)
    for name in sorted(names.keys() - places.keys() - {OWN}):
        start, taken = zlib.crc32(name.encode("utf-8", "replace")), set(places.values())
        places[name] = next(
            (p for i in range(count) if (p := (start + i) % count) not in taken), start % count
        )
    return {
        name: OWN_LOOK
        if name == OWN
        else Look(COLOURS[places[name] % len(COLOURS)], markers[places[name] % len(markers)])
        for name in names
    }


def family_name(family: object) -> str:
    """Return the name of a family, also of those that have none."""
    return family if isinstance(family, str) and family else "other"


class _Drawing(Figure):
    """A figure that a notebook shows, also where pyplot was never imported."""

    def _repr_png_(self) -> bytes:
        content = io.BytesIO()
        self.savefig(content, format="png", dpi=_DPI_SHOWN)
        return content.getvalue()


_DPI_SHOWN = 120


def canvas(width: float, height: float) -> Figure:
    """Return an empty figure of so many inches, drawn by Agg, laid out so that nothing overlaps."""
    figure = _Drawing(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def freeze(figure: Figure) -> None:
    """Settle the layout, so that what is placed afterwards by its size in print stays there."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine(None)


def renderer(figure: Figure) -> Any:
    """Return the renderer that measures text."""
    return figure.canvas.get_renderer()  # type: ignore[attr-defined]


@lru_cache(maxsize=1)
def _glyphs() -> frozenset[int]:
    font = font_manager.get_font(font_manager.findfont("DejaVu Sans"))
    return frozenset(font.get_charmap())


def drawable(text: object, limit: int = 36) -> str:
    """Return text that the font has glyphs for (others become U+FFFD), long ones with an ellipsis in the middle.

    Of a name with settings, such as ``resnet18 · bf16 · channels_last``, only the name is cut.
    """
    shown, glyphs = plain(text), _glyphs()
    name, dot, settings = shown.partition(" · ")
    if len(settings) > limit:
        name, dot, settings = shown, "", ""
    if len(name) > limit:  # the end of `path/to/my_net.py:Net` tells most
        name = name[: limit // 3] + "…" + name[-(limit - limit // 3 - 1) :]
    shown = name + dot + settings
    return "".join(c if ord(c) in glyphs else "\N{REPLACEMENT CHARACTER}" for c in shown)


def tick(value: float, unit: str) -> str:
    """Return the text of a tick: ``20 GMAC``, ``0.5 ms``, ``1 M``, and ``90 %`` for the fraction 0.9."""
    if unit == "%":
        return f"{100 * value:.4g} %"
    scale = Scale.of(value * (1 + 1e-9), unit)
    return f"{value / scale.factor:.4g} {scale.symbol}".rstrip()


def number_axis(axis: Axis, label: str, unit: str) -> None:
    """Label a linear axis whose ticks carry their unit."""
    axis.set_label_text(label)
    axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda v, _: tick(v, unit)))


def log_axis(axis: Axis, values: Sequence[float], label: str, unit: str) -> None:
    """Make an axis logarithmic, with some room around the values and ticks that carry their unit."""
    low, high = min(values), max(values)
    horizontal = axis is axis.axes.xaxis
    (axis.axes.set_xscale if horizontal else axis.axes.set_yscale)("log")
    decades = max(high / low, 1.0)
    room = max(decades**0.08, 1.25, (5.2 / decades) ** 0.5)  # wide enough for two of 1, 2, 5, 10
    (axis.axes.set_xlim if horizontal else axis.axes.set_ylim)(low / room, high * room)
    axis.set_label_text(label)
    # As many ticks as a narrow panel holds with texts such as `100 MMAC`.
    texts = {6: (1.0, 2.0, 3.0, 5.0, 7.0), 28: (1.0, 2.0, 5.0), 230: (1.0, 3.0)}
    subs = next((some for most, some in texts.items() if decades < most), (1.0,))
    axis.set_major_locator(LogLocator(subs=subs, numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda v, _: tick(v, unit)))
    axis.set_minor_locator(NullLocator())


def ticks_at(axis: Axis, positions: Sequence[float], texts: Sequence[str]) -> None:
    """Set ticks with texts of their own."""
    axis.set_major_locator(FixedLocator(list(positions)))
    axis.set_major_formatter(FuncFormatter(dict(zip(positions, texts, strict=True)).get))


_KEY_IN, _LETTER_IN = 0.62, 0.083  # of a legend's entry: its marker with the room about it, and a letter


def family_legend(
    figure: Figure, families: Iterable[object], all_looks: Mapping[str, Look], notes: Iterable[str] = ()
) -> None:
    """Set a legend of those families that are there below the panels, in the order of the table, under notes."""
    there = {family_name(f) for f in families}
    names = [name for name in all_looks if name in there]
    some = [all_looks[name] for name in names]
    handles = [Line2D([], [], linestyle="", marker=look.marker, color=look.colour) for look in some]
    columns = _columns(names, figure.get_figwidth())
    legend(figure, handles, names, notes, loc="outside lower left", ncols=columns)


def _columns(names: Sequence[str], width: float) -> int:
    """Return in how many columns of a legend names fit within so many inches; they go down each column in turn."""

    def taken(columns: int) -> float:
        letters = np.array_split([len(name) for name in names], columns)  # as matplotlib deals them
        return sum(_KEY_IN + _LETTER_IN * float(column.max()) for column in letters)

    return next((n for n in range(min(len(names), 9), 1, -1) if taken(n) <= width), 1)


def legend(
    figure: Figure, handles: Sequence[Line2D], texts: Sequence[str], notes: Iterable[str] = (), **where: Any
) -> None:
    """Set a legend; its texts are set last, as matplotlib gives a leading underscore a meaning.

    Notes that are not empty stand above it, each on a line of its own; without any texts, they stand there alone.
    """
    box = figure.legend(handles, ["·"] * len(handles), alignment="left", **where)
    for shown, text in zip(box.get_texts(), texts, strict=True):
        shown.set_text(drawable(text))
    if note := "\n".join(filter(None, notes)):
        box.set_title(note, prop=font_manager.FontProperties(size=8))
        box.get_title().set_color(MUTED)


def footnote(figure: Figure, notes: Sequence[str]) -> None:
    """Write notes below the panels of a figure that has no legend there."""
    if any(notes):
        legend(figure, [], [], notes, loc="outside lower left")


def to_bytes(figure: Figure, kind: str) -> bytes:
    """Return a figure as `svg`, `png` or `pdf`; equal figures give equal bytes."""
    freeze(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=130, metadata=dict.fromkeys(_DATED[kind]))
    return buffer.getvalue()
