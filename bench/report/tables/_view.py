"""Views of frames: the columns of a table, and the kinds of cells that they make of its rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import pandas as pd

from bench.analysis.comparison import STATUS_WORDS
from bench.analysis.flags import Leaders, flags_of
from bench.records.flags import spoken
from bench.report.tables.cells import EMPTY, SPOKEN, Cell, Head, View
from bench.report.text import plain
from bench.units import DASH, Better, Scale, digits_for, show, with_ends

Row = Mapping[str, Any]


def missing(value: object) -> bool:
    """Return whether a cell of a frame has no value."""
    return value is None or value is pd.NA or (isinstance(value, float) and not math.isfinite(value))


# The kinds of columns: each function makes the cell of a row, in the scale of the whole column.


def _text(value: object) -> Cell:
    words = plain(value)
    return Cell(words, sort=words)


def _words(row: Row, column: Column, _scale: Scale) -> Cell:
    """Show text."""
    value = row[column.key]
    return EMPTY if missing(value) or value == "" else _text(value)


def machine(row: Row, _column: Column, _scale: Scale) -> Cell:
    """Show the model of a device, or what kind of device it is where its model is not known."""
    name = row["device"] if missing(row["device_name"]) else row["device_name"]
    return EMPTY if missing(name) else _text(name)


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
    if missing(row[column.key]):
        return EMPTY
    value, low, high = (_known(row.get(column.key + end)) for end in ("", "_low", "_high"))
    if 0 < abs(value) < 1e-3 * scale.factor and column.unit != "1":  # a plain count has no unit to tell it by
        return Cell(show(value, column.unit, digits_for(value, low, high)), sort=value)
    text, ends = with_ends(value, low, high, scale.factor)
    return Cell(text, ends, value, ends=(low, high) if ends else ())


def _known(value: Any) -> float:
    return math.nan if missing(value) else float(value)


def share(row: Row, column: Column, _scale: Scale) -> Cell:
    """Show a fraction as a percentage, with its interval where it has one."""
    value, low, high = (_known(row.get(column.key + end)) for end in ("", "_low", "_high"))
    if math.isnan(value):
        return EMPTY
    ends = interval(low, high, lambda end: f"{100 * end:.1f}")
    return Cell(f"{100 * value:.1f}", "" if ends == DASH else ends, value)


def spread(row: Row, column: Column, scale: Scale) -> Cell:
    """Show the mean of a fraction as a percentage, with its standard deviation where there is one."""
    value, deviation, *ends = (_known(row.get(column.key + end)) for end in ("", "_sd", "_low", "_high"))
    if math.isnan(value) or math.isnan(deviation):
        return share(row, column, scale)
    decimals = 2 if deviation < 0.0005 else 1
    text = f"{100 * value:.{decimals}f} ± {100 * deviation:.{decimals}f}"
    return Cell(text, sort=value, ends=tuple(ends) if all(map(math.isfinite, ends)) else ())


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
    keep: int = 1  # see `Head.keep`
    tells_of: Sequence[str] = ()  # columns whose numbers it tells of; without any of them a row has no cell

    @property
    def numeric(self) -> bool:
        """Whether its cells are numbers."""
        return self.cell not in (_words, machine, status)

    def cell_of(self, row: Row, scale: Scale) -> Cell:
        """Return the cell of a row."""
        untold = bool(self.tells_of) and all(missing(row[key]) for key in self.tells_of)
        return EMPTY if untold else self.cell(row, self, scale)


def view(table: pd.DataFrame, columns: Sequence[Column]) -> View:
    """Return the cells of a frame; columns without any value, or with the same in each row, are left out.

    The flags of a number stand in a column of their own, see `bench.analysis.comparison.compare_table`.
    """
    rows = [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]
    shown: list[Column] = []
    common: dict[str, str] = {}
    for column in columns:
        texts = {column.cell_of(row, Scale(1.0, "")).text for row in rows} - {DASH}
        if column.show in ("differing", "telling") and len(texts) == 1:
            common[column.title] = f"{texts.pop()} {column.unit}".rstrip()
        elif column.show == "always" or (texts and (column.show != "telling" or _telling(rows, column.key))):
            shown.append(column)
    filled = [_column(table, rows, column) for column in shown]
    by_row = [[cells[i] for _, cells in filled] for i in range(len(rows))]
    return View([head for head, _ in filled], by_row, common)


def _column(table: pd.DataFrame, rows: Sequence[Row], column: Column) -> tuple[Head, list[Cell]]:
    """Return the head of a column and its cells, with their marks; what all of them have, the head says."""
    scale, remarks = _scale(table, column), _of_all(rows, column.key)
    cells = [flagged(column.cell_of(row, scale), flags_of(row, column.key), remarks) for row in rows]
    if column.marked:
        best = {i for ahead in leaders_of(rows, column, [cell.text for cell in cells]) for i in ahead.best}
        cells = [replace(cell, best=i in best) for i, cell in enumerate(cells)]
    stored = "fraction" if column.unit == "%" else column.unit.replace("1/s", "images/s").removeprefix("1")
    told = spoken(*remarks), not column.narrow, stored if column.numeric else None, column.keep
    return Head(column.title, scale.symbol, column.numeric, *told), cells


def leaders_of(rows: Sequence[Mapping[Any, Any]], column: Column, texts: Sequence[str]) -> Iterator[Leaders]:
    """Yield who is ahead in a column, for each group of rows that may be compared in it; see `bench.analysis.flags`.

    Nobody is ahead of networks that were given images of another size.
    """
    sizes = [size for key, size in _SIZES.items() if key in column.within and rows and size in rows[0]]
    within = (*column.within, *sizes)
    return Leaders.among(rows, column.key, column.better, within=within, exact=column.exact, texts=texts)


_SIZES = {"in_channels": "input_size", "dataset": "trained_size"}


def _of_all(rows: Sequence[Row], key: str) -> tuple[str, ...]:
    """Return the flags to be said in words that all numbers of a column have."""
    flags_by_row = [flags_of(row, key) for row in rows if not missing(row[key])]
    return tuple(flag for flag in SPOKEN if flags_by_row and all(flag in flags for flags in flags_by_row))


def flagged(cell: Cell, flags: tuple[str, ...], in_head: tuple[str, ...] = ()) -> Cell:
    """Return a cell with the flags of its number, those that stand in words beside it but for those of the head."""
    if not flags:
        return cell
    note = [cell.note, *(spoken(flag) for flag in SPOKEN if flag in flags and flag not in in_head)]
    return replace(cell, note=", ".join(filter(None, note)), flags=tuple(map(plain, flags)))


def _telling(rows: Sequence[Row], key: str) -> bool:
    """Return whether rows of one network differ in a column."""
    pairs = {(row["network"], row[key]) for row in rows if not missing(row[key])}
    return len(pairs) > len({network for network, _ in pairs})


def _scale(table: pd.DataFrame, column: Column) -> Scale:
    """Return the scale that suits the middle value of a column."""
    if column.cell is not number:
        return Scale(1.0, column.unit)
    values = table[column.key].dropna()
    return Scale.of(float(values.median()), column.unit) if len(values) else Scale(1.0, "")


def interval(low: float, high: float, text: Callable[[float], str]) -> str:
    """Return ``0.85 – 1.55``, a dash where an end is not known."""
    return DASH if math.isnan(low) or math.isnan(high) else f"{text(low)} – {text(high)}"
