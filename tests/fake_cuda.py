"""A CUDA device that is the CPU in truth: its work takes known times, and so does launching it.

What is asked for on ``cuda:0`` comes to be on the CPU, so that every result is real; each operation is a kernel that the
host launches in a known time and the device runs in another, on a clock of their own.
"""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode

from bench.timing import _watch as watch
from bench.timing import energy
from bench.timing.memory import LiveStorages

READING_S = 1e-9  # of the clock
CLOCK_KHZ = 1_980_000
LAUNCHES_NOTHING = ("aten::empty", "aten::detach", "aten::_local_scalar_dense")


class FakeClock:
    """The host's seconds, and until when the device has work; neither passes but by what is launched and waited for.

    What it has until `beside_s` is on other streams than torch's usual one.
    """

    def __init__(self) -> None:
        self.host_s = 1.0
        self.device_s = self.beside_s = 0.0

    def work(self, launch_s: float, seconds: float) -> None:
        """Launch work that begins when the device has done all before."""
        self.host_s += launch_s
        self.device_s = max(self.device_s, self.host_s) + seconds

    def wait(self, until_s: float | None = None) -> None:
        """Let the host stand still until the device has done all that was launched, or until a moment."""
        self.host_s = max(self.host_s, max(self.device_s, self.beside_s) if until_s is None else until_s)

    def read(self) -> float:
        """Return the host's seconds; reading takes a moment, as a clock that stood still would never end a loop."""
        self.host_s += READING_S
        return self.host_s

    def sleep(self, seconds: float) -> None:
        """Let the host do nothing."""
        self.host_s += seconds


class FakeEvent:
    """A mark on the stream."""

    def __init__(self, clock: FakeClock, *, enable_timing: bool = False) -> None:
        self.clock, self.enable_timing = clock, enable_timing
        self.at_s: float | None = None

    def record(self) -> None:
        """Stand behind all that was launched."""
        self.at_s = max(self.clock.host_s, self.clock.device_s)

    def synchronize(self) -> None:
        """Wait until the device has come so far."""
        self.clock.wait(self.at_s)

    def query(self) -> bool:
        """Return whether the device has come so far."""
        return self.at_s is not None and self.clock.host_s >= self.at_s

    def elapsed_time(self, end: FakeEvent) -> float:
        """Return the milliseconds until another event."""
        if not (self.enable_timing and end.enable_timing):
            raise ValueError("Both events must be created with argument 'enable_timing=True'.")
        assert self.at_s is not None
        assert end.at_s is not None
        return (end.at_s - self.at_s) * 1e3


@dataclass(eq=False)
class FakeStream:
    """The only stream, by whatever name; the default one has the handle 0."""

    cuda_stream: int = 0

    def wait_stream(self, stream: FakeStream) -> None:
        """Wait for nothing: what is on one stream comes one after the other."""


class FakeGraph:
    """The work that was launched while it was captured; its results stay where they are, as its images do."""

    def __init__(self, device: FakeDevice) -> None:
        self.device = device
        self.seconds: float | None = None

    def replay(self) -> None:
        """Launch all of it at once."""
        assert self.seconds is not None, "nothing is captured"
        self.device.clock.work(self.device.launch_s, self.seconds)


@dataclass(frozen=True)
class Failure:
    """What a convolution raises from so many images on."""

    images: int
    error: Exception


class FakeDevice(LiveStorages):
    """Counts the memory of what runs while it is entered, and lets it take its time.

    Attributes:
        clock: of host and device.
        launch_s: that the host takes to launch a kernel.
        kernel_s: that the device takes to run it.
        kernels: launched so far.
        failure: of large batches.
        room_B: bytes of tensors that fit at once; None for as many as there are.
        graph: that is being captured.
    """

    def __init__(self, launch_s: float = 1e-5, kernel_s: float = 1e-3) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.launch_s, self.kernel_s = launch_s, kernel_s
        self.kernels = 0
        self.failure: Failure | None = None
        self.room_B: int | None = None
        self.graph: FakeGraph | None = None

    def __torch_dispatch__(
        self,
        function: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        convolves = function.name() in {"aten::conv2d", "aten::convolution"}
        if self.failure and convolves and len(args[0]) >= self.failure.images:
            raise self.failure.error
        result = super().__torch_dispatch__(function, types, args, kwargs)
        if self.room_B is not None and self.live_B > self.room_B:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate more than there is")
        if not function.is_view and not function.name().startswith(LAUNCHES_NOTHING):
            self.kernels += 1
            if self.graph is None:
                self.clock.work(self.launch_s, self.kernel_s)
            else:
                assert self.graph.seconds is not None
                self.graph.seconds += self.kernel_s
        return result

    @contextlib.contextmanager
    def captured(self, graph: FakeGraph) -> Iterator[None]:
        """Keep what is launched in the block in a graph, and run none of it."""
        graph.seconds, self.graph = 0.0, graph
        try:
            yield
        finally:
            self.graph = None

    def functions(self, memory: Callable[[], int]) -> dict[str, Any]:
        """Return what torch.cuda offers of work, by name.

        Args:
            memory: of the current card, in B.
        """
        stream = FakeStream()

        def restart_peak(device: Any = None) -> None:
            self.peak_B = self.live_B

        return {
            "CUDAGraph": partial(FakeGraph, self),
            "Event": partial(FakeEvent, self.clock),
            "Stream": lambda: FakeStream(1),
            "_sleep": lambda cycles: self.clock.work(self.launch_s, cycles / (CLOCK_KHZ * 1e3)),
            "current_stream": lambda: stream,
            "empty_cache": lambda: None,
            "get_rng_state": lambda device=None: torch.get_rng_state(),
            "graph": self.captured,
            "is_bf16_supported": lambda: True,
            "is_current_stream_capturing": lambda: self.graph is not None,
            "max_memory_allocated": lambda device=None: self.peak_B,
            "max_memory_reserved": lambda device=None: self.peak_B,
            "mem_get_info": lambda device=None: (memory() - self.live_B, memory()),
            "memory_allocated": lambda device=None: self.live_B,
            "reset_peak_memory_stats": restart_peak,
            "set_rng_state": lambda state, device=None: torch.set_rng_state(state),
            "stream": lambda stream: contextlib.nullcontext(),
            "synchronize": lambda device=None: self.clock.wait(),
        }

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Be the device of the process, on a machine where nobody else is, until the end of the block."""
        quiet = {"wall_s": 0.0, "cpu_s": 0.0, "wait_s": 0.0}
        threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
        with pytest.MonkeyPatch.context() as patch, _Here(), self:
            patch.setattr(torch, "Generator", _Generator)
            patch.setattr(torch, "autocast", _Autocast)
            patch.setattr(torch, "compile", lambda model, **how: model)
            patch.setattr(torch.backends.cudnn, "benchmark", False)
            patch.setattr(torch.backends.cudnn, "allow_tf32", False)
            patch.setattr(time, "perf_counter", self.clock.read)
            patch.setattr(time, "perf_counter_ns", lambda: round(self.clock.read() * 1e9))
            patch.setattr(watch, "_counters", counters := lambda: quiet)
            patch.setattr(gc, "collect", lambda: 0)  # it takes longer than all else
            patch.setitem(energy.measure_energy.__kwdefaults__, "sleep", self.clock.sleep)
            try:
                yield
                # A test that replaces it for longer than this would put the quiet one back, for all tests after it.
                assert watch._counters is counters
            finally:
                torch.set_num_threads(threads)
                torch.set_float32_matmul_precision(precision)


def _here(value: Any) -> Any:
    kind = value.type if isinstance(value, torch.device) else value
    return "cpu" if isinstance(kind, str) and kind.startswith("cuda") else value


class _Here(TorchFunctionMode):
    """Puts on the CPU what is asked for on a CUDA device."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if function is not torch.device:  # the name of a device stays what it is
            args = tuple(map(_here, args))
            kwargs = {name: _here(value) for name, value in (kwargs or {}).items()}
        return function(*args, **(kwargs or {}))


class _Generator(torch.Generator):
    def __new__(cls, device: Any = "cpu") -> Any:
        return super().__new__(cls, "cpu")


class _Autocast(torch.autocast):
    def __init__(self, device_type: str, **how: Any) -> None:
        super().__init__("cpu", **how)
