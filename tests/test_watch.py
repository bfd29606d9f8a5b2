"""What is seen while something is measured, from counters that are made up."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from fake_clock import FakeClock

from bench.plan.settings import Timing
from bench.records.flags import FLAGS
from bench.timing._sampling import sample
from bench.timing._watch import _CONTENDED, HostWatch, _counters, _GpuWatch, _waits
from bench.timing.steps import _watched

ZERO = {"wall_s": 0.0, "cpu_s": 0.0, "wait_s": 0.0, "ticks": 0.0, "steal_ticks": 0.0, "swapped_pages": 0.0}


def seen(**after: float) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    reads: Iterator[Mapping[str, float]] = iter([ZERO, {**ZERO, "wall_s": 1.0, "cpu_s": 2.0, **after}])
    watch = HostWatch(read=lambda: next(reads))
    watch.start()
    watch.tick()
    return watch.stop()


def test_a_quiet_machine_gives_no_doubt() -> None:
    found, doubts = seen(wait_s=0.01, ticks=200)
    assert doubts == ()
    assert found["wait_share"] == 0.01 / (0.01 + 2.0)
    assert found["steal_share"] == 0.0


@pytest.mark.parametrize(
    ("after", "doubt"),
    [
        ({"wait_s": 0.5}, "contended"),
        ({"ticks": 200, "steal_ticks": 20}, "stolen"),
        ({"swapped_pages": 1}, "swapping"),
    ],
)
def test_lost_time_is_a_doubt(after: dict[str, float], doubt: str) -> None:
    assert seen(**after)[1] == (doubt,)
    assert doubt in FLAGS


def test_what_the_kernel_does_not_count_is_left_out() -> None:
    reads = iter([{"wall_s": 0.0, "cpu_s": 0.0}, {"wall_s": 1.0, "cpu_s": 1.0}])
    watch = HostWatch(read=lambda: next(reads))
    watch.start()
    found, doubts = watch.stop()
    assert set(found) == {"wall_s", "cpu_s", "load_1min"}
    assert doubts == ()


def test_a_kernel_without_statistics_of_its_queues_says_zeros() -> None:
    assert _waits(["3000000000 1000000000 7\n", "2000000000 0 1\n"]) == {"wait_s": pytest.approx(1)}
    assert _waits(["3000000000 0 7\n"]) == {"wait_s": 0}
    assert _waits(["0 0 0\n", "0 0 0\n"]) == {}


def test_the_kernel_counts_time_in_the_queue() -> None:
    """This process and one that never waits for anything, held to one core, each stand in its queue half of the time.

    However long others have that core as well, it is looked at until this process has worked long enough. As it never
    sleeps, all time that it was not on the core is in the queue, or was taken by the host.
    """
    if "wait_s" not in _counters():
        pytest.skip("the kernel keeps no statistics of its queues")
    cores = os.sched_getaffinity(0)
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", "while True: pass"]) as other:
        try:
            for process in (other.pid, 0):
                os.sched_setaffinity(process, {min(cores)})
            watch = HostWatch()
            watch.start()
            while (spent_s := time.process_time() - watch.before["cpu_s"]) < 5:
                if spent_s > 0.1 and "contended" in watch.stop().flags:
                    break
            found, doubts = watch.stop()
        finally:
            os.sched_setaffinity(0, cores)
            other.kill()
    away_share = 1 - found["cpu_s"] / found["wall_s"]
    assert found["wait_share"] == pytest.approx(away_share - found.get("steal_share", 0), abs=0.1)
    assert found["wait_share"] > _CONTENDED
    assert "contended" in doubts


def test_a_gpu_without_nvml_is_no_doubt() -> None:
    watch = _GpuWatch(dict, HostWatch(read=lambda: ZERO))
    watch.start()
    found, doubts = watch.stop()
    assert doubts == ()
    assert "sm_clock_MHz" not in found


def test_doubts_of_the_watch_travel_with_the_samples() -> None:
    reads = iter([ZERO, {**ZERO, "cpu_s": 1.0, "wait_s": 2 * _CONTENDED}])
    timing = Timing(warmup_s=0.01, min_s=0, limit_s=1, min_samples=8, max_samples=8)
    look = HostWatch(read=lambda: next(reads))
    measured = _watched("latency", lambda: None, FakeClock([0.01]), timing, look, of="a call")
    assert measured.flags == ("contended",)
    assert measured.detail["watch"]["wait_share"] > _CONTENDED


def test_launching_as_long_as_the_work_is_a_doubt() -> None:
    timing = Timing(warmup_s=0.01, min_s=0, limit_s=1, min_samples=8, max_samples=8)
    bound = sample(lambda: None, FakeClock([0.01], launch=0.99), timing, blocks=True)
    assert bound.flags() == ("launch_bound",)
    free = sample(lambda: None, FakeClock([0.01], launch=0.3), timing, blocks=True)
    assert free.flags() == ()
    assert free.launch_share == pytest.approx(0.3)
    assert sample(lambda: None, FakeClock([0.01]), timing).launch_share is None
