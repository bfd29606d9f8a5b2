"""Multiply-accumulates by two counters, and the other operations apart from them."""

from __future__ import annotations

import math
from collections.abc import Iterator

from bench.costs import Subject, cost
from bench.records.record import Measurement, count, measured

# A relative gap between the two counters from which they are said to disagree.
TOLERATED_GAP = 0.01
SHOWN = 20  # modules that were not called
SECOND_COUNTER = "torch.utils.flop_counter"


@cost("macs")
def macs(subject: Subject) -> Iterator[Measurement]:
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
        "counters_disagree": trace.gap > TOLERATED_GAP,
        "data_dependent": bool(trace.data_dependent),
        "partial": failed,
    }
    detail: dict[str, object] = {
        "images": 1,
        "counter": "fvcore's handles",
        "by_kind": dict(trace.macs),
        "second": trace.second,
        "second_counter": SECOND_COUNTER,
        "gap": trace.gap,
        "uncounted": uncounted,
        "uncounted_share": trace.uncounted_share,
        "counted_on": trace.device,
    }
    if subject.reason:
        detail["not_on_meta"] = subject.reason
    if trace.data_dependent:
        detail["data_dependent"] = sorted(set(trace.data_dependent))
        detail["not_called"] = sorted(trace.unused)[:SHOWN]
    if trace.counted_once:
        detail["counted_once"] = dict(trace.counted_once)
    if trace.complex:
        detail["complex"] = "a multiply-accumulate of complex numbers is counted as four"
    if failed:
        detail |= {"counted_until_failure": float(trace.first), "failure": trace.failure_text}
    value = math.nan if failed else float(trace.first)
    yield measured("macs", (value,), detail, tuple(name for name, raised in flags.items() if raised))
    if not failed:
        yield count("macs_second", trace.second, images=1, counter=SECOND_COUNTER)
        yield count("macs_gap", trace.gap, images=1)
        yield count("uncounted_share", trace.uncounted_share, images=1, of="estimated work")
        operations = dict(trace.operations)
        yield count("operations", sum(operations.values()), images=1, by_kind=operations)
