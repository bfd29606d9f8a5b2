"""How long jobs would take that are shared out among places: a run whose clock is a number."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable, Sequence

from bench.execution._sharing import End, share_out
from bench.execution.places import Place
from bench.plan.expand import Planned


class _Rehearsal:
    """A crew that works in no time: jobs take known seconds of a clock of its own, and end in their order.

    Args:
        seconds: that a job takes.
    """

    def __init__(self, seconds: Callable[[Planned], float]) -> None:
        self.seconds = seconds
        self.now_s = 0.0
        self.cancelled = threading.Event()
        self._running: list[tuple[float, int, End]] = []
        self._numbers = itertools.count()

    def begin(self, planned: Planned, place: Place) -> None:
        """Know when it will end."""
        end = End(planned=planned, place=place)
        heapq.heappush(self._running, (self.now_s + self.seconds(planned), next(self._numbers), end))

    def wait(self) -> End:
        """Let the clock go on to the next end."""
        self.now_s, _, end = heapq.heappop(self._running)
        return end

    def stop(self) -> None:
        """End nothing: nothing runs."""


def rehearse(jobs: Sequence[Planned], places: Sequence[Place], seconds: Callable[[Planned], float]) -> float:
    """Return the seconds that jobs take at several places together, of known seconds each."""
    crew = _Rehearsal(seconds)
    for _ in share_out(jobs, places, crew, lambda *_: None):
        pass
    return crew.now_s
