"""SVG made small, and fit to stand on a page."""

from __future__ import annotations

import re

from bench.report.figures._style import GRID, INK, MUTED, SURFACE

_NOTES = re.compile(r"<!--.*?-->|<metadata>.*?</metadata>", re.DOTALL)
_BREAK = re.compile(r"\s*\n\s*")
_LONG = re.compile(r"-?\d+\.\d{3,}")
_GLYPH = re.compile(r"DejaVuSans-(?:(Bold)-)?([0-9a-f]+)(?=\")")
_HASHED = re.compile(r"(?<=[\"#])([mp])[0-9a-f]{10}(?=[\")])")  # ids of marks and clips
_LETTER = re.compile(r'transform="translate\((-?[\d.]+) 0\)"/>')


def compact(svg: bytes) -> bytes:
    """Return a figure of matplotlib in a half of its bytes or less, that looks the same.

    Most of it are the places of letters, of which each was an element with a transformation of its own, and numbers
    with six decimals of a point. Ids that are hashes of places, whose last bits another processor may round otherwise,
    are numbered.
    """
    text = _BREAK.sub(_joint, _NOTES.sub("", svg.decode()))
    text = _GLYPH.sub(lambda match: ("b" if match[1] else "g") + match[2], text)
    text = _LETTER.sub(lambda match: f'x="{float(match[1]):.0f}"/>', text)  # of 2,048 to the size of the font
    names: dict[str, str] = {}
    text = _HASHED.sub(lambda match: names.setdefault(match[0], f"{match[1]}{len(names)}"), text)
    return _LONG.sub(_short, text).encode()


def _joint(match: re.Match[str]) -> str:
    """Return what stands in the place of a line break: none between elements, else a blank."""
    around = match.string[match.start() - 1 : match.start()] + match.string[match.end() : match.end() + 1]
    return "\n" if around == "><" else " "


def _short(match: re.Match[str]) -> str:
    """Return a number to a hundredth of a point, and scales to four decimals."""
    value = float(match[0])
    return f"{value:.{2 if abs(value) >= 1 else 4}f}".rstrip("0").rstrip(".")


_VARIABLES = {INK: "--ink", MUTED: "--muted", GRID: "--line", SURFACE: "--surface"}
_HEAD = re.compile(r"^.*?(?=<svg)", re.DOTALL)
_SIZE = re.compile(r'(<svg[^>]*?) width="([\d.]+)pt" height="[\d.]+pt"')
_LEAST = "620px"  # of a figure that is wider by itself
_ID = re.compile(r'(\bid="|url\(#|href="#)')


def inline(svg: bytes, name: str) -> str:
    """Return a figure as an element of an HTML page.

    Ids get the figure's name in front so that figures do not share any, and the greys of axes and texts become
    variables of the page's style sheet. The figure keeps its natural width as its largest, and on a phone shrinks no
    further than can be read.
    """
    text = _NOTES.sub("", _HEAD.sub("", svg.decode(), count=1)).replace("xlink:href", "href")
    text = _SIZE.sub(
        rf'\1 style="max-width:\2pt;min-width:min(\2pt,{_LEAST})" aria-hidden="true" focusable="false"',
        text,
        count=1,
    )
    text = _ID.sub(rf"\g<1>{name}-", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())
