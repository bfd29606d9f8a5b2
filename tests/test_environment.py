from __future__ import annotations

import copy
import json
import sys
import types
from typing import Any

import pytest

from bench.records import environment


@pytest.fixture(scope="module")
def machine() -> dict[str, Any]:
    return environment.machine()


def test_every_part_is_there_and_plain_json(machine: dict[str, Any]) -> None:
    assert {
        "bench",
        "host",
        "cpu",
        "memory",
        "gpu",
        "python",
        "packages",
        "torch",
        "variables",
        "unknown",
    } <= set(machine)
    assert json.loads(json.dumps(machine)) == machine
    assert machine["packages"]["torch"]


def test_what_is_unknown_says_why(machine: dict[str, Any]) -> None:
    found = {**machine, "state": environment.state()}
    for part in ("cpu", "host", "torch"):
        for name, value in found[part].items():
            assert value is not None or f"{part}.{name}" in machine["unknown"], name


def test_the_key_is_of_what_changes_numbers(machine: dict[str, Any]) -> None:
    base = environment.key(machine)
    other = copy.deepcopy(machine)
    other["host"]["kernel"] = "another"
    other["unknown"] = {}
    assert environment.key(other) == base
    for path in (("cpu", "model"), ("packages", "torch"), ("python", "version"), ("bench", "version")):
        other = copy.deepcopy(machine)
        other[path[0]][path[1]] = "another"
        assert environment.key(other) != base, path
    assert environment.key({**machine, "gpu": [{"name": "H100", "uuid": "1", "driver": "2"}]}) != base
    assert environment.key({}) == environment.key({})


def test_state_and_flags() -> None:
    assert environment.state()["load_1min"] >= 0
    assert environment.torch_flags()["threads"] >= 1
    assert environment.usable_cores() >= 1


class FakeNvml(types.ModuleType):
    """NVML with one GPU that reports all but its power limit."""

    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0

    def __getattr__(self, name: str) -> Any:
        values: dict[str, Any] = {
            "nvmlInit": None,
            "nvmlSystemGetDriverVersion": b"570.1",
            "nvmlDeviceGetCount": 1,
            "nvmlDeviceGetHandleByIndex": "handle",
            "nvmlDeviceGetName": "H100",
            "nvmlDeviceGetUUID": b"GPU-1",
            "nvmlDeviceGetMemoryInfo": types.SimpleNamespace(total=80, used=3),
            "nvmlDeviceGetMaxClockInfo": 1980,
            "nvmlDeviceGetClockInfo": 1700,
            "nvmlDeviceGetPersistenceMode": 1,
            "nvmlDeviceGetMigMode": (0, 0),
            "nvmlDeviceGetTemperature": 40,
            "nvmlDeviceGetPowerUsage": 70_000,
            "nvmlDeviceGetCurrentClocksEventReasons": 1,
            "nvmlDeviceGetComputeRunningProcesses": [],
        }
        if name not in values:
            raise AttributeError(name)
        return lambda *args: values[name]


def test_a_gpu_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml("pynvml"))
    found = environment.machine()
    (gpu,) = found["gpu"]
    assert (gpu["name"], gpu["uuid"], gpu["driver"]) == ("H100", "GPU-1", "570.1")
    assert gpu["power_limit_W"] is None
    assert "gpu.0.power_limit_W" in found["unknown"]
    (state,) = environment.state()["gpu"]
    assert (state["power_W"], state["temperature_C"], state["processes"]) == (70.0, 40, 0)
