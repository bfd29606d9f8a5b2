"""Memory of a call, in passes of its own: the peak of the device or the process, and a count of the tensors' bytes.

On a GPU, `peak_memory` is what torch allocated, weights and inputs included; the allocator's reserve and the CUDA
context are not in it. The reserve stands in the detail, and so does `device_B`, by how much the card's free memory
fell: what libraries and CUDA graphs hold outside the allocator is in it, and so is whatever other processes took
meanwhile. On the CPU, `peak_memory` is how far the process's resident memory rose above where it stood before the
network was built; libraries' one-time buffers are in it.

`tensor_memory` is the network's own, the same on every device and in every process, where a process's high-water mark
with a small network is the libraries'.
"""

from __future__ import annotations

import math
import os
import weakref
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.errors import typed_text
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
        """Run `call` twice; the peak is of allocated bytes above what was there at the start."""
        torch.cuda.synchronize(self.device)
        held = torch.cuda.memory_allocated(self.device)
        peak = self._most(call, _PASSES)
        detail = {
            "meter": "cuda allocator",
            "reserved_B": torch.cuda.max_memory_reserved(self.device),
            "held_before_B": held - self.baseline,
            "device_B": self.free - torch.cuda.mem_get_info(self.device)[0],
            "device_of": "the whole card, other processes included: its free memory before, less that after",
        }
        return measured("peak_memory", (peak,), detail)

    def high_water(self, call: Workload) -> int | None:
        """Run `call` once; return the most that was allocated meanwhile, in bytes."""
        return self._most(call, 1)

    def _most(self, call: Workload, passes: int) -> int:
        torch.cuda.synchronize(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        for _ in range(passes):
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


class LiveStorages(TorchDispatchMode):
    """Counts the bytes of the storages that are alive, while it is entered; those that are `held` from the start on.

    It sees every operator through torch's dispatcher; each storage that one returns counts from then until it is freed.
    Weights, inputs, activations, gradients and the state of an optimiser are in it, each once. What libraries keep to
    themselves (the CUDA context, workspaces of convolutions, buffers of thread pools) is not.

    Attributes:
        live_B: bytes alive now.
        peak_B: the most that were alive at once.
    """

    def __init__(self, held: Iterable[Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live_B = 0
        self.peak_B = 0
        self._sizes: dict[int, int] = {}
        for tensor in held:
            self._count(tensor)

    def __torch_dispatch__(
        self,
        function: OpOverload,
        types: object,
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Run the operator and count what it returns."""
        result = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._count(leaf)
        return result

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        old_size = self._sizes.get(key)
        if old_size is None:
            weakref.finalize(storage, self._free, key)
        if old_size != size:  # new, or grown in place
            self._sizes[key] = size
            self.live_B += size - (old_size or 0)
            self.peak_B = max(self.peak_B, self.live_B)

    def _free(self, key: int) -> None:
        self.live_B -= self._sizes.pop(key, 0)


def tensor_memory(call: Workload, held: Iterable[Tensor]) -> Measurement:
    """Return `tensor_memory`, the most bytes of tensors alive at once during a call, those of `held` included.

    It is NaN, with the reason, where the network does not run under a dispatch mode; no failure of the network, which
    has run without one.
    """
    detail: dict[str, object] = {"of": "storages alive at once, counted; no library's own memory"}
    flags: tuple[str, ...] = ()
    try:
        with LiveStorages(held) as storages:
            detail["held_before_B"] = storages.live_B
            call()
        peak = float(storages.peak_B)
    except Exception as error:
        peak, flags = math.nan, ("uncounted",)
        detail["error"] = typed_text(error)[:300]
    return measured("tensor_memory", (peak,), detail, flags)


def held_tensors(module: nn.Module, optimiser: torch.optim.Optimizer | None = None) -> list[Tensor]:
    """Return parameters, their gradients and buffers of a network, and the state of its optimiser."""
    parameters = list(module.parameters())
    gradients = [p.grad for p in parameters if p.grad is not None]
    state = tree_leaves(dict(optimiser.state)) if optimiser is not None else []
    return [*parameters, *gradients, *module.buffers(), *(s for s in state if isinstance(s, Tensor))]
