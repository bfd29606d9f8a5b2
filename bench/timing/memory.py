"""Memory of tensors, counted: the network's own, the same on every device and in every process.

A process's high-water mark with a small network is the libraries'; see `bench.timing._memory` for that.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.errors import typed_text
from bench.records.record import Measurement, measured
from bench.timing.clock import Workload


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
        for leaf in (result,) if isinstance(result, Tensor) else tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._count(leaf)
        return result

    def _count(self, tensor: Tensor) -> None:
        for storage in _storages(tensor):
            self._count_storage(storage)

    def _count_storage(self, storage: torch.UntypedStorage) -> None:
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


def bytes_of(tensors: Iterable[Tensor]) -> int:
    """Return the bytes of the storages of tensors, each once."""
    return sum({s._cdata: s.nbytes() for tensor in tensors for s in _storages(tensor)}.values())


def _storages(tensor: Tensor) -> list[torch.UntypedStorage]:
    """Return where the numbers of a tensor lie: of a sparse one in several places."""
    if tensor.layout is torch.sparse_coo:
        return [tensor._indices().untyped_storage(), tensor._values().untyped_storage()]
    return [tensor.untyped_storage()]


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
