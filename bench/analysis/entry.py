"""An entry of the data dictionary: what a column of a frame holds; and what classes say of their fields."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

from bench.plan.card import ArchCard
from bench.plan.job import Job
from bench.plan.task import tasks
from bench.records.record import Measurement, Record
from bench.units import DASH

Dtype = Literal["string", "Int64", "float64", "datetime64[ns, UTC]", "object"]

OF_THE_ROW = "`unit`"
"""The unit of numbers of which each row has a unit of its own, in the column of that name."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a column of a frame holds.

    Attributes:
        column: its name.
        dtype: as pandas calls it; `Int64` and `string` say `<NA>` where nothing is known, `float64` NaN. `object` is a
            tuple in each row: numbers, or texts such as flags.
        unit: of its numbers, as they are stored; `OF_THE_ROW` where the rows say it, a dash for what has none.
        about: in half a sentence.
        each: of what type the parts of a tuple are, for `object`.
    """

    column: str
    dtype: Dtype = "string"
    unit: str = DASH
    about: str = ""
    each: Literal["string", "Int64", "float64", ""] = ""


def documented(*kinds: type) -> dict[str, str]:
    """Return what classes say of their fields under ``Attributes:``, a sentence each; the first that says it counts."""
    fields: dict[str, str] = {}
    for kind in kinds:
        for one in kind.__mro__:
            for name, text in _attributes(one.__doc__ or ""):
                fields.setdefault(name, re.split(r"\.(?:\s|$)", text)[0])
    return fields


def _attributes(text: str) -> Iterator[tuple[str, str]]:
    """Yield name and text of each attribute of a docstring."""
    listed = inspect.cleandoc(text).partition("Attributes:\n")[2]
    section = re.split(r"^\S", listed, maxsplit=1, flags=re.MULTILINE)[0]
    for block in re.split(r"^ {4}(?=\w)", section, flags=re.MULTILINE)[1:]:
        name, _, about = block.partition(": ")
        yield name, " ".join(about.split())


@cache
def fields_of_records() -> dict[str, str]:
    """Return what is said of each field of a record, of its job, card and measurements, and of all settings."""
    settings = [task.settings for _, task in sorted(tasks().items(), key=lambda one: one[0] != "infer")]
    return documented(Job, Record, Measurement, ArchCard, *settings)
