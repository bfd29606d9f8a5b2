"""Keys: by which columns numbers are told apart, with `network` for the frame's `arch`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

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


def keys_of(frame: pd.DataFrame, columns: Sequence[str]) -> list[tuple[object, ...]]:
    """Return the key of each row, for a lookup: what is missing in two rows is equal there."""
    return list(zip(*(plain(frame[column]) for column in columns), strict=True))


def plain(values: pd.Series) -> list[Any]:
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
