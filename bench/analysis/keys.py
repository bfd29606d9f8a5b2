"""Keys: by which columns numbers are told apart, with `network` for the frame's `arch`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import pandas as pd

from bench.plan.task import INPUT

SHAPE = ["run", "network", *INPUT]
"""What was measured."""

VARIANT = ["device", "precision", "memory_format", "backend", "cudnn_benchmark", "threads"]
"""How it was run."""

WAY = [*SHAPE, *VARIANT]
"""What tells rows of a comparison apart."""

CEILING = ["run", "device", "precision", "threads"]
"""Of what a machine's ceilings are."""

PUBLISHED = ("published_top1", "published_top5")
"""Published accuracies, in the order of all tables and figures; answers and races go by the first."""


def published_keys(table: pd.DataFrame) -> list[str]:
    """Return which published accuracies are shown of some rows: top-1, and top-5 where one was published with no other.

    Nothing where none is known.
    """
    top1, top5 = PUBLISHED
    known, alone = table[top1].notna(), table[top5].notna() & table[top1].isna()
    return [key for key, rows in ((top1, known), (top5, alone)) if rows.any()]


_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")


def grouped(items: Iterable[_V], key: Callable[[_V], _K]) -> dict[_K, list[_V]]:
    """Return items by what they have in common, as each is met first."""
    groups: defaultdict[_K, list[_V]] = defaultdict(list)
    for one in items:
        groups[key(one)].append(one)
    return groups


Key = tuple[Any, ...]
Plain = dict[str, Any]
Rows = list[Plain]
NUMBERS = ("median", "low", "high")


def plain_rows(frame: pd.DataFrame, columns: Iterable[str]) -> Rows:
    """Return rows as Python has them, None for what is missing but of `NUMBERS`, where it is NaN.

    Of few rows pandas takes longer to find its way than for the work; of many a pass over these is as quick.
    """
    names = list(columns)
    values = (frame[name].tolist() if name in NUMBERS else _plain(frame[name]) for name in names)
    return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]


def key_of(row: Mapping[Any, Any], columns: Iterable[str]) -> Key:
    """Return the key of a row, for a lookup: what is missing in two rows is equal there."""
    return tuple(map(row.get, columns))


def _plain(values: pd.Series) -> list[Any]:
    """Return values as Python has them, None for each that is missing."""
    # `isna` of a few rows takes ten times as long; what is missing differs from itself, but for NA, that refuses to say
    return [None if v is None or v is pd.NA or v != v else v for v in values.tolist()]  # noqa: PLR0124


_DIGITS = 8  # of a fingerprint, that are shown


def apart(names: Sequence[str | None], digests: Sequence[str | None]) -> list[str]:
    """Return the beginning of each digest whose name stands for several things; else nothing.

    >>> apart(["a", "a", "b"], ["0123456789", "abcdefghij", "0123456789"])
    ['01234567', 'abcdefgh', '']
    """
    several: defaultdict[str | None, set[str | None]] = defaultdict(set)
    for name, digest in zip(names, digests, strict=True):
        several[name].add(digest)
    return [
        digest[:_DIGITS] if digest and len(several[name]) > 1 else ""
        for name, digest in zip(names, digests, strict=True)
    ]
