"""Parameters, activations, multiply-accumulates by two counters, and the other operations apart from them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from torch import Tensor

from bench.costs import Subject, cost
from bench.costs._arguments import parameters_of
from bench.records.record import Measurement, count, measured

_SHOWN = 20  # modules that were not called
_SECOND_COUNTER = "torch.utils.flop_counter"


@cost("parameters")
def _parameters(subject: Subject) -> Iterator[Measurement]:
    """Count the parameters; one that two modules share counts once.

    `parameters` includes frozen ones (the detail counts the trainable ones) and those of quantised layers, and leaves
    out buffers, such as the running statistics of batch norm. `parameter_bytes` is for the precision that the network
    is built in.
    """
    every, buffers = parameters_of(subject.model), list(subject.model.buffers())
    trainable, held = _elements(p for p in every if p.requires_grad), _elements(buffers)
    yield count("parameters", _elements(every), trainable=trainable, buffers=held)
    yield count("parameter_bytes", _bytes(every), buffer_bytes=_bytes(buffers))


def _elements(tensors: Iterable[Tensor]) -> int:
    return sum(t.numel() for t in tensors)


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(t.numel() * t.element_size() for t in tensors)


@cost("activations")
def _activations(subject: Subject) -> Iterator[Measurement]:
    """Count `activations` and `activation_bytes` of one image, and `matrix_activations`.

    `activations` is the number of elements that layers, and the functions called between them, write; not what works
    in place, nor views, nor what a layer of torch.nn writes within itself. `matrix_activations` is of convolutions
    and matrix products alone, as fvcore and timm count them.
    """
    trace = subject.trace
    if trace.failure is not None:
        return
    calls = list(trace.root.walk())
    what = "layers and functions, not in place"
    yield count("activations", sum(c.activations for c in calls), images=1, of=what)
    yield count("activation_bytes", sum(c.activation_bytes for c in calls), images=1, of=what)
    matrix = sum(c.matrix_activations for c in calls)
    yield count("matrix_activations", matrix, images=1, of="convolutions and matrix products")


@cost("macs")
def _macs(subject: Subject) -> Iterator[Measurement]:
    """Count `macs` of one image, by two counters, and say what neither has a rule for.

    `macs` is of convolutions, linear layers and attention (any product of activations with activations), without
    biases, by fvcore's handles and ours in their form; `macs_second` is the same by the formulas of torch's
    FlopCounterMode, halved; `macs_gap` is their difference as a fraction of the larger. `operations` is all other
    work: norms, element-wise, pooling, softmax and reductions, in operations and never added to MACs.
    `uncounted_share` is the share of all work that is estimated for operators without any rule, by their elements and
    the inner size of what looks like a product of matrices. A multiply-accumulate of complex numbers is four. Of a
    network whose work depends on values, the count is of a black image and of weights drawn with a fixed seed.
    """
    trace = subject.trace
    failed = trace.failure is not None
    uncounted = {name: calls for name, (calls, _) in sorted(trace.uncounted.items())}
    flags = {
        "uncounted_ops": bool(uncounted),
        "counters_disagree": trace.counters_disagree,
        "data_dependent": bool(trace.data_dependent),
        "partial": failed,
    }
    detail: dict[str, object] = {
        "images": 1,
        "counter": "fvcore's handles",
        "by_kind": dict(trace.macs),
        "second": trace.second,
        "second_counter": _SECOND_COUNTER,
        "gap": trace.gap,
        "uncounted": uncounted,
        "uncounted_share": trace.uncounted_share,
        "counted_on": trace.device,
    }
    if subject.reason:
        detail["not_on_meta"] = subject.reason
    if trace.data_dependent:
        detail["data_dependent"] = sorted(set(trace.data_dependent))
        detail["not_called"] = sorted(trace.unused)[:_SHOWN]
    if trace.counted_once:
        detail["counted_once"] = dict(trace.counted_once)
    if trace.complex:
        detail["complex"] = "a multiply-accumulate of complex numbers is counted as four"
    if failed:
        detail |= {"counted_until_failure": float(trace.first), "failure": trace.failure_text}
    value = math.nan if failed else float(trace.first)
    yield measured("macs", (value,), detail, tuple(name for name, raised in flags.items() if raised))
    if not failed:
        yield count("macs_second", trace.second, images=1, counter=_SECOND_COUNTER)
        yield count("macs_gap", trace.gap, images=1)
        yield count("uncounted_share", trace.uncounted_share, images=1, of="estimated work")
        operations = dict(trace.operations)
        yield count("operations", sum(operations.values()), images=1, by_kind=operations)
