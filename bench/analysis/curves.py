"""What trainings recorded epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import zip_longest
from typing import Any


def by_epoch(details: Iterable[Mapping[str, Any]]) -> list[tuple[int, list[float]]]:
    """Return the number of each epoch with the values that trainings have of it; those without any are left out.

    Args:
        details: of one measurement of each training, with a list `by_epoch`.
    """
    stored = (detail.get("by_epoch") for detail in details)
    curves = [values for values in stored if isinstance(values, list | tuple)]
    epochs = [
        [v for v in values if isinstance(v, int | float) and math.isfinite(v)]
        for values in zip_longest(*curves)
    ]
    return [(number, values) for number, values in enumerate(epochs, start=1) if values]
