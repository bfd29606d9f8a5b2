"""A training step and its phases, with fake clocks and with the real one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_clock import FakeClock
from test_backends import NET, make_job, measured, user_job
from torch import nn

from bench.plan.settings import Timing
from bench.records.record import Measurement
from bench.tasks._step import training_step
from bench.timing._memory import HostMemory
from bench.timing._watch import HostWatch
from bench.timing.clock import Workload
from bench.timing.steps import (
    _NAMES,
    Instruments,
    Phases,
    _HostLaps,
    _measure_phases,
    _peaks,
    measure_training,
)

TIMING = Timing(warmup_s=0.01, min_s=0.0, limit_s=0.2, min_samples=6)


class FakeLaps(FakeClock):
    """Plays the laps of known steps back."""

    def __init__(self, laps: Callable[[int], tuple[float, ...]]) -> None:
        super().__init__([0.0])
        self.known = laps
        self.laps: list[tuple[float, ...]] = []

    def seconds(self, call: Workload, calls: int) -> float:
        steps = [self.known(self.calls + i) for i in range(calls)]
        self.laps.append(steps[-1])
        self.calls += calls
        taken = sum(map(sum, steps))
        self._now += taken
        return taken


def phases_of(clock: FakeLaps) -> dict[str, Measurement]:
    return {m.name: m for m in _measure_phases(clock, TIMING, HostWatch())}


def test_phases_are_of_the_same_steps() -> None:
    clock = FakeLaps(lambda step: (0.001 + step * 1e-6, 0.002, 0.004))
    found = phases_of(clock)
    assert tuple(found) == _NAMES
    forward = found["forward"].samples
    assert set(found["backward"].samples) == {0.002}
    assert set(found["optimizer"].samples) == {0.004}
    # The last steps, in order: nothing of the warm-up, nothing left out.
    assert forward[-1] == pytest.approx(0.001 + (clock.calls - 1) * 1e-6)
    assert forward[0] == pytest.approx(0.001 + (clock.calls - len(forward)) * 1e-6)
    assert list(forward) == sorted(forward)
    assert len({len(m.samples) for m in found.values()}) == 1


def test_a_noisy_phase_is_flagged_alone() -> None:
    found = phases_of(FakeLaps(lambda step: (0.001 * (1 + step % 2), 0.1, 0.001)))
    assert "noisy" in found["forward"].flags
    assert "noisy" not in found["backward"].flags


def test_host_laps_sum_to_the_step() -> None:
    order: list[str] = []
    clock = _HostLaps(Phases(*(lambda n=n: order.append(n) for n in _NAMES)))  # type: ignore[arg-type]
    total = clock.seconds(lambda: None, 2)
    assert order == [*_NAMES, *_NAMES]
    assert len(clock.laps) == 1
    assert 0 < sum(clock.laps[0]) <= total


def small() -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 10)), torch.randn(2, 3, 8, 8)


def test_the_phases_do_a_step_of_sgd_and_clear_up() -> None:
    model, images = small()
    before = [p.detach().clone() for p in model.parameters()]
    step = training_step(model, images, make_job(task="train_step"))
    step.forward()
    assert all(p.grad is None for p in model.parameters())
    step.backward()
    gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    step.optimizer()
    for old, gradient, new in zip(before, gradients, model.parameters(), strict=True):
        assert torch.allclose(new, old - 1e-4 * gradient)  # the first step of momentum is plain SGD
        assert new.grad is None


def test_autocast_keeps_weights_and_gradients_in_single_precision() -> None:
    model, images = small()
    step = training_step(model, images, make_job(task="train_step", precision="amp_bf16"))
    step.forward()
    step.backward()
    assert {p.grad.dtype for p in model.parameters() if p.grad is not None} == {torch.float32}


def test_a_training_of_the_harness_measures_all_of_it() -> None:
    model, images = small()
    step = training_step(model, images, make_job(task="train_step"))
    stages: list[str] = []
    found = {m.name: m for m in measure_training(step, TIMING, Instruments.of("cpu"), stages.append)}
    assert stages == ["memory", "throughput", "phases"]
    assert {"peak_memory", "step_time", *_NAMES} <= set(found)
    assert all(min(found[n].samples) > 0 for n in ("step_time", *_NAMES))
    assert {m.unit for n, m in found.items() if n.endswith("memory")} == {"B"}


class Meter:
    """A meter of known marks."""

    def __init__(self, *marks: int | None) -> None:
        self.marks = list(marks)

    def peak(self, call: Workload) -> Measurement:
        return Measurement(
            name="peak_memory", unit="B", better="lower", samples=(9.0,), detail={"meter": "test"}
        )

    def high_water(self, call: Workload) -> int | None:
        return self.marks.pop(0)


NOTHING = Phases(lambda: None, lambda: None, lambda: None)


def test_each_phase_has_its_peak() -> None:
    found = list(_peaks(NOTHING, Meter(5, 9, 7)))
    assert [(m.name, m.samples[0]) for m in found] == [
        ("peak_memory", 9.0), ("forward_peak_memory", 5.0), ("backward_peak_memory", 9.0), ("optimizer_peak_memory", 7.0),
    ]  # fmt: skip


def test_marks_that_cannot_be_told_apart_are_left_out_with_the_reason() -> None:
    (whole,) = _peaks(NOTHING, Meter(5, None, 7))
    assert "cannot" in whole.detail["phases"] or "does not let" in whole.detail["phases"]


def test_the_mark_of_one_call_on_the_cpu() -> None:
    mark = HostMemory().high_water(lambda: torch.ones(50 << 20))  # 200 MB
    if mark is None:
        pytest.skip("this kernel cannot reset the high-water mark")
    assert 150 << 20 < mark < 300 << 20
    # A meter of its own: what malloc did not give back is below this one's start.
    small_mark = HostMemory().high_water(lambda: torch.ones(1 << 18))
    assert small_mark is not None
    assert small_mark < 100 << 20


@pytest.mark.parametrize("precision", ["fp32", "bf16", "amp_bf16"])
def test_a_training_step_of_a_users_network(tmp_path: Path, precision: str) -> None:
    found: dict[str, Any] = measured(user_job(tmp_path, NET, task="train_step", precision=precision))
    assert {"peak_memory", "step_time", *_NAMES} <= set(found)
    assert "prepare_time" not in found
