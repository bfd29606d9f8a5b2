"""What each module call of a network does itself: multiply-accumulates, bytes and operators, forward and backward.

It is counted as the pass runs, with real tensors or without storage, at any batch and precision. An operator belongs to
the innermost module that is called. In a backward pass it belongs to the module whose forward made the node of
autograd's graph: nodes are numbered as they are made (`torch._C._autograd._get_sequence_nr`), so that the numbers at
the borders of the calls tell whose each is. A call that it makes again, as of a checkpoint, is the one that was made
before, and so are its gradients where the node that makes it again goes backward through it by itself, as of a
reentrant checkpoint; what a checkpointed function does between such calls belongs to the node that asks for it.

Bytes are those of the tensors that an operator reads and of those that it writes, once each, and of a table those of
the rows that are taken; what a cache saves, and what an operator reads twice, is not known here. Multiply-accumulates
of a backward pass are those that its gradients need: of a convolution or linear layer as many as forward for the
gradient of the weights, and again for that of the input, where they are asked for; what a kernel computes again is left
out, and what a network does (checkpoints) is in.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch._ops import HigherOrderOperator, OpOverload
from torch.autograd.graph import Node
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.hooks import RemovableHandle

from bench.archs.returned import tensors_of
from bench.costs._arguments import Args, Kwargs, memory_of, shape_of
from bench.costs._operators import (
    BACKWARD,
    MATRIX,
    MOVING,
    OTHER,
    arguments,
    complex_factor,
    pointwise,
    watched_kernel,
)
from bench.costs._storage import all_meta
from bench.costs.calls import Followed, Forward, Key, Numbering, OnEachThread

_aten = torch.ops.aten
_COMPOSITE = torch._C.DispatchKey.CompositeImplicitAutograd
_NO_WORK = {
    *(_aten.detach, _aten.alias, _aten.lift_fresh, _aten._unsafe_view, _aten._reshape_alias, _aten.empty),
    *(_aten.empty_like, _aten.empty_strided, _aten.new_empty, _aten.new_empty_strided),
}
_PICKING = frozenset((_aten.embedding, _aten.index, _aten.index_select, _aten.gather))
"""What reads of its first tensor no more than it writes."""
_FILLING = frozenset((_aten.copy_, _aten.fill_, _aten.zero_, _aten.normal_, _aten.uniform_, _aten.bernoulli_))
"""What overwrites its first tensor, and reads nothing of it."""


@dataclass(slots=True)
class Work:
    """What is done in one direction: multiply-accumulates, bytes read and written, and operators that do something."""

    macs: int = 0
    bytes: int = 0
    operators: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(self.macs + other.macs, self.bytes + other.bytes, self.operators + other.operators)


@dataclass(slots=True)
class Call:
    """One call of a module, without the calls inside it.

    Attributes:
        name: of the module in the network; empty for the network itself.
        type: its class.
        depth: how many calls it is inside of.
        parent: the call that it is directly inside of; None for the network.
        leaf: whether it calls no module.
        parameters: elements of those that operators of its own read before any other call's; each is counted once.
        input: shape of the first tensor that goes in.
        output: shape of the first tensor that comes out.
        forward: what it does.
        backward: what the gradients need, and what is computed again for them.
        again: multiply-accumulates of that which are computed again, as of a checkpoint: a backward pass makes no
            gradients of its own, so that they are those that it makes while gradients are recorded.
    """

    name: str
    type: str
    depth: int
    parent: Key | None
    leaf: bool = True
    parameters: int = 0
    input: tuple[int, ...] = ()
    output: tuple[int, ...] = ()
    forward: Work = field(default_factory=Work)
    backward: Work = field(default_factory=Work)
    again: int = 0


OUTSIDE: Key = (-1, 0)
"""What is done outside the network's call: the loss, in a training step."""


class _Counting(TorchDispatchMode):
    """Notes what each call does, while it is entered and the network is called through `wrap`.

    Attributes:
        calls: in the order in which they began; `OUTSIDE` is the first.
        unused: parameters of the network that no operator has read.
    """

    supports_higher_order_operators = True

    def __init__(self, followed: Followed) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's own has no types
        self.followed = followed
        self.here = OnEachThread(self)
        self.calls: dict[Key, Call] = {OUTSIDE: Call("", "outside", 0, None)}
        self.now: Key = OUTSIDE
        self.is_backward = False
        self._numbering = Numbering()
        self._remade: Key | None = None  # the call that a backward pass makes again
        self.unused = {id(p): p for p in followed.modules[0].parameters()}
        self._parameters = set(self.unused)
        self._in_memory = _by_memory(self.unused.values())
        self._inner = InnerGraph()
        self._hooks: list[RemovableHandle] = []
        self._marks: list[tuple[int, Key]] = [(0, OUTSIDE)]  # number of the next node, and whose it will be

    def wrap(self, number: int, forward: Forward) -> Forward:
        """Return the forward of a module as it is called while it is followed."""

        def call(*args: object, **kwargs: object) -> object:
            if self.is_backward:
                return self._made_again(number, forward, args, kwargs)
            above, inside = self.now, self._entered(number)
            self.calls[inside].input = shape_of(args)
            self._go_to(inside)
            try:
                with self.here:
                    output = forward(*args, **kwargs)
            finally:
                self._go_to(above)
            self.calls[inside].output = shape_of(output)
            return output

        return call

    def _made_again(self, number: int, forward: Forward, args: Args, kwargs: Kwargs) -> object:
        above, remade = self.now, self._remade
        key = self._numbering.made_again(number, remade)
        if key is None:
            return forward(*args, **kwargs)
        self.now = self._remade = key
        self._inner.begin(key, above)
        try:
            output = forward(*args, **kwargs)
        finally:
            self.now, self._remade = above, remade
            self._inner.end(above)
        for node, owner in self._inner.nodes(output):
            self._hooks.append(node.register_prehook(self._going_to(owner)))
        return output

    def _entered(self, number: int) -> Key:
        above = self.now
        key = self._numbering.begun(number, above)
        self.calls[above].leaf = False
        parent = None if above == OUTSIDE else above
        depth = 0 if parent is None else self.calls[above].depth + 1
        self.calls[key] = Call(self.followed.names[number], self.followed.types[number], depth, parent)
        return key

    def _go_to(self, key: Key) -> None:
        self.now = key
        self._marks.append((torch._C._autograd._get_sequence_nr(), key))

    @contextlib.contextmanager
    def backward_of(self, loss: Tensor) -> Iterator[None]:
        """Let what runs backward from a loss inside the block belong to the calls that made it."""
        for node, key in owners(loss, self._marks):
            self._hooks.append(node.register_prehook(self._going_to(key)))
        self.is_backward = True
        try:
            yield
        finally:
            self.is_backward, self.now = False, OUTSIDE
            for hook in self._hooks:
                hook.remove()

    def _going_to(self, key: Key) -> Callable[[object], None]:
        def go(_gradients: object) -> None:
            self.now = key

        return go

    def __torch_dispatch__(
        self,
        func: OpOverload | HigherOrderOperator,
        types: object,
        args: Args = (),
        kwargs: Kwargs | None = None,
    ) -> object:
        """Run an operator and note what it does; one that is made of others, or takes functions, as those."""
        kwargs = kwargs or {}
        if not isinstance(func, OpOverload):
            self._use(args)
            return run_higher_order(self, func, args, kwargs)
        if func.namespace == "prim":  # a look, such as at a tensor's device
            return func(*args, **kwargs)
        given = (args, kwargs)
        args, kwargs = all_meta(func, args, kwargs)
        packet = func.overloadpacket
        known = any(packet in table for table in (MATRIX, OTHER, MOVING, BACKWARD)) or pointwise(func)
        if not known and func.has_kernel_for_dispatch_key(_COMPOSITE):
            with self:
                out = func.decompose(*args, **kwargs)
            if out is not NotImplemented:
                return out
        out = func(*args, **kwargs)
        if not (func.is_view or packet in _NO_WORK):
            self._use(given)
            call = self.calls[self.now]
            work = call.backward if self.is_backward else call.forward
            macs = _macs(func, args, out)
            work.operators += 1
            work.macs += macs
            call.again += macs if self.is_backward and torch.is_grad_enabled() else 0
            work.bytes += _moved(func, args, kwargs, out)
        return out

    def _use(self, values: object) -> None:
        """Count the parameters among tensors, or behind views of them, in the present call, each once."""
        for tensor in tensors_of(values) if self.unused and not self.is_backward else ():
            same = id(tensor) in self._parameters
            for parameter in (tensor,) if same else self._in_memory.get(memory_of(tensor), ()):
                if self.unused.pop(id(parameter), None) is not None:
                    self.calls[self.now].parameters += parameter.numel()


def _by_memory(parameters: Iterable[Tensor]) -> dict[int | None, list[Tensor]]:
    """Return parameters by the memory that they lie in; those that have none of their own are left out."""
    found: defaultdict[int | None, list[Tensor]] = defaultdict(list)
    for parameter in parameters:
        found[memory_of(parameter)].append(parameter)
    found.pop(None, None)
    return dict(found)


@dataclass(frozen=True, slots=True)
class Step:
    """The parts of a pass, which work only if called in this order.

    Attributes:
        forward: calls the network; in a training it returns the loss.
        backward: of that loss; None where the pass has none.
        optimizer: the update of the weights, likewise.
    """

    forward: Callable[[], Tensor | None]
    backward: Callable[[], object] | None = None
    optimizer: Callable[[], object] | None = None


def owners(
    result: object, marks: list[tuple[int, Key]], known: Container[Node] = ()
) -> list[tuple[Node, Key]]:
    """Return the nodes of the graph behind a loss, or other tensors, each with the call that made it.

    `marks` are the number of the next node and whose it was to be, at each border of a call. What adds a gradient to
    that of a parameter has no such number: it belongs to the first call that uses the parameter. Nodes that are
    `known`, and what lies behind them alone, are left out.
    """
    borders = [number for number, _ in marks]
    owned: dict[Node, Key] = {}
    ahead = [(t.grad_fn, OUTSIDE) for t in tensors_of(result) if t.grad_fn is not None]
    while ahead:
        node, above = ahead.pop()
        if node in owned or node in known:
            continue
        place = bisect_right(borders, node._sequence_nr()) - 1
        gathers = node.name().endswith("AccumulateGrad")
        owned[node] = above if gathers or place < 0 else marks[place][1]
        ahead += [(nearer, owned[node]) for nearer, _ in node.next_functions if nearer is not None]
    return list(owned.items())


class InnerGraph:
    """The graph of calls that a node makes again and goes backward through by itself, as of a reentrant checkpoint.

    Only a node that is written in Python does; others want values that were not saved, and no gradients.
    """

    def __init__(self) -> None:
        self._marks: list[tuple[int, Key]] = []
        self._open = 0
        self._known: dict[Node, Key] = {}  # which keeps them, so that no other takes their place

    def begin(self, key: Key, above: Key) -> None:
        """Begin to make a call again, inside another that is, or for a node."""
        if not self._open:
            self._marks = [(0, above)]
        self._open += 1
        self._marks.append((torch._C._autograd._get_sequence_nr(), key))

    def end(self, above: Key) -> None:
        """End that."""
        self._open -= 1
        self._marks.append((torch._C._autograd._get_sequence_nr(), above))

    def nodes(self, output: object) -> list[tuple[Node, Key]]:
        """Return the nodes of the graph of what was made again, as of its output, that were not returned before."""
        node = torch._C._current_autograd_node()
        if self._open or not isinstance(node, torch.autograd.function.BackwardCFunction):
            return []
        made = owners(output, self._marks, self._known)
        self._known.update(made)
        return made


def run_higher_order(
    mode: TorchDispatchMode, func: HigherOrderOperator, args: Args, kwargs: Kwargs
) -> object:
    """Run an operator that takes functions so that a mode sees what they do, where that is known."""
    kernel = watched_kernel(func)
    if kernel is None:
        return func(*args, **kwargs)
    with mode:
        return kernel(*args, **kwargs)


def _macs(func: OpOverload, args: Args, out: object) -> int:
    """Return the multiply-accumulates of an operator; 0 of one that is no product of matrices."""
    packet = func.overloadpacket
    if packet in BACKWARD:
        return BACKWARD[packet](args)
    if packet not in MATRIX:
        return 0
    first = next(tensors_of(out))
    return complex_factor(args) * int(MATRIX[packet][1](arguments(args), arguments([first])))


def _moved(func: OpOverload, args: Args, kwargs: Kwargs, out: object) -> int:
    """Return the bytes that an operator reads and writes: of a table those of the rows that it takes."""
    packet, given = func.overloadpacket, {memory_of(tensor) for tensor in tensors_of((args, kwargs))} - {None}
    # What it was given and hands on unchanged, as weights that a card has in one piece, is not written.
    written = _bytes([t for t in tensors_of(out) if func._schema.is_mutable or memory_of(t) not in given])
    read = (args[1:] if packet in _PICKING | _FILLING else args, kwargs)
    picked = min(_bytes(args[0]), written) if packet in _PICKING else 0
    return _bytes(read) + picked + written


def _bytes(values: object) -> int:
    """Return the bytes of the tensors among values, of those that share memory no more than there are of it.

    So an expanded tensor has those behind it, and weights that a card has in one piece as well are there once.
    """
    by_memory: dict[int, list[Tensor]] = {}
    for tensor in {id(t): t for t in tensors_of(values)}.values():
        by_memory.setdefault(memory_of(tensor) or id(tensor), []).append(tensor)
    return sum(map(_together, by_memory.values()))


def _together(tensors: Sequence[Tensor]) -> int:
    """Return the bytes of tensors that share memory, or of one that has none of its own."""
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    return size if memory_of(tensors[0]) is None else min(size, tensors[0].untyped_storage().nbytes())


def count_pass(followed: Followed, step: Step) -> _Counting:
    """Run a pass of a network once, and return what each call did.

    Where it has a backward pass, the gradients that it leaves are taken away again; the statistics of batch norm are
    not. Gradients are noted as they are asked for outside; in inference mode torch shows no operator taken apart.
    """
    counting = _Counting(followed)
    with counting, followed.through(counting.wrap):
        loss = step.forward()
        if loss is not None and step.backward is not None:
            with counting.backward_of(loss):
                step.backward()
            for parameter in followed.modules[0].parameters():
                parameter.grad = None
    return counting
