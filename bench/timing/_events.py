"""Times on the device, between two CUDA events."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import torch


class CudaEventClock:
    """Device time between two CUDA events on the current stream; resolution about 0.5 µs."""

    name = "cuda_event"

    def __init__(self) -> None:
        self.launch_s: float | None = None
        self._ends: list[torch.cuda.Event] = []

    def now(self) -> float:
        """Return the host's seconds since some moment: limits are of wall time."""
        return time.perf_counter_ns() * 1e-9

    def seconds(self, call: Callable[[], object], calls: int) -> float:
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

    def launch(self, call: Callable[[], object], calls: int) -> torch.cuda.Event:
        """Launch calls, and return the event behind them, which tells when they are done."""
        for _ in range(calls):
            call()
        end = torch.cuda.Event()
        end.record()
        return end

    def goes_on_beside(self, call: Callable[[], object]) -> bool:
        """Whether streams of its own have work of a call that its own stream, and so this clock, does not wait for."""
        shares, late_s = [], []
        for _ in range(_TRIES):
            torch.cuda.synchronize()
            begin = self.now()
            self.launch(call, 1).synchronize()
            middle = self.now()
            torch.cuda.synchronize()
            late_s.append(self.now() - middle)
            shares.append(late_s[-1] / max(self.now() - begin, 1e-9))
        return median(shares) > _BESIDE_SHARE and median(late_s) > _BESIDE_S


_TRIES = 5
_BESIDE_SHARE, _BESIDE_S = 0.05, 1e-4  # of a call, and in all, from which work beside its stream counts


def cuda_events(count: int) -> list[torch.cuda.Event]:
    """Return events that have been recorded once: CUDA makes an event the first time, and that takes a while."""
    events = [torch.cuda.Event(enable_timing=True) for _ in range(count)]
    for event in events:
        event.record()
    return events
