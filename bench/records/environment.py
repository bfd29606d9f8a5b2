"""The environment of a record: what may change a number, and the state of the machine when it was taken.

Every key is always there; an unknown value is None and `unknown` says why, by its path.
`machine` changes only between sessions and is collected once; `state` and `torch_flags` are taken with each
job.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import TypedDict, TypeVar

import psutil

import bench
from bench.io import JsonObject
from bench.plan.job import Job, card_of
from bench.records._cores import core_kinds
from bench.records.line import shared

_T = TypeVar("_T")

_ENGINES = ("onnx", "onnxruntime", "openvino", "nncf", "torchao", "executorch", "tensorrt")
_LIBRARIES = {"timm:": "timm", "hf:": "transformers"}  # by how names of their networks begin
_PACKAGES = ("torch", "torchvision", "fvcore", "numpy", "scikit-learn", *_LIBRARIES.values(), *_ENGINES)
_OF_TORCH = ("eager", "compiled", "cuda_graph", "aot_inductor")  # backends that are no package of their own
_VARIABLES = (
    "OMP_",
    "MKL_",
    "KMP_",
    "GOMP_",
    "CUDA_",
    "TORCH_",
    "TORCHDYNAMO_",
    "TORCHINDUCTOR_",
    "PYTORCH_",
    "CUBLAS",  # and cuBLASLt
    "CUDNN_",
    "NVIDIA_TF32",
    "LD_PRELOAD",
)

# What must agree before two numbers may stand for one another; in place of the affinity, where it is known, how many
# cores of which kind those are.
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
_AFFINITY = ("cpu", "affinity")
_GPU_KEY = ("name", "uuid", "driver")


def key(environment: JsonObject, devices: Sequence[str] = (), *, any_card: bool = False) -> str:
    """Return a hash of the parts that must agree for a stored result to stand for a new one.

    Args:
        environment: of a record or a catalog.
        devices: that the result is of, as `bench.plan.job.Job.devices` gives them; other cards do not matter.
        any_card: a result of any card of the same model stands.
    """
    return _hash(_parts(environment, devices, any_card))


def keys(environment: JsonObject, devices: Sequence[str] = ()) -> set[str]:
    """Return the key, and that of versions which told cores by their numbers alone: either may be stored."""
    return {_hash(parts) for parts in _all_parts(environment, devices, any_card=False)}


def _hash(parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def same_as(others: Sequence[JsonObject]) -> Callable[[JsonObject, tuple[str, ...], bool], bool]:
    """Return the function that tells whether the environment of a stored record has one of the `keys` of one of these.

    It takes that environment, the devices of its job, and whether any of several equal cards did.
    """

    @cache
    def stand(devices: tuple[str, ...], any_card: bool) -> set[str]:
        return {_hash(parts) for other in others for parts in _all_parts(other, devices, any_card)}

    def same(then: JsonObject, devices: tuple[str, ...], any_card: bool) -> bool:
        return key(then, devices, any_card=any_card) in stand(devices, any_card)

    return same


def same_libraries(job: Job, then: JsonObject, others: Sequence[JsonObject]) -> bool:
    """Whether the libraries that a job's network and backend come from have in `then` the versions of one of `others`.

    Of records that say nothing of a library, as those before engines were recorded, nothing is supposed.
    """
    names = (job.arch, *(one.arch for one in getattr(job.settings, "networks", ())))
    libraries = {
        package for begins, package in _LIBRARIES.items() if any(n.startswith(begins) for n in names)
    }
    backend = str(getattr(job.settings, "backend", None) or "eager").partition(":")[0]
    if not libraries and backend in _OF_TORCH:
        return True
    wanted = [*libraries, *(() if backend in _OF_TORCH else _ENGINES)]
    before = then.get("packages") or {}
    return any(
        all(before.get(p) in (None, (other.get("packages") or {}).get(p)) for p in wanted) for other in others
    )


def _parts(environment: JsonObject, devices: Sequence[str], any_card: bool) -> list[object]:
    """Return what of an environment is in its key."""
    kinds = _at(environment, ("cpu", "kinds"))
    parts = [kinds if kinds and path == _AFFINITY else _at(environment, path) for path in _KEY]
    cards = (card_of(environment, device) for device in devices if device != "cpu")
    left_out = "uuid" if any_card else None
    return [*parts, *([card.get(k) for k in _GPU_KEY if k != left_out] for card in cards)]


def _all_parts(environment: JsonObject, devices: Sequence[str], any_card: bool) -> Iterator[list[object]]:
    """Yield what is in its key, and what was before cores were told by their kinds."""
    machine = shared(environment)
    yield _parts(machine, devices, any_card)
    cpu = {name: value for name, value in (machine.get("cpu") or {}).items() if name != "kinds"}
    yield _parts({**machine, "cpu": cpu}, devices, any_card)


def leaves(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Yield each plain value within nested ones, and each list of such, with the dotted path that leads to it."""
    items: Iterable[tuple[object, object]] = ()
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, list | tuple) and any(isinstance(one, Mapping) for one in value):
        items = enumerate(value)
    if not items:
        yield path, value
    for key, inner in items:
        yield from leaves(inner, f"{path}.{key}" if path else str(key))


def _at(data: object, path: tuple[str, ...]) -> object:
    for step in path:
        data = data.get(step) if isinstance(data, Mapping) else None
    return data


def machine() -> dict[str, object]:
    """Return all that does not change while a run goes on; imports torch, runs nothing with it."""
    unknown: dict[str, str] = {}
    ask = _Ask(unknown)
    return {
        "bench": {"version": bench.__version__, **_git(ask)},
        "host": {
            "name_sha256": hashlib.sha256(os.fsencode(platform.node())).hexdigest()[:12],
            "os": ask("host.os", lambda: platform.freedesktop_os_release()["PRETTY_NAME"]),
            "kernel": platform.release(),
        },
        "cpu": _cpu(ask),
        "memory": {
            "total_B": ask("memory.total_B", lambda: psutil.virtual_memory().total),
            "swap_B": ask("memory.swap_B", lambda: psutil.swap_memory().total),
        },
        "gpu": _gpus(ask),
        "python": {"version": platform.python_version(), "implementation": sys.implementation.name},
        "packages": {p: _version(p) for p in _PACKAGES},
        "torch": _torch_build(ask),
        "variables": {k: v for k, v in sorted(os.environ.items()) if k.startswith(_VARIABLES)},
        "unknown": unknown,
    }


def state(uuids: Iterable[str] = ()) -> dict[str, object]:
    """Return what changes from minute to minute: load and free memory, and the clocks and temperatures of some cards.

    Args:
        uuids: of the cards, such as that of a job.
    """
    unknown: dict[str, str] = {}
    ask = _Ask(unknown)
    frequency = ask("frequency_MHz", psutil.cpu_freq)
    return {
        "load_1min": ask("load_1min", lambda: os.getloadavg()[0]),
        "available_B": ask("available_B", lambda: psutil.virtual_memory().available),
        "swap_used_B": ask("swap_used_B", lambda: psutil.swap_memory().used),
        "frequency_MHz": getattr(frequency, "current", None),
        "gpu": [_gpu_state(ask, f"gpu.{i}", uuid) for i, uuid in enumerate(uuids)],
        "unknown": unknown,
    }


def torch_flags() -> dict[str, object]:
    """Return the switches of torch that change speed or numbers, as they stand in this process."""
    import torch

    return {
        "threads": torch.get_num_threads(),
        "interop_threads": torch.get_num_interop_threads(),
        "matmul_precision": torch.get_float32_matmul_precision(),
        "cudnn_tf32": torch.backends.cudnn.allow_tf32,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "mkldnn": torch.backends.mkldnn.is_available(),
    }


class _Ask:
    """Call a probe; where it fails, note the reason and go on with None."""

    def __init__(self, unknown: dict[str, str]) -> None:
        self.unknown = unknown

    def __call__(self, path: str, probe: Callable[[], _T]) -> _T | None:
        try:
            value = probe()
        except Exception as error:  # a probe may fail in any way; none may stop a measurement
            self.unknown[path] = f"{type(error).__name__}: {error}"[:200]
            return None
        if value is None:
            self.unknown[path] = "not reported on this machine"
        return value


def _version(package: str) -> str | None:
    for name in (package, f"{package}-gpu"):  # as ONNX Runtime's is called that runs on cards
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(name)
    return None


def _git(ask: _Ask) -> dict[str, object]:
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


def _cpu(ask: _Ask) -> dict[str, object]:
    governor = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    return {
        "model": ask("cpu.model", _cpu_model),
        "cores": ask("cpu.cores", lambda: psutil.cpu_count(logical=False)),
        "threads": ask("cpu.threads", psutil.cpu_count),
        "affinity": ask("cpu.affinity", lambda: sorted(os.sched_getaffinity(0))),
        "kinds": ask("cpu.kinds", core_kinds),
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
    try:
        physical = psutil.cpu_count(logical=False)
    except OSError:  # without /proc it is not told
        physical = None
    return max(1, min(allowed, physical or allowed))


def _torch_build(ask: _Ask) -> dict[str, object]:
    import torch

    return {
        "version": str(torch.__version__),
        "cuda": torch.version.cuda,
        "cudnn": ask("torch.cudnn", torch.backends.cudnn.version),
    }


def _gpus(ask: _Ask) -> list[dict[str, object]]:
    """Return the cards that CUDA shows, so that ``cuda:N`` is the N-th, and then the others that NVML counts.

    One that may not be opened is there too, with what is known of it.
    """
    # Those that may not be opened are counted too.
    slots = ask("gpu", lambda: int(_nvml().nvmlDeviceGetCount()))
    version = (
        None if slots is None else ask("gpu.driver", lambda: _text(_nvml().nvmlSystemGetDriverVersion()))
    )
    shown = ask("gpu.cuda", lambda: list(cuda_cards())) or []
    gpus = [_gpu(partial(find_card, card["uuid"]), card) for card in shown]
    uuids = [gpu["uuid"] for gpu, _ in gpus]
    others = (_gpu(partial(_card_in, slot)) for slot in range(slots or 0))
    gpus += [other for other in others if other[0]["uuid"] not in uuids]
    for i, (_, reasons) in enumerate(gpus):
        ask.unknown |= {f"gpu.{i}{path}": reason for path, reason in reasons.items()}
    return [{**gpu, "driver": version} for gpu, _ in gpus]


def _gpu(
    find: Callable[[], _Card], shown: _CudaCard | None = None
) -> tuple[dict[str, object], dict[str, str]]:
    """Return what NVML says of a card, or else CUDA, where that shows it; and the reasons for what is unknown."""
    reasons: dict[str, str] = {}
    ask = _Ask(reasons)
    card = ask("", find)
    gpu = {
        name: ask(f".{name}", partial(probe, card)) if card else None for name, probe in _CARD_FACTS.items()
    }
    for name, value in (shown or {}).items():
        if gpu[name] is None:
            gpu[name] = value
            reasons.pop(f".{name}", None)
    return gpu, reasons


def look_at(uuid: str) -> Callable[[], JsonObject]:
    """Return a function that looks at one card, which it finds once; what it cannot see is None.

    It returns what `state` has of the card, with the `pids` of the processes on it, and of those that were `busy` since
    the look before.
    """
    ask = _Ask({})
    card = ask("gpu", partial(find_card, uuid))
    if card is None:
        return dict
    last_us = time.time_ns() // 1000

    def look() -> JsonObject:
        nonlocal last_us
        since_us, last_us = last_us, time.time_ns() // 1000
        probes: _Probes = {**_CARD_STATE, "pids": _pids, "busy": partial(_busy_pids, since_us=since_us)}
        return {name: ask(name, partial(probe, card)) for name, probe in probes.items()}

    return look


def _gpu_state(ask: _Ask, path: str, uuid: str) -> dict[str, object]:
    card = ask(path, partial(find_card, uuid))
    probes: _Probes = {"uuid": _CARD_FACTS["uuid"], **_CARD_STATE, "processes": lambda card: len(_pids(card))}
    now = {n: ask(f"{path}.{n}", partial(probe, card)) if card else None for n, probe in probes.items()}
    return {**now, "uuid": now["uuid"] or uuid}


# --- NVIDIA's cards: which ones CUDA shows, and what NVML says of each, found by its UUID ---
#
# NVML counts cards by their slots, CUDA the fastest first, and CUDA_VISIBLE_DEVICES hides some: only the UUID is the
# same in both. A slice of a card (MIG) has a UUID of its own; power, clocks and temperature are of its board.
# Source: https://docs.nvidia.com/deploy/nvml-api/

_BUSY = 5  # % of the time on the card, from which a process is said to compute


@dataclass(frozen=True, slots=True)
class _Card:
    """A card that NVML has opened, or a slice of one.

    Attributes:
        handle: NVML's, of what computes: the card or the slice.
        board: NVML's, of the whole card.
    """

    handle: object
    board: object

    @property
    def is_sliced(self) -> bool:
        """Whether it is a slice of a board (MIG), or the board of slices, by whose UUID CUDA may call its slice."""
        if self.handle is not self.board:
            return True
        try:
            return bool(_nvml().nvmlDeviceGetMigMode(self.board)[0])
        except _nvml().NVMLError:  # few can be cut
            return False

    def energy(self) -> float:
        """Return the energy in J that a card has taken since the driver was loaded.

        Raises:
            pynvml.NVMLError: where it has no counter.
        """
        return float(_nvml().nvmlDeviceGetTotalEnergyConsumption(self.handle)) * 1e-3


@cache
def _nvml() -> ModuleType:
    """Return the NVML module, initialised.

    Raises:
        pynvml.NVMLError: where there is no NVIDIA driver.
    """
    import pynvml

    pynvml.nvmlInit()
    module: ModuleType = pynvml
    return module


def find_card(uuid: str) -> _Card:
    """Return the card or slice of a UUID; without ``GPU-`` or ``MIG-`` in front, as CUDA gives it, it may be either.

    Raises:
        pynvml.NVMLError: where it is not there, or may not be opened.
    """
    bare = uuid.removeprefix("GPU-").removeprefix("MIG-")
    try:
        handle = _nvml().nvmlDeviceGetHandleByUUID(f"GPU-{bare}")
    except (_nvml().NVMLError_NotFound, _nvml().NVMLError_InvalidArgument):
        handle = _nvml().nvmlDeviceGetHandleByUUID(f"MIG-{bare}")
        return _Card(handle, _nvml().nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle))
    return _Card(handle, handle)


def _card_in(slot: int) -> _Card:
    """Return a card by NVML's own count.

    Raises:
        pynvml.NVMLError: where it is not there, or may not be opened.
    """
    handle = _nvml().nvmlDeviceGetHandleByIndex(slot)
    return _Card(handle, handle)


def cuda_uuid(device: str) -> str:
    """Return the UUID of a device such as ``cuda:1``, as CUDA gives it."""
    import torch

    return str(torch.cuda.get_device_properties(torch.device(device)).uuid)


class _CudaCard(TypedDict):
    """What CUDA says of a card, by the names of `_CARD_FACTS`."""

    name: str
    uuid: str
    memory_B: int


def cuda_cards() -> Iterator[_CudaCard]:
    """Yield each card that CUDA shows, ``cuda:0`` first."""
    import torch

    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        card = torch.cuda.get_device_properties(index)
        yield {"name": card.name, "uuid": str(card.uuid), "memory_B": card.total_memory}


def _pids(card: _Card) -> list[int]:
    """Return the processes that have a context on a card; in a container they may have other numbers, or none."""
    return sorted(p.pid for p in _nvml().nvmlDeviceGetComputeRunningProcesses(card.handle))


def _busy_pids(card: _Card, since_us: int) -> list[int]:
    """Return the processes that computed after a moment in µs since 1970; none where NVML does not sample them."""
    try:
        samples = _nvml().nvmlDeviceGetProcessUtilization(card.handle, since_us)
    except _nvml().NVMLError:  # nothing ran since then; or a slice, or an old board
        return []
    return sorted({s.pid for s in samples if s.smUtil >= _BUSY and s.timeStamp > since_us})


def _throttle_reasons(card: _Card) -> int:
    """Return the bits of why the clocks are not higher; drivers before 535 know them by the function's first name."""
    nvml = _nvml()
    try:
        return int(nvml.nvmlDeviceGetCurrentClocksEventReasons(card.board))
    except nvml.NVMLError:  # a driver without it; or whatever is said again by the older one
        return int(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(card.board))


_CLOCK_REASONS = {
    0x1: "idle",
    0x2: "clocks set by a user",
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "thermal, by software",
    0x40: "thermal, by hardware",
    0x80: "power brake",
    0x100: "clocks of the display",
}


def clock_reasons(bits: int) -> tuple[str, ...]:
    """Return in words why the clocks of a card are not higher, of the bits that NVML says it with."""
    return tuple(name for bit, name in _CLOCK_REASONS.items() if bits & bit)


def _text(value: object) -> object:
    return value.decode() if isinstance(value, bytes) else value


_Probes = Mapping[str, Callable[[_Card], object]]

_CARD_FACTS: _Probes = {
    "name": lambda card: _text(_nvml().nvmlDeviceGetName(card.handle)),
    "uuid": lambda card: _text(_nvml().nvmlDeviceGetUUID(card.handle)),
    "memory_B": lambda card: _nvml().nvmlDeviceGetMemoryInfo(card.handle).total,
    "power_limit_W": lambda card: _nvml().nvmlDeviceGetPowerManagementLimit(card.board) / 1e3,
    "max_sm_clock_MHz": lambda card: _nvml().nvmlDeviceGetMaxClockInfo(card.board, _nvml().NVML_CLOCK_SM),
    "max_memory_clock_MHz": lambda card: _nvml().nvmlDeviceGetMaxClockInfo(
        card.board, _nvml().NVML_CLOCK_MEM
    ),
    "persistence": lambda card: bool(_nvml().nvmlDeviceGetPersistenceMode(card.board)),
    "ecc": lambda card: bool(_nvml().nvmlDeviceGetEccMode(card.board)[0]),  # takes bandwidth of GDDR memory
    "mig": lambda card: bool(_nvml().nvmlDeviceGetMigMode(card.board)[0]),
}
"""What does not change of a card, each by a function that may raise."""

_CARD_STATE: _Probes = {
    "sm_clock_MHz": lambda card: _nvml().nvmlDeviceGetClockInfo(card.board, _nvml().NVML_CLOCK_SM),
    "memory_clock_MHz": lambda card: _nvml().nvmlDeviceGetClockInfo(card.board, _nvml().NVML_CLOCK_MEM),
    "temperature_C": lambda card: _nvml().nvmlDeviceGetTemperature(card.board, _nvml().NVML_TEMPERATURE_GPU),
    "power_W": lambda card: _nvml().nvmlDeviceGetPowerUsage(card.board) / 1e3,
    "throttle_reasons": _throttle_reasons,
    "used_B": lambda card: _nvml().nvmlDeviceGetMemoryInfo(card.handle).used,
}
"""What changes of a card from moment to moment, each by a function that may raise."""
