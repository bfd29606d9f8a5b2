"""Views: tables ready to be shown in any form, made of the columns of a frame or of one function a column."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

import pandas as pd

from bench.analysis.comparison import STATUS_WORDS
from bench.analysis.flags import Leaders, flags_of, leaders
from bench.records.flags import explain, spoken
from bench.report.text import plain
from bench.units import DASH, Better, Scale, digits_for, fixed, scale_for, show, significant

Row = Mapping[str, Any]
_T = TypeVar("_T")


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
    stored: str | None = (
        None  # the unit of the values that the page sorts by; None where these are no numbers to keep
    )

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

    @property
    def footnotes(self) -> dict[str, str]:
        """Return a letter for each flag of a cell that its note does not say in words, in the order of appearance."""
        flags = dict.fromkeys(flag for row in self.rows for cell in row for flag in cell.flags)
        return {flag: _letters(i) for i, flag in enumerate(f for f in flags if f not in _SPOKEN)}

    @property
    def remarks(self) -> list[tuple[str, str]]:
        """Return (letter, text) of what stands below: what is the same in every row, without a letter, and doubts."""
        common = [("", f"The same in every row: {self.note}")] if self.common else []
        return common + [(letter, f"{flag}: {explain(flag)}") for flag, letter in self.footnotes.items()]


def _letters(number: int) -> str:
    """Return a, b, ..., z, aa, ab, ..."""
    before, last = divmod(number, 26)
    return (_letters(before - 1) if before else "") + chr(ord("a") + last)


_SPOKEN = ("one_process", "launch_bound")  # flags that stand in words beside the number

Fields = Sequence[tuple[Head, Callable[[_T], str | Cell]]]
"""The columns of a table of objects: the head of each, and the function that gives its cell."""


def view_of(items: Iterable[_T], fields: Fields[_T], *, sortable: bool = False) -> View:
    """Return a table of one row an item; where it is `sortable`, the page sorts cells by their text."""
    rows = [[_cell(cell(item), sortable) for _, cell in fields] for item in items]
    return View([head for head, _ in fields], rows)


def _cell(value: str | Cell, sortable: bool) -> Cell:
    return value if isinstance(value, Cell) else Cell(value, sort=value if sortable else None)


def interval(low: float, high: float, text: Callable[[float], str]) -> str:
    """Return ``0.85 – 1.55``, a dash where an end is not known."""
    return DASH if math.isnan(low) or math.isnan(high) else f"{text(low)} – {text(high)}"


def missing(value: object) -> bool:
    """Return whether a cell of a frame has no value."""
    return value is None or value is pd.NA or (isinstance(value, float) and not math.isfinite(value))


# The kinds of columns: each function makes the cell of a row, in the scale of the whole column.


def _words(row: Row, column: Column, _scale: Scale) -> Cell:
    """Show text."""
    value = row[column.key]
    return EMPTY if missing(value) or value == "" else _cell(plain(value), True)


def machine(row: Row, _column: Column, _scale: Scale) -> Cell:
    """Show the model of a device, or what kind of device it is where its model is not known."""
    name = row["device"] if missing(row["device_name"]) else row["device_name"]
    return EMPTY if missing(name) else _cell(plain(name), True)


def status(row: Row, column: Column, _scale: Scale) -> Cell:
    """Show a status in words."""
    code = str(row[column.key])
    return Cell(STATUS_WORDS.get(code, plain(code)), sort=plain(code))


def whole(row: Row, column: Column, _scale: Scale) -> Cell:
    """Show a whole number without a prefix."""
    value = row[column.key]
    return EMPTY if missing(value) else Cell(f"{value:.0f}", sort=float(value))


def number(row: Row, column: Column, scale: Scale) -> Cell:
    """Show a number in the column's scale with the digits that its interval allows, and the interval as a note."""
    value, low, high = (row.get(column.key + end, math.nan) for end in ("", "_low", "_high"))
    if missing(value):
        return EMPTY
    digits = digits_for(value, low, high)
    if 0 < abs(value) < 1e-3 * scale.factor and column.unit != "1":  # a plain count has no unit to tell it by
        return Cell(show(value, column.unit, digits), sort=float(value))
    shown = value / scale.factor
    if missing(low) or missing(high):
        return Cell(significant(shown, digits), sort=float(value))
    note = " – ".join(fixed(end / scale.factor, shown, digits) for end in (low, high))
    return Cell(significant(shown, digits), note, float(value), ends=(float(low), float(high)))


def share(row: Row, column: Column, _scale: Scale) -> Cell:
    """Show a fraction as a percentage, with its interval where it has one."""
    value, low, high = (row.get(column.key + end, math.nan) for end in ("", "_low", "_high"))
    if missing(value):
        return EMPTY
    ends = "" if missing(low) or missing(high) else f"{100 * low:.1f} – {100 * high:.1f}"
    return Cell(f"{100 * value:.1f}", ends, float(value))


def spread(row: Row, column: Column, scale: Scale) -> Cell:
    """Show the mean of a fraction as a percentage, with its standard deviation where there is one."""
    value, deviation = row[column.key], row.get(f"{column.key}_sd", math.nan)
    if missing(value) or missing(deviation):
        return share(row, column, scale)
    decimals = 2 if deviation < 0.0005 else 1
    ends = tuple(float(row.get(f"{column.key}_{end}", math.nan)) for end in ("low", "high"))
    text = f"{100 * value:.{decimals}f} ± {100 * deviation:.{decimals}f}"
    return Cell(text, sort=float(value), ends=ends if all(map(math.isfinite, ends)) else ())


def seeds(row: Row, _column: Column, _scale: Scale) -> Cell:
    """Show how many trainings ended well, of how many, and how many of the rest diverged."""
    done, planned, diverged = row["n_ok"], row["n_planned"], row["diverged"]
    if missing(planned):
        return EMPTY
    text = f"{done:.0f}" if done == planned else f"{done:.0f} of {planned:.0f}"
    return Cell(text, f"{diverged:.0f} diverged" if diverged else "", float(done))


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a frame as it is shown."""

    key: str  # of the frame
    title: str  # without the unit
    # makes the cell of a row; the scale is that of the whole column
    cell: Callable[[Row, Column, Scale], Cell] = _words
    unit: str = ""  # of the stored numbers; `%` shows fractions as percentages
    # `always`, where any row has it (`present`), where rows differ in it (`differing`), or where rows of one
    # network differ in it (`telling`); what is the same for all rows is said once, below the table
    show: Literal["always", "present", "differing", "telling"] = "present"
    # further keys that belong to it, for CSV, with their units
    raw: Mapping[str, str] = field(default_factory=dict)
    narrow: bool = True  # whether a terminal has it as well; the page begins without the others
    better: Better = "neither"  # which direction is an improvement
    within: Sequence[str] = ()  # keys that rows must agree in to be compared
    exact: bool = False  # whether its numbers are counted or as published, so that they need no interval
    marked: bool = False  # whether the best is marked, see `bench.analysis.flags`

    @property
    def numeric(self) -> bool:
        """Whether its cells are numbers."""
        return self.cell not in (_words, machine, status)


def view(table: pd.DataFrame, columns: Sequence[Column]) -> View:
    """Return the cells of a frame; columns without any value, or with the same in each row, are left out.

    The flags of a number stand in a column of their own, see `bench.analysis._flag_columns.with_flags`.
    """
    rows = [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]
    shown: list[Column] = []
    common: dict[str, str] = {}
    for column in columns:
        texts = {column.cell(row, column, Scale(1.0, "")).text for row in rows} - {DASH}
        if column.show in ("differing", "telling") and len(texts) == 1:
            common[column.title] = f"{texts.pop()} {column.unit}".rstrip()
        elif column.show == "always" or (texts and (column.show != "telling" or _telling(rows, column.key))):
            shown.append(column)
    filled = [_column(table, rows, column) for column in shown]
    return View(
        [head for head, _ in filled], [[cells[i] for _, cells in filled] for i in range(len(rows))], common
    )


def _column(table: pd.DataFrame, rows: Sequence[Row], column: Column) -> tuple[Head, list[Cell]]:
    """Return the head of a column and its cells, with their marks; what all of them have, the head says."""
    scale, remarks = _scale(table, column), _of_all(rows, column.key)
    cells = [_flagged(column.cell(row, column, scale), flags_of(row, column.key), remarks) for row in rows]
    if column.marked:
        best = {i for ahead in leaders_of(rows, column, [cell.text for cell in cells]) for i in ahead.best}
        cells = [replace(cell, best=i in best) for i, cell in enumerate(cells)]
    stored = "fraction" if column.unit == "%" else column.unit.replace("1/s", "images/s").removeprefix("1")
    head = Head(column.title, scale.symbol, column.numeric, spoken(*remarks), not column.narrow)
    return replace(head, stored=stored if column.numeric else None), cells


def leaders_of(rows: Sequence[Mapping[Any, Any]], column: Column, texts: Sequence[str]) -> Iterator[Leaders]:
    """Yield who is ahead in a column, for each group of rows that may be compared in it; see `bench.analysis.flags`.

    Nobody is ahead of networks that were given images of another size.
    """
    sizes = [size for key, size in _SIZES.items() if key in column.within and rows and size in rows[0]]
    within = (*column.within, *sizes)
    return leaders(rows, column.key, column.better, within=within, exact=column.exact, texts=texts)


_SIZES = {"in_channels": "input_size", "dataset": "trained_size"}


def _of_all(rows: Sequence[Row], key: str) -> tuple[str, ...]:
    """Return the flags to be said in words that all numbers of a column have."""
    flags_by_row = [flags_of(row, key) for row in rows if not missing(row[key])]
    return tuple(flag for flag in _SPOKEN if flags_by_row and all(flag in flags for flags in flags_by_row))


def _flagged(cell: Cell, flags: tuple[str, ...], in_head: tuple[str, ...]) -> Cell:
    if not flags:
        return cell
    note = [cell.note, *(spoken(flag) for flag in _SPOKEN if flag in flags and flag not in in_head)]
    return replace(cell, note=", ".join(filter(None, note)), flags=tuple(map(plain, flags)))


def _telling(rows: Sequence[Row], key: str) -> bool:
    """Return whether rows of one network differ in a column."""
    pairs = {(row["network"], row[key]) for row in rows if not missing(row[key])}
    return len(pairs) > len({network for network, _ in pairs})


def _scale(table: pd.DataFrame, column: Column) -> Scale:
    """Return the scale that suits the middle value of a column."""
    if column.unit == "1/s":
        return Scale(1.0, "images/s")
    if column.cell is not number:
        return Scale(1.0, column.unit)
    values = table[column.key].dropna()
    return scale_for(float(values.median()), column.unit) if len(values) else Scale(1.0, "")
