"""A host with NVIDIA cards that are made up: what bench calls of pynvml and of torch.cuda, without either's library.

NVML counts the cards by their slots; CUDA shows some of them, and slices of them, in an order of its own. What runs on
them is in `fake_cuda`.
"""

from __future__ import annotations

import os
import sys
import types
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pynvml
import pytest
import torch
from fake_cuda import CLOCK_KHZ, FakeDevice

from bench.records import environment

GIB = 1 << 30
COUNTER_STEP_S = 0.1  # between two steps of the counter of energy


@dataclass(eq=False)
class FakeCard:
    """A card, or a slice of one.

    Attributes:
        name: of its model.
        bare: its UUID, as CUDA gives it.
        memory: of the card or the slice, in B.
        opens: whether NVML may open it.
        slices: that it is cut into.
        clocks: in MHz, of one look after the other; the last one stays.
        reasons: for lower clocks, likewise.
        pids: of the processes on it, likewise.
        busy: share of the time in % that a process computes, by its id.
        watts: that it draws, by the clock of the host; None for a card without a counter of energy.
        most_watts: of its power.
        max_clocks: in MHz, of its SMs and its memory.
        ecc: whether its memory corrects errors; None where it cannot.
    """

    name: str
    bare: str
    memory: int = 80 * GIB
    opens: bool = True
    slices: Sequence[FakeCard] = ()
    clocks: Sequence[int] = (1980,)
    reasons: Sequence[int] = (0,)
    pids: Sequence[Sequence[int]] = ((),)
    busy: dict[int, int] = field(default_factory=dict)
    watts: float | None = 0.0
    most_watts: int = 700
    max_clocks: tuple[int, int] = (1980, 2619)
    ecc: bool | None = True
    looks: Counter[str] = field(default_factory=Counter)

    def now(self, name: str) -> Any:
        """Return the next of some values, the last of them again and again."""
        values = getattr(self, name)
        self.looks[name] += 1
        return values[min(self.looks[name], len(values)) - 1]


class FakeHost:
    """A host with some cards in its slots.

    Args:
        slots: the cards, as NVML counts them.
        shown: cards and slices, as CUDA counts them; by default those of all slots that may be opened.

    Attributes:
        device: what CUDA runs work on, whichever card it is.
        calls: of NVML's functions, by name.
        driver: its version; functions that came later are not found.
        answer_s: that NVML takes for a call.
    """

    def __init__(self, *slots: FakeCard, shown: Sequence[FakeCard] | None = None) -> None:
        self.slots = slots
        self.shown = [card for card in slots if card.opens] if shown is None else list(shown)
        self.device = FakeDevice()
        self.calls: Counter[str] = Counter()
        self.current = 0
        self.driver = 580
        self.answer_s = 0.0

    @property
    def visible(self) -> list[FakeCard]:
        """The cards that CUDA shows this process: by CUDA_VISIBLE_DEVICES, with UUIDs or numbers, where that is set."""
        names = os.environ.get("CUDA_VISIBLE_DEVICES")
        if names is None:
            return self.shown
        known = {f"{kind}-{card.bare}": card for card in self.shown for kind in ("GPU", "MIG")}
        known |= {str(number): card for number, card in enumerate(self.shown)}
        return [known[name] for name in names.split(",") if name in known]

    def install(self, monkeypatch: pytest.MonkeyPatch) -> FakeHost:
        """Put this host in the place of the real one, until the test ends."""
        monkeypatch.setitem(sys.modules, "pynvml", self.nvml())
        monkeypatch.setattr(environment, "_nvml", cache(environment._nvml.__wrapped__))
        for name, function in self.cuda().items():
            monkeypatch.setattr(torch.cuda, name, function)
        return self

    def cuda(self) -> dict[str, Any]:
        """Return functions of torch.cuda by name."""

        def index(device: Any = None) -> int:
            given = device if isinstance(device, int) else torch.device(device or "cuda").index
            return self.current if given is None else given

        def properties(device: Any = None) -> Any:
            card = self.visible[index(device)]
            uuid = type("Uuid", (), {"__str__": lambda _: card.bare})()
            return types.SimpleNamespace(
                name=card.name, uuid=uuid, total_memory=card.memory, clock_rate=CLOCK_KHZ, major=9, minor=0
            )

        def set_device(device: Any) -> None:
            given = device if isinstance(device, int) else torch.device(device).index
            if given is None:
                raise ValueError(
                    f"Expected a torch.device with a specified index or an integer, but got:{device}"
                )
            self.current = given

        return {
            **self.device.functions(lambda: self.visible[self.current].memory),
            "is_available": lambda: bool(self.visible),
            "device_count": lambda: len(self.visible),
            "current_device": lambda: self.current,
            "get_device_properties": properties,
            "set_device": set_device,
        }

    def nvml(self) -> types.ModuleType:
        """Return the module pynvml of this host; its errors and constants are the real one's."""
        module = types.ModuleType("pynvml")
        for name in dir(pynvml):
            if name.startswith("NVML"):
                setattr(module, name, getattr(pynvml, name))
        for name, function in _nvml(self):
            setattr(module, name, self._counted(name, function))
        return module

    def _counted(self, name: str, function: Any) -> Any:
        def call(*args: Any) -> Any:
            self.calls[name] += 1
            self.device.clock.sleep(self.answer_s)
            return function(*args)

        return call


def _nvml(host: FakeHost) -> Iterator[tuple[str, Any]]:
    """Yield the functions of NVML by name; a handle is the card itself."""
    boards = {part: board for board in host.slots for part in (board, *board.slices)}

    def opened(card: FakeCard) -> FakeCard:
        if not card.opens:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NO_PERMISSION)
        return card

    def uuid(card: FakeCard) -> str:
        return f"{'GPU' if card in host.slots else 'MIG'}-{card.bare}"

    def by_uuid(asked: str) -> FakeCard:
        for part in boards:
            if uuid(part) == asked:
                return opened(part)
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)

    def whole(card: FakeCard) -> FakeCard:
        if card not in host.slots:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return card

    def by_slot(slot: int) -> FakeCard:
        if not 0 <= slot < len(host.slots):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        return opened(host.slots[slot])

    def utilisation(card: FakeCard, since_us: int) -> list[Any]:
        if not whole(card).busy:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return [
            types.SimpleNamespace(pid=p, smUtil=share, timeStamp=since_us + 1)
            for p, share in card.busy.items()
        ]

    def event_reasons(card: FakeCard) -> int:
        if host.driver < 535:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
        return int(whole(card).now("reasons"))

    def ecc_mode(card: FakeCard) -> list[int]:
        if whole(card).ecc is None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return [int(bool(card.ecc)), 0]

    def energy_mj(card: FakeCard) -> int:
        if whole(card).watts is None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        steps = int(host.device.clock.host_s / COUNTER_STEP_S + 1e-6)
        return round(1e3 * card.watts * steps * COUNTER_STEP_S)

    yield "nvmlInit", lambda: None
    yield "nvmlSystemGetDriverVersion", f"{host.driver}.1".encode
    yield "nvmlDeviceGetCount", lambda: len(host.slots)
    yield "nvmlDeviceGetHandleByIndex", by_slot
    yield "nvmlDeviceGetHandleByUUID", by_uuid
    yield "nvmlDeviceGetDeviceHandleFromMigDeviceHandle", boards.__getitem__
    yield "nvmlDeviceGetName", lambda card: card.name
    yield "nvmlDeviceGetUUID", lambda card: uuid(card).encode()
    yield "nvmlDeviceGetMemoryInfo", lambda card: types.SimpleNamespace(total=card.memory, used=GIB)
    yield "nvmlDeviceGetPowerManagementLimit", lambda card: 1000 * whole(card).most_watts
    yield "nvmlDeviceGetMaxClockInfo", lambda card, of: whole(card).max_clocks[of == pynvml.NVML_CLOCK_MEM]
    yield "nvmlDeviceGetEccMode", ecc_mode
    yield "nvmlDeviceGetPersistenceMode", lambda card: int(bool(whole(card)))
    yield "nvmlDeviceGetMigMode", lambda card: [int(bool(whole(card).slices)), 0]
    yield "nvmlDeviceGetClockInfo", lambda card, _: whole(card).now("clocks")
    yield "nvmlDeviceGetTemperature", lambda card, _: whole(card) and 40
    yield "nvmlDeviceGetPowerUsage", lambda card: 100 * whole(card).most_watts
    yield "nvmlDeviceGetCurrentClocksEventReasons", event_reasons
    yield "nvmlDeviceGetCurrentClocksThrottleReasons", lambda card: whole(card).now("reasons")
    yield (
        "nvmlDeviceGetComputeRunningProcesses",
        lambda card: [types.SimpleNamespace(pid=pid) for pid in card.now("pids")],
    )
    yield "nvmlDeviceGetProcessUtilization", utilisation
    yield "nvmlDeviceGetTotalEnergyConsumption", energy_mj


def both(*clocks: int) -> list[int]:
    """Return each clock twice, as each look reads that of the SMs and that of the memory."""
    return [clock for clock in clocks for _ in range(2)]


def mixed() -> tuple[FakeHost, FakeCard, FakeCard, FakeCard]:
    """Return a host with a slow card, one that may not be opened and a fast one, which CUDA counts first; and these."""
    slow = FakeCard(
        "NVIDIA T4", "aaaa", 16 * GIB, most_watts=70, max_clocks=(1590, 5001), clocks=both(1590), ecc=False
    )
    closed = FakeCard("NVIDIA A100", "bbbb", opens=False)
    fast = FakeCard("NVIDIA H100", "cccc")
    return FakeHost(slow, closed, fast, shown=[fast, slow]), slow, closed, fast
