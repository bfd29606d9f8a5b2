"""Energy from fake counters: NVML's and RAPL's."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from fake_card import FakeCard, FakeHost, mixed
from fake_clock import FakeClock

from bench.errors import UnsupportedError
from bench.timing import energy
from bench.timing._watch import WatchReport
from bench.timing.energy import _NvmlMeter, _RaplMeter, find_meter, measure_energy


class FakeMeter:
    """A device that draws so many watts while a clock runs, and others while it sleeps."""

    name = "fake"

    def __init__(self, clock: FakeClock, watts: float) -> None:
        self.clock, self.watts, self.idle_joules = clock, watts, 0.0

    def joules(self) -> float:
        return self.watts * self.clock.now() + self.idle_joules


class FakeWatch:
    """Sees a GPU that is too hot."""

    ticks = 0

    def start(self) -> None:
        self.ticks = 0

    def tick(self) -> None:
        self.ticks += 1

    def stop(self, *, launch_bound: bool = False) -> WatchReport:
        return WatchReport({"looks": 2}, ("throttled",))


@pytest.mark.parametrize(("call_s", "images"), [(0.01, 4), (0.3, 1), (5.0, 64)])
def test_joules_an_image_are_power_by_time(call_s: float, images: int) -> None:
    clock = FakeClock([call_s])
    meter, watch = FakeMeter(clock, 300.0), FakeWatch()
    found = measure_energy(lambda: None, images, meter, clock, watch, seconds=2.0, sleep=lambda _: None)
    assert (found.name, found.unit, found.better) == ("energy", "J", "lower")
    assert found.samples == (pytest.approx(300.0 * call_s / images),)
    assert found.detail["power_W"] == pytest.approx(300.0)
    assert found.detail["seconds"] >= 2.0
    assert found.detail["seconds"] <= 2.0 + max(0.4, call_s)  # the end is not far overrun
    assert found.detail["calls"] * call_s == pytest.approx(found.detail["seconds"])
    assert (watch.ticks > 1, found.flags, found.detail["watch"]) == (True, ("throttled",), {"looks": 2})


@pytest.mark.parametrize("step_s", [0.1, 0.5])
@pytest.mark.parametrize("call_s", [0.0003, 0.007, 0.03, 0.7])
def test_a_counter_that_moves_in_steps_is_read_where_it_moves(step_s: float, call_s: float) -> None:
    class Stepping(FakeMeter):
        def joules(self) -> float:
            return self.watts * step_s * (self.clock.now() // step_s)

    clock = FakeClock([call_s])
    found = measure_energy(
        lambda: None, 1, Stepping(clock, 300.0), clock, FakeWatch(), seconds=2.0, sleep=lambda _: None
    )
    block_s = max(energy._BLOCK_S, call_s)
    known_to = block_s / (found.detail["seconds"] - block_s)
    assert found.samples[0] == pytest.approx(300.0 * call_s, rel=known_to)
    assert found.detail["seconds"] >= 2.0


def test_a_pass_takes_two_seconds_where_nobody_says_how_long() -> None:
    clock = FakeClock([0.01])
    found = measure_energy(lambda: None, 1, FakeMeter(clock, 300.0), clock, FakeWatch(), sleep=lambda _: None)
    assert 2.0 <= found.detail["seconds"] < 2.5


def test_a_counter_that_stands_still_is_no_energy() -> None:
    clock = FakeClock([0.01])
    with pytest.raises(UnsupportedError, match="fake stood still"):
        measure_energy(lambda: None, 1, FakeMeter(clock, 0.0), clock, FakeWatch(), sleep=lambda _: None)
    assert clock.now() == pytest.approx(energy._ENERGY_S + energy._PATIENCE_S, abs=0.1)


def test_idle_power_is_told_and_not_subtracted() -> None:
    clock = FakeClock([0.1])
    meter = FakeMeter(clock, 300.0)

    def sleep(seconds: float) -> None:
        clock._now += seconds
        meter.idle_joules += (70.0 - 300.0) * seconds

    found = measure_energy(lambda: None, 1, meter, clock, FakeWatch(), seconds=1.0, sleep=sleep)
    assert found.detail["idle_W"] == pytest.approx(70.0)
    assert found.samples == (pytest.approx(30.0),)


def test_nvml_counts_millijoules_of_the_jobs_card(monkeypatch: pytest.MonkeyPatch) -> None:
    host, slow, _, _ = mixed()
    slow.watts = 123.456
    host.install(monkeypatch)
    host.device.clock.host_s = 1.0
    assert find_meter("cuda:1").joules() == pytest.approx(123.456)


def test_a_slice_without_a_counter_says_why_the_boards_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    part = FakeCard("NVIDIA H100 MIG 1g.10gb", "dddd")
    board = FakeCard("NVIDIA H100", "cccc", slices=[part])
    for shown in (part, board):  # CUDA may call a slice by the board's UUID
        FakeHost(board, shown=[shown]).install(monkeypatch)
        with pytest.raises(
            UnsupportedError, match="a slice of a board, whose counter counts the other slices too"
        ):
            find_meter("cuda:0")


def test_a_board_without_a_counter_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    card = FakeCard("NVIDIA K80", "kkkk", watts=None)
    FakeHost(card).install(monkeypatch)
    with pytest.raises(UnsupportedError, match="no NVML counter: NVMLError_NotSupported: Not Supported"):
        _NvmlMeter("cuda:0")


def test_without_nvml_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeHost(FakeCard("NVIDIA H100", "cccc")).install(monkeypatch)
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(UnsupportedError, match="no NVML counter: "):
        find_meter("cuda:0")


def package(root: Path, name: str, energy_uj: int, wrap: int = 999_999) -> Path:
    folder = root / name
    folder.mkdir(exist_ok=True)
    (folder / "energy_uj").write_text(f"{energy_uj}\n")
    (folder / "max_energy_range_uj").write_text(f"{wrap}\n")
    return folder


def test_rapl_sums_packages_and_survives_a_wrap(tmp_path: Path) -> None:
    package(tmp_path, "intel-rapl:0", 900_000)
    package(tmp_path, "intel-rapl:1", 100)
    package(tmp_path, "intel-rapl:0:0", 5)  # a part of package 0
    meter = _RaplMeter(tmp_path)
    package(tmp_path, "intel-rapl:0", 100_000)  # 100,000 to the wrap, and 100,000 since
    package(tmp_path, "intel-rapl:1", 400)
    package(tmp_path, "intel-rapl:0:0", 500_000)
    assert meter.joules() == pytest.approx((200_000 + 300) * 1e-6)
    assert meter.joules() == pytest.approx(0.2003)


def test_rapl_that_is_not_there_or_not_readable(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="no RAPL counter: the kernel shows no package"):
        _RaplMeter(tmp_path)
    (package(tmp_path, "intel-rapl:0", 1) / "energy_uj").unlink()
    with pytest.raises(UnsupportedError, match="no RAPL counter"):
        _RaplMeter(tmp_path)


def test_a_job_with_a_counter_has_its_energy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from test_backends import measured, user_job

    from bench.tasks import _calls

    class Constant:
        name = "constant"
        reading = 0.0

        def joules(self) -> float:
            Constant.reading += 1.0
            return Constant.reading

    monkeypatch.setattr(_calls, "find_meter", lambda device: Constant())
    monkeypatch.setattr(energy, "_IDLE_S", 0.01)
    found = measured(user_job(tmp_path, energy_s=0.05))
    detail = found["energy"].detail
    assert found["energy"].samples == (detail["joules"] / (detail["calls"] * 2),)  # calls of two images
    assert "wall_s" in detail["watch"]
    assert "energy" not in found["step_time"].detail
    assert list(found).index("energy") == list(found).index("step_time") + 1


def test_a_job_whose_counter_stands_still_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from test_backends import measured, user_job

    from bench.tasks import _calls

    monkeypatch.setattr(_calls, "find_meter", lambda device: FakeMeter(FakeClock([0.0]), 0.0))
    monkeypatch.setattr(energy, "_IDLE_S", 0.01)
    monkeypatch.setattr(energy, "_PATIENCE_S", 0.0)
    found = measured(user_job(tmp_path, energy_s=0.05))
    assert "energy" not in found
    assert "stood still" in found["step_time"].detail["energy"]
