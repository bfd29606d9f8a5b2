"""Which rows of the comparison are the best in a column, for bold numbers and for the cards of a report alike.

A number is sure where it has no doubt and, unless it is exact, an interval. The best is the first of the sure ones,
together with those that are not apart from it: whose interval overlaps its own, or that look the same in print. Where a
number that is not sure stands ahead, or where nothing sure is behind, none is the best.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.analysis.flags import doubts_of
from bench.units import Better

Row = Mapping[Any, Any]


@dataclass(frozen=True, slots=True)
class Leaders:
    """Who is ahead among the rows that are compared in a column; rows are given by their positions.

    Attributes:
        rows: all that have a number there, the first ahead.
        unsure: those of them that are ahead of the first sure one; all, where none is sure.
        sure: those whose number is sure, the first ahead.
        near: those of `sure` that are not apart from its first.
    """

    rows: Sequence[int]
    unsure: Sequence[int]
    sure: Sequence[int]
    near: Sequence[int]

    @property
    def best(self) -> list[int]:
        """Return the best; none where nothing says which it is, or where it has no rival."""
        decided = self.sure and not self.unsure and 1 + len(self.near) < len(self.sure)
        return [self.sure[0], *self.near] if decided else []


def leaders(
    rows: Sequence[Row],
    column: str,
    better: Better,
    *,
    within: Sequence[str] = (),
    exact: bool = False,
    texts: Sequence[str],
) -> Iterator[Leaders]:
    """Yield who is ahead in a column among the rows that may be compared, for each group of them.

    Args:
        rows: of a table.
        column: whose numbers are compared.
        better: whether the lowest or the highest is the best.
        within: columns that rows must agree in to be compared.
        exact: whether the numbers need no interval.
        texts: the numbers as shown; a row is as good where nobody sees a difference.
    """
    groups: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for i, row in enumerate(rows):
        if has_number(row, column):
            groups[tuple(str(row[key]) for key in within)].append(i)
    sign = -1 if better == "higher" else 1
    for rivals in groups.values():
        ranked = sorted(rivals, key=lambda i: sign * rows[i][column])
        sure = [i for i in ranked if not unsure(rows[i], column, exact=exact)]
        near = [
            i
            for i in sure[1:]
            if texts[i] == texts[sure[0]] or (not exact and _overlap(rows[i], rows[sure[0]], column))
        ]
        yield Leaders(ranked, ranked[: ranked.index(sure[0])] if sure else ranked, sure, near)


def unsure(row: Row, column: str, *, exact: bool) -> tuple[str, ...]:
    """Return why a number is not called the best: its doubts, and that it has no interval; nothing where it is sure."""
    lacking = not exact and not has_interval(row, column)
    return (*doubts_of(row, column), *(["no_interval"] * lacking))


def has_number(row: Row, column: str) -> bool:
    """Return whether a row has a finite number in a column."""
    value = row[column]
    return isinstance(value, int | float) and math.isfinite(value)


def _overlap(one: Row, other: Row, column: str) -> bool:
    """Return whether the intervals of two rows overlap."""
    low, high = (f"{column}_{end}" for end in ("low", "high"))
    return bool(one[low] <= other[high] and other[low] <= one[high])


def has_interval(row: Row, column: str) -> bool:
    """Return whether the interval of a number is known."""
    ends = (row.get(f"{column}_{end}", math.nan) for end in ("low", "high"))
    return all(math.isfinite(end) for end in ends)
