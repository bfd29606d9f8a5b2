from __future__ import annotations

import gc
import math
import random
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from fake_clock import FakeClock
from hypothesis import given
from hypothesis import strategies as st

from bench.plan.settings import Timing
from bench.records.record import Measurement
from bench.stats.intervals import median_ranks
from bench.timing._events import CudaEventClock
from bench.timing._sampling import _MAX_BLOCK, _warm_up, half_width, sample
from bench.timing.clock import HostClock
from bench.timing.steps import Instruments, Phases, _CudaLaps, measure_inference

TIMING = Timing(warmup_s=0.1, min_s=0.0, limit_s=1.0, min_samples=8, max_samples=200)


def nothing() -> None:
    pass


def test_a_constant_cost_is_known_after_the_least_samples() -> None:
    taken = sample(nothing, FakeClock([0.5] + [0.01] * 10_000), TIMING)
    assert taken.seconds == (0.01,) * 8
    assert taken.first_call_s == 0.5  # paid once, and no sample
    assert (taken.stop, taken.steady, taken.block) == ("precise", True, 1)
    assert taken.flags() == ()


def test_the_warm_up_goes_on_until_two_windows_agree() -> None:
    falling = [1.0, *(0.02 * 0.6**i + 0.01 for i in range(100)), 0.01]
    taken = sample(nothing, FakeClock(falling), TIMING)
    assert taken.steady
    assert max(taken.seconds) < 0.0105


def test_a_warm_up_that_never_settles_is_bounded_and_flagged() -> None:
    doubling = FakeClock([0.01 * 1.5**i for i in range(200)])
    taken = sample(nothing, doubling, Timing(warmup_s=0.1, min_s=0, limit_s=1, min_samples=8, max_samples=8))
    assert not taken.steady
    assert "unsteady" in taken.flags()


def test_noise_runs_into_the_limit_and_is_flagged() -> None:
    draw = random.Random(1)
    clock = FakeClock([0.01 * draw.choice([1, 3]) for _ in range(5000)])
    taken = sample(nothing, clock, TIMING)
    assert taken.stop == "limit"
    assert sum(taken.seconds) >= TIMING.limit_s
    assert sum(taken.seconds[:-1]) < TIMING.limit_s
    assert "noisy" in taken.flags()


def test_slow_calls_still_give_the_least_samples() -> None:
    taken = sample(nothing, FakeClock([5.0]), TIMING)
    assert len(taken.seconds) == 8


def test_few_samples_are_flagged() -> None:
    taken = sample(nothing, FakeClock([5.0]), Timing(min_samples=3, max_samples=3))
    assert taken.flags() == ("few_samples",)


def test_blocks_are_at_least_as_long_as_asked() -> None:
    taken = sample(nothing, FakeClock([0.001]), Timing(min_block_s=0.0101, min_s=0), blocks=True)
    assert taken.block == math.ceil(0.0101 / 0.001)
    assert taken.seconds[0] == pytest.approx(0.001)
    assert sample(nothing, FakeClock([1e-9]), Timing(warmup_s=1e-6, min_s=0), blocks=True).block == _MAX_BLOCK


class Event:
    """A CUDA event on a device whose time is the host's: to make it takes a second, on its first record."""

    now = 0.0

    def __init__(self, enable_timing: bool) -> None:
        self.at: float | None = None

    def record(self) -> None:
        Event.now += 1.0 if self.at is None else 0.0
        self.at = Event.now

    def synchronize(self) -> None:
        pass

    def elapsed_time(self, other: Event) -> float:
        assert self.at is not None
        assert other.at is not None
        return 1e3 * (other.at - self.at)


def work() -> None:
    Event.now += 0.25


def test_making_an_event_is_in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    clock = CudaEventClock()
    assert [clock.seconds(work, 2), clock.seconds(work, 4)] == [0.5, 1.0]
    laps = _CudaLaps(Phases(work, work, work))
    assert [laps.seconds(work, 1), laps.seconds(work, 1)] == [0.75, 0.75]
    assert laps.laps == [(0.25, 0.25, 0.25)] * 2


def test_the_least_latency_stands_beside_a_latency_on_a_gpu() -> None:
    clock = FakeClock([0.01])

    def nothing() -> None:
        clock.costs[0] = 0.0001

    def call() -> None:
        clock.costs[0] = 0.01

    memory = SimpleNamespace(
        peak=lambda call: Measurement(name="peak_memory", unit="B", better="lower", samples=(1,))
    )
    tools = Instruments(clock, FakeClock([0.01]), memory, empty_kernel=nothing)  # type: ignore[arg-type]
    found = {m.name: m for m in measure_inference(call, TIMING, tools, lambda stage: None)}
    assert found["latency"].detail["floor_s"] == pytest.approx(0.0001)
    assert "floor_s" not in found["step_time"].detail
    tools = Instruments(clock, None, memory)  # type: ignore[arg-type]
    found = {m.name: m for m in measure_inference(call, TIMING, tools, lambda stage: None)}
    assert "floor_s" not in found["latency"].detail


def test_the_host_clock_takes_calls_with_the_last_wait_and_not_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [5_000_000_000]

    def take(ns: int) -> Callable[[], None]:
        return lambda: now.__setitem__(0, now[0] + ns)

    monkeypatch.setattr(time, "perf_counter_ns", lambda: now[0])
    clock = HostClock(take(10_000_000), launches=True)
    assert clock.seconds(take(20_000_000), 3) == pytest.approx(0.07)
    assert clock.launch_s == pytest.approx(0.06)
    assert clock.now() == pytest.approx(5.08)
    alone = HostClock()
    assert alone.seconds(take(20_000_000), 3) == pytest.approx(0.06)
    assert alone.launch_s is None


def test_the_host_clock_synchronises_at_both_ends_and_not_between() -> None:
    story: list[str] = []
    HostClock(lambda: story.append("sync")).seconds(lambda: story.append("call"), 2)
    assert story == ["sync", "call", "call", "sync"]


def test_garbage_collection_is_off_while_sampling_and_on_again() -> None:
    seen: list[bool] = []
    sample(lambda: seen.append(gc.isenabled()), FakeClock([0.01]), TIMING)
    assert seen[-1] is False
    assert gc.isenabled()


def test_ranks_of_the_median_match_the_published_table() -> None:
    # Conover, Practical Nonparametric Statistics, table A3: 95 % intervals of the median, ranks from 1.
    published = {6: (1, 6), 8: (1, 8), 9: (2, 8), 10: (2, 9), 15: (4, 12), 20: (6, 15), 25: (8, 18)}
    assert {n: (r[0] + 1, r[1] + 1) for n in published if (r := median_ranks(n))} == published
    assert median_ranks(5) is None


@given(st.integers(6, 400))
def test_the_interval_covers_and_is_the_narrowest_that_does(n: int) -> None:
    def outside(k: int) -> float:
        return 2 * sum(math.comb(n, i) for i in range(k + 1)) / 2**n

    low, high = median_ranks(n) or (-1, -1)
    assert high == n - 1 - low
    assert outside(low) <= 0.05 < outside(low + 1)


@given(st.lists(st.floats(0.1, 10), min_size=6, max_size=50), st.floats(0.01, 100))
def test_half_width_does_not_depend_on_the_unit(seconds: list[float], factor: float) -> None:
    assert half_width([s * factor for s in seconds]) == pytest.approx(
        half_width(seconds), rel=1e-9, abs=1e-12
    )


def test_noise_that_more_samples_do_not_narrow_is_a_plateau() -> None:
    """Two levels that take turns: the interval stays as wide as they are apart."""
    draw = random.Random(2)
    costs = [(0.010, 0.014)[i // 20 % 2] * draw.uniform(0.95, 1.05) for i in range(4000)]
    timing = Timing(warmup_s=0.01, min_s=0.0, limit_s=1000, min_samples=8, max_samples=4000)
    taken = sample(nothing, FakeClock(costs), timing)
    assert taken.stop == "plateau"
    assert len(taken.seconds) < 4000


def test_the_very_first_call_is_no_window_of_the_warm_up() -> None:
    timing = Timing(warmup_s=0.1)
    alone = _warm_up(lambda: None, FakeClock([1.0]), timing, [5.0, 1.0])
    assert (alone.calls, alone.steady) == (1, True)  # one window more, which agrees with the second call
    cold = _warm_up(lambda: None, FakeClock([1.0]), timing, [1.0])
    assert cold.calls == 2
    assert _warm_up(lambda: None, FakeClock([1.0]), timing, [5.0, 1.0, 1.0]).calls == 0
