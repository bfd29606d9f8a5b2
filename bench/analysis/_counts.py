"""Counts of networks, which no process and no seed changes."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

from bench.analysis.flags import Row
from bench.analysis.keys import SHAPE, Key, key_of
from bench.plan.task import summarised

COUNTS = frozenset(quantity.name for _, _, quantity in summarised("shape"))

# Networks of the user's: in a file, in a module or folder, or a file themselves.
_USERS = re.compile(r"\.py:|^(?!torchvision:|timm:|pattern:)[^(]*:|\.(?:pt2?|pth|torchscript|ts)\s*(?:\(|$)")

Counts = Mapping[Key, dict[str, float]]
"""By run, network and shape, and by name."""


def counts_of(rows: Iterable[Row]) -> Counts:
    """Return the counts of each run, network and shape.

    What a run has not counted is taken from another run of the same network and shape, where all agree. Networks in
    files are left alone: another run may have met another version.
    """
    counts: dict[Key, dict[str, float]] = {}
    for row in rows:
        own = counts.setdefault(key_of(row, SHAPE), {})
        if row["measurement"] in COUNTS:
            own[row["measurement"]] = row["median"]  # of several the last
    known: defaultdict[Key, defaultdict[str, set[float]]] = defaultdict(lambda: defaultdict(set))
    for (_, *shape), own in counts.items():
        for name, count in own.items():
            if not math.isnan(count):
                known[tuple(shape)][name].add(count)
    for (_, network, *shape), own in counts.items():
        if not _USERS.search(network):
            own |= {name: one for name, (one, *others) in known[network, *shape].items() if not others}
    return counts
