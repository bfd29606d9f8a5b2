"""NVIDIA's cards: which ones CUDA shows, and what NVML says of each, found by its UUID.

NVML counts cards by their slots, CUDA the fastest first, and CUDA_VISIBLE_DEVICES hides some: only the UUID is the same
in both. A slice of a card (MIG) has a UUID of its own; power, clocks and temperature are of the board that it is on.
Source: https://docs.nvidia.com/deploy/nvml-api/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import TypedDict

_BUSY = 5  # % of the time on the card, from which a process is said to compute


@dataclass(frozen=True, slots=True)
class Card:
    """A card that NVML has opened, or a slice of one.

    Attributes:
        handle: NVML's, of what computes: the card or the slice.
        board: NVML's, of the whole card.
    """

    handle: object
    board: object

    @property
    def is_slice(self) -> bool:
        """Whether it is a part of a board (MIG)."""
        return self.handle is not self.board


@cache
def nvml() -> ModuleType:
    """Return the NVML module, initialised.

    Raises:
        pynvml.NVMLError: where there is no NVIDIA driver.
    """
    import pynvml

    pynvml.nvmlInit()
    module: ModuleType = pynvml
    return module


def count() -> int:
    """Return how many cards NVML counts, those that may not be opened too."""
    return int(nvml().nvmlDeviceGetCount())


def driver() -> str:
    """Return the version of the driver."""
    return str(_text(nvml().nvmlSystemGetDriverVersion()))


def find_card(uuid: str) -> Card:
    """Return the card or slice of a UUID; without ``GPU-`` or ``MIG-`` in front, as CUDA gives it, it may be either.

    Raises:
        pynvml.NVMLError: where it is not there, or may not be opened.
    """
    bare = uuid.removeprefix("GPU-").removeprefix("MIG-")
    try:
        handle = nvml().nvmlDeviceGetHandleByUUID(f"GPU-{bare}")
    except (nvml().NVMLError_NotFound, nvml().NVMLError_InvalidArgument):
        handle = nvml().nvmlDeviceGetHandleByUUID(f"MIG-{bare}")
        return Card(handle, nvml().nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle))
    return Card(handle, handle)


def card_in(slot: int) -> Card:
    """Return a card by NVML's own count.

    Raises:
        pynvml.NVMLError: where it is not there, or may not be opened.
    """
    handle = nvml().nvmlDeviceGetHandleByIndex(slot)
    return Card(handle, handle)


def cuda_uuid(device: str) -> str:
    """Return the UUID of a device such as ``cuda:1``, as CUDA gives it."""
    import torch

    return str(torch.cuda.get_device_properties(torch.device(device)).uuid)


class CudaCard(TypedDict):
    """What CUDA says of a card, by the names of `FACTS`."""

    name: str
    uuid: str
    memory_B: int


def cuda_cards() -> Iterator[CudaCard]:
    """Yield each card that CUDA shows, ``cuda:0`` first."""
    import torch

    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        card = torch.cuda.get_device_properties(index)
        yield {"name": card.name, "uuid": str(card.uuid), "memory_B": card.total_memory}


def pids(card: Card) -> list[int]:
    """Return the processes that have a context on a card; in a container they may have other numbers, or none."""
    return sorted(p.pid for p in nvml().nvmlDeviceGetComputeRunningProcesses(card.handle))


def energy_of(card: Card) -> float:
    """Return the energy in J that a card has taken since the driver was loaded.

    Raises:
        pynvml.NVMLError: where it has no counter, as a slice: that of the board is of all its slices.
    """
    return float(nvml().nvmlDeviceGetTotalEnergyConsumption(card.handle)) * 1e-3


def busy_pids(card: Card, since_us: int) -> list[int]:
    """Return the processes that computed after a moment in µs since 1970; none where NVML does not sample them."""
    try:
        samples = nvml().nvmlDeviceGetProcessUtilization(card.handle, since_us)
    except nvml().NVMLError:  # nothing ran since then; or a slice, or an old board
        return []
    return sorted({s.pid for s in samples if s.smUtil >= _BUSY and s.timeStamp > since_us})


def _text(value: object) -> object:
    return value.decode() if isinstance(value, bytes) else value


Probes = Mapping[str, Callable[[Card], object]]

FACTS: Probes = {
    "name": lambda card: _text(nvml().nvmlDeviceGetName(card.handle)),
    "uuid": lambda card: _text(nvml().nvmlDeviceGetUUID(card.handle)),
    "memory_B": lambda card: nvml().nvmlDeviceGetMemoryInfo(card.handle).total,
    "power_limit_W": lambda card: nvml().nvmlDeviceGetPowerManagementLimit(card.board) / 1e3,
    "max_sm_clock_MHz": lambda card: nvml().nvmlDeviceGetMaxClockInfo(card.board, nvml().NVML_CLOCK_SM),
    "max_memory_clock_MHz": lambda card: nvml().nvmlDeviceGetMaxClockInfo(card.board, nvml().NVML_CLOCK_MEM),
    "persistence": lambda card: bool(nvml().nvmlDeviceGetPersistenceMode(card.board)),
    "mig": lambda card: bool(nvml().nvmlDeviceGetMigMode(card.board)[0]),
}
"""What does not change of a card, each by a function that may raise."""

STATE: Probes = {
    "sm_clock_MHz": lambda card: nvml().nvmlDeviceGetClockInfo(card.board, nvml().NVML_CLOCK_SM),
    "memory_clock_MHz": lambda card: nvml().nvmlDeviceGetClockInfo(card.board, nvml().NVML_CLOCK_MEM),
    "temperature_C": lambda card: nvml().nvmlDeviceGetTemperature(card.board, nvml().NVML_TEMPERATURE_GPU),
    "power_W": lambda card: nvml().nvmlDeviceGetPowerUsage(card.board) / 1e3,
    "throttle_reasons": lambda card: nvml().nvmlDeviceGetCurrentClocksEventReasons(card.board),
    "used_B": lambda card: nvml().nvmlDeviceGetMemoryInfo(card.handle).used,
}
"""What changes of a card from moment to moment, each by a function that may raise."""
