"""The fake clock: calls of known costs, so that tests of sampling take no time."""

from __future__ import annotations

from collections.abc import Sequence

from bench.timing.clock import Workload


class FakeClock:
    """A clock of known costs.

    Args:
        costs: seconds of each call, in order; the last one repeats.
        launch: share of them that launching takes; None for a device that is the host.
    """

    name = "fake"

    def __init__(self, costs: Sequence[float], launch: float | None = None) -> None:
        self.costs = list(costs)
        self.launch = launch
        self.launch_s: float | None = None
        self.calls = 0
        self._now = 0.0

    def now(self) -> float:
        """Return the sum of all costs so far."""
        return self._now

    def seconds(self, call: Workload, calls: int) -> float:
        """Run the calls and return their known costs."""
        total = 0.0
        for _ in range(calls):
            call()
            total += self.costs[min(self.calls, len(self.costs) - 1)]
            self.calls += 1
        self._now += total
        self.launch_s = None if self.launch is None else self.launch * total
        return total
