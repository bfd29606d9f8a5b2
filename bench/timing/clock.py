"""Clocks: each tells how long `calls` calls of a workload take; they differ in what that time includes.

HostClock        wall time; on a GPU it synchronises before and after, so launching is inside
CudaEventClock   device time between two events; launching is inside only where it holds the device up
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

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


class CudaEventClock:
    """Device time between two CUDA events on the current stream; resolution about 0.5 µs."""

    name = "cuda_event"

    def __init__(self) -> None:
        self.launch_s: float | None = None
        self._ends: list[torch.cuda.Event] = []

    def now(self) -> float:
        """Return the host's seconds since some moment: limits are of wall time."""
        return time.perf_counter_ns() * 1e-9

    def seconds(self, call: Workload, calls: int) -> float:
        """Return the device time from before the first call to after the last."""
        start, end = self._ends = self._ends or cuda_events(2)
        torch.cuda.synchronize()
        begin_ns = time.perf_counter_ns()
        start.record()
        for _ in range(calls):
            call()
        end.record()
        self.launch_s = (time.perf_counter_ns() - begin_ns) * 1e-9
        end.synchronize()
        seconds: float = start.elapsed_time(end) * 1e-3
        return seconds


Clock = HostClock | CudaEventClock


def cuda_events(count: int) -> list[torch.cuda.Event]:
    """Return events that have been recorded once: CUDA makes an event the first time, and that takes a while."""
    events = [torch.cuda.Event(enable_timing=True) for _ in range(count)]
    for event in events:
        event.record()
    return events
