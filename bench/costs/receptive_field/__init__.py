"""The receptive field of the last features that are still local.

`tracker` follows every operator of a pass, and says what a unit of any tensor sees; `_rules` holds what each operator
does to the fields of its operands; `_layout` knows where in a tensor the image's positions are, and how they move, mix
and join; `_axis` which pixels the positions along one axis see.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bench.costs import Subject, cost
from bench.records.record import Measurement, measured

if TYPE_CHECKING:
    from bench.costs.receptive_field._tracker import ReceptiveField


@cost("receptive_field")
def _receptive_field(subject: Subject) -> Iterator[Measurement]:
    """Measure `receptive_field` in px: the larger side of what a unit of the last local feature map sees.

    The last call, in the order of the calls, whose output depends on a bounded part of the image; from there on
    pooling, attention over all of it or a fully connected layer sees the whole. It is as if the image had no borders:
    where it is larger than the image, a unit sees no more than all of that, and the flag `beyond_image` says so. Where
    a later call meets an operator without a rule, so that what it sees is open, the number is NaN and the detail names
    the operator. Nothing is reported of a network that is global from its first layer on.
    """
    if subject.trace.failure is not None:
        return
    unknown: dict[str, str] = {}  # the last call of which nothing is known, and why
    for call in reversed(list(subject.trace.root.walk())):
        field = call.receptive_field
        if field is not None and field.reach == "unknown":
            unknown = unknown or {"unknown_from": call.name, "operator": field.reason}
        if field is not None and field.reach == "local":
            yield (
                _open(unknown | {"local_until": call.name}) if unknown else _local(call.name, field, subject)
            )
            return
    if unknown:
        yield _open(unknown)


def _open(detail: dict[str, str]) -> Measurement:
    return measured("receptive_field", (math.nan,), detail, ("unknown_field",))


def _local(layer: str, field: ReceptiveField, subject: Subject) -> Measurement:
    sizes = [size for size in field.size if size is not None]
    detail = {
        "layer": layer,
        "size": list(field.size),
        "stride": [None if s is None else float(s) for s in field.stride],
        "padding": list(field.padding),
    }
    larger = any(size > side for size, side in zip(sizes, subject.shape[2:], strict=True))
    return measured("receptive_field", (max(sizes),), detail, ("beyond_image",) if larger else ())
