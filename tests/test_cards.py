"""Cards, their order, their state and who is on them, on hosts that are made up; see `fake_card`."""

from __future__ import annotations

import ast
import importlib
import json
import re
import tomllib
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import make_job
from fake_card import GIB, FakeCard, FakeHost, both, mixed
from fake_cuda import FakeEvent, FakeGraph, FakeStream
from three_cards import be_there
from typer.testing import CliRunner

import bench
from bench.analysis.machine import device_name
from bench.cli.app import app
from bench.execution._worker import _state as state_of_job
from bench.records import environment
from bench.records.flags import FLAGS
from bench.timing._watch import HostWatch, _GpuWatch, watch
from bench.timing.energy import find_meter

ROOT = Path(bench.__file__).parent
OLDEST: dict[str, list[str]] = json.loads((Path(__file__).parent / "oldest_names.json").read_text())
"""The names in the oldest versions that are supported, by library and version."""


def attributes(source: str) -> Iterator[tuple[str, str]]:
    """Yield (library, name) for what a source takes of pynvml and of torch.cuda."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            if node.attr.startswith(("nvml", "NVML")):
                yield "pynvml", node.attr
            elif ast.unparse(node.value) == "torch.cuda":
                yield "torch.cuda", node.attr


@cache
def used() -> tuple[tuple[str, str], ...]:
    sources = (file.read_text() for file in ROOT.rglob("*.py"))
    return tuple(
        sorted({a for s in sources if re.search("nvml|cuda", s, re.IGNORECASE) for a in attributes(s)})
    )


@pytest.mark.parametrize(("library", "name"), used())
def test_what_is_called_of_a_library_is_there(library: str, name: str) -> None:
    assert hasattr(importlib.import_module(library), name)


@pytest.mark.parametrize("oldest", OLDEST)
def test_what_is_called_was_there_in_the_oldest_version(oldest: str) -> None:
    known = set(OLDEST[oldest])
    assert len(known) > 100
    assert {name for library, name in used() if library == oldest.partition(" ")[0]} <= known


def test_the_oldest_versions_are_those_that_are_promised() -> None:
    least = {
        re.split("[>=]+", line)[0]: line.rpartition("=")[2]
        for line in tomllib.loads((ROOT.parent / "pyproject.toml").read_text())["project"]["dependencies"]
    }
    versions = dict(name.split(" ") for name in OLDEST)
    assert versions["torch.cuda"].startswith(least["torch"])
    assert versions["pynvml"].startswith(least["nvidia-ml-py"])


def test_the_fake_has_all_that_is_called_of_nvml() -> None:
    called = {name for library, name in used() if library == "pynvml"}
    assert "nvmlDeviceGetHandleByUUID" in called
    assert called <= set(dir(FakeHost().nvml()))
    called = {name for library, name in used() if library == "torch.cuda"}
    assert "get_device_properties" in called
    assert called <= set(FakeHost().cuda())


@pytest.mark.parametrize("name", sorted(FakeHost().cuda()))
def test_the_fake_has_nothing_that_torch_has_not(name: str) -> None:
    assert hasattr(torch.cuda, name)


def test_a_fake_card_has_nothing_that_torch_does_not_say_of_one() -> None:
    host = FakeHost(FakeCard("NVIDIA H100", "cccc"))
    stub = (Path(torch.__file__).parent / "_C" / "__init__.pyi").read_text()
    (kind,) = (
        node
        for node in ast.walk(ast.parse(stub))
        if isinstance(node, ast.ClassDef) and node.name == "_CudaDeviceProperties"
    )
    known = {ast.unparse(node.target) for node in kind.body if isinstance(node, ast.AnnAssign)}
    assert set(vars(host.cuda()["get_device_properties"](0))) <= known


@pytest.mark.parametrize(
    ("fake", "real"),
    [(FakeEvent, torch.cuda.Event), (FakeStream, torch.cuda.Stream), (FakeGraph, torch.cuda.CUDAGraph)],
)
def test_what_the_fake_makes_has_nothing_that_torchs_has_not(fake: type, real: type) -> None:
    assert {name for name in vars(fake) if not name.startswith("_")} <= set(dir(real))


def test_cards_stand_in_the_order_of_cuda_and_one_that_may_not_be_opened_leaves_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host, *_ = mixed()
    host.install(monkeypatch)
    found = environment.machine()
    first, second, third = found["gpu"]
    assert first == {
        "name": "NVIDIA H100",
        "uuid": "GPU-cccc",
        "memory_B": 80 * GIB,
        "power_limit_W": 700.0,
        "max_sm_clock_MHz": 1980,
        "max_memory_clock_MHz": 2619,
        "persistence": True,
        "ecc": True,
        "mig": False,
        "driver": "580.1",
    }
    assert second == {
        "name": "NVIDIA T4",
        "uuid": "GPU-aaaa",
        "memory_B": 16 * GIB,
        "power_limit_W": 70.0,
        "max_sm_clock_MHz": 1590,
        "max_memory_clock_MHz": 5001,
        "persistence": True,
        "ecc": False,
        "mig": False,
        "driver": "580.1",
    }
    assert third == {**dict.fromkeys(first), "driver": "580.1"}
    assert found["unknown"]["gpu.2"] == "NVMLError_NoPermission: Insufficient Permissions"
    assert host.calls["nvmlInit"] == 1
    assert device_name(found, "cuda:0") == "NVIDIA H100"
    assert device_name(found, "cuda:1") == "NVIDIA T4"


def test_a_card_whose_memory_corrects_no_errors_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeHost(FakeCard("NVIDIA GeForce RTX 4070", "eeee", ecc=None)).install(monkeypatch)
    found = environment.machine()
    assert found["gpu"][0]["ecc"] is None
    assert found["unknown"]["gpu.0.ecc"] == "NVMLError_NotSupported: Not Supported"


def test_a_card_that_only_cuda_shows_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeHost(shown=[FakeCard("NVIDIA H100", "cccc")]).install(monkeypatch)
    found = environment.machine()
    (gpu,) = found["gpu"]
    assert (gpu["name"], gpu["uuid"], gpu["power_limit_W"]) == ("NVIDIA H100", "cccc", None)
    assert found["unknown"]["gpu.0"].startswith("NVMLError_NotFound")


def test_a_slice_has_its_own_memory_and_the_boards_power(monkeypatch: pytest.MonkeyPatch) -> None:
    part = FakeCard("NVIDIA H100 MIG 1g.10gb", "dddd", 10 * GIB)
    FakeHost(FakeCard("NVIDIA H100", "cccc", slices=[part]), shown=[part]).install(monkeypatch)
    gpu, board = environment.machine()["gpu"]
    assert (gpu["name"], gpu["uuid"], gpu["memory_B"]) == (part.name, "MIG-dddd", 10 * GIB)
    assert (gpu["power_limit_W"], gpu["mig"]) == (700.0, True)
    assert board["uuid"] == "GPU-cccc"
    (state,) = state_of_job(make_job(task="infer", settings={"device": "cuda:0"}))["gpu"]
    assert (state["uuid"], state["sm_clock_MHz"]) == ("MIG-dddd", 1980)


def test_the_key_is_of_the_cards_that_the_job_ran_on() -> None:
    a, b, c = ({"name": n, "uuid": f"GPU-{n}", "driver": "580"} for n in "abc")
    key = environment.key
    base = {"cpu": {"model": "x"}}
    assert key({**base, "gpu": [a]}) == key({**base, "gpu": []}) == key(base)
    assert key({**base, "gpu": [a, b]}, ["cuda:0"]) == key({**base, "gpu": [a, c]}, ["cuda:0"])
    assert key({**base, "gpu": [a, b]}, ["cuda:1"]) == key({**base, "gpu": [b]}, ["cuda:0"])
    assert key({**base, "gpu": [a, b]}, ["cuda:0"]) != key({**base, "gpu": [b, a]}, ["cuda:0"])
    assert key({**base, "gpu": [a, b]}, ["cuda:0", "cuda:1"]) != key(
        {**base, "gpu": [a, c]}, ["cuda:0", "cuda:1"]
    )
    assert key({**base, "gpu": [a]}, ["cpu"]) == key(base)


@pytest.mark.parametrize(
    ("settings", "devices"),
    [
        ({}, ("cpu",)),
        ({"device": "cpu", "ranks": 2}, ("cpu",)),
        ({"device": "cuda"}, ("cuda:0",)),
        ({"device": "cuda:1", "ranks": 2}, ("cuda:1", "cuda:2")),
    ],
)
def test_a_job_takes_a_device_a_rank(settings: dict[str, Any], devices: tuple[str, ...]) -> None:
    assert make_job(task="accuracy", settings=settings).devices == devices


def test_the_state_of_a_job_is_that_of_its_own_card(monkeypatch: pytest.MonkeyPatch) -> None:
    host, slow, _, fast = mixed()
    host.install(monkeypatch)
    (state,) = state_of_job(make_job(task="infer", settings={"device": "cuda:1"}))["gpu"]
    assert state["uuid"] == "GPU-aaaa"
    assert (slow.looks["clocks"], fast.looks["clocks"]) == (2, 0)  # both clocks of one card
    assert state_of_job(make_job())["gpu"] == []


@pytest.mark.parametrize("driver", [470, 525, 535])
def test_drivers_of_all_ages_tell_why_clocks_are_low(driver: int, monkeypatch: pytest.MonkeyPatch) -> None:
    host = FakeHost(FakeCard("H100", "c", reasons=(0x20,)))
    host.driver = driver
    host.install(monkeypatch)
    (state,) = state_of_job(make_job(task="infer", settings={"device": "cuda:0"}))["gpu"]
    assert state["throttle_reasons"] == 0x20


def looked(card: FakeCard, monkeypatch: pytest.MonkeyPatch, ticks: int = 3, pid: int = 1) -> tuple[Any, Any]:
    """Return what a watch of a card sees and doubts, in so many looks between its first and its last."""
    FakeHost(card).install(monkeypatch)
    found = watch("cuda:0")
    assert isinstance(found, _GpuWatch)
    found.pid, found.host = pid, HostWatch(read=lambda: {"wall_s": 0.0, "cpu_s": 0.0})
    monkeypatch.setattr("bench.timing._watch._TICK_S", 0.0)
    monkeypatch.setattr("bench.timing._watch._LOOK_SHARE", 0)
    found.start()
    for _ in range(ticks):
        found.tick()
    return found.stop()


def test_a_watch_looks_at_its_card_alone_and_finds_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    host, slow, _, fast = mixed()
    host.install(monkeypatch)
    found = watch("cuda:0")
    before = dict(host.calls)
    found.start()
    found.stop()
    asked = {name for name, n in host.calls.items() if n > before.get(name, 0)}
    assert not asked & {
        "nvmlInit",
        "nvmlDeviceGetCount",
        "nvmlDeviceGetHandleByIndex",
        "nvmlDeviceGetHandleByUUID",
    }
    assert host.calls["nvmlDeviceGetPowerUsage"] == 2
    assert (fast.looks["clocks"], slow.looks["clocks"]) == (2 * 2, 0)  # both clocks, at the start and the end


def test_the_clock_of_an_idle_card_is_not_of_the_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    found, doubts = looked(FakeCard("H100", "c", clocks=both(345, 1980, 1965, 1980, 1950)), monkeypatch)
    assert found["sm_clock_MHz"] == [1950, (1965 + 1980) / 2, 1980]
    assert (found["looks"], doubts) == (4, ())


@pytest.mark.parametrize(
    ("reason", "expected"),
    [(0, ("clock_varied",)), (0x4, ("power_capped",)), (0x24, ("throttled", "power_capped"))],
)
def test_a_clock_that_varies(reason: int, expected: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    card = FakeCard("H100", "c", clocks=both(345, 1980, 1470, 1980), reasons=(1, 0, reason, 0))
    found, doubts = looked(card, monkeypatch)
    assert doubts == expected
    assert set(doubts) <= set(FLAGS)
    assert found["sm_clock_MHz"][0] == 1470
    told = {0x4: "power cap", 0x20: "thermal, by software"}
    assert found["throttle_reasons"] == [name for bit, name in told.items() if reason & bit]


@pytest.mark.parametrize(
    ("pids", "busy", "others", "expected"),
    [
        ([(1, 7)], {}, (0, 0, 1), ()),  # a desktop that was there all the time
        ([(1, 7)], {1: 90, 7: 3}, (0, 0, 1), ()),
        ([(1, 7)], {1: 90, 7: 40}, (0, 1, 0), ("shared_device",)),
        ([(1,), (1, 7)], {}, (1, 0, 0), ("shared_device",)),
        ([(1,), (1, 7)], {1: 50, 7: 50}, (1, 0, 0), ("shared_device",)),
        ([()], {}, (0, 0, 0), ()),  # a virtual machine that shows none
        ([(7,)], {7: 90}, (0, 0, 0), ()),  # a container, where this process has another number
        ([(7, 8)], {}, (0, 0, 1), ()),
    ],
)
def test_other_processes(
    pids: list[tuple[int, ...]],
    busy: dict[int, int],
    others: tuple[int, int, int],
    expected: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, doubts = looked(FakeCard("H100", "c", pids=pids, busy=busy), monkeypatch)
    assert doubts == expected
    assert found["other_processes"] == dict(zip(("came", "busy", "idle"), others, strict=True))


def test_a_card_that_is_lost_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeHost(shown=[FakeCard("H100", "c")]).install(monkeypatch)
    assert environment.look_at(environment.cuda_uuid("cuda:0"))() == {}


def test_energy_is_of_the_jobs_card(monkeypatch: pytest.MonkeyPatch) -> None:
    host, slow, _, _ = mixed()
    slow.watts = 70.0
    host.install(monkeypatch)
    meter, clock = find_meter("cuda:1"), host.device.clock
    clock.host_s = 2.05
    before = meter.joules()
    clock.sleep(0.04)
    assert meter.joules() == before == pytest.approx(70.0 * 2.0)
    clock.sleep(0.02)
    assert meter.joules() == pytest.approx(70.0 * 2.1)


Command = Callable[..., Any]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """Run a command of bench, with its JSON as answer, on the mixed host, where jobs run in this process."""
    be_there(mixed()[0], monkeypatch)
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Any:
        done = CliRunner().invoke(app, [*words, "--json"])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    return run


def test_bench_env_on_a_host_of_three_cards(command: Command) -> None:
    found = command("env")
    assert found["devices"] == ["cpu", "cuda:0", "cuda:1"]
    assert [gpu["name"] for gpu in found["gpu"]] == ["NVIDIA H100", "NVIDIA T4", None]
    assert [gpu["uuid"] for gpu in found["state"]["gpu"]] == ["GPU-cccc", "GPU-aaaa"]
    assert [gpu["power_W"] for gpu in found["state"]["gpu"]] == [70.0, 7.0]
    assert len(set(found["key"].values())) == 3


def test_bench_env_in_words(command: Command) -> None:
    said = CliRunner().invoke(app, ["env"]).stdout
    told = dict(re.findall(r"^ *(\S+) +(.*?) *$", said, re.MULTILINE))
    assert told["devices"] == "cpu, cuda:0, cuda:1"
    assert "no_cuda" not in told  # there is CUDA
    assert (told["gpu.0.power_limit_W"], told["gpu.1.power_limit_W"]) == ("700.0", "70.0")
    assert told["gpu.2.name"] == "unknown"
    assert told["state.gpu.1.throttle_reasons"] == "none"
    assert told["packages.tensorrt"] == "not installed"


@pytest.mark.parametrize(
    ("bits", "words"),
    [
        (0, ()),
        (1, ("idle",)),
        (0x44, ("power cap", "thermal, by hardware")),
        (0x102, ("clocks set by a user", "clocks of the display")),
    ],
)
def test_why_clocks_are_low(bits: int, words: tuple[str, ...]) -> None:
    assert environment.clock_reasons(bits) == words


def test_a_plan_says_on_which_card_and_how(command: Command) -> None:
    said = CliRunner().invoke(app, ["plan", "--config", "gpu", "--task", "ceiling"]).stdout
    assert "on cuda:0 (NVIDIA H100)" in said
    (head,) = (line for line in said.splitlines() if "precision" in line)
    assert "network" not in head  # the machine's ceilings have none
    assert "seed" not in head
    rows = [line.split() for line in said.splitlines() if "cuda:0" in line and "run" in line]
    assert [row[2] for row in rows[:4]] == ["fp32", "tf32", "bf16", "fp16"]


@pytest.mark.parametrize(
    ("variable", "warning", "why"),
    [
        (None, None, "torch finds no GPU"),
        ("", None, "torch finds no GPU: CUDA_VISIBLE_DEVICES is ''"),
        ("7", "the driver says something else then", "torch finds no GPU: CUDA_VISIBLE_DEVICES is '7'"),
        (
            None,
            "CUDA initialization: The NVIDIA driver on your system is too old (found version 11040). (Triggered at x)",
            "torch finds no GPU: CUDA initialization: The NVIDIA driver on your system is too old (found version 11040).",
        ),
    ],
)
def test_why_there_is_no_gpu_and_what_runs_on_the_cpu_for_it(
    command: Command, monkeypatch: pytest.MonkeyPatch, variable: str | None, warning: str | None, why: str
) -> None:
    def available() -> bool:
        if warning is not None:
            warnings.warn(warning, stacklevel=1)
        return False

    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", available)
    if variable is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
    found = command("env")
    assert (found["devices"], found["no_cuda"]) == (["cpu"], why)
    words = ["plan", "lenet5", "--config", "smoke", "--task", "infer"]
    said = " ".join(CliRunner().invoke(app, words).output.split())
    assert f"on the CPU, although there is NVIDIA T4, a card of no known name, NVIDIA H100: {why}" in said
    refused = CliRunner().invoke(app, [*words, "--set", "device=cuda"])
    assert refused.exit_code == 2
    assert f"this machine has only cpu ({why})" in " ".join(refused.output.split())
    on_cpu = CliRunner().invoke(app, [*words, "--set", "device=cpu"])  # as it was asked for
    assert "although" not in on_cpu.output


@pytest.mark.parametrize(("asked", "device"), [("auto", "cuda:0"), ("cuda", "cuda:0"), ("cuda:1", "cuda:1")])
def test_a_plan_on_a_host_of_three_cards(command: Command, asked: str, device: str) -> None:
    found = command("plan", "lenet5", "--config", "smoke", "--task", "infer", "--set", f"device={asked}")
    assert {line["job"]["settings"]["device"] for line in found["jobs"]} == {device}


def test_the_plan_of_a_piece_of_the_campaign_says_how_long_it_takes(command: Command) -> None:
    assert 60 < command("plan", "--config", "gpu-accuracy")["jobs_s"] <= 9 * 60
