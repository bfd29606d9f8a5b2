"""The environment of a record: what may change a number, and the state of the machine when it was taken.

Every key is always there; an unknown value is None and `unknown` says why, by its path.
`machine` changes only between sessions and is collected once; `state` and `torch_flags` are taken with each
job.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil

import bench

PACKAGES = ("torch", "torchvision", "fvcore", "numpy", "scikit-learn", "timm")
VARIABLES = (
    "OMP_",
    "MKL_",
    "KMP_",
    "GOMP_",
    "CUDA_",
    "TORCH_",
    "PYTORCH_",
    "CUBLAS_",
    "NVIDIA_TF32",
    "LD_PRELOAD",
)

# What must agree before two numbers may stand for one another.
_KEY = (
    ("cpu", "model"),
    ("cpu", "cores"),
    ("cpu", "affinity"),
    ("python", "version"),
    ("bench", "version"),
    ("packages", "torch"),
    ("packages", "torchvision"),
    ("packages", "fvcore"),
    ("torch", "cuda"),
    ("torch", "cudnn"),
)
_GPU_KEY = ("name", "uuid", "driver")


def key(environment: Mapping[str, Any]) -> str:
    """Return a hash of the parts that must agree for a stored result to stand for a new one."""
    parts = [_at(environment, path) for path in _KEY]
    parts += [[gpu.get(k) for k in _GPU_KEY] for gpu in environment.get("gpu", ())]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def _at(data: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        data = data.get(step) if isinstance(data, Mapping) else None
    return data


def machine() -> dict[str, Any]:
    """Return all that does not change while a run goes on; imports torch, runs nothing with it."""
    unknown: dict[str, str] = {}
    ask = _Ask(unknown)
    environment: dict[str, Any] = {
        "bench": {"version": bench.__version__, **_git(ask)},
        "host": {
            "name_sha256": hashlib.sha256(platform.node().encode()).hexdigest()[:12],
            "os": ask("host.os", lambda: platform.freedesktop_os_release()["PRETTY_NAME"]),
            "kernel": platform.release(),
        },
        "cpu": _cpu(ask),
        "memory": {"total_B": psutil.virtual_memory().total, "swap_B": psutil.swap_memory().total},
        "gpu": _gpus(ask),
        "python": {"version": platform.python_version(), "implementation": sys.implementation.name},
        "packages": {p: _version(p) for p in PACKAGES},
        "torch": _torch_build(ask),
        "variables": {k: v for k, v in sorted(os.environ.items()) if k.startswith(VARIABLES)},
        "unknown": unknown,
    }
    return environment


def state() -> dict[str, Any]:
    """Return what changes from minute to minute: load, free memory, clocks, temperatures, other processes."""
    unknown: dict[str, str] = {}
    ask = _Ask(unknown)
    frequency = ask("frequency_MHz", psutil.cpu_freq)
    return {
        "load_1min": os.getloadavg()[0],
        "available_B": psutil.virtual_memory().available,
        "swap_used_B": psutil.swap_memory().used,
        "frequency_MHz": getattr(frequency, "current", None),
        "gpu": _gpu_states(ask),
        "unknown": unknown,
    }


def torch_flags() -> dict[str, Any]:
    """Return the switches of torch that change speed or numbers, as they stand in this process."""
    import torch

    return {
        "threads": torch.get_num_threads(),
        "interop_threads": torch.get_num_interop_threads(),
        "matmul_precision": torch.get_float32_matmul_precision(),
        "cudnn_tf32": torch.backends.cudnn.allow_tf32,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "mkldnn": torch.backends.mkldnn.is_available(),  # type: ignore[no-untyped-call]
    }


class _Ask:
    """Call a probe; where it fails, note the reason and go on with None."""

    def __init__(self, unknown: dict[str, str]) -> None:
        self.unknown = unknown

    def __call__(self, path: str, probe: Callable[[], Any]) -> Any:
        try:
            value = probe()
        except Exception as error:  # a probe may fail in any way; none may stop a measurement
            self.unknown[path] = f"{type(error).__name__}: {error}"[:200]
            return None
        if value is None:
            self.unknown[path] = "not reported on this machine"
        return value


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git(ask: _Ask) -> dict[str, Any]:
    """Return revision and dirty state of the checkout that bench runs from."""
    root = Path(bench.__file__).resolve().parents[1]
    if not (root / ".git").exists():
        ask.unknown["bench.git_revision"] = "installed, not a checkout"
        return {"git_revision": None, "git_dirty": None}

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, text=True, timeout=10, check=False
        )
        if done.returncode:
            raise RuntimeError(f"git {words[0]} failed")
        return done.stdout.strip()

    return {
        "git_revision": ask("bench.git_revision", lambda: git("rev-parse", "HEAD")),
        "git_dirty": ask("bench.git_dirty", lambda: bool(git("status", "--porcelain", "--", "bench"))),
    }


def _cpu(ask: _Ask) -> dict[str, Any]:
    governor = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    return {
        "model": ask("cpu.model", _cpu_model),
        "cores": ask("cpu.cores", lambda: psutil.cpu_count(logical=False)),
        "threads": psutil.cpu_count(),
        "affinity": ask("cpu.affinity", lambda: sorted(os.sched_getaffinity(0))),
        "governor": ask("cpu.governor", lambda: governor.read_text().strip()),
    }


def _cpu_model() -> str | None:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or None


def usable_cores() -> int:
    """Return the count of physical cores that this process may use, at least 1; the default thread count."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(allowed, psutil.cpu_count(logical=False) or allowed))


def _torch_build(ask: _Ask) -> dict[str, Any]:
    import torch

    return {
        "version": str(torch.__version__),
        "cuda": torch.version.cuda,
        "cudnn": ask("torch.cudnn", torch.backends.cudnn.version),
    }


def _nvml() -> Any:
    """Return the NVML module, initialised.

    Raises:
        pynvml.NVMLError: where there is no NVIDIA driver.
    """
    import pynvml

    pynvml.nvmlInit()
    return pynvml


def _gpus(ask: _Ask) -> list[dict[str, Any]]:
    nvml = ask("gpu", _nvml)
    if nvml is None:
        return []
    driver = ask("gpu.driver", nvml.nvmlSystemGetDriverVersion)
    return [_gpu(ask, nvml, i, driver) for i in range(nvml.nvmlDeviceGetCount())]


def _gpu(ask: _Ask, nvml: Any, index: int, driver: Any) -> dict[str, Any]:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    probes: dict[str, Callable[[], Any]] = {
        "name": lambda: _text(nvml.nvmlDeviceGetName(handle)),
        "uuid": lambda: _text(nvml.nvmlDeviceGetUUID(handle)),
        "memory_B": lambda: nvml.nvmlDeviceGetMemoryInfo(handle).total,
        "power_limit_W": lambda: nvml.nvmlDeviceGetPowerManagementLimit(handle) / 1e3,
        "max_sm_clock_MHz": lambda: nvml.nvmlDeviceGetMaxClockInfo(handle, nvml.NVML_CLOCK_SM),
        "max_memory_clock_MHz": lambda: nvml.nvmlDeviceGetMaxClockInfo(handle, nvml.NVML_CLOCK_MEM),
        "persistence": lambda: bool(nvml.nvmlDeviceGetPersistenceMode(handle)),
        "mig": lambda: bool(nvml.nvmlDeviceGetMigMode(handle)[0]),
    }
    found = {name: ask(f"gpu.{index}.{name}", probe) for name, probe in probes.items()}
    return {**found, "driver": _text(driver)}


def gpu_state(uuid: str) -> dict[str, Any]:
    """Return what `state` has of one GPU, found by its UUID; empty where NVML does not know it."""
    ask = _Ask({})
    nvml = ask("gpu", _nvml)
    for index in range(nvml.nvmlDeviceGetCount() if nvml else 0):
        found = _text(nvml.nvmlDeviceGetUUID(nvml.nvmlDeviceGetHandleByIndex(index)))
        if uuid.removeprefix("GPU-") == found.removeprefix("GPU-"):
            return _gpu_state(ask, nvml, index)
    return {}


def _gpu_states(ask: _Ask) -> list[dict[str, Any]]:
    nvml = ask("gpu", _nvml)
    if nvml is None:
        return []
    return [_gpu_state(ask, nvml, i) for i in range(nvml.nvmlDeviceGetCount())]


def _gpu_state(ask: _Ask, nvml: Any, index: int) -> dict[str, Any]:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    probes: dict[str, Callable[[], Any]] = {
        "sm_clock_MHz": lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM),
        "memory_clock_MHz": lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_MEM),
        "temperature_C": lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU),
        "power_W": lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1e3,
        "throttle_reasons": lambda: nvml.nvmlDeviceGetCurrentClocksEventReasons(handle),
        "used_B": lambda: nvml.nvmlDeviceGetMemoryInfo(handle).used,
        "processes": lambda: len(nvml.nvmlDeviceGetComputeRunningProcesses(handle)),
    }
    return {name: ask(f"gpu.{index}.{name}", probe) for name, probe in probes.items()}


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value
