"""Which rows of the comparison are the best in a column, and how sure that is.

What is in doubt is no rival: it is neither the best nor does it hinder others. Where intervals overlap, nothing says
which of two is better.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.analysis.flags import doubts_of
from bench.units import Better

Row = Mapping[Any, Any]


@dataclass(frozen=True, slots=True)
class Leaders:
    """The rows that have a number in a column, by who is ahead.

    Attributes:
        in_doubt: those that are ahead of the first row whose number is sound; all, where none is.
        sound: those without a doubt about the number, the best first.
        near: of `sound` those whose interval overlaps that of the first.
    """

    in_doubt: Sequence[Row]
    sound: Sequence[Row]
    near: Sequence[Row]


def leaders(rows: Sequence[Row], column: str, better: Better) -> Leaders:
    """Return who is ahead in a column; rows of equal numbers stay in their order.

    Args:
        rows: that have a number there.
        column: of `bench.analysis.comparison.compare_table`.
        better: whether the lowest or the highest number is the best.
    """
    sign = -1 if better == "higher" else 1
    ranked = sorted(rows, key=lambda row: sign * row[column])
    sound = [row for row in ranked if not doubts_of(row, column)]
    in_doubt = ranked[: ranked.index(sound[0])] if sound else ranked
    return Leaders(in_doubt, sound, [row for row in sound[1:] if overlap(row, sound[0], column)])


def best_rows(
    rows: Sequence[Row],
    column: str,
    better: Better,
    *,
    within: Sequence[str] = (),
    by_interval: bool = False,
    texts: Sequence[str],
) -> set[int]:
    """Return the positions of the rows that are the best among those they may be compared with.

    Of a row that has no rival, and where all are equal, none is the best.

    Args:
        rows: of a table.
        column: whose numbers are compared.
        better: whether the lowest or the highest is the best.
        within: columns that rows must agree in to be compared.
        by_interval: whether a row is as good where its interval overlaps that of the best one.
        texts: the numbers as shown; a row is as good where nobody sees a difference.
    """
    groups: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for i, row in enumerate(rows):
        if has_number(row, column) and not doubts_of(row, column):
            groups[tuple(str(row[key]) for key in within)].append(i)
    choose = max if better == "higher" else min
    best: set[int] = set()
    for rivals in groups.values():
        first = choose(rivals, key=lambda i: rows[i][column])
        equal = {i for i in rivals if texts[i] == texts[first]}
        if by_interval:
            equal |= {i for i in rivals if overlap(rows[i], rows[first], column)}
        best |= equal if len(equal) < len(rivals) else set()
    return best


def has_number(row: Row, column: str) -> bool:
    """Return whether a row has a finite number in a column."""
    value = row[column]
    return isinstance(value, int | float) and math.isfinite(value)


def overlap(one: Row, other: Row, column: str) -> bool:
    """Return whether the intervals of two rows overlap; one that is not known overlaps none."""
    low, high = (f"{column}_{end}" for end in ("low", "high"))
    nothing = math.nan
    return bool(
        one.get(low, nothing) <= other.get(high, nothing)
        and other.get(low, nothing) <= one.get(high, nothing)
    )


def has_interval(row: Row, column: str) -> bool:
    """Return whether the interval of a number is known."""
    ends = (row.get(f"{column}_{end}", math.nan) for end in ("low", "high"))
    return all(math.isfinite(end) for end in ends)
