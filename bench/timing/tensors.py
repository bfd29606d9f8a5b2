"""The memory of a call's tensors, counted: the most bytes of storage that were alive at once.

Every operator that runs is looked at through torch's dispatcher, and each storage that it returns counts from then
until it is freed. Weights, inputs, activations, gradients and the state of an optimiser are all in it, each once; what
libraries keep to themselves (the CUDA context, workspaces of convolutions, buffers of thread pools) is not. So the
count is the network's own, the same on every device and in every process, where a process's high-water mark
of a small network is the library's.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.records.record import Measurement


class LiveStorages(TorchDispatchMode):
    """Counts the bytes of the storages that are alive, while it is entered.

    Args:
        held: tensors that are there from the start, such as weights and images.

    Attributes:
        live_B: bytes alive now.
        peak_B: the most that were alive at once.
    """

    def __init__(self, held: Iterable[Tensor] = ()) -> None:
        super().__init__()
        self.live_B = 0
        self.peak_B = 0
        self._sizes: dict[int, int] = {}
        for tensor in held:
            self._take(tensor)

    def __torch_dispatch__(
        self,
        function: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the operator and count what it returns."""
        result = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._take(leaf)
        return result

    def _take(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        known = self._sizes.get(key)
        if known is None:
            weakref.finalize(storage, self._free, key)
        if known != size:  # new, or grown in place
            self._sizes[key] = size
            self.live_B += size - (known or 0)
            self.peak_B = max(self.peak_B, self.live_B)

    def _free(self, key: int) -> None:
        self.live_B -= self._sizes.pop(key, 0)


def tensor_memory(call: Callable[[], object], held: Iterable[Tensor]) -> Measurement:
    """Return `tensor_memory`, the most bytes of tensors alive at once during a call, those of `held` included.

    Where the network does not run under a dispatch mode, it is NaN with the reason; whatever it raises is no failure
    of the network's, which has run without.
    """
    detail: dict[str, Any] = {"of": "storages alive at once, counted; no library's own memory"}
    flags: tuple[str, ...] = ()
    try:
        with LiveStorages(held) as storages:
            detail["held_before_B"] = storages.live_B
            call()
        peak = float(storages.peak_B)
    except Exception as error:
        peak, flags = math.nan, ("uncounted",)
        detail["error"] = f"{type(error).__name__}: {error}"[:300]
    return Measurement(
        name="tensor_memory", unit="B", better="lower", samples=(peak,), detail=detail, flags=flags
    )


def tensors_of(module: nn.Module, optimiser: torch.optim.Optimizer | None = None) -> list[Tensor]:
    """Return parameters, their gradients and buffers of a network, and the state of its optimiser."""
    parameters = list(module.parameters())
    gradients = [p.grad for p in parameters if p.grad is not None]
    state = tree_leaves(dict(optimiser.state)) if optimiser is not None else []
    return [*parameters, *gradients, *module.buffers(), *(s for s in state if isinstance(s, Tensor))]
