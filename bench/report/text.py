"""Text from outside, made safe to show: names of networks and messages of errors may hold anything."""

from __future__ import annotations

import unicodedata

_LIMIT = 400

_MARKDOWN = str.maketrans({c: f"\\{c}" for c in "\\`*_[]|~$#"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;"})


def plain(text: object, limit: int = _LIMIT) -> str:
    """Return one line without control characters, such as those of terminals or of writing direction.

    White space becomes a blank, any other control or format character (but the joiners of emoji) and lone
    surrogates become U+FFFD. Longer text than `limit` characters is cut off with an ellipsis.
    """
    words = " ".join(str(text).split())
    shown = visible(words[: limit + 1])
    return shown if len(shown) <= limit else shown[: limit - 1].rstrip() + "…"


def visible(text: str) -> str:
    """Return text whose control and format characters are U+FFFD, but for line ends, tabs and the joiners of emoji."""
    return text if text.isprintable() else "".join(_visible(char) for char in text)


_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})  # categories of Unicode
_KEPT = "\n\t\u200d\u200c"


def _visible(char: str) -> str:
    hidden = unicodedata.category(char) in _HIDDEN and char not in _KEPT
    return "\N{REPLACEMENT CHARACTER}" if hidden else char


def markdown(text: object, limit: int = _LIMIT) -> str:
    """Return text for a cell of a Markdown table: nothing in it is markup, HTML or the end of the cell."""
    return plain(text, limit).translate(_MARKDOWN)
