"""In which formats a report is written, and what each of them needs drawn."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from bench.errors import unknown_name
from bench.report.style import KINDS

FORMATS = ("html", "md", "csv", "latex", *KINDS)
USUAL = ("html", "md", "csv", "svg", "png")


def read_formats(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the formats of ``["html,md", "pdf"]``, each once; the usual ones where there is none.

    Raises:
        UnknownNameError: for a word that is no format.
    """
    asked = dict.fromkeys(word.strip() for text in texts for word in text.split(",") if word.strip())
    for word in asked:
        if word not in FORMATS:
            raise unknown_name("format", word, FORMATS)
    return tuple(asked) or USUAL


def drawn(formats: Collection[str]) -> tuple[str, ...]:
    """Return the kinds of files that figures are drawn as: the page holds SVG, or PNG of large figures."""
    needed = {*saved(formats), *(("svg", "png") if "html" in formats else ())}
    return tuple(kind for kind in KINDS if kind in needed)


def saved(formats: Collection[str]) -> tuple[str, ...]:
    """Return the kinds of files that figures are saved as; the Markdown shows SVG beside it."""
    return tuple(kind for kind in KINDS if kind in formats or (kind == "svg" and "md" in formats))
