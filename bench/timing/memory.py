"""Peak memory, in a pass of its own: the CUDA allocator's peak, or the process's high-water mark on the CPU.

On a GPU it is what torch allocated, weights and inputs included; the allocator's reserve and the CUDA context are
not in it. The reserve stands in the detail, and so does `device_B`, by how much the card's free memory fell: what
libraries and CUDA graphs hold outside the allocator is in it, and so is whatever other processes took meanwhile.
On the CPU it is how far the process's resident memory rose above where it stood before the network was built;
libraries' one-time buffers are in it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from bench.records.record import Measurement
from bench.timing.clock import Call

PASSES = 2


class Memory(Protocol):
    """A meter that is started before the network is built."""

    def peak(self, call: Call) -> Measurement:
        """Run `call` twice and return the peak since the meter was started."""

    def high_water(self, call: Call) -> int | None:
        """Run `call` once; return the most bytes held meanwhile, above the start; None where it cannot be told."""


class CudaMemory:
    """The CUDA allocator's own counters."""

    def __init__(self, device: str) -> None:
        import torch

        self.device = torch.device(device)
        torch.cuda.empty_cache()
        self.baseline = torch.cuda.memory_allocated(self.device)
        self.free = torch.cuda.mem_get_info(self.device)[0]

    def peak(self, call: Call) -> Measurement:
        """Run `call` twice; the peak is of allocated bytes above what was there at the start."""
        import torch

        torch.cuda.synchronize(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        held = torch.cuda.memory_allocated(self.device)
        for _ in range(PASSES):
            call()
        torch.cuda.synchronize(self.device)
        peak = torch.cuda.max_memory_allocated(self.device) - self.baseline
        detail = {
            "meter": "cuda allocator",
            "reserved_B": torch.cuda.max_memory_reserved(self.device),
            "held_before_B": held - self.baseline,
            "device_B": self.free - torch.cuda.mem_get_info(self.device)[0],
            "device_of": "the whole card, other processes included: its free memory before, less that after",
        }
        return Measurement(name="peak_memory", unit="B", better="lower", samples=(peak,), detail=detail)

    def high_water(self, call: Call) -> int | None:
        """Run `call` once; return the most that was allocated meanwhile, in bytes."""
        import torch

        torch.cuda.synchronize(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        call()
        torch.cuda.synchronize(self.device)
        return torch.cuda.max_memory_allocated(self.device) - self.baseline


class HostMemory:
    """The kernel's high-water mark of this process's resident memory."""

    def __init__(self) -> None:
        self.baseline = _status_bytes("VmRSS")

    def peak(self, call: Call) -> Measurement:
        """Run `call` twice; the peak is the high-water mark above where the process stood at the start."""
        held = _status_bytes("VmRSS")
        fresh = _reset_high_water()
        for _ in range(PASSES):
            call()
        mark = _status_bytes("VmHWM")
        return Measurement(
            name="peak_memory",
            unit="B",
            better="lower",
            samples=(mark - self.baseline,),
            detail={
                "meter": "process high-water mark",
                "baseline_B": self.baseline,
                "held_before_B": held - self.baseline,
            },
            flags=() if fresh else ("shared_process",),
        )

    def high_water(self, call: Call) -> int | None:
        """Run `call` once; return the high-water mark meanwhile, in bytes, or None if it cannot be reset."""
        fresh = _reset_high_water()
        call()
        return _status_bytes("VmHWM") - self.baseline if fresh else None


def _status_bytes(field: str) -> int:
    """Return a field of this process's memory, in bytes; Linux writes it in kB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}")


def _reset_high_water() -> bool:
    """Bring the high-water mark down to what is resident now; return whether the kernel did so."""
    try:
        fd = os.open("/proc/self/clear_refs", os.O_WRONLY)
    except OSError:
        return False
    try:
        os.write(fd, b"5")
    except OSError:
        return False
    finally:
        os.close(fd)
    return True
