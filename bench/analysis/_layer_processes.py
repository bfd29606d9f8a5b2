"""What processes measured of the layers of a network: calls, samples, and how processes are made comparable.

A call that some passes alone make is evened out over all of them; a process that was slow, or quick, as a whole is
levelled.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.analysis.keys import VARIANT
from bench.io import JsonObject
from bench.plan.task import INPUT
from bench.stats.samples import levels, median

HOW = ("batch_size", *VARIANT)
PARTS = ("forward_s", "backward_s")
_ALWAYS = 0.9  # of the passes, from which on the median over all of them is that of the call
_SECONDS = frozenset({"stamp_s", "between_s", "operator_s", "forward_host_s", "backward_host_s", *PARTS})
"""What the detail of the layers has in seconds."""

OWN = 0.02  # of the network's time, from which on what a module takes itself is told, though it runs no operator
NOISE = 2.0  # times the time of a call that does nothing, below which a layer is told in a group


@dataclass(frozen=True, slots=True)
class Process:
    """What one process measured: a row of the frame, the samples of the whole, and the detail of the layers."""

    row: JsonObject
    detail: JsonObject
    whole: tuple[float, ...]
    flags: tuple[str, ...]

    @classmethod
    def of(cls, measured: Mapping[str, JsonObject]) -> Process:
        """Return the process of the rows of its measurements."""
        network = measured["network_time"]
        layers = measured["layers_time"]
        return cls(network, layers["detail"], network["samples"], (*network["flags"], *layers["flags"]))

    @property
    def series(self) -> tuple[object, ...]:
        """What it has in common with the other processes of the same time."""
        own = [self.row[key] for key in ("run", "arch", *INPUT, *HOW)]
        known = (None if isinstance(v, float) and math.isnan(v) else v for v in own)
        return *known, self.detail["training"]

    @property
    def number(self) -> float:
        """Which of them it is."""
        number = self.row["replicate"]
        return 0.0 if math.isnan(number) else float(number)

    def over(self, level: float) -> Process:
        """Return the process with all that it times divided by a number; its one pass in order stays as it was."""
        detail = dict(self.detail)
        for name in _SECONDS.intersection(detail):
            detail[name] = (np.array(detail[name], dtype=float) / level).tolist()
        return replace(self, detail=detail, whole=tuple(s / level for s in self.whole))

    @property
    def times(self) -> dict[tuple[str, str, int], float]:
        """The time of each row, in s."""
        parts = [np.array(self.detail[name]) for name in PARTS if name in self.detail]
        return dict(zip(self.keys, np.median(sum(parts), axis=1).tolist(), strict=True))

    @property
    def shares(self) -> dict[tuple[str, str, int], float]:
        """The share of the passes in which each row was called; that of a call which nearly all make is 1."""
        called = (np.count_nonzero(samples) / len(samples) for samples in self.detail["forward_s"])
        return {key: 1.0 if share > _ALWAYS else share for key, share in zip(self.keys, called, strict=True)}

    def evened(self) -> Process:
        """Return the process with calls that some passes alone make evened out over all of them.

        The median of such a call would be nothing, or all that it takes: in each pass it has what it takes in one that
        makes it, times their share.
        """
        shares, detail = list(self.shares.values()), dict(self.detail)
        for name in (part for part in PARTS if part in detail):
            detail[name] = [
                _evened(own, share) if 0 < share < 1 else own
                for own, share in zip(detail[name], shares, strict=True)
            ]
        return replace(self, detail=detail)

    @property
    def keys(self) -> list[tuple[str, str, int]]:
        """What tells its rows: name, class, and which of such calls it is."""
        met: Counter[tuple[str, str]] = Counter()
        keys = []
        for name, kind, *_ in self.detail["rows"]:
            keys.append((name, kind, met[name, kind]))
            met[name, kind] += 1
        return keys


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a record: a call, without the calls inside it."""

    name: str
    type: str
    depth: int
    parent: int | None
    leaf: bool
    parameters: int
    input: Sequence[int]
    output: Sequence[int]
    macs: int
    bytes: int
    operators: int
    backward_macs: int
    backward_bytes: int
    backward_operators: int
    again_macs: int = 0
    slow: bool = False  # takes long itself, whatever it does there: it waits, reads a file, counts in Python

    def in_part(self, share: float) -> Row:
        """Return it with what it does in a share of the passes, on average."""
        if not 0 < share < 1:
            return self
        return replace(self, **{name: round(getattr(self, name) * share) for name in _WORK})

    @property
    def is_layer(self) -> bool:
        """Whether its own time is a layer's, rather than what lies between."""
        return self.leaf or self.slow or bool(self.operators or self.backward_operators)


_WORK = ("macs", "bytes", "operators", "backward_macs", "backward_bytes", "backward_operators", "again_macs")


def _evened(samples: Sequence[float], share: float) -> list[float]:
    """Return samples of a call, 0 where it was not made, as a share of those that are not, as often as needed."""
    made = np.array([s for s in samples if s > 0] or [0.0])
    return (np.resize(made, len(samples)) * share).tolist()  # type: ignore[no-any-return]


def shares_of(processes: Sequence[Process]) -> list[float]:
    """Return the share of the passes that make each call of the first process, over all processes."""
    of_each = [process.shares for process in processes]
    return [math.fsum(own.get(key, 0.0) for own in of_each) / len(of_each) for key in processes[0].keys]


def partial_of(rows: Sequence[Row], shares: Sequence[float]) -> Iterator[tuple[str, float]]:
    """Yield the name of each call that some passes alone make, and their share, but for those inside another such."""
    for row, share in zip(rows, shares, strict=True):
        around = 1.0 if row.parent is None else shares[row.parent]
        if 0 < share < 1 and share < around:
            yield row.name or row.type, share


def rows_of(processes: Sequence[Process], shares: Sequence[float], noise_s: float) -> list[Row]:
    """Return the rows of the first process; those that run no operator and take long all the same are told."""
    first = processes[0]
    parts = [first.detail[name] for name in PARTS if name in first.detail]
    least = max(OWN * median(first.whole), noise_s)
    own = [math.fsum(median(each[place]) for each in parts) for place in range(len(first.detail["rows"]))]
    return [
        replace(Row(*row), slow=s >= least).in_part(share)
        for row, s, share in zip(first.detail["rows"], own, shares, strict=True)
    ]


def levelled_of(processes: Sequence[Process]) -> tuple[list[Process], tuple[tuple[int, float], ...]]:
    """Return the processes, those that were slow or quick as a whole levelled, and which these are, by how many times.

    One that is slow by a third widens the interval of every layer so much that none of two networks differs for
    certain. What takes less than two empty calls says nothing of it.
    """
    times = [process.times for process in processes]
    noise_s = NOISE * median([process.detail["stamp_s"] for process in processes])
    keyed = zip(processes[0].keys, processes[0].detail["rows"], strict=True)
    layers = (key for key, row in keyed if Row(*row).is_layer)
    of_layers = ([own.get(key, 0.0) for own in times] for key in layers)
    known = [each for each in of_layers if min(each) > 0 and median(each) >= noise_s]
    by = levels(np.array(known).reshape(-1, len(processes))).tolist()
    of_each = list(zip(processes, by, strict=True))
    told = tuple((int(process.number) + 1, level) for process, level in of_each if level != 1)
    return [process.over(level) if level != 1 else process for process, level in of_each], told
