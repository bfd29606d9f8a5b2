"""Views: tables ready to be shown in any form, of heads and cells; without pandas, as a list of names needs none."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from bench.records.flags import explain
from bench.units import DASH

_T = TypeVar("_T")


def csv_rows(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return rows as CSV, below their head."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([head, *rows])
    return out.getvalue()


@dataclass(frozen=True, slots=True)
class Cell:
    """What one cell shows."""

    text: str  # without marks
    note: str = ""  # smaller, for the page
    sort: float | str | None = None  # the value that the page sorts by; None comes last
    # whether it is the best of its column among rows that may be compared, see `bench.analysis.flags`
    best: bool = False
    flags: tuple[str, ...] = ()  # codes of remarks on the number, see `bench.records.flags`
    ends: tuple[float, ...] = ()  # its interval, in the unit of `sort`

    @property
    def aside(self) -> str:
        """Return the note as `` (44 – 52, one process)``, an empty text where there is none."""
        return f" ({self.note})" if self.note else ""

    def full_text(self, letters: Mapping[str, str]) -> str:
        """Return text, note and footnote letters as plain text: ``49 (44 – 52) a,b``."""
        return " ".join(filter(None, [self.text + self.aside, self.marks(letters)]))

    def marks(self, letters: Mapping[str, str]) -> str:
        """Return the letters of its flags, ``a,c``, of those of `View.footnotes`."""
        return ",".join(letter for flag, letter in letters.items() if flag in self.flags)


EMPTY = Cell(DASH)


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a column: title, unit with its prefix, whether its cells are numbers, a remark on all of them."""

    title: str
    unit: str = ""
    numeric: bool = False
    note: str = ""
    folded: bool = False  # whether the page shows it on demand
    # the unit of the values that the page sorts by; None where these are no numbers to keep
    stored: str | None = None
    keep: int = 1  # how long a terminal that becomes narrower has the column: 0 goes first, 3 last

    def __str__(self) -> str:
        named = f"{self.title} ({self.unit})" if self.unit else self.title
        return f"{named}, {self.note}" if self.note else named


@dataclass(frozen=True, slots=True)
class View:
    """A table ready to be shown: heads, rows of cells, and by title what is the same for every row."""

    heads: Sequence[Head]
    rows: Sequence[Sequence[Cell]]
    common: Mapping[str, str] = field(default_factory=dict)

    @property
    def note(self) -> str:
        """Return ``Device: cuda · Precision: fp32``, what is the same for every row."""
        return " · ".join(f"{title}: {text}" for title, text in self.common.items())

    def with_row(self, cells: Mapping[str, str | Cell], otherwise: Cell = EMPTY) -> View:
        """Return the table with one more row, such as of sums, of cells by the titles of their columns."""
        row = [cells.get(head.title, otherwise) for head in self.heads]
        last = [cell if isinstance(cell, Cell) else Cell(cell) for cell in row]
        return replace(self, rows=[*self.rows, last])

    def told_once(self, title: str) -> View:
        """Return the table without the column of a title where it is the same in every row, and is told below."""
        at = next((i for i, head in enumerate(self.heads) if head.title == title), None)
        if at is None or len(texts := {row[at].text for row in self.rows}) != 1:
            return self
        heads = [*self.heads[:at], *self.heads[at + 1 :]]
        rows = [[*row[:at], *row[at + 1 :]] for row in self.rows]
        return View(heads, rows, {**self.common, title: texts.pop()})

    @property
    def footnotes(self) -> dict[str, str]:
        """Return a letter for each flag that its cell's note does not say in words, in order of appearance."""
        return _lettered(flag for _, flag in self._flags())

    @property
    def page_footnotes(self) -> dict[str, str]:
        """Return the letters where folded columns are hidden at first: the flags that these alone have come last."""
        return _lettered(flag for _, flag in sorted(self._flags(), key=lambda found: found[0]))

    @property
    def folded_footnotes(self) -> set[str]:
        """Return the flags that folded columns alone have."""
        found = set(self._flags())
        return {flag for _, flag in found} - {flag for folded, flag in found if not folded}

    def _flags(self) -> Iterator[tuple[bool, str]]:
        """Yield each flag, and whether its column is folded."""
        for row in self.rows:
            for head, cell in zip(self.heads, row, strict=True):
                yield from ((head.folded, flag) for flag in cell.flags if flag not in SPOKEN)

    @property
    def remarks(self) -> list[tuple[str, str]]:
        """Return (letter, text) of what stands below: what is the same in every row, without a letter, and doubts."""
        common = [("", f"The same in every row: {self.note}")] if self.common else []
        return common + [(letter, f"{flag}: {explain(flag)}") for flag, letter in self.footnotes.items()]


def _lettered(flags: Iterable[str]) -> dict[str, str]:
    return {flag: _letters(i) for i, flag in enumerate(dict.fromkeys(flags))}


def _letters(number: int) -> str:
    """Return a, b, ..., z, aa, ab, ..."""
    before, last = divmod(number, 26)
    return (_letters(before - 1) if before else "") + chr(ord("a") + last)


SPOKEN = ("one_process", "launch_bound")  # flags that stand in words beside the number

Fields = Sequence[tuple[Head, Callable[[_T], str | Cell]]]
"""The columns of a table of objects: the head of each, and the function that gives its cell."""


def view_of(items: Iterable[_T], fields: Fields[_T]) -> View:
    """Return a table of one row an item; what has no value of its own to sort by, the page sorts by its text."""
    rows = [[_cell(cell(item)) for _, cell in fields] for item in items]
    return View([head for head, _ in fields], rows)


def _cell(value: str | Cell) -> Cell:
    cell = value if isinstance(value, Cell) else Cell(value)
    return replace(cell, sort=cell.text) if cell.sort is None and cell.text not in ("", DASH) else cell
