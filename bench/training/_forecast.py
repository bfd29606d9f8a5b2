"""A forecast of the memory of a training step, before anything of its size is there.

The step runs twice on tensors without storage, and every storage is counted from when it is made until it is let go:
so the forecast knows what lives at once, not only what there is. What is saved for the backward pass is seen by
`torch.autograd.graph.saved_tensors_hooks`, each storage once.

Of a process on a CPU it is an estimate. What is larger than 32 MiB glibc maps and gives back; the rest comes from its
heap, which leaves holes between what lives, and never shrinks by much. With the holes taken away (a fixed threshold for
mapping) the process needs 34 to 46 MB beside its tensors. With them 74 MB and a fifth of the heap more came within 10 %
of the measured peak for 18 of 20 of torchvision's networks at batch 8, by which they were set (glibc 2.36, torch 2.15;
not squeezenet1_0, +37 %, nor swin_t, -10.4 %), and for all 14 measured at batch 32.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from bench.costs.work import OnMeta
from bench.timing.memory import LiveStorages, held_tensors


@dataclass(frozen=True, slots=True)
class Forecast:
    """Bytes of the tensors of a training step.

    Attributes:
        parameters: of the network, its buffers included.
        gradients: of those parameters that are not frozen.
        optimiser: its state.
        images: of a batch.
        saved: activations that are kept for the backward pass, each memory once; without parameters and images.
        working: what else is alive at the fullest moment; less than nothing where not all of the above is.
        peak: the most that is alive at once.
        fullest: in which part of the step that is.
        process: about what a process on a CPU needs, with the libraries' memory and the holes of its heap.
    """

    parameters: int
    gradients: int
    optimiser: int
    images: int
    saved: int
    working: int
    peak: int
    fullest: str
    process: int

    def to_json(self) -> dict[str, object]:
        """Return plain values."""
        return asdict(self)


def forecast(
    model: nn.Module,
    images: Tensor,
    loss_of: Callable[[object], Tensor],
    optimiser: torch.optim.Optimizer,
) -> Forecast:
    """Return what a training step of a network in training mode holds.

    Args:
        model: its parameters on the meta device.
        images: [B, C, H, W], likewise.
        loss_of: makes of what the network returns the loss.
        optimiser: of its parameters, without state so far.
    """
    peaks: dict[str, int] = {}
    saved = _Saved([*model.parameters(), images])
    on_meta = OnMeta()  # type: ignore[no-untyped-call]  # torch's own has no types
    with _FusedAttention(), on_meta, _Process([*held_tensors(model), images]) as storages:
        for _ in range(2):  # the second has the state of the optimiser beside it
            peaks.clear()
            with _peak_of("forward", storages, peaks), saved.watching():
                loss = loss_of(model(images))
            with _peak_of("backward", storages, peaks):
                loss.backward()
            with _peak_of("optimizer", storages, peaks):
                optimiser.step()
                gradients = _bytes(p.grad for p in model.parameters() if p.grad is not None)
                optimiser.zero_grad(set_to_none=True)
                loss = loss.detach()
    fullest = max(peaks, key=peaks.__getitem__)
    parts = {
        "parameters": _bytes((*model.parameters(), *model.buffers())),
        "gradients": gradients,
        "optimiser": _bytes(held_tensors(nn.Module(), optimiser)),
        "images": _bytes([images]),
        "saved": saved.bytes,
    }
    working = peaks[fullest] - sum(parts.values())
    process = _LIBRARIES_B + round(storages.process_B)
    return Forecast(**parts, working=working, peak=peaks[fullest], fullest=fullest, process=process)


_LIBRARIES_B = 74_000_000
# glibc's highest threshold, which it reaches when the first tensor of that size is let go
_MAPPED_B = 32 << 20
_HOLES = 0.2  # of the heap


class _Process(LiveStorages):
    """Counts storages as they lie in a process: large ones mapped one by one, the others in a heap with holes."""

    def __init__(self, held: list[Tensor]) -> None:
        self.process_B = 0.0
        self._heap_B = 0  # the most that was in it
        self._small_B = 0
        super().__init__(held)

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        before = self._sizes.get(storage._cdata)
        super()._count(tensor)
        if before != storage.nbytes():
            self._small_B += _in_heap(storage.nbytes()) - _in_heap(before or 0)
            self._heap_B = max(self._heap_B, self._small_B)
            mapped = self.live_B - self._small_B
            self.process_B = max(self.process_B, mapped + (1 + _HOLES) * self._heap_B)

    def _free(self, key: int) -> None:
        self._small_B -= _in_heap(self._sizes.get(key, 0))
        super()._free(key)


def _in_heap(size: int) -> int:
    return size if size < _MAPPED_B else 0


def _bytes(tensors: Iterable[Tensor]) -> int:
    """Return the bytes of the storages of tensors, each once."""
    return sum({id(t.untyped_storage()): t.untyped_storage().nbytes() for t in tensors}.values())


@contextlib.contextmanager
def _peak_of(part: str, storages: LiveStorages, peaks: dict[str, int]) -> Iterator[None]:
    storages.peak_B = storages.live_B
    yield
    peaks[part] = storages.peak_B


class _Saved:
    """Counts the bytes that autograd keeps of a forward pass, but for tensors that are there anyway."""

    def __init__(self, apart: list[Tensor]) -> None:
        self._apart = {t.untyped_storage()._cdata for t in apart}
        self._sizes: dict[int, int] = {}

    @property
    def bytes(self) -> int:
        """Bytes of the storages that were kept of the last pass."""
        return sum(size for key, size in self._sizes.items() if key not in self._apart)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Note what is kept inside the block."""
        self._sizes.clear()

        def note(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            self._sizes[storage._cdata] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            yield


class _FusedAttention(TorchFunctionMode):
    """Lets attention keep what its fused kernels do: on tensors without storage torch takes it apart.

    Every fused kernel saves queries, keys, values, the result and one number a row; the CPU's stands for all.
    """

    def __torch_function__(
        self, func: Any, types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> object:
        """Carry out a function of torch's."""
        kwargs = kwargs or {}
        if func is not torch.nn.functional.scaled_dot_product_attention:
            return func(*args, **kwargs)
        given = dict(zip(_ARGUMENTS, args, strict=False)) | kwargs
        return _fused(given) if _fuses(given) else func(*args, **kwargs)


_ARGUMENTS = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal")  # that may be given by place


def _fuses(given: Mapping[str, Any]) -> bool:
    """Return whether the CPU has a fused kernel for such attention."""
    query, key, value = (given[name] for name in _ARGUMENTS[:3])
    alike = query.dim() == key.dim() == value.dim() == 4 and query.shape[-1] == value.shape[-1]
    mask = given.get("attn_mask")
    learnt = isinstance(mask, Tensor) and mask.requires_grad  # of which no fused kernel has a gradient
    return query.is_meta and alike and not (learnt or given.get("dropout_p") or given.get("enable_gqa"))


def _fused(given: Mapping[str, Any]) -> Tensor:
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    query, key, value = (given[name] for name in _ARGUMENTS[:3])
    more = {name: given.get(name) for name in ("attn_mask", "scale")}
    out: Tensor = kernel(query, key, value, 0.0, given.get("is_causal", False), **more)[0]
    return out
