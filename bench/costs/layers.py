"""The layers of a network: its table, call by call to a chosen depth, and the part of it that goes into a record."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, TypeVar

from bench.archs.reparam import has_fused_form
from bench.costs import Subject, cost
from bench.costs._arguments import parameters_of
from bench.io import JsonObject
from bench.records.layer import LayerRow
from bench.records.record import Measurement, count

if TYPE_CHECKING:
    from bench.costs._trace import Call, Shape

_T = TypeVar("_T")
_Sum = Literal["parameters", "macs", "activations", "activation_bytes"]
_SUMS: tuple[_Sum, ...] = ("parameters", "macs", "activations", "activation_bytes")
_CONCENTRATIONS: tuple[_Sum, ...] = ("activation_bytes", "parameters", "macs")
_FOREMOST = 3  # rows that are named as those where a quantity concentrates

_COLUMNS = ("name", "kind", "output", "parameters", "macs", "activation_bytes", "receptive_field")
_MOST_ROWS = 400  # of a record, some 25 kB


def layer_table(subject: Subject, depth: int | None = None) -> JsonObject:
    """Return the table of a network: as `layers`, in the order of the calls, those of a `LayerRow` each.

    Modules are opened to a depth of `depth`, 1 for those of the network itself, or all. `totals` are the sums of the
    rows, and `parameter_bytes`; `memory` is of one image through the network, in bytes; `concentration` has by quantity
    the foremost rows with their shares; `doubts` are sentences; `failure` is what the network raised before its end.
    """
    trace = subject.trace
    rows = _rows(subject, depth)
    totals: dict[str, int] = {key: sum(row[key] for row in rows) for key in _SUMS}
    return {
        "input": list(subject.shape),
        "layers": rows,
        "totals": totals | {"parameter_bytes": sum(c.parameter_bytes for c in trace.root.walk())},
        "memory": _memory(subject, totals["activation_bytes"]),
        "concentration": {key: _foremost(rows, key) for key in _CONCENTRATIONS},
        "counted_on": trace.device,
        "doubts": _doubts(subject),
        "failure": trace.failure_text,
    }


@cost("layers")
def _layers(subject: Subject) -> Iterator[Measurement]:
    """List the `layers` of one image's pass: how many there are, with the table of them in the detail.

    The detail has `columns` and `rows`, in the order of the calls: name, kind (the class or function), output
    (``64×112×112``, without the image's own dimension), parameters (counted where they are used first), MACs,
    activation bytes of one image, and receptive field (px; [rows, columns] where they differ; "global"; None where
    it is not known). What neither holds parameters nor writes anything, such as a ReLU in place, is left out. Of a
    network with more than 400 of them, the deepest level of modules with fewer is listed, and `depth` says which;
    it is None where all are.
    """
    if subject.trace.failure is not None:
        return
    depth, rows = None, _record_rows(subject, None)
    if len(rows) > _MOST_ROWS:
        deepest = max(call.depth for call in subject.trace.root.walk())
        levels = ((level, _record_rows(subject, level)) for level in range(deepest - 1, 0, -1))
        depth, rows = next((level, cut) for level, cut in levels if len(cut) <= _MOST_ROWS or level == 1)
    columns, rows_kept = list(_COLUMNS), rows[:_MOST_ROWS]
    yield count("layers", len(rows), images=1, depth=depth, columns=columns, rows=rows_kept)


def _record_rows(subject: Subject, depth: int | None) -> list[list[object]]:
    """Return the rows of a record."""
    return [
        [
            row["name"],
            row["type"],
            "×".join(str(side) for side in row["output"][1:]),
            row["parameters"],
            row["macs"],
            row["activation_bytes"],
            row["receptive_field"],
        ]
        for row in _rows(subject, depth)
        if row["parameters"] or row["activation_bytes"]
    ]


def _rows(subject: Subject, depth: int | None) -> list[LayerRow]:
    return [_row(call) for call in _cut(subject.trace.root, depth)]


def _cut(call: Call, depth: int | None) -> Iterator[Call]:
    """Yield the calls that are shown: those at the depth, and those above it that have no parts."""
    if not call.parts or call.depth == depth:
        yield call
    else:
        for part in call.parts:
            yield from _cut(part, depth)


def _row(call: Call) -> LayerRow:
    window, inside = call.window, list(call.walk())
    size, stride, padding = _receptive_field(call)
    return {
        "name": call.name or call.type,
        "type": call.type,
        "depth": call.depth,
        "input": list(call.input),
        "output": list(call.output),
        "kernel": list(window.kernel) if window else None,
        "stride": list(window.stride) if window else None,
        "padding": list(window.padding) if window else None,
        "dilation": list(window.dilation) if window else None,
        "groups": window.groups if window else None,
        "in_channels": _channels(call.input, call.type),
        "out_channels": _channels(call.output, call.type),
        "parameters": sum(c.parameters for c in inside),
        "macs": sum(c.macs for c in inside),
        "activations": sum(c.activations for c in inside),
        "activation_bytes": sum(c.activation_bytes for c in inside),
        "receptive_field": size,
        "receptive_field_stride": stride,
        "receptive_field_padding": padding,
    }


def _channels(shape: Shape, kind: str) -> int | None:
    """Return the count of channels: the second dimension of maps, the last of vectors and of linear layers."""
    if len(shape) < 2:
        return None
    return shape[1] if len(shape) == 4 and not kind.lower().endswith("linear") else shape[-1]


def _receptive_field(
    call: Call,
) -> tuple[int | list[int] | Literal["global"] | None, float | list[float] | None, int | list[int] | None]:
    """Return size, stride and padding."""
    field = call.receptive_field
    if field is None or field.reach == "unknown":
        return None, None, None
    if field.reach == "global":
        return "global", None, None
    return (
        _same([s for s in field.size if s is not None]),
        _same([_number(s) for s in field.stride if s is not None]),
        _same([p for p in field.padding if p is not None]),
    )


def _same(pair: list[_T]) -> _T | list[_T]:
    """Return one value where rows and columns have the same, else both."""
    return pair[0] if pair[0] == pair[1] else pair


def _number(value: Fraction) -> float:
    return int(value) if value == int(value) else float(value)


def _memory(subject: Subject, activations: int) -> dict[str, int]:
    """Return bytes: of what is written, once for a forward pass, twice with the gradients of a backward pass."""
    image = math.prod(subject.shape) * subject.trace.dtype.itemsize
    weights = sum(p.numel() * p.element_size() for p in parameters_of(subject.model))
    return {
        "input_bytes": image,
        "forward_bytes": image + activations + weights,
        "forward_backward_bytes": image + 2 * activations + 2 * weights,
    }


def _foremost(rows: Sequence[LayerRow], key: _Sum) -> list[dict[str, str | float]]:
    total = sum(row[key] for row in rows)
    ranked = sorted((row for row in rows if row[key]), key=lambda row: -row[key])[:_FOREMOST]
    return [{"name": row["name"], "share": row[key] / total} for row in ranked]


def _doubts(subject: Subject) -> list[str]:
    trace, doubts = subject.trace, []
    if subject.reason:
        doubts.append(f"counted on the CPU, since it does not run without storage: {subject.reason}")
    if has_fused_form(subject.model):
        doubts.append(
            "it comes with a fused form for inference, NAME(reparam=True); this is the form that is trained"
        )
    if trace.data_dependent:
        operators = ", ".join(dict.fromkeys(trace.data_dependent))
        doubts.append(f"what runs depends on the image ({operators}); the table is for a black one")
    if trace.uncounted:
        named = ", ".join(f"{name} ×{calls}" for name, (calls, _) in sorted(trace.uncounted.items()))
        share = f"{100 * trace.uncounted_share:.2g} % of the estimated work"
        doubts.append(f"operators without a rule for their MACs: {named}; {share}")
    leaves = ((call, call.receptive_field) for call in trace.root.walk() if not call.parts)
    for call, field in leaves:
        if field is not None and field.reach == "unknown":
            doubts.append(
                f"the receptive field is not known from {call.name or call.type} on: {field.reason}"
            )
            break
    if trace.counters_disagree:
        doubts.append(f"the two counters differ: {trace.first:,} MACs and {trace.second:,}")
    return doubts
