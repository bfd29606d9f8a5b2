"""Multiply-accumulates by two counters, and the other operations apart from them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from bench.costs import Subject, cost
from bench.records.record import Measurement, count

# A relative gap between the two counters from which they are said to disagree.
TOLERATED_GAP = 0.01


@cost("macs")
def macs(subject: Subject) -> Iterator[Measurement]:
    """Count `macs` of one image, by two counters, and say what neither has a rule for.

    `macs` is of convolutions, linear layers and attention (any product of activations with activations), without
    biases, by fvcore's handles and ours in their form; `macs_second` is the same by the formulas of torch's
    FlopCounterMode, halved; `macs_gap` is their difference as a fraction of the larger. `operations` is all other
    work: norms, element-wise, pooling, softmax and reductions, in operations and never added to MACs.
    `uncounted_share` is the share of all written elements that operators without any rule wrote.
    """
    trace = subject.trace
    first, second, gap, share = float(trace.first), trace.second, trace.gap, trace.uncounted_share
    uncounted = {name: calls for name, (calls, _) in sorted(trace.uncounted.items())}
    flags = {
        "uncounted_ops": bool(uncounted),
        "counters_disagree": gap > TOLERATED_GAP,
        "data_dependent": bool(trace.data_dependent),
        "partial": trace.failure is not None,
    }
    detail: dict[str, Any] = {
        "images": 1,
        "counter": "fvcore's handles",
        "by_kind": dict(trace.macs),
        "second": second,
        "second_counter": "torch.utils.flop_counter",
        "gap": gap,
        "uncounted": uncounted,
        "uncounted_share": share,
        "counted_on": trace.device,
    }
    if subject.reason:
        detail["not_on_meta"] = subject.reason
    if trace.data_dependent:
        detail["data_dependent"] = sorted(set(trace.data_dependent))
    if trace.failure is not None:
        detail |= {
            "counted_until_failure": first,
            "failure": f"{type(trace.failure).__name__}: {trace.failure}"[:500],
        }
        first = second = math.nan  # type: ignore[assignment]
    yield Measurement(
        name="macs",
        unit="MAC",
        better="lower",
        samples=(first,),
        detail=detail,
        flags=tuple(name for name, raised in flags.items() if raised),
    )
    if trace.failure is None:
        yield count("macs_second", second, "MAC", images=1, counter=detail["second_counter"])
        yield count("macs_gap", gap, images=1)
        yield count("uncounted_share", share, images=1, of="elements written")
        yield count(
            "operations", sum(trace.operations.values()), "op", images=1, by_kind=dict(trace.operations)
        )
