"""SVG for the page: figures put into the HTML itself, that follow its light and dark colours."""

from __future__ import annotations

import re

from bench.report.style import GRID, INK, MUTED, SURFACE

_VARIABLES = {INK: "--ink", MUTED: "--muted", GRID: "--line", SURFACE: "--surface"}
_HEAD = re.compile(r"^.*?(?=<svg)", re.DOTALL)
_NOTES = re.compile(r"<!--.*?-->|<metadata>.*?</metadata>", re.DOTALL)
_SIZE = re.compile(r'(<svg[^>]*?) width="([\d.]+)pt" height="[\d.]+pt"')
_ID = re.compile(r'(\bid="|url\(#|href="#)')


def inline(svg: bytes, name: str) -> str:
    """Return a figure as an element of an HTML page.

    Comments and metadata go, ids get the figure's name in front so that figures do not share any, and the greys of
    axes and texts become variables of the page's style sheet. The figure keeps its natural width as its largest.

    Args:
        svg: as matplotlib wrote it.
        name: of the figure, unique on the page.
    """
    text = _NOTES.sub("", _HEAD.sub("", svg.decode(), count=1))
    text = _SIZE.sub(r'\1 style="max-width:\2pt" aria-hidden="true" focusable="false"', text, count=1)
    text = _ID.sub(rf"\g<1>{name}-", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())
