"""Where the time of a network goes: the own time of each module call, in passes apart from those of the whole.

A pass takes a stamp where a module's forward begins and where it ends; the time from one stamp to the next belongs to
the innermost module that is called then. In a training, a stamp stands before each node of autograd's graph: the time
until the next one belongs to the module whose forward made the node, the sums of gradients that follow it included. A
call that is made again there, as of a checkpoint, has the time of it in its backward pass, and that of its gradients
also where the node that makes it again goes backward through it by itself.
On a CPU a stamp is the time by `perf_counter_ns`; on a GPU an event on the stream, with nothing waited for before the
end of the pass, and the host's time beside it, which tells where launching sets the pace.

Whole and stamped passes are done in turn, whole, stamped, stamped, whole, so that drift takes from each alike, and no
stamp is on a path whose time is told as the network's.

Other ways were measured beside this one (`tests/benchmarks/layers.py` does it for whole networks). A call takes 1.9 µs
longer with stamps, 2.1 µs with a pair of hooks, and an operator 1.9 µs under torch's profiler: none is free, so that
the whole has passes of its own. Hooks change what runs, since a layer of torch's encoder that has any leaves its fast
path, and see no functions between layers; the profiler knows operators and not whose they are; an operator that is
replayed alone finds its operands in the cache, where they do not lie in a pass.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bench.costs.calls import Followed, Forward, Key, Numbering
from bench.costs.work import OUTSIDE, InnerGraph, Step, owners
from bench.plan.settings import Timing
from bench.timing._sampling import Sampling
from bench.timing._watch import Watch, WatchReport
from bench.timing.clock import Clock, Workload
from bench.timing.interleaving import interleave

OPTIMISER: Key = (-2, 0)
"""The update of the weights, in a training step."""

_PROBES = 101


class _Stamp(NamedTuple):
    """A moment: what the device's clock makes of it, and the host's in ns."""

    mark: torch.cuda.Event | None
    ns: int


class HostStamps:
    """Stamps of a device whose calls return when they are done."""

    def take(self) -> _Stamp:
        """Return this moment."""
        return _Stamp(None, time.perf_counter_ns())

    def between(self, first: _Stamp, last: _Stamp) -> tuple[float, float]:
        """Return the seconds from one moment to another, twice: the host is the device."""
        seconds = (last.ns - first.ns) * 1e-9
        return seconds, seconds


class CudaStamps:
    """Events on the stream; those of earlier passes are used again."""

    def __init__(self) -> None:
        self._events: list[torch.cuda.Event] = []
        self._taken = 0

    def begin(self) -> None:
        """Begin another pass; the stamps of the last one are no longer good."""
        self._taken = 0

    def take(self) -> _Stamp:
        """Set a mark behind what was launched so far."""
        if self._taken == len(self._events):
            self._events.append(torch.cuda.Event(enable_timing=True))
        event = self._events[self._taken]
        self._taken += 1
        event.record()
        return _Stamp(event, time.perf_counter_ns())

    def between(self, first: _Stamp, last: _Stamp) -> tuple[float, float]:
        """Return the seconds of the device, and of the host, from one stamp to another; both are behind the device."""
        assert first.mark is not None
        assert last.mark is not None
        return first.mark.elapsed_time(last.mark) * 1e-3, (last.ns - first.ns) * 1e-9


class _Segment(NamedTuple):
    """A stretch of a pass: whose it is, whether of the backward pass, its seconds, and the host's."""

    key: Key
    backward: bool
    seconds: float
    host_s: float


@dataclass(slots=True)
class Layered:
    """A pass with stamps: called like the whole, it leaves the segments of its last call.

    Attributes:
        followed: the modules.
        step: the pass.
        stamps: of the device.
        on_threads: whether calls ran on several threads at the same time, so that whose time passed is open.
    """

    followed: Followed
    step: Step
    stamps: HostStamps | CudaStamps
    on_threads: bool = False
    _busy: Counter[int] = field(default_factory=Counter)  # open calls of threads that the network has made
    # None: back in the call around.
    _marks: list[tuple[Key | None, bool, _Stamp]] = field(default_factory=list)
    _borders: list[tuple[int, Key]] = field(default_factory=list)
    _numbering: Numbering = field(default_factory=Numbering)
    _inside: list[Key] = field(default_factory=list)
    _inner: InnerGraph = field(default_factory=InnerGraph)
    _remade: list[Key] | None = None  # the calls that a backward pass makes again and is in; None before it

    def __call__(self) -> None:
        """Run the pass."""
        self._marks.clear()
        self._numbering, self._remade = Numbering(), None
        self._borders[:] = [(0, OUTSIDE)]
        self._inside[:] = [OUTSIDE]
        if isinstance(self.stamps, CudaStamps):
            self.stamps.begin()
        with self.followed.through(self._wrap):
            self._stamp(OUTSIDE)
            loss = self.step.forward()
            self._stamp(None)
            if loss is None or self.step.backward is None:
                return
            for node, key in owners(loss, self._borders):
                node.register_prehook(self._before(key))
            del loss
            self._remade = []
            self._stamp(OUTSIDE, backward=True)
            self.step.backward()
            self._stamp(None)
            self._inner = InnerGraph()  # a node that it kept would stamp the passes of the whole
        if self.step.optimizer is not None:
            self._stamp(OPTIMISER)
            self.step.optimizer()
            self._stamp(None)

    def _stamp(self, key: Key | None, *, backward: bool = False) -> None:
        self._marks.append((key, backward, self.stamps.take()))

    def _before(self, key: Key) -> Callable[[object], None]:
        marks, take = self._marks, self.stamps.take

        def stamp(_gradients: object) -> None:
            marks.append((key, True, take()))

        return stamp

    def _wrap(self, number: int, forward: Forward) -> Forward:
        marks, inside, borders, numbering = self._marks, self._inside, self._borders, self._numbering
        take, nodes = self.stamps.take, torch._C._autograd._get_sequence_nr
        own, busy, thread_id = threading.get_ident(), self._busy, threading.get_ident

        def call(*args: object, **kwargs: object) -> object:
            if self._remade is not None:
                return self._made_again(number, forward, args, kwargs)
            if (thread := thread_id()) != own or busy:
                self._note_thread(thread, own)
            key = numbering.begun(number, inside[-1])
            inside.append(key)
            borders.append((nodes(), key))
            marks.append((key, False, take()))
            try:
                return forward(*args, **kwargs)
            finally:  # a network may catch what a layer of its own raises
                stamp = take()
                if thread != own:
                    busy[thread] -= 1
                    if not busy[thread]:
                        del busy[thread]
                inside.pop()
                marks.append((inside[-1], False, stamp))
                borders.append((nodes(), inside[-1]))

        return call

    def _made_again(
        self, number: int, forward: Forward, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> object:
        """Call a module for a backward pass: the time belongs to the call that was made before."""
        assert self._remade is not None
        key = self._numbering.made_again(number, self._remade[-1] if self._remade else None)
        if key is None:
            return forward(*args, **kwargs)
        asks = self._marks[-1][0] or OUTSIDE
        self._remade.append(key)
        self._inner.begin(key, asks)
        self._stamp(key, backward=True)
        output: object = None
        try:
            output = forward(*args, **kwargs)
            return output
        finally:
            self._stamp(None)  # what follows takes a while itself
            self._remade.pop()
            self._inner.end(asks)
            for node, owner in self._inner.nodes(output):
                node.register_prehook(self._before(owner))
            self._stamp(asks, backward=True)

    def _note_thread(self, thread: int, own: int) -> None:
        """Note a call that begins on a thread, where it or others are none of the pass's `own` one."""
        within = self._inside[-1]
        beside_layer = (
            thread != own and within != OUTSIDE and not any(self.followed.modules[within[0]].children())
        )
        self.on_threads |= beside_layer or bool(self._busy.keys() - {thread})
        if thread != own:
            self._busy[thread] += 1

    def segments(self) -> list[_Segment]:
        """Return the stretches of the last pass, in order; what lies between its parts is left out."""
        return [
            _Segment(key, backward, *self.stamps.between(stamp, later))
            for (key, backward, stamp), (_, _, later) in itertools.pairwise(self._marks)
            if key is not None
        ]


_Laps = dict[tuple[Key, bool], list[float]]
"""Seconds by call and whether of the backward pass, one a round; 0 in a round in which it was not called."""


@dataclass(frozen=True, slots=True)
class LayerTimes:
    """What came of the passes.

    Attributes:
        whole: of the network, in passes without stamps.
        laps: s of each call itself, round by round.
        host_laps: the same by the host's clock; empty where that is the only one.
        segments: of the round whose sum is the median one.
        stamp_s: the time of a call that does nothing, s.
        between_s: the own time of a module before, between and after such calls, s each.
        operator_s: the time of an operator with one element, s.
        on_threads: whether calls ran on several threads at the same time.
        report: what the watch saw.
    """

    whole: Sampling
    laps: _Laps
    host_laps: _Laps
    segments: Sequence[_Segment]
    stamp_s: float
    between_s: float
    operator_s: float
    on_threads: bool
    report: WatchReport


def measure_layers(
    whole: Workload, layered: Layered, clock: Clock, timing: Timing, *, watch: Watch, device: str
) -> LayerTimes:
    """Time a network and its calls in turn, until the ratio of the two is known to the timing's precision.

    The calls of `layered` must be those that `whole` runs, eager; where that is compiled, they show what there was to
    gain.
    """
    rounds: list[list[_Segment]] = []

    def tick() -> None:
        watch.tick()
        rounds.append(layered.segments())

    watch.start()
    taken = interleave({"whole": whole, "layered": layered}, clock, timing, tick=tick)
    report = watch.stop()
    rounds = _one_a_round(rounds)
    on_gpu = isinstance(layered.stamps, CudaStamps)
    stamp_s, between_s, operator_s = _floors(layered.stamps, clock, device)
    sums = [sum(segment.seconds for segment in each) for each in rounds]
    middle = sorted(range(len(sums)), key=sums.__getitem__)[(len(sums) - 1) // 2]
    return LayerTimes(
        whole=taken["whole"],
        laps=_laps(rounds, lambda s: s.seconds),
        host_laps=_laps(rounds, lambda s: s.host_s) if on_gpu else {},
        segments=rounds[middle],
        stamp_s=stamp_s,
        between_s=between_s,
        operator_s=operator_s,
        on_threads=layered.on_threads,
        report=report,
    )


def _one_a_round(looks: Sequence[list[_Segment]]) -> list[list[_Segment]]:
    """Return the segments of each round's stamped pass.

    There is a look after each of a round's two passes, and rounds go back and forth: the stamped pass is the second
    one in every other round, beginning with the first.
    """
    return [looks[2 * number + (number % 2 == 0)] for number in range(len(looks) // 2)]


_TICK_S = 1e-9  # of the host's clock


def _laps(rounds: Sequence[Sequence[_Segment]], seconds: Callable[[_Segment], float]) -> _Laps:
    """Return the laps of rounds; a call that was made has a tick at least.

    The clock of a card reads nothing between two marks that are less than half a microsecond apart.
    """
    sums: list[Mapping[tuple[Key, bool], float]] = []
    for each in rounds:
        of_round: defaultdict[tuple[Key, bool], float] = defaultdict(float)
        for segment in each:
            of_round[segment.key, segment.backward] += seconds(segment)
        sums.append({key: max(s, _TICK_S) for key, s in of_round.items()})
    keys = dict.fromkeys(key for each in sums for key in each)
    return {key: [each.get(key, 0.0) for each in sums] for key in keys}


class _Least(nn.Module):
    """A network of one module that does nothing, and one that runs an operator on one element."""

    def __init__(self) -> None:
        super().__init__()
        self.nothing = nn.Identity()
        self.operator = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.operator(self.nothing(x))  # type: ignore[no-any-return]


def _floors(stamps: HostStamps | CudaStamps, clock: Clock, device: str) -> tuple[float, float, float]:
    """Return the median seconds of a call that does nothing, between two calls, and of an operator on one element."""
    network, x = _Least().eval(), torch.zeros(1, device=device)

    def forward() -> None:
        network(x)

    least = Layered(Followed(network), Step(forward), stamps)
    rounds = []
    with torch.no_grad():
        for _ in range(_PROBES):
            clock.seconds(least, 1)
            rounds.append(least.segments())
    laps = _laps(rounds, lambda s: s.seconds)
    around, nothing, operator = (median(laps[(number, 0), False]) for number in (0, 1, 2))
    return nothing, around / 3, max(operator - nothing, 0.0)
