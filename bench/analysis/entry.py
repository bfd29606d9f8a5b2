"""An entry of the data dictionary: what a column of a frame holds; and what classes say of their fields."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from bench.units import DASH

Dtype = Literal["string", "Int64", "float64", "datetime64[ns, UTC]", "object"]


@dataclass(frozen=True, slots=True)
class Entry:
    """What a column of a frame holds.

    Attributes:
        column: its name.
        dtype: as pandas calls it; `Int64` and `string` say `<NA>` where nothing is known, `float64` NaN. `object` is a
            tuple in each row: numbers, or texts such as flags.
        unit: of its numbers, as they are stored; the name of a column where the rows say it, a dash for what has none.
        about: in half a sentence.
        each: of what type the parts of a tuple are, for `object`.
    """

    column: str
    dtype: Dtype = "string"
    unit: str = DASH
    about: str = ""
    each: Literal["string", "Int64", "float64", ""] = ""


def documented(*kinds: type, whole: bool = False) -> dict[str, str]:
    """Return what classes say of their fields under ``Attributes:``; the first that says it counts.

    Of each the first sentence, without its full stop; all that is said where `whole` is set.
    """
    fields: dict[str, str] = {}
    for kind in kinds:
        for one in kind.__mro__:
            for name, text in _attributes(one.__doc__ or ""):
                fields.setdefault(name, text if whole else re.split(r"\.(?:\s|$)", text)[0])
    return fields


def _attributes(text: str) -> Iterator[tuple[str, str]]:
    """Yield name and text of each attribute of a docstring."""
    listed = inspect.cleandoc(text).partition("Attributes:\n")[2]
    section = re.split(r"^\S", listed, maxsplit=1, flags=re.MULTILINE)[0]
    for block in re.split(r"^ {4}(?=\w)", section, flags=re.MULTILINE)[1:]:
        name, _, about = block.partition(": ")
        yield name, " ".join(about.split())
