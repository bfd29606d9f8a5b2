"""Meters of memory: the peak of the device or of the process, in passes of their own.

On a GPU, `peak_memory` is what torch allocated, weights and inputs included; the allocator's reserve and the CUDA
context are not in it. The reserve stands in the detail, and so does `device_B`, by how much the card's free memory
fell: what libraries and CUDA graphs hold outside the allocator is in it, and so is whatever other processes took
meanwhile. On the CPU, `peak_memory` is how far the process's resident memory rose above where it stood before the
network was built; libraries' one-time buffers are in it.
"""

from __future__ import annotations

from pathlib import Path

import torch

from bench.records.record import Measurement, measured
from bench.timing.clock import Workload

_PASSES = 2


class CudaMemory:
    """The CUDA allocator's own counters; like each meter, it is started before the network is built."""

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)
        torch.cuda.empty_cache()
        self.baseline = torch.cuda.memory_allocated(self.device)
        self.free = torch.cuda.mem_get_info(self.device)[0]

    def peak(self, call: Workload) -> Measurement:
        """Run `call` twice; the peak is of the second, of allocated bytes above what was there at the start.

        In the first, cuDNN takes workspaces for each algorithm that it tries, and lets go of all but one.
        """
        torch.cuda.synchronize(self.device)
        held = torch.cuda.memory_allocated(self.device)
        call()
        peak = self.high_water(call)
        detail = {
            "meter": "cuda allocator",
            "reserved_B": torch.cuda.max_memory_reserved(self.device),
            "held_before_B": held - self.baseline,
            "device_B": self.free - torch.cuda.mem_get_info(self.device)[0],
            "device_of": "the whole card, other processes included: its free memory before, less that after",
        }
        return measured("peak_memory", (peak,), detail)

    def high_water(self, call: Workload) -> int:
        """Run `call` once; return the most that was allocated meanwhile, in bytes."""
        torch.cuda.synchronize(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        call()
        torch.cuda.synchronize(self.device)
        return torch.cuda.max_memory_allocated(self.device) - self.baseline


class HostMemory:
    """The kernel's high-water mark of this process's resident memory."""

    def __init__(self) -> None:
        self.baseline = _status_bytes("VmRSS")

    def peak(self, call: Workload) -> Measurement:
        """Run `call` twice; the peak is the high-water mark above where the process stood at the start."""
        held = _status_bytes("VmRSS")
        fresh = _reset_high_water()
        for _ in range(_PASSES):
            call()
        mark = _status_bytes("VmHWM")
        detail = {
            "meter": "process high-water mark",
            "baseline_B": self.baseline,
            "held_before_B": held - self.baseline,
        }
        return measured("peak_memory", (mark - self.baseline,), detail, () if fresh else ("shared_process",))

    def high_water(self, call: Workload) -> int | None:
        """Run `call` once; return the high-water mark meanwhile, in bytes, or None if it cannot be reset."""
        fresh = _reset_high_water()
        call()
        return _status_bytes("VmHWM") - self.baseline if fresh else None


Memory = CudaMemory | HostMemory


def _status_bytes(field: str) -> int:
    """Return a field of this process's memory, in bytes; Linux writes it in kB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}")


def _reset_high_water() -> bool:
    """Lower the high-water mark to what is resident now; return whether the kernel did so."""
    try:
        Path("/proc/self/clear_refs").write_bytes(b"5")
    except OSError:
        return False
    return True
