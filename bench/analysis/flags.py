"""The flags of each number of the comparison, those of the row of the frame that it was made of; and which is the best.

One rule says it for bold numbers and for the cards of a report alike. A number is sure where it has no doubt and,
unless it is exact, an interval. The best is the first of the sure ones, together with those that are not apart from it:
whose interval overlaps its own, or that look the same in print. Where a number that is not sure stands ahead, or where
nothing sure is behind, none is the best.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from bench.records.flags import doubts
from bench.units import Better

Row = Mapping[Any, Any]


def flags_text(flags: Iterable[Iterable[str]]) -> str:
    """Return the flags of some measurements as a cell has them, each once."""
    return ";".join(dict.fromkeys(map(str, chain.from_iterable(flags))))


def flags_of(row: Row, column: str) -> tuple[str, ...]:
    """Return the flags of a number of a row of the comparison."""
    text = row.get(f"{column}_flags")
    return tuple(text.split(";")) if isinstance(text, str) and text else ()


def doubts_of(row: Row, column: str) -> tuple[str, ...]:
    """Return those flags of a number of a row for which it is not called the best of others."""
    return doubts(flags_of(row, column))


# --- the best ---


@dataclass(frozen=True, slots=True)
class Leaders:
    """Who is ahead among the rows that are compared in a column; rows are given by their positions."""

    rows: Sequence[int]  # all that have a number there, the first ahead
    unsure: Sequence[int]  # those of them that are ahead of the first sure one; all, where none is sure
    sure: Sequence[int]  # those whose number is sure, the first ahead
    near: Sequence[int]  # those of `sure` that are not apart from its first

    @property
    def best(self) -> list[int]:
        """Return the best; none where nothing says which it is, or where it has no rival."""
        decided = self.sure and not self.unsure and 1 + len(self.near) < len(self.sure)
        return [self.sure[0], *self.near] if decided else []

    @staticmethod
    def among(
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
            if isinstance(row[column], int | float) and math.isfinite(row[column]):
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
    ends = (row.get(f"{column}_{end}", math.nan) for end in ("low", "high"))
    lacking = not exact and not all(map(math.isfinite, ends))
    return (*doubts_of(row, column), *(["no_interval"] * lacking))


def _overlap(one: Row, other: Row, column: str) -> bool:
    """Return whether the intervals of two rows overlap."""
    low, high = (f"{column}_{end}" for end in ("low", "high"))
    return bool(one[low] <= other[high] and other[low] <= one[high])
