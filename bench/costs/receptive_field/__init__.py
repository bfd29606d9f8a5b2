"""The receptive field of the last features that are still local.

`tracker` follows every operator of a pass, and says what a unit of any tensor sees; `_rules` holds what each operator
does to the fields of its operands; `_layout` knows where in a tensor the image's positions are, and how they move, mix
and join; `_axis` knows which pixels the positions along one axis see.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from bench.costs import Subject, cost
from bench.records.record import Measurement, count, measured


@cost("receptive_field")
def receptive_field(subject: Subject) -> Iterator[Measurement]:
    """Measure `receptive_field` in px: the larger side of what a unit of the last local feature map sees.

    The last call, in the order of the calls, whose output depends on a bounded part of the image; from there on
    pooling, attention or a fully connected layer sees all of it. Not clipped to the image. Where a later call meets an
    operator without a rule, so that what it sees is open, the number is NaN and the detail names the operator. Nothing
    is reported of a network that is global from its first layer on.
    """
    if subject.trace.failure is not None:
        return
    unknown: tuple[str, str] | None = None  # the last call of which nothing is known, and why
    for call in reversed(list(subject.trace.root.walk())):
        field = call.receptive_field
        if field is not None and field.reach == "unknown":
            unknown = unknown or (call.name, field.reason)
        if field is not None and field.reach == "local":
            if unknown is not None:
                detail = {"unknown_from": unknown[0], "operator": unknown[1], "local_until": call.name}
                yield measured("receptive_field", (math.nan,), detail, ("unknown_field",))
                return
            yield count(
                "receptive_field",
                max(size for size in field.size if size is not None),
                layer=call.name,
                size=list(field.size),
                stride=[None if s is None else float(s) for s in field.stride],
                padding=list(field.padding),
            )
            return
