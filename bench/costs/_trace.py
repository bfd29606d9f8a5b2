"""One image goes through a network, and every operator that torch dispatches to is noted in the call it belongs to.

The calls make a tree: a module with its modules, and between them the functions that it calls itself. What a layer
of `torch.nn` does inside is not shown: it is one call.
"""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch._ops import HigherOrderOperator, OpOverload, OpOverloadPacket
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from bench.archs.returned import tensors_of
from bench.costs._arguments import (
    Args,
    Kwargs,
    dtypes_of,
    first_of,
    memory_of,
    numbers,
    packed_of,
    shape_of,
    signature,
)
from bench.costs._operators import (
    MATRIX,
    MOVING,
    OTHER,
    Handle,
    arguments,
    complex_factor,
    estimated_work,
    pointwise,
    reads_values,
    second_count,
    watched_kernel,
)
from bench.costs._storage import all_meta
from bench.costs.calls import OnEachThread
from bench.costs.receptive_field._tracker import FieldTracker, ReceptiveField
from bench.errors import typed_text

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Window:
    """What a convolution or pooling looks through: rows and columns, px of its input."""

    kernel: Shape
    stride: Shape
    padding: Shape
    dilation: Shape
    groups: int | None = None


@dataclass(slots=True)
class Call:
    """One call of a module, or of a function between modules; all counts are of the call itself, without its parts.

    Attributes:
        name: of the module in the network, or of the caller with the function's name behind it.
        type: the class, or the function.
        depth: 0 for the network.
        input: shape of the first tensor that goes in.
        output: shape of the first tensor that comes out.
        window: of a convolution or pooling.
        parameters: elements of those that are used here first; each is counted in one call alone.
        parameter_bytes: of those.
        macs: multiply-accumulates, by fvcore's handles.
        second_macs: multiply-accumulates, by torch's formulas.
        activations: elements that it writes and hands on.
        activation_bytes: of those.
        matrix_activations: elements that convolutions and linear layers write.
        receptive_field: what an element of the output sees of the image.
        atomic: whether it is a layer of torch.nn, whose inside is not shown.
        parts: the calls inside.
    """

    name: str
    type: str
    depth: int
    input: Shape = ()
    output: Shape = ()
    window: _Window | None = None
    parameters: int = 0
    parameter_bytes: int = 0
    macs: int = 0
    second_macs: int = 0
    activations: int = 0
    activation_bytes: int = 0
    matrix_activations: int = 0
    receptive_field: ReceptiveField | None = None
    atomic: bool = False
    parts: list[Call] = field(default_factory=list)

    def walk(self) -> Iterator[Call]:
        """Yield the call and all inside it, in the order of the calls."""
        yield self
        for part in self.parts:
            yield from part.walk()

    def add_parameter(self, parameter: Tensor) -> None:
        """Count a parameter."""
        self.parameters += parameter.numel()
        self.parameter_bytes += parameter.numel() * parameter.element_size()

    def add_activation(self, tensor: Tensor) -> None:
        """Count a tensor that is handed on."""
        self.activations += tensor.numel()
        self.activation_bytes += tensor.numel() * tensor.element_size()


@dataclass(slots=True)
class Trace:
    """What the pass of one image through a network leaves.

    Attributes:
        root: the call of the network.
        device: where the image was: "meta" or "cpu".
        dtype: of the image.
        macs: by kind: convolution, linear, attention.
        operations: of the other work, by kind.
        counted_once: multiply-accumulates of operators that torch has no formula for; both counters have ours.
        uncounted: operators that neither counter has a rule for: calls, and the work that they are estimated at.
        complex: whether numbers were complex; a multiply-accumulate of such is four.
        unused: parameters that no operator used, by the outermost module that was not called.
        data_dependent: operators that looked at values which depend on the image.
        failure: what the network raised before it came to its end, if it did.
        result: what came out.
    """

    root: Call
    device: str
    dtype: torch.dtype
    macs: Counter[str] = field(default_factory=Counter)
    operations: Counter[str] = field(default_factory=Counter)
    counted_once: Counter[str] = field(default_factory=Counter)
    uncounted: dict[str, list[int]] = field(default_factory=dict)
    complex: bool = False
    unused: dict[str, Call] = field(default_factory=dict)
    data_dependent: list[str] = field(default_factory=list)
    failure: BaseException | None = None
    result: object = None

    @property
    def taken(self) -> list[str]:
        """By what Python took values that depend on the image, so that a branch or a number may hang on them."""
        return [name for name in dict.fromkeys(self.data_dependent) if name in _TAKEN | _TAKING]

    @property
    def first(self) -> int:
        """Multiply-accumulates by fvcore's handles and ours."""
        return sum(self.macs.values())

    @property
    def second(self) -> int:
        """Multiply-accumulates by torch's formulas."""
        return sum(call.second_macs for call in self.root.walk())

    @property
    def gap(self) -> float:
        """Difference of the two, as a fraction of the larger."""
        return abs(self.first - self.second) / max(self.first, self.second, 1)

    @property
    def counters_disagree(self) -> bool:
        """Whether they differ by more than a hundredth."""
        return self.gap > 0.01

    @property
    def uncounted_share(self) -> float:
        """Share of the work that is estimated for operators which neither counter has a rule for, of all work."""
        uncounted = sum(work for _, work in self.uncounted.values())
        return uncounted / max(uncounted + self.first + self.operations.total(), 1)

    @property
    def failure_text(self) -> str | None:
        """What the network raised, with its type, at most 500 characters."""
        return None if self.failure is None else typed_text(self.failure)[:500]


def trace(model: nn.Module, shape: Shape, *, stored: bool = False) -> Trace:
    """Send one black image through a network in evaluation mode and note what happens; no hook stays behind.

    Args:
        model: its parameters on the meta device, or all of it on the CPU.
        shape: of the image, [1, C, H, W].
        stored: whether the image has storage, also where no parameter says so.

    Returns:
        What was noted; where the network raised, up to there, with `failure`. On meta tensors it may raise where it
        would not on real ones. The image has the first type of the network's own numbers, or another one where it
        takes only that.
    """
    stored = stored or any(not p.is_meta for p in model.parameters()) or bool(packed_of(model))
    device = "cpu" if stored else "meta"
    types = dict.fromkeys((*dtypes_of(model), torch.float32))
    first, *others = (torch.zeros(shape, device=device, dtype=dtype) for dtype in types)
    made = _traced(model, first)
    for images in others if made.failure is not None else ():
        other = _traced(model, images)
        if other.failure is None:
            return other
    return made


def _traced(model: nn.Module, images: Tensor) -> Trace:
    """Send an image through a network and note what happens."""
    recorder = _Recorder(model, images)
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # its kernels hide what they do
    try:
        with contextlib.ExitStack() as stack:
            stack.callback(register_module_forward_pre_hook(recorder.enter).remove)
            stack.callback(register_module_forward_hook(recorder.leave, always_call=True).remove)
            stack.enter_context(torch.no_grad())
            if {"torch._dynamo", "torch.nn.attention.flex_attention"} & sys.modules.keys():
                # A function that must be compiled as a whole refuses to be watched; to import dynamo takes a second.
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            stack.enter_context(sdpa_kernel(SDPBackend.MATH))  # in products that both counters see
            stack.enter_context(_Values(recorder))
            stack.enter_context(recorder)
            recorder.trace.result = model(images)
    except (Exception, SystemExit) as error:  # the network's; what was counted until then is still of use
        recorder.trace.failure = error
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
    recorder.finish()
    return recorder.trace


@dataclass(slots=True)
class _Operation:
    """One operator that ran, with what it returned."""

    func: OpOverload
    args: Args
    kwargs: Kwargs
    out: object

    @property
    def packet(self) -> OpOverloadPacket:
        packet: OpOverloadPacket = self.func.overloadpacket
        return packet

    @property
    def name(self) -> str:
        return str(self.packet.__name__)

    @property
    def elements(self) -> int:
        first = first_of(self.out)
        return first.numel() if first is not None else 0

    def count_by(self, handle: Handle) -> int:
        """Return what a handle in fvcore's form counts."""
        return int(handle(arguments(self.args), arguments([first_of(self.out)])))


class _Recorder(TorchDispatchMode):
    """Notes operators in the innermost call."""

    supports_higher_order_operators = True

    def __init__(self, model: nn.Module, images: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # torch's
        self.model = model
        self.here = OnEachThread(self)
        self.names = {id(m): name for name, m in reversed(list(model.named_modules()))}
        self.fields = FieldTracker(images)
        self.parameters = {id(p): p for p in model.parameters()}  # that nothing has used so far
        self.known = dict(self.parameters)
        self.strangers: set[int] = set()  # modules that are called and not the network's
        self.pending: dict[int, list[nn.Parameter]] = {}  # of a call: viewed, but not computed with so far
        self.trace = Trace(Call("", type(model).__name__, 0), images.device.type, images.dtype)
        self.stack: list[Call] = []
        self.shapes: dict[tuple[object, ...], list[tuple[Shape, Shape, torch.dtype]]] = {}
        self.called: set[int] = set()
        self.unpacked: set[int] = set()  # quantised layers, whose weights are counted in their first call

    # Modules

    def enter(self, module: nn.Module, inputs: tuple[object, ...]) -> None:
        """Begin the call of a module."""
        self.called.add(id(module))
        if id(module) not in self.names:
            self._meet(module)
        kind = type(module).__name__
        call = self.trace.root
        if self.stack:
            above = self.stack[-1]
            name = self.names.get(id(module))
            call = _part(above, kind, kind) if name is None else Call(name, kind, above.depth + 1)
            above.parts.append(call)
        packed = packed_of(module, recurse=False)
        if id(module) not in self.unpacked:
            for weights in packed:
                call.add_parameter(weights)
        self.unpacked.add(id(module))
        plain = type(module).__module__.startswith("torch.nn.") and not any(module.children())
        call.atomic = plain or bool(packed)
        call.input = shape_of(inputs)
        self.stack.append(call)
        self.here.__enter__()

    def _meet(self, module: nn.Module) -> None:
        """Take in a module that was made since the pass began, if it is the network's."""
        if id(module) in self.strangers:
            return
        self.names |= {id(m): name for name, m in self.model.named_modules() if id(m) not in self.names}
        if id(module) in self.names:
            made = {id(p): p for p in module.parameters() if id(p) not in self.known}
            self.known |= made
            self.parameters |= made
        else:
            self.strangers.add(id(module))

    def leave(self, _module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        """End the call of a module, also where it raised; then there is no output."""
        self.here.__exit__()
        call = self.stack.pop()
        self._set_output(call, output)
        if call.atomic:
            before = {memory_of(t) or id(t) for t in tensors_of(inputs)}
            for tensor in tensors_of(output):
                if (memory_of(tensor) or id(tensor)) not in before:
                    call.add_activation(tensor)
        elif rest := self.pending.pop(id(call), None):
            part = _part(call, "parameters", "parameters")
            call.parts.append(part)
            self._use(part, rest)

    def _set_output(self, call: Call, output: object) -> None:
        first = first_of(output)
        if first is not None:
            call.output, call.receptive_field = tuple(first.shape), self.fields.of(first)

    # Operators

    def __torch_dispatch__(
        self,
        func: OpOverload | HigherOrderOperator,
        types: object,
        args: Args = (),
        kwargs: Kwargs | None = None,
    ) -> object:
        kwargs = kwargs or {}
        if not isinstance(func, OpOverload):
            return self._run_higher_order(func, args, kwargs)
        packet, given = func.overloadpacket, (args, kwargs)  # indices that have values keep them there
        if self.trace.device == "meta":
            args, kwargs = all_meta(func, args, kwargs)
        has_rule = packet in MATRIX or packet in OTHER or packet in MOVING or pointwise(func)
        if not has_rule and (out := self._parts_of(func, args, kwargs)) is not NotImplemented:
            return out
        out = self._run(func, args, kwargs)
        self.fields.note(func, *given, out)
        self._note(_Operation(func, args, kwargs, out))
        return out

    def _run(self, func: OpOverload, args: Args, kwargs: Kwargs) -> object:
        """Run an operator; on meta tensors, one that ran with equal shapes before gives equal shapes again.

        (Most of the time of a pass over meta tensors goes into torch's rules for shapes, which are in Python.)
        """
        if func.overloadpacket is _aten.convolution:
            _check_channels(args)
        if self.trace.device != "meta" or kwargs or func.overloadpacket in MOVING or func.is_view:
            return func(*args, **kwargs)
        key = _key(func, args)
        if key is None:
            return func(*args)
        shapes = self.shapes.get(key)
        if shapes is None:
            out = func(*args)
            results = out if isinstance(out, tuple) else (out,)
            if all(type(r) is Tensor and r.is_meta for r in results) and (_fresh(func) or out is args[0]):
                self.shapes[key] = [(tuple(r.shape), r.stride(), r.dtype) for r in results]
            return out
        if not _fresh(func):
            return args[0]
        new = [torch.empty_strided(size, step, dtype=dtype, device="meta") for size, step, dtype in shapes]
        return new[0] if len(new) == 1 else tuple(new)

    def _run_higher_order(self, func: HigherOrderOperator, args: Args, kwargs: Kwargs) -> object:
        """Run an operator that takes functions as the operators that it and they are made of, where that is known."""
        name, operands = str(func.name()), tuple(tensors_of((args, kwargs)))
        kernel, looks = watched_kernel(func), len(self.trace.data_dependent)
        if kernel is not None:
            with self:
                out = kernel(*args, **kwargs)
            if len(self.trace.data_dependent) > looks:
                self.trace.data_dependent.append(name)
            return out
        out = func(*args, **kwargs)
        self.fields.lose(f"{name} has no rule", operands, out)
        if (first := first_of(out)) is not None:
            self._add_uncounted(name, estimated_work(operands, first))
        return out

    def _parts_of(self, func: OpOverload, args: Args, kwargs: Kwargs) -> object:
        """Run a composite operator as the operators that it is made of."""
        if func.namespace == "prim" or not func.has_kernel_for_dispatch_key(_COMPOSITE):
            return NotImplemented
        with self:
            return func.decompose(*args, **kwargs)

    def _note(self, op: _Operation) -> None:
        if reads_values(op.func, op.args) and self.depends(op.args):
            self.trace.data_dependent.append(op.name)
        first = first_of(op.out)
        if first is None:
            return
        used = [self.parameters[id(t)] for t in tensors_of(op.args) if id(t) in self.parameters]
        call = self.stack[-1] if self.stack else self.trace.root
        is_view = op.func.is_view or op.packet in _VIEWS
        if not call.atomic:
            tracked = self.fields.follows(first)
            pending = self.pending.setdefault(id(call), [])
            pending += used
            if is_view or op.packet in _ALLOCATES or not (tracked or op.packet in MATRIX):
                return  # nothing to show of a view, or of what does not depend on the image
            used = self.pending.pop(id(call))
            call = self._function(call, op)
            if tracked and _fresh(op.func):
                call.add_activation(first)
        self._use(call, used)
        self._count(call, op)

    def _function(self, above: Call, op: _Operation) -> Call:
        """Return a new call for a function that a module calls between its parts."""
        name = _NAMES.get(op.name, op.name.strip("_"))
        call = _part(above, name, name)
        # Of its operands, the first one that depends on the image.
        call.input = next((tuple(t.shape) for t in tensors_of(op.args) if self.depends(t)), shape_of(op.args))
        self._set_output(call, op.out)
        above.parts.append(call)
        return call

    def _count(self, call: Call, op: _Operation) -> None:
        """Add what an operator costs to its call and to the whole."""
        factor = complex_factor(op.args)
        second = second_count(op.packet, op.args, op.kwargs, op.out)
        call.second_macs += factor * (second or 0)
        if op.packet in MATRIX:
            macs = self._count_macs(call, op)
            if second is None:  # nothing to hold it against
                call.second_macs += macs
                self.trace.counted_once[op.name] += macs
        elif op.packet in OTHER:
            kind, handle = OTHER[op.packet]
            self.trace.operations[kind] += op.count_by(handle)
            if kind == "pooling" and call.window is None:
                call.window = _pooling_window(op.func, op.args)
        elif pointwise(op.func) and op.packet not in MOVING:
            self.trace.operations["elementwise"] += op.elements
        elif op.packet not in MOVING and not second:
            first = first_of(op.out)
            self._add_uncounted(op.name, estimated_work(op.args, first) if first is not None else 0)

    def _add_uncounted(self, name: str, work: int) -> None:
        entry = self.trace.uncounted.setdefault(name, [0, 0])
        entry[0] += 1
        entry[1] += work

    def _count_macs(self, call: Call, op: _Operation) -> int:
        kind, handle = MATRIX[op.packet]
        if op.packet in _BATCHED and all(self.depends(a) for a in op.args[-2:]):
            kind = "attention"  # a product of activations with activations
        factor = complex_factor(op.args)
        self.trace.complex |= factor > 1
        macs = factor * op.count_by(handle)
        call.macs += macs
        call.matrix_activations += op.elements
        self.trace.macs[kind] += macs
        if kind == "convolution" and op.packet is _aten.convolution:
            call.window = _convolution_window(op.args)
        return macs

    def depends(self, values: object) -> bool:
        """Return whether any tensor among values depends on the image."""
        return any(self.fields.follows(t) for t in tensors_of(values))

    def _use(self, call: Call, used: Sequence[nn.Parameter]) -> None:
        """Count parameters that have not been used before."""
        for parameter in used:
            if self.parameters.pop(id(parameter), None) is not None:
                call.add_parameter(parameter)

    def finish(self) -> None:
        """Put the parameters that nobody used under the outermost module that was not called."""
        trace = self.trace
        if trace.failure is None and first_of(trace.result) is not None and not self.depends(trace.result):
            trace.data_dependent.append("a result that cannot be followed back to the image")
        for name, parameter in self.model.named_parameters():
            if id(parameter) in self.parameters:
                path, module = self._not_called(name)
                call = trace.unused.setdefault(path, Call(path, f"{type(module).__name__}, not used", 1))
                self._use(call, [parameter])
        trace.root.parts += trace.unused.values()

    def _not_called(self, name: str) -> tuple[str, nn.Module]:
        module, path = self.model, []
        for part in name.split(".")[:-1]:
            module = getattr(module, part)
            path.append(part)
            if id(module) not in self.called and not isinstance(module, nn.ModuleList | nn.ModuleDict):
                break  # lists of modules are never called themselves
        return ".".join(path) or name, module


class _Values(TorchFunctionMode):
    """Notes where Python takes the values of a tensor that depends on the image, which no operator shows."""

    def __init__(self, recorder: _Recorder) -> None:
        super().__init__()
        self.recorder = recorder

    def __torch_function__(
        self, func: Callable[..., object], types: object, args: Args = (), kwargs: Kwargs | None = None
    ) -> object:
        """Carry out a function of torch's."""
        name = getattr(func, "__name__", "")
        if name in _TAKEN and self.recorder.depends(args):
            self.recorder.trace.data_dependent.append(name)
        return func(*args, **(kwargs or {}))


_TAKEN = frozenset(
    ("tolist", "numpy", "__array__", "__dlpack__", "__bool__", "__int__", "__float__", "__index__")
)
_TAKING = frozenset(("_local_scalar_dense", "item", "equal", "is_nonzero"))  # operators
_COMPOSITE = torch._C.DispatchKey.CompositeImplicitAutograd
_aten = torch.ops.aten
_VIEWS = {_aten._unsafe_view, _aten._reshape_alias, _aten.lift_fresh, _aten.alias, _aten.detach}
_ALLOCATES = {
    _aten.clone,
    _aten._to_copy,
    _aten.empty,
    _aten.zeros,
    _aten.new_zeros,
    _aten.fill_,
    _aten.zero_,
}
_BATCHED = {_aten.bmm, _aten.baddbmm}
_NAMES = {
    "convolution": "conv", "addmm": "linear", "mm": "linear", "max_pool2d_with_indices": "max_pool2d",
    "native_batch_norm": "batch_norm", "native_layer_norm": "layer_norm", "native_group_norm": "group_norm",
    "_native_batch_norm_legit_no_training": "batch_norm", "constant_pad_nd": "pad", "bmm": "matmul",
    "baddbmm": "matmul",
}  # fmt: skip


def _part(above: Call, name: str, kind: str) -> Call:
    """Return a call inside another, named behind it."""
    return Call(f"{above.name}.{name}".lstrip("."), kind, above.depth + 1)


def _fresh(func: OpOverload) -> bool:
    """Return whether an operator writes new memory: neither in place nor a view."""
    return all(r.alias_info is None for r in func._schema.returns)


def _key(func: OpOverload, args: Args) -> tuple[object, ...] | None:
    """Return what the shapes of the results depend on, or None where that has no simple form."""
    parts: list[object] = [func]
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


def _check_channels(args: Args) -> None:
    """Refuse images of other channels for a transposed convolution, which torch (2.15) takes on meta tensors."""
    images, weight, transposed = args[0], args[1], args[6]
    if transposed and images.shape[1] != weight.shape[0]:
        size, channels = list(weight.shape), images.shape[1]
        raise RuntimeError(
            f"a transposed convolution with weight of size {size} expected {size[0]} channels, but got {channels}"
        )


def _convolution_window(args: Args) -> _Window:
    weight, stride, padding, dilation, groups = args[1], args[3], args[4], args[5], args[8]
    return _Window(tuple(weight.shape[2:]), tuple(stride), tuple(padding), tuple(dilation), groups)


def _pooling_window(func: OpOverload, args: Args) -> _Window | None:
    """Return the window of a pooling with a fixed one."""
    settings = dict(zip(signature(func), args, strict=False))
    if "kernel_size" not in settings:
        return None
    kernel = settings["kernel_size"]
    values = (
        kernel,
        settings.get("stride") or kernel,
        settings.get("padding", 0),
        settings.get("dilation", 1),
    )
    kernel, stride, padding, dilation = (tuple(numbers(value, 2)) for value in values)
    return _Window(kernel, stride, padding, dilation)
