"""What the functions of this room take, and the ranks of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bench.stats.samples import Floats

Values = Sequence[float] | Floats


def doubled_ranks(values: Floats) -> npt.NDArray[np.int64]:
    """Return twice the ranks (from 1), whole numbers also where ties share the middle one."""
    order = np.argsort(values)
    ordered, ranks = values[order], np.empty(len(values), dtype=np.int64)
    ranks[order] = ordered.searchsorted(ordered) + ordered.searchsorted(ordered, side="right") + 1
    return ranks
