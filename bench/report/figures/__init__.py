"""Figures: each a function of the comparison table and the frame, in a file that the registry finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure as Drawing

from bench.registry import Registry
from bench.report.figures._style import canvas

__all__ = ["FIGURES", "Figure", "canvas", "figure", "in_order"]

_Draw = Callable[[pd.DataFrame, pd.DataFrame], Drawing | None]


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a report."""

    title: str  # what it shows, in a few words
    draw: _Draw  # of `compare_table` and `to_frame`; None where there is nothing to draw
    caption: str  # how to read it
    needs: str  # what must have been measured for it
    place: int = 100  # figures stand on the page in this order
    # whether an interactive chart of the page shows the same, so that it may stay folded there
    charted: bool = False


FIGURES: Registry[Figure] = Registry("figure", "bench.report.figures")


def figure(
    name: str, *, title: str, caption: str, needs: str, place: int = 100, charted: bool = False
) -> Callable[[_Draw], _Draw]:
    """Register a drawing function as the figure `name`."""

    def register(draw: _Draw) -> _Draw:
        FIGURES.add(name, Figure(title, draw, caption, needs, place, charted))
        return draw

    return register


def in_order() -> list[tuple[str, Figure]]:
    """Return all figures as they stand on the page."""
    return sorted(FIGURES.items(), key=lambda pair: pair[1].place)
