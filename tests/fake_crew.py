"""A crew that works in no time: jobs take known seconds of a clock of its own, and end in their order."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from bench.execution._sharing import End
from bench.execution.places import Place
from bench.plan.expand import Planned

Does = Callable[[Planned, Place], tuple[float, bool]]


@dataclass(frozen=True)
class Span:
    """When a job ran, and where."""

    planned: Planned
    place: Place
    begin_s: float
    end_s: float
    lost: bool = False


@dataclass
class FakeCrew:
    """Runs jobs on a fake clock.

    Attributes:
        does: `(planned, place)` to the seconds that a job takes there, and whether the place is lost then.
        spans: what ran so far, in the order of its ends.
    """

    does: Does = lambda *_: (1.0, False)
    now_s: float = 0.0
    spans: list[Span] = field(default_factory=list)
    cancelled: threading.Event = field(default_factory=threading.Event)
    running: list[tuple[float, int, Span]] = field(default_factory=list)
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def begin(self, planned: Planned, place: Place) -> None:
        """Know when it will end."""
        seconds, lost = self.does(planned, place)
        span = Span(planned, place, self.now_s, self.now_s + seconds, lost)
        heapq.heappush(self.running, (span.end_s, next(self.numbers), span))

    def wait(self) -> End:
        """Let the clock go on to the next end."""
        self.now_s, _, span = heapq.heappop(self.running)
        self.spans.append(span)
        return End(planned=span.planned, place=span.place, lost=span.lost)

    def stop(self) -> None:
        """Remember it."""
        self.cancelled.set()
