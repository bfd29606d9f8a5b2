"""Where the time of networks goes: a run's records of the task `layers`, held against the machine's ceilings.

A layer cannot be quicker than the longest of three times: its multiply-accumulates at the machine's rate of matrix
products, its bytes at the machine's bandwidth, and the launching of its operators. The longest bounds it; the share of
the roofline is that time over its own. Bytes that lie in a cache are moved faster than memory moves them, so that a
share may be above 1. Source: Williams, Waterman, Patterson, Roofline, CACM 52(4), 2009.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Literal

import pandas as pd

from bench.analysis._layer_processes import (
    HOW,
    NOISE,
    OWN,
    Process,
    Row,
    levelled_of,
    partial_of,
    rows_of,
    shares_of,
)
from bench.analysis.keys import Rows, grouped
from bench.analysis.roofline import best_ceilings, ceilings_of, machine_rows
from bench.io import JsonObject
from bench.records.flags import doubts, joined_flags
from bench.stats.intervals import Interval
from bench.stats.samples import NONE, median
from bench.units import Scale, ranged

_Bound = Literal["compute", "memory", "launching", ""]
_Kind = Literal["layer", "functions", "module", "group", "inner"]


@dataclass(frozen=True, slots=True)
class _Ceilings:
    """What a machine reaches at best, and what puts that in doubt.

    Attributes:
        rate: MAC/s of matrix products; NaN where it was not measured.
        bandwidth: B/s of copies, likewise.
        doubts: about either.
    """

    rate: float = math.nan
    bandwidth: float = math.nan
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer, what a module does between its layers, a module that is not opened, or several too short to time.

    Attributes:
        name: in the network.
        type: class of the module; of a group the classes with their counts.
        kind: what it is; `inner` is what modules that run no operator take beyond calling others, all together: on a
            CPU they free there what the layers before have put out, on a GPU the next launch is waited for.
        depth: how many calls it is inside of.
        path: the names of the modules around it, from the outermost on, itself the last.
        output: shape of what comes out.
        parameters: that its operators read before others do.
        macs: multiply-accumulates, backward ones included in a training.
        bytes: that its operators read and write, likewise.
        time: its own, with the interval over processes, or of the samples of one.
        backward: s of it that the backward pass takes; NaN where there is none.
        times: s, of each process; of one that was slow as a whole they are divided by how much, see `LayerTable`.
        limits: s that it takes at least by what bounds it.
    """

    name: str
    type: str
    kind: _Kind
    depth: int
    path: tuple[str, ...]
    output: tuple[int, ...]
    parameters: int
    macs: int
    bytes: int
    time: Interval
    backward: float
    times: tuple[float, ...]
    limits: Mapping[_Bound, float] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """MAC/s that it attains; NaN of one that multiplies nothing."""
        return self.macs / self.time.estimate if self.macs and self.time.estimate > 0 else math.nan

    @property
    def bandwidth(self) -> float:
        """B/s that it attains."""
        return self.bytes / self.time.estimate if self.bytes and self.time.estimate > 0 else math.nan

    @property
    def bound(self) -> _Bound:
        """What bounds it; empty where nothing is known to, as without the machine's ceilings."""
        if any(map(math.isnan, self.limits.values())):  # the one that was not measured may be the longest
            return ""
        known = {name: s for name, s in self.limits.items() if s > 0}
        return max(known, key=known.__getitem__) if known else ""

    @property
    def roofline_share(self) -> float:
        """The time that bounds it over its own; NaN where nothing is known to."""
        limit = self.limits.get(self.bound, math.nan)
        return limit / self.time.estimate if self.time.estimate > 0 else math.nan


@dataclass(frozen=True, slots=True)
class LayerTable:
    """The layers of one network, run in one way.

    Attributes:
        run: name of the run.
        arch: the network's name.
        input_size: px.
        how: it was run: batch_size, precision, device, threads, backend and more, as the frame has them.
        training: whether it is of a training step.
        network: the time of the whole, in passes of its own.
        times: s of the whole, of each process, divided as those of a layer are.
        layers: in the order of the calls, those below the noise together last, and `inner` behind them.
        ceilings: of the machine, at this precision.
        flags: of the measurements.
        segments: a pass in order: place in `calls`, whether of the backward pass, and seconds.
        calls: name, class and place of the parent (or None) of all that is called.
        macs: of the whole.
        again_macs: those of them that a backward pass computes again, as of checkpoints.
        levelled: number, from 1 on, of each process that was slower than the others as a whole, or quicker, and by how
            many times: all its times are divided by that, the whole's as well.
        unused_parameters: those that no operator was seen to read; None where an older record does not say.
        partial: the outermost calls that some passes alone make, and the share of them that does: their times are what
            they take in one that does, times that share, and so are their multiply-accumulates and bytes.
    """

    run: str
    arch: str
    input_size: int
    how: JsonObject
    training: bool
    network: Interval
    times: tuple[float, ...]
    layers: tuple[Layer, ...]
    ceilings: _Ceilings
    flags: tuple[str, ...]
    segments: tuple[tuple[int, bool, float], ...]
    calls: tuple[tuple[str, str, int | None], ...]
    macs: int
    again_macs: int = 0
    levelled: tuple[tuple[int, float], ...] = ()
    unused_parameters: int | None = None
    partial: tuple[tuple[str, float], ...] = ()

    @property
    def time(self) -> str:
        """The time of the whole as it is told: ``50 ms (49 – 52)``."""
        whole = self.network
        return ranged(whole.estimate, whole.low, whole.high, Scale.of(whole.estimate, "s"))

    @property
    def explained(self) -> float:
        """The share of the whole that the layers come to."""
        return math.fsum(layer.time.estimate for layer in self.layers) / self.network.estimate

    @property
    def between_s(self) -> float:
        """What the whole takes beside its layers; less than nothing where they take longer alone."""
        return self.network.estimate * (1 - self.explained)

    @property
    def utilisation(self) -> float:
        """Multiply-accumulates of the whole a second, over the machine's rate of matrix products.

        What a backward pass computes again is no use that is made of the machine.
        """
        return (self.macs - self.again_macs) / self.network.estimate / self.ceilings.rate

    @classmethod
    def in_frame(cls, frame: pd.DataFrame, depth: int | None = None) -> list[LayerTable]:
        """Return a table for each network and way of running it whose layers were timed.

        Args:
            frame: of `bench.analysis.frame.to_frame`.
            depth: modules are opened to it, 1 for those of the network itself; None opens all.
        """
        rows = frame[(frame["task"] == "layers") & (frame["status"] == "ok") & frame["measurement"].notna()]
        machine = machine_rows(frame)
        processes = []
        for _, job in rows.groupby(["run", "job_id"], sort=False):
            rows_of_job = ({str(k): v for k, v in row.items()} for row in job.to_dict("records"))
            measured = {str(row["measurement"]): row for row in rows_of_job}
            known = "network_time" in measured and measured["layers_time"]["detail"].keys()
            if known and {"rows", "forward_s"} <= known:
                processes.append(Process.of(measured))
        return [_table(own, machine, depth) for own in grouped(processes, lambda one: one.series).values()]


def _ceilings(first: JsonObject, machine: Rows) -> _Ceilings:
    """Return the ceilings of a run's machine in the precision of a process, with as many threads."""
    (found,) = ceilings_of([first], machine)
    best = (row["flags"] for row in best_ceilings(machine) if row["run"] == first["run"])
    flags = dict.fromkeys(chain.from_iterable(best))
    return _Ceilings(*found, () if all(map(math.isnan, found)) else doubts(flags))


def _table(processes: list[Process], machine: Rows, depth: int | None) -> LayerTable:
    processes = sorted(processes, key=lambda process: process.number)
    shares = shares_of(processes)
    processes, levelled = levelled_of([process.evened() for process in processes])
    first, own = processes[0], processes[0].row
    noise_s = NOISE * max(p.detail["stamp_s"] for p in processes)
    rows = rows_of(processes, shares, noise_s)
    paths, found = _paths(rows), _ceilings(own, machine)
    timed = _Timed(rows, paths, processes, found, own["device"] == "cpu")
    layers = [timed.layer(members) for members in _members(rows, paths, depth)]
    table = LayerTable(
        run=own["run"],
        arch=own["arch"],
        input_size=int(own["input_size"]),
        how={key: own[key] for key in HOW},
        training=bool(first.detail["training"]),
        network=_interval([p.whole for p in processes]),
        times=tuple(median(p.whole) for p in processes),
        layers=(*_grouped(layers, noise_s), *timed.inner()),
        ceilings=found,
        flags=joined_flags((p.flags for p in processes), several=len(processes) > 1, wide=False),
        segments=tuple((place, back, s) for place, back, s in first.detail.get("segments", ())),
        calls=tuple((row.name, row.type, row.parent) for row in rows),
        macs=sum(row.macs + row.backward_macs for row in rows),
        again_macs=sum(row.again_macs for row in rows),
        levelled=levelled,
        unused_parameters=first.detail.get("unused_parameters"),
        partial=tuple(partial_of(rows, shares)),
    )
    return replace(table, flags=(*table.flags, ABOVE)) if _is_above(table) else table


ABOVE = "above_roofline"
"""The doubt about ceilings that are too low."""

_WINOGRAD = 2.25  # times fewer products than are counted, of a 3 x 3 convolution


def _is_above(table: LayerTable) -> bool:
    """Return whether more is multiplied in a second than the machine is said to be able to."""
    computing = (layer.roofline_share for layer in table.layers if layer.bound == "compute")
    return table.utilisation > 1 or any(share > _WINOGRAD for share in computing)


def _paths(rows: Sequence[Row]) -> list[tuple[int, ...]]:
    """Return for each row the rows around it, from the outermost on, itself the last."""
    paths: list[tuple[int, ...]] = []
    for place, row in enumerate(rows):
        above = () if row.parent is None else paths[row.parent]
        paths.append((*above, place))
    return paths


def _members(
    rows: Sequence[Row], paths: Sequence[tuple[int, ...]], depth: int | None
) -> Iterator[tuple[int, ...]]:
    """Yield the rows that are told as one, the call that they are told as first: all of a module that is not opened."""
    groups: dict[int, list[int]] = {}
    for place, row in enumerate(rows):
        if row.is_layer:
            above = 0 if depth is None else max(0, row.depth - depth)
            shown = paths[place][-1 - above]
            groups.setdefault(shown, []).append(place)
    for shown, members in sorted(groups.items(), key=lambda item: item[0]):
        yield (shown, *(m for m in members if m != shown)) if shown in members else (shown, *members)


@dataclass(frozen=True, slots=True)
class _Timed:
    """The rows of a network, and what its processes measured of them."""

    rows: Sequence[Row]
    paths: Sequence[tuple[int, ...]]
    processes: Sequence[Process]
    ceilings: _Ceilings
    on_host: bool  # whether calls return when they are done

    def layer(self, members: Sequence[int]) -> Layer:
        """Return some rows as one layer, whose name and shape are those of the first."""
        head, own = self.rows[members[0]], [m for m in members if self.rows[m].is_layer]
        inside = [self.rows[m] for m in own]
        kind: _Kind = "layer" if head.leaf else "functions" if own == [members[0]] else "module"
        forward, backward = self._samples("forward_s", own), self._samples("backward_s", own)
        both = [[a + b for a, b in zip(*each, strict=True)] for each in zip(forward, backward, strict=True)]
        trained = any("backward_s" in process.detail for process in self.processes)
        return Layer(
            name=head.name or head.type,
            type=head.type,
            kind=kind,
            depth=head.depth,
            path=tuple(self.rows[p].name for p in self.paths[members[0]] if self.rows[p].name),
            output=tuple(head.output),
            parameters=sum(row.parameters for row in inside),
            macs=sum(row.macs + row.backward_macs for row in inside),
            bytes=sum(row.bytes + row.backward_bytes for row in inside),
            time=_interval(both),
            backward=median([median(samples) for samples in backward]) if trained else math.nan,
            times=tuple(median(samples) for samples in both),
            limits=self._limits(inside, own),
        )

    def inner(self) -> Iterator[Layer]:
        """Yield what modules without an operator take beyond calling others, from `OWN` of the network's time on."""
        own = [place for place, row in enumerate(self.rows) if not row.is_layer]
        calls = Counter(row.parent for row in self.rows)
        stretches = sum(calls[place] + 1 for place in own)
        samples = zip(self._samples("forward_s", own), self.processes, strict=True)
        times = tuple(median(s) - stretches * p.detail.get("between_s", math.inf) for s, p in samples)
        if own and median(times) >= OWN * median([median(p.whole) for p in self.processes]):
            name, time = f"inside {len(own)} modules, between their layers", _over(times)
            yield Layer(name, _INNER[self.on_host], "inner", 1, (), (), 0, 0, 0, time, math.nan, times)

    def _samples(self, name: str, members: Sequence[int]) -> list[list[float]]:
        """Return for each process the sums of some rows, round by round; zeros of what it has not."""
        sums = []
        for process, places in zip(self.processes, self._places(members), strict=True):
            samples = process.detail.get(name)
            of_rows = [samples[place] for place in places] if samples else []
            nothing = [0.0] * len(process.whole)
            sums.append([math.fsum(each) for each in zip(*of_rows, strict=True)] if of_rows else nothing)
        return sums

    def _places(self, members: Sequence[int]) -> list[list[int]]:
        """Return where each process has some rows; one whose way is drawn anew may lack them."""
        keys = self.processes[0].keys
        places = []
        for process in self.processes:
            at = {key: place for place, key in enumerate(process.keys)}
            places.append([at[keys[m]] for m in members if keys[m] in at])
        return places

    def _limits(self, inside: Sequence[Row], members: Sequence[int]) -> dict[_Bound, float]:
        """Return the seconds that rows take at least by what bounds them."""
        operators = sum(row.operators + row.backward_operators for row in inside)
        launch_s = operators * median([process.detail["operator_s"] for process in self.processes])
        if not self.on_host:
            parts = zip(self.processes, self._places(members), strict=True)
            launch_s = median([math.fsum(_host_s(process, places)) for process, places in parts])
        macs = sum(row.macs + row.backward_macs for row in inside)
        moved = sum(row.bytes + row.backward_bytes for row in inside)
        return {
            "compute": macs / self.ceilings.rate if macs else 0.0,
            "memory": moved / self.ceilings.bandwidth if moved else 0.0,
            "launching": launch_s,
        }


def _host_s(process: Process, places: Sequence[int]) -> Iterator[float]:
    """Yield the seconds that the host took for rows, in each direction."""
    for name in ("forward_host_s", "backward_host_s"):
        if name in process.detail:
            yield from (process.detail[name][place] for place in places)


_INNER = {True: "freeing memory", False: "waiting for launching"}  # on a CPU, on a GPU


def _over(times: Sequence[float], note: str = "") -> Interval:
    """Return the interval of a time over processes; none of one process, or of what is not above nothing."""
    if len(times) == 1 or min(times) <= 0:
        return Interval(median(times), *NONE, len(times), "none", note)
    return Interval.over_processes(times)


def _interval(processes: Sequence[Sequence[float]]) -> Interval:
    """Return the interval of a time over processes; of one process that of its samples."""
    if len(processes) == 1:
        return Interval.within_one(processes[0])
    return _over([median(samples) for samples in processes], "too short to be timed in each process")


def _grouped(layers: Sequence[Layer], noise_s: float) -> Iterator[Layer]:
    """Yield the layers that can be timed, and those that cannot as one."""
    short = [layer for layer in layers if layer.time.estimate < noise_s]
    yield from (layer for layer in layers if layer.time.estimate >= noise_s)
    if short:
        counts = Counter(layer.type for layer in short)
        types = ", ".join(f"{kind} ×{n}" for kind, n in counts.most_common())
        yield joined(short, f"{len(short)} below {1e6 * noise_s:.2g} µs each", "group", types, depth=1)


def joined(layers: Sequence[Layer], name: str, kind: _Kind, types: str, depth: int) -> Layer:
    """Return several layers as one: with their work and their times together, and no limits."""
    times = tuple(map(math.fsum, zip(*(layer.times for layer in layers), strict=True)))
    return Layer(
        name=name,
        type=types,
        kind=kind,
        depth=depth,
        path=(),
        output=(),
        parameters=sum(layer.parameters for layer in layers),
        macs=sum(layer.macs for layer in layers),
        bytes=sum(layer.bytes for layer in layers),
        time=_over(times),
        backward=math.nan,
        times=times,
    )
