"""The watch: what takes time away from a measurement while it goes on, and the doubts that follow from it.

On the CPU the kernel itself says how long this process's threads stood in the queue for a core although they
could have run. A single other thread, at the lowest priority, makes a two-threaded network some twenty times slower,
since the threads of a parallel region wait for the one that lost its core; no clock shows that.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch

from bench.io import JsonObject
from bench.records import environment
from bench.records.environment import cuda_uuid

# Shares of time from which a measurement is doubted.
_CONTENDED = 0.02  # of its runnable time, this process waited for a core
_STOLEN = 0.02  # of the machine's time, the host gave away
_CLOCK_VARIED = 0.05  # of the highest clock seen, the lowest lay below it
_TICK_S = 0.25
_LOOK_SHARE = 4  # between two looks there is so many times as long as one takes

# Of the reasons for lower clocks, those that are not the user's own settings or idleness. The first is how a card works
# under full load, the others are disturbances.
_POWER_CAP = "power cap"
_REASONS = (_POWER_CAP, "hardware slowdown", "thermal, by software", "thermal, by hardware", "power brake")


class WatchReport(NamedTuple):
    """What a watch saw, as plain JSON values, and the flags of its doubts."""

    detail: Mapping[str, object]
    flags: tuple[str, ...]


@dataclass(slots=True)
class HostWatch:
    """This process's time in the queue for a core, time that the host took away, and swapping; see `_counters`.

    A watch is started, looks on between samples where that costs little, and is stopped.
    """

    read: Callable[[], Mapping[str, float]] = field(default_factory=lambda: _counters)
    before: Mapping[str, float] = field(default_factory=dict)

    def start(self) -> None:
        """Take the counters."""
        self.before = self.read()

    def tick(self) -> None:
        """Do nothing: counters miss nothing."""

    def stop(self, *, launch_bound: bool = False) -> WatchReport:  # noqa: ARG002
        """Return the shares of time that were lost, and what they mean."""
        after = self.read()
        passed = {name: after[name] - self.before[name] for name in after if name in self.before}
        detail: dict[str, object] = {
            "wall_s": passed["wall_s"],
            "cpu_s": passed["cpu_s"],
            "load_1min": os.getloadavg()[0],
        }
        flags: list[str] = []
        if "wait_s" in passed:
            waited = passed["wait_s"] / max(passed["wait_s"] + passed["cpu_s"], 1e-9)
            detail["wait_share"] = waited
            flags += ["contended"] if waited > _CONTENDED else []
        if passed.get("ticks"):
            stolen = passed["steal_ticks"] / passed["ticks"]
            detail["steal_share"] = stolen
            flags += ["stolen"] if stolen > _STOLEN else []
        if "swapped_pages" in passed:
            detail["swapped_pages"] = int(passed["swapped_pages"])
            flags += ["swapping"] if passed["swapped_pages"] >= 1 else []
        return WatchReport(detail, tuple(flags))


def _counters() -> dict[str, float]:
    """Return growing counters of this process and of the machine; those that the kernel does not keep are left out."""
    values = {"wall_s": time.perf_counter(), "cpu_s": time.process_time()}
    with suppress(OSError, IndexError, ValueError):  # not Linux, or a kernel without these statistics
        values |= _waits(
            [task.joinpath("schedstat").read_text() for task in Path("/proc/self/task").iterdir()]
        )
    try:
        ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
        values |= {"ticks": sum(ticks[:8]), "steal_ticks": ticks[7]}
        pages = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
        values["swapped_pages"] = int(pages["pswpin"]) + int(pages["pswpout"])
    except (OSError, IndexError, KeyError, ValueError):
        pass
    return values


def _waits(threads: Sequence[str]) -> dict[str, float]:
    """Return how long threads stood in the queue, from what the kernel says of each: ns on a core, ns in it, times.

    One that keeps no such statistics says zeros, also of the time on a core.
    """
    times = [[int(word) for word in line.split()] for line in threads]
    return {"wait_s": 1e-9 * sum(t[1] for t in times)} if any(t[0] for t in times) else {}


@dataclass(slots=True)
class _GpuWatch:
    """A GPU's clocks, power, temperature, reasons for lower clocks, and other processes, by NVML; and its host."""

    look: Callable[[], JsonObject]
    host: HostWatch = field(default_factory=HostWatch)
    pid: int = field(default_factory=os.getpid)
    before: JsonObject = field(default_factory=dict)
    states: list[JsonObject] = field(default_factory=list)
    last_s: float = 0.0
    look_s: float = 0.0

    def start(self) -> None:
        """Look once, at a device that may be idle, and start to watch the host."""
        self.before, self.states = self.look(), []
        self.last_s = time.perf_counter()
        self.host.start()

    def tick(self) -> None:
        """Look again, a few times a second; seldomer where a look takes long, as NVML's can in a virtual machine."""
        begin = time.perf_counter()
        if begin - self.last_s >= max(_TICK_S, _LOOK_SHARE * self.look_s):
            self.states.append(self.look())
            self.last_s = time.perf_counter()
            self.look_s = self.last_s - begin

    def stop(self, *, launch_bound: bool = False) -> WatchReport:
        """Return what was seen since the start, of each quantity its least, median and most, and the doubts.

        The host's queue for a core is a doubt only where launching sets the pace (`launch_bound`); else it is in the
        detail alone.
        """
        self.states.append(self.look())
        host = self.host.stop()
        detail: dict[str, object] = {"host": host.detail, "looks": len(self.states)}
        slowest = fastest = 0.0
        for name in ("sm_clock_MHz", "memory_clock_MHz", "temperature_C", "power_W"):
            values = [s[name] for s in self.states if s.get(name) is not None]
            if values:
                detail[name] = [min(values), statistics.median(values), max(values)]
                if name == "sm_clock_MHz":
                    slowest, fastest = min(values), max(values)
        bits = 0
        for state in self.states:
            bits |= state.get("throttle_reasons") or 0
        reasons = [name for name in environment.clock_reasons(bits) if name in _REASONS]
        others = self._others()
        doubts = {
            "throttled": bool(set(reasons) - {_POWER_CAP}),
            "power_capped": _POWER_CAP in reasons,
            "clock_varied": not reasons and slowest < (1 - _CLOCK_VARIED) * fastest,
            "shared_device": others["came"] + others["busy"] > 0,
        }
        detail |= {"throttle_reasons": reasons, "other_processes": others}
        of_host = (flag for flag in host.flags if launch_bound or flag == "swapping")
        return WatchReport(detail, (*(flag for flag, holds in doubts.items() if holds), *of_host))

    def _others(self) -> dict[str, int]:
        """Return how many other processes came meanwhile, computed, or were there all the time and idle.

        In a container this process may have another number, or none: then which of those that were there computed
        cannot be told, and one of them may be this one.
        """
        earlier = set(self.before.get("pids") or ())
        pids = earlier.union(*(s.get("pids") or () for s in self.states))
        own = self.pid in pids
        busy = set[int]().union(*(s.get("busy") or () for s in self.states)) - {self.pid} if own else set()
        came = pids - earlier - {self.pid}
        idle = earlier - busy - {self.pid}
        return {"came": len(came), "busy": len(busy - came), "idle": max(0, len(idle) - (not own))}


Watch = HostWatch | _GpuWatch


def watch(device: str) -> Watch:
    """Return the watch of a device."""
    if device == "cpu":
        return HostWatch()
    torch.cuda.synchronize(device)  # this process is on the card from the first look on
    return _GpuWatch(environment.look_at(cuda_uuid(device)))
