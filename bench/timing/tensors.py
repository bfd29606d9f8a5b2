"""The memory of a call's tensors, counted: the most bytes of storage that were alive at once.

Every operator that runs is looked at through torch's dispatcher, and each storage that it returns counts from then until
it is freed. Weights, inputs, activations, gradients and the state of an optimiser are all in it, each once; what
libraries keep to themselves (the CUDA context, workspaces of convolutions, buffers of thread pools) is not. So the
count is the network's own, the same on every device and in every process, where a process's high-water mark
of a small network is the library's.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


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
        types: Sequence[type],  # noqa: ARG002 (the protocol's)
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


def tensor_peak(call: Callable[[], object], held: Iterable[Tensor] = ()) -> int:
    """Return the most bytes of tensors that were alive at once during a call, those of `held` included."""
    with LiveStorages(held) as storages:
        call()
    return storages.peak_B


def tensors_of(module: torch.nn.Module) -> list[Tensor]:
    """Return parameters, their gradients, and buffers of a network."""
    parameters = list(module.parameters())
    return [*parameters, *(p.grad for p in parameters if p.grad is not None), *module.buffers()]
