"""Clocks: each tells how long `calls` calls of a workload take; they differ in what that time includes.

HostClock        wall time; on a GPU it synchronises before and after, so launching is inside
CudaEventClock   device time between two events; launching is inside only where it holds the device up
"""

from __future__ import annotations

import time
from collections.abc import Callable

from bench.timing._events import CudaEventClock

Workload = Callable[[], object]  # what is timed


class HostClock:
    """Wall time by `time.perf_counter_ns`.

    Each clock measures back-to-back calls. `launch_s` are the seconds that the host took to launch the last of them;
    None where it does their work itself.

    Args:
        synchronize: waits until the device has done all that was launched; None for the CPU, whose calls
            return when they are done.
        launches: whether calls return when they are launched; the time until then is kept as `launch_s`.
    """

    name = "perf_counter"

    def __init__(self, synchronize: Callable[[], object] | None = None, *, launches: bool = False) -> None:
        self.synchronize = synchronize or (lambda: None)
        self.launches = launches
        self.launch_s: float | None = None

    def now(self) -> float:
        """Return seconds since some moment."""
        return time.perf_counter_ns() * 1e-9

    def seconds(self, call: Workload, calls: int) -> float:
        """Return the wall time of `calls` calls, with one synchronisation at each end."""
        self.synchronize()
        start = time.perf_counter_ns()
        for _ in range(calls):
            call()
        if self.launches:
            self.launch_s = (time.perf_counter_ns() - start) * 1e-9
        self.synchronize()
        return (time.perf_counter_ns() - start) * 1e-9


Clock = HostClock | CudaEventClock
