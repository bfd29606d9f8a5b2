"""What the functions of this room take, and the ranks of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bench.stats.samples import Floats

Values = Sequence[float] | Floats


def doubled_ranks(values: Floats) -> npt.NDArray[np.int64]:
    """Return twice the ranks (from 1), whole numbers also where ties share the middle one."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((2 * np.cumsum(counts) - counts + 1)[places], dtype=np.int64)
