"""A forecast of the memory of a training step, before anything of its size is there.

The step runs on tensors that have no storage and say that they lie on a CPU, so that torch takes the kernels that it
would take there: of attention and recurrent layers it has several, which save different things. Every storage is
counted from when it is made until it is let go: so the forecast knows what lives at once, not only what there is. What
is saved for the backward pass is seen by `torch.autograd.graph.saved_tensors_hooks`, each storage once.

What torch's rules of shapes leave open, the workspace of oneDNN's recurrent layers, is learnt from short calls;
operators of other libraries may hold what nobody sees, and are named.

Of a process on a CPU it is an estimate. What is larger than 32 MiB glibc maps and gives back; the rest comes from its
heap, which leaves holes between what lives, and never shrinks by much. With the holes taken away (a fixed threshold for
mapping) the process needs 34 to 46 MB beside its tensors, and what oneDNN's convolutions copy for as long as they run:
without these two networks of large maps were forecast at 0.72 and 0.82 of what they took, with them at 0.97 and 0.99.
With holes, 74 MB and a fifth of the heap more came within 10 % of the measured peak for 18 of 20 of torchvision's
networks at batch 8, by which they were set (glibc 2.36, torch 2.15), and for all 14 measured at batch 32. Processes
differ: of the same step 183 to 244 MB were measured, and another measurement of the 20 networks had 16 within 10 %, the
others from -11 to +24 %.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import HigherOrderOperator, OpOverload, OpOverloadPacket
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily

from bench.costs.work import run_higher_order
from bench.timing.memory import LiveStorages, bytes_of, held_tensors
from bench.training.config import with_threads


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
        workspaces: of oneDNN's recurrent layers, which do not write all of theirs: a process may hold less of it.
        unknown: operators of which it is open what they hold and save, those of other libraries than torch's and those
            with sparse results, whose size hangs on values: where there are any, all of this is the least it may be.
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
    workspaces: int = 0
    unknown: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Return plain values."""
        return asdict(self)


Loss = Callable[[object, Tensor], Tensor]
"""Makes the loss of what the network returns and the labels [B]."""


def forecasts(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    images: FakeTensor,
    batches: Iterable[int],
    loss_of: Loss,
) -> dict[int, Forecast]:
    """Return what a training step of a network in training mode holds, by batch size.

    Args:
        model: put on the device by `on_cpu_without_storage`.
        optimiser: of its parameters; one without state has a step first, from which it has some.
        images: [B, C, H, W], of any batch size, made in the mode that it returned.
        batches: to forecast; the first must run; others at which the network fails are left out, and all others where a
            step has very many operators.
        loss_of: makes the loss.
    """
    made: dict[int, Forecast] = {}
    operators = 0
    for batch in batches:
        with images.fake_mode:
            some: Any = torch.empty((batch, *images.shape[1:]), dtype=images.dtype)
            labels = torch.empty(batch, dtype=torch.long)
        try:
            if not optimiser.state:
                _step(model, some, labels, loss_of, optimiser)
            made[batch], operators = _step(model, some, labels, loss_of, optimiser)
        except Exception:
            optimiser.zero_grad(set_to_none=True)
            if not made:
                raise
        if operators > _MANY:
            break
    return made


_MANY = 10_000  # operators of a step, such as of a loop over time: a few seconds for each batch size


def on_cpu_without_storage(model: nn.Module) -> FakeTensorMode:
    """Let parameters and buffers of a network say that they lie on a CPU, and return the mode in which it runs so.

    Torch then takes the kernels that it would take there: an LSTM is one of them, and not a few hundred operators.
    """
    device = FakeTensorMode(allow_non_fake_inputs=True)
    put: dict[int, tuple[Tensor, Tensor]] = {}  # with what it stands for, so that no other takes its number

    def moved(tensor: Tensor) -> Any:
        if type(tensor) not in (Tensor, nn.Parameter):
            return tensor
        if id(tensor) not in put:
            there: Tensor = FakeTensor(device, tensor.detach().to("meta"), torch.device("cpu"))
            own = isinstance(tensor, nn.Parameter)
            put[id(tensor)] = (nn.Parameter(there, tensor.requires_grad) if own else there, tensor)
        return put[id(tensor)][0]

    for module in list(model.modules()):
        for held in (module._parameters, module._buffers):
            held.update({name: moved(tensor) for name, tensor in held.items() if tensor is not None})
        if isinstance(module, nn.RNNBase):  # which keeps them a second time
            module._flat_weights = [w if w is None else moved(w) for w in module._flat_weights]
    return device


def _step(
    model: nn.Module,
    images: FakeTensor,
    labels: Tensor,
    loss_of: Loss,
    optimiser: torch.optim.Optimizer,
) -> tuple[Forecast, int]:
    """Run a step; return what it holds, and how many operators it has."""
    peaks: dict[str, int] = {}
    saved = _Saved([*model.parameters(), images])
    with images.fake_mode, _Process([*held_tensors(model, optimiser), images, labels]) as storages:
        with _peak_of("forward", storages, peaks), saved.watching():
            loss = loss_of(model(images), labels)
        with _peak_of("backward", storages, peaks):
            loss.backward()
        with _peak_of("optimizer", storages, peaks):
            optimiser.step()
            gradients = bytes_of(p.grad for p in model.parameters() if p.grad is not None)
            optimiser.zero_grad(set_to_none=True)
            loss = loss.detach()
    fullest = max(peaks, key=peaks.__getitem__)
    parts = {
        "parameters": bytes_of((*model.parameters(), *model.buffers())),
        "gradients": gradients,
        "optimiser": bytes_of(held_tensors(nn.Module(), optimiser)),
        "images": bytes_of([images]),
        "saved": saved.bytes,
    }
    working = peaks[fullest] - sum(parts.values())
    made = Forecast(
        **parts,
        working=working,
        peak=peaks[fullest],
        fullest=fullest,
        process=_LIBRARIES_B + round(storages.process_B),
        workspaces=storages.workspaces_B,
        unknown=tuple(sorted(storages.unknown)),
    )
    return made, storages.operators


_LIBRARIES_B = 36_000_000
# glibc's highest threshold, which it reaches when the first tensor of that size is let go
_MAPPED_B = 32 << 20
_HOLES_B, _HOLES = 38_000_000, 0.2  # in a heap, and as a share of it; no more than lies in it
_TORCHS = ("aten", "prims", "profiler")


class _Process(LiveStorages):
    """Counts storages as they lie in a process: large ones mapped one by one, the others in a heap with holes."""

    supports_higher_order_operators = True

    def __init__(self, held: list[Tensor]) -> None:
        self.process_B = 0.0
        self._heap_B = 0  # the most that was in it
        self._small_B = 0
        self.operators = 0
        self.workspaces_B = 0
        self.unknown: set[str] = set()
        super().__init__(held)

    def __torch_dispatch__(
        self,
        function: OpOverload | HigherOrderOperator,
        types: object,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Run an operator and count what it returns, of a recurrent layer with the workspace that it will have."""
        if not isinstance(function, OpOverload):
            return run_higher_order(self, function, tuple(args), dict(kwargs or {}))
        if function.namespace == "prim":
            return function(*args, **(kwargs or {}))
        self.operators += 1
        result: Any = super().__torch_dispatch__(function, types, args, kwargs)
        if function.namespace not in _TORCHS or (isinstance(result, Tensor) and result.is_sparse):
            self.unknown.add(f"{function.namespace}.{function.overloadpacket.__name__}")
        if copied := _COPIED.get(function.overloadpacket):
            self._fill([tensor.nbytes for tensor in copied(args, result) if not _is_channels_last(tensor)])
        if function.overloadpacket is not torch.ops.aten.mkldnn_rnn_layer:
            return result
        workspace = torch.empty(_workspace(args), dtype=torch.uint8)
        self._count(workspace)
        self.workspaces_B += workspace.nbytes
        return (*result[:3], workspace)

    def _count_storage(self, storage: torch.UntypedStorage) -> None:
        before = self._sizes.get(storage._cdata)
        super()._count_storage(storage)
        if before != storage.nbytes():
            self._small_B += _in_heap(storage.nbytes()) - _in_heap(before or 0)
            self._fill()

    def _fill(self, copies: Sequence[int] = ()) -> None:
        """Note how full the process is, with what an operator has to itself meanwhile."""
        small = sum(map(_in_heap, copies))
        self._heap_B = max(self._heap_B, self._small_B + small)
        mapped = self.live_B - self._small_B + sum(copies) - small
        holes = min(_HOLES_B + _HOLES * self._heap_B, self._heap_B)
        self.process_B = max(self.process_B, mapped + self._heap_B + holes)

    def _free(self, key: int) -> None:
        self._small_B -= _in_heap(self._sizes.get(key, 0))
        super()._free(key)


# What oneDNN's convolutions copy into a layout of their own, for as long as they run: what they read, and what they
# write, whose gradients lie in the same.
_COPIED: dict[OpOverloadPacket, Callable[[Sequence[Any], Any], tuple[Tensor, Tensor]]] = {
    torch.ops.aten.convolution: lambda args, result: (args[0], result),
    torch.ops.aten.convolution_backward: lambda args, _: (args[0], args[1]),
}


def _is_channels_last(tensor: Tensor) -> bool:
    return tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last)


_STEPS, _IMAGES = 64, 8  # of the least call, where pages are few beside what is kept


def _workspace(args: Sequence[Any]) -> int:
    """Return the bytes that oneDNN's recurrent layer keeps for its backward pass, from short calls of it.

    They grow with steps, with images, and with both at once, but for the pages to which its parts are rounded.
    """
    images, *weights = args[:5]
    steps, batch, width = images.shape
    shapes, settings = tuple(tuple(w.shape) for w in weights), (args[7], *args[9:])
    least, few = min(steps, _STEPS), min(batch, _IMAGES)
    corner, tall, wide, both = (
        _kept((s, n, width), shapes, settings, images.dtype)
        for n in (few, 2 * few)
        for s in (least, 2 * least)
    )
    down, across = steps / least - 1, batch / few - 1
    size: float = corner + down * (tall - corner) + across * (wide - corner)
    size += down * across * (both - tall - wide + corner)
    return int(size)


@cache
def _kept(
    images: tuple[int, int, int],
    weights: tuple[tuple[int, ...], ...],
    settings: tuple[Any, ...],
    dtype: torch.dtype,
) -> int:
    """Return what a call on images [steps, B, width] keeps: a real one, of one thread."""
    reverse, *others = settings
    state = (images[1], weights[1][-1])
    with with_threads(1), unset_fake_temporarily():
        tensors = [torch.zeros(shape, dtype=dtype) for shape in (images, *weights, state, state)]
        out = torch.ops.aten.mkldnn_rnn_layer(*tensors, reverse, [], *others)
        return int(out[3].nbytes)


def _in_heap(size: int) -> int:
    return size if size < _MAPPED_B else 0


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
