"""One image goes through a network, and every operator that torch dispatches to is noted in the call it belongs to.

The calls make a tree: a module with its modules, and between them the functions that it calls itself. What a layer
of `torch.nn` does inside is its own affair: it is one call.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode

from bench.costs._calls import Call, Shape, Trace, Window
from bench.costs._fields import Fields
from bench.costs._operators import MATRIX, MOVING, OTHER, arguments, pointwise, second_count
from bench.costs._storage import all_meta, tensors_of


def trace(model: nn.Module, shape: Shape) -> Trace:
    """Send one black image through a network in evaluation mode and note what happens; no hook stays behind.

    Args:
        model: its parameters on the meta device, or all of it on the CPU.
        shape: of the image, [1, C, H, W].

    Returns:
        What was noted; where the network raised, up to there, with `failure`. On meta tensors it may raise where it
        would not on real ones.
    """
    device = "cpu" if any(not p.is_meta for p in model.parameters()) else "meta"
    images = torch.zeros(shape, device=device)
    names = {id(m): name for name, m in reversed(list(model.named_modules()))}
    recorder = _Recorder(model, images, names)
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # its kernels hide what they do
    try:
        with contextlib.ExitStack() as stack:
            stack.callback(register_module_forward_pre_hook(recorder.enter).remove)
            stack.callback(register_module_forward_hook(recorder.leave, always_call=True).remove)
            stack.enter_context(torch.no_grad())
            stack.enter_context(sdpa_kernel(SDPBackend.MATH))  # in products that both counters see
            stack.enter_context(recorder)
            recorder.trace.result = model(images)
    except (Exception, SystemExit) as error:  # the network's; what was counted until then is still of use
        recorder.trace.failure = error
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
    recorder.finish()
    return recorder.trace


@dataclass(slots=True)
class _Operator:
    """One operator that ran."""

    func: Any
    packet: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    out: Any


class _Recorder(TorchDispatchMode):
    """Notes operators in the innermost call."""

    def __init__(self, model: nn.Module, images: Tensor, names: Mapping[int, str]) -> None:
        super().__init__()
        self.model, self.names = model, names
        self.fields = Fields(images)
        self.parameters = {id(p): p for p in model.parameters()}
        self.waiting: dict[int, list[nn.Parameter]] = {}  # seen by a view, not yet by what computes
        self.trace = Trace(Call("", type(model).__name__, 0), images.device.type)
        self.stack: list[Call] = []
        self.seen: dict[Any, list[tuple[Shape, Shape, torch.dtype]]] = {}
        self.called: set[int] = set()

    # Modules

    def enter(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Begin the call of a module."""
        name = self.names.get(id(module))
        self.called.add(id(module))
        if self.stack:
            above = self.stack[-1]
            shown = name if name is not None else f"{above.name}.{type(module).__name__}".lstrip(".")
            call = Call(shown, type(module).__name__, above.depth + 1)
            above.parts.append(call)
        else:
            call = self.trace.root
        call.atomic = type(module).__module__.startswith("torch.nn.") and not any(module.children())
        call.input = _shape(inputs)
        self.stack.append(call)

    def leave(self, _module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        """End the call of a module, also where it raised; then there is no output."""
        call = self.stack.pop()
        call.output = _shape(output)
        first = _first(output)
        if first is not None:
            call.receptive_field = self.fields.of(first)
        if call.atomic:
            known = {_storage(t) for t in tensors_of(inputs)}
            for tensor in tensors_of(output):
                if _storage(tensor) not in known:
                    self._write(call, tensor)
        elif rest := self.waiting.pop(id(call), None):
            part = Call(f"{call.name}.parameters".lstrip("."), "parameters", call.depth + 1)
            call.parts.append(part)
            self._use(part, rest)

    # Operators

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        packet = func.overloadpacket
        if self.trace.device == "meta":
            args, kwargs = all_meta(func, args, kwargs)
        known = packet in MATRIX or packet in OTHER or packet in MOVING or pointwise(func)
        if not known and (out := self._parts_of(func, args, kwargs)) is not NotImplemented:
            return out
        out = self._run(func, packet, args, kwargs)
        self.fields.note(func, args, kwargs, out)
        self._note(_Operator(func, packet, args, kwargs, out))
        return out

    def _run(self, func: Any, packet: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run an operator; on meta tensors, one that was met with equal shapes gives equal shapes again.

        (Most of the time of a pass over meta tensors goes into torch's rules for shapes, which are in Python.)
        """
        if self.trace.device != "meta" or kwargs or (packet in MOVING) or func.is_view:
            return func(*args, **kwargs)
        key = _key(func, args)
        if key is None:
            return func(*args)
        made = self.seen.get(key)
        if made is None:
            out = func(*args)
            results = out if isinstance(out, tuple) else (out,)
            if all(type(r) is Tensor and r.is_meta for r in results) and (_fresh(func) or out is args[0]):
                self.seen[key] = [(tuple(r.shape), r.stride(), r.dtype) for r in results]
            return out
        if not _fresh(func):
            return args[0]
        new = [torch.empty_strided(size, step, dtype=dtype, device="meta") for size, step, dtype in made]
        return new[0] if len(new) == 1 else tuple(new)

    def _parts_of(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a composite operator as the operators that it is made of."""
        if func.namespace == "prim" or not func.has_kernel_for_dispatch_key(_COMPOSITE):
            return NotImplemented
        with self:
            return func.decompose(*args, **kwargs)

    def _note(self, op: _Operator) -> None:
        func, packet, args, out = op.func, op.packet, op.args, op.out
        used = [self.parameters[id(t)] for t in tensors_of(args) if id(t) in self.parameters]
        first = _first(out)
        if first is None:
            if packet in _LOOKS and self._tracked(args):
                self.trace.data_dependent.append(_plain(packet))
            return
        call = self.stack[-1] if self.stack else self.trace.root
        made = not func.is_view and packet not in _VIEWS
        if made and _fresh(func):
            self.trace.written += first.numel()
        tracked = self.fields.of(first) is not None
        if not call.atomic:
            if used:
                self.waiting.setdefault(id(call), []).extend(used)
                used = []
            if not made or packet in _MAKES or not (tracked or packet in MATRIX):
                return  # nothing to show of a view, or of what does not depend on the image
            call = self._function(call, op)
            used = self.waiting.pop(id(self.stack[-1]), []) if self.stack else []
            if tracked and _fresh(func):
                self._write(call, first)
        self._use(call, used)
        self._count(call, op)

    def _function(self, above: Call, op: _Operator) -> Call:
        """Return a new call for a function that a module calls between its parts."""
        name = _NAMES.get(_plain(op.packet), _plain(op.packet).strip("_"))
        call = Call(
            f"{above.name}.{name}".lstrip("."), name, above.depth + 1, self._reads(op), _shape(op.out)
        )
        first = _first(op.out)
        call.receptive_field = self.fields.of(first) if first is not None else None
        above.parts.append(call)
        return call

    def _reads(self, op: _Operator) -> Shape:
        """Return the shape of the first operand that depends on the image."""
        return next((tuple(t.shape) for t in tensors_of(op.args) if self._tracked(t)), _shape(op.args))

    def _count(self, call: Call, op: _Operator) -> None:
        """Add what an operator costs to its call and to the whole."""
        second = second_count(op.packet, op.args, op.kwargs, op.out)
        call.second_macs += second
        if op.packet in MATRIX:
            self._multiplies(call, op)
        elif op.packet in OTHER:
            kind, handle = OTHER[op.packet]
            self.trace.operations[kind] += int(handle(arguments(op.args), arguments([_first(op.out)])))
            if kind == "pooling" and call.window is None:
                call.window = _pooling_window(op.func, op.args)
        elif pointwise(op.func) and op.packet not in MOVING:
            self.trace.operations["elementwise"] += _elements(op.out)
        elif op.packet not in MOVING and not second:
            entry = self.trace.uncounted.setdefault(_plain(op.packet), [0, 0])
            entry[0] += 1
            entry[1] += _elements(op.out)

    def _multiplies(self, call: Call, op: _Operator) -> None:
        kind, handle = MATRIX[op.packet]
        if op.packet in _BATCHED and all(self._tracked(a) for a in op.args[-2:]):
            kind = "attention"  # a product of activations with activations
        macs = int(handle(arguments(op.args), arguments([_first(op.out)])))
        call.macs += macs
        call.matrix_activations += _elements(op.out)
        self.trace.macs[kind] += macs
        if kind == "convolution":
            call.window = _convolution_window(op.args)

    def _tracked(self, things: Any) -> bool:
        return any(self.fields.of(t) is not None for t in tensors_of(things))

    def _write(self, call: Call, tensor: Tensor) -> None:
        call.activations += tensor.numel()
        call.activation_bytes += tensor.numel() * tensor.element_size()

    def _use(self, call: Call, used: list[nn.Parameter]) -> None:
        """Count parameters that have not been used before."""
        for parameter in used:
            if self.parameters.pop(id(parameter), None) is not None:
                call.parameters += parameter.numel()
                call.parameter_bytes += parameter.numel() * parameter.element_size()

    def finish(self) -> None:
        """Put the parameters that nobody used under the outermost module that was not called."""
        trace = self.trace
        if trace.failure is None and _first(trace.result) is not None and not self._tracked(trace.result):
            trace.data_dependent.append("a result that cannot be followed back to the image")
        for name, parameter in self.model.named_parameters():
            if id(parameter) not in self.parameters:
                continue
            path, module = self._not_called(name)
            call = self.trace.unused.setdefault(path, Call(path, f"{type(module).__name__}, not used", 1))
            self._use(call, [parameter])
        self.trace.root.parts += self.trace.unused.values()

    def _not_called(self, name: str) -> tuple[str, nn.Module]:
        module, path = self.model, []
        for part in name.split(".")[:-1]:
            module = getattr(module, part)
            path.append(part)
            if id(module) not in self.called:
                break
        return ".".join(path) or name, module


_COMPOSITE = torch._C.DispatchKey.CompositeImplicitAutograd
_aten = torch.ops.aten
_VIEWS = {_aten._unsafe_view, _aten._reshape_alias, _aten.lift_fresh, _aten.alias, _aten.detach}
_MAKES = {_aten.clone, _aten._to_copy, _aten.empty, _aten.zeros, _aten.new_zeros, _aten.fill_, _aten.zero_}
_LOOKS = {_aten._local_scalar_dense, _aten.item, _aten.is_nonzero, _aten.equal}
_BATCHED = {_aten.bmm, _aten.baddbmm}
_NAMES = {
    "convolution": "conv", "addmm": "linear", "mm": "linear", "max_pool2d_with_indices": "max_pool2d",
    "native_batch_norm": "batch_norm", "native_layer_norm": "layer_norm", "native_group_norm": "group_norm",
    "_native_batch_norm_legit_no_training": "batch_norm", "constant_pad_nd": "pad", "bmm": "matmul",
    "baddbmm": "matmul",
}  # fmt: skip


def _plain(packet: Any) -> str:
    return str(packet.__name__)


def _fresh(func: Any) -> bool:
    """Return whether an operator writes new memory: neither in place nor a view."""
    return all(r.alias_info is None for r in func._schema.returns)


def _key(func: Any, args: tuple[Any, ...]) -> Any:
    """Return what the shapes of the results depend on, or None where that has no simple form."""
    parts: list[Any] = [func]
    for a in args:
        if isinstance(a, Tensor):
            parts.append((tuple(a.shape), a.stride(), a.dtype))
        elif isinstance(a, list):
            if any(isinstance(x, Tensor) for x in a):
                return None
            parts.append(tuple(a))
        else:
            parts.append((type(a), a))
    return tuple(parts)


def _first(thing: Any) -> Tensor | None:
    return thing if isinstance(thing, Tensor) else next(tensors_of(thing), None)


def _shape(thing: Any) -> Shape:
    first = _first(thing)
    return tuple(first.shape) if first is not None else ()


def _storage(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _elements(out: Any) -> int:
    first = _first(out)
    return first.numel() if first is not None else 0


def _convolution_window(args: tuple[Any, ...]) -> Window:
    weight, stride, padding, dilation, groups = args[1], args[3], args[4], args[5], args[8]
    return Window(tuple(weight.shape[2:]), tuple(stride), tuple(padding), tuple(dilation), groups)


def _pooling_window(func: Any, args: tuple[Any, ...]) -> Window | None:
    """Return the window of a pooling with a fixed one."""
    names = [a.name for a in func._schema.arguments]
    given = dict(zip(names, args, strict=False))
    if "kernel_size" not in given:
        return None
    kernel = _pair(given["kernel_size"])
    stride = _pair(given.get("stride") or kernel)
    return Window(kernel, stride, _pair(given.get("padding", 0)), _pair(given.get("dilation", 1)))


def _pair(value: Any) -> Shape:
    sides = tuple(value) if isinstance(value, list | tuple) else (value,)
    return sides if len(sides) > 1 else sides * 2
