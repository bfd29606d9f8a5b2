"""The layer table: a network call by call, to a chosen depth; its totals are the sums of its rows.

It is no cost of the registry: a table is many rows, a cost one number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bench.costs import Subject
from bench.costs._calls import Call, Shape
from bench.costs.macs import TOLERATED_GAP

_SUMS = ("parameters", "macs", "activations", "activation_bytes")
_FOREMOST = 3  # rows that are named as those where a quantity concentrates


def layer_table(subject: Subject, depth: int | None = None) -> dict[str, Any]:
    """Return the table as plain JSON values.

    Args:
        subject: the network.
        depth: how deep modules are opened, 1 for those of the network itself; None for all.

    Returns:
        `input`: [1, C, H, W]. `layers`: a dict a row, in the order of the calls: `name`, `type`, `depth`, `input`,
        `output` (shapes), `kernel`, `stride`, `padding`, `dilation` ([rows, columns] or None), `groups`,
        `in_channels`, `out_channels`, `parameters` (counted where they are used first), `macs`, `activations`
        (elements written), `activation_bytes`, `receptive_field` (px; [rows, columns] where they differ; "global";
        or None where it is not known), `receptive_field_stride`, `receptive_field_padding`. `totals`: the sums.
        `memory`: bytes of one image through the network. `concentration`: by quantity, the foremost rows with
        their shares. `doubts`: sentences. `failure`: what the network raised before its end, else None.
    """
    trace = subject.trace
    rows = [_row(call) for call in _cut(trace.root, depth)]
    totals = {key: sum(row[key] for row in rows) for key in _SUMS}
    return {
        "input": list(subject.shape),
        "layers": rows,
        "totals": totals | {"parameter_bytes": sum(c.parameter_bytes for c in trace.root.walk())},
        "memory": _memory(subject, totals["activation_bytes"]),
        "concentration": {key: _foremost(rows, key) for key in ("activation_bytes", "parameters", "macs")},
        "counted_on": trace.device,
        "doubts": _doubts(subject),
        "failure": None
        if trace.failure is None
        else f"{type(trace.failure).__name__}: {trace.failure}"[:500],
    }


def _doubts(subject: Subject) -> list[str]:
    trace, found = subject.trace, []
    if subject.reason:
        found.append(f"counted on the CPU, since it does not run without storage: {subject.reason}")
    if trace.data_dependent:
        looked = ", ".join(dict.fromkeys(trace.data_dependent))
        found.append(f"what runs depends on the image ({looked}); the table is for a black one")
    if trace.uncounted:
        named = ", ".join(f"{name} ×{calls}" for name, (calls, _) in sorted(trace.uncounted.items()))
        share = f"{100 * trace.uncounted_share:.2g} % of the elements written"
        found.append(f"operators without a rule for their MACs: {named}; {share}")
    if trace.gap > TOLERATED_GAP:
        found.append(f"the two counters differ: {trace.first:,} MACs and {trace.second:,}")
    return found


def _cut(call: Call, depth: int | None) -> Iterator[Call]:
    """Yield the calls that are shown: those at the depth, and those above it that have no parts."""
    if not call.parts or call.depth == depth:
        yield call
    else:
        for part in call.parts:
            yield from _cut(part, depth)


def _row(call: Call) -> dict[str, Any]:
    window, inside = call.window, list(call.walk())
    reads = _channels(call.input, call.type)
    writes = _channels(call.output, call.type)
    return {
        "name": call.name or call.type,
        "type": call.type,
        "depth": call.depth,
        "input": list(call.input),
        "output": list(call.output),
        "kernel": window and list(window.kernel),
        "stride": window and list(window.stride),
        "padding": window and list(window.padding),
        "dilation": window and list(window.dilation),
        "groups": window and window.groups,
        "in_channels": reads,
        "out_channels": writes,
        **{key: sum(getattr(c, key) for c in inside) for key in _SUMS},
        **_field(call),
    }


def _channels(shape: Shape, kind: str) -> int | None:
    """Return the count of channels: the second dimension of maps, the last of vectors and of linear layers."""
    if len(shape) < 2:
        return None
    return shape[1] if len(shape) == 4 and not kind.lower().endswith("linear") else shape[-1]


def _field(call: Call) -> dict[str, Any]:
    field = call.receptive_field
    size: Any = None
    stride = padding = None
    if field is not None and field.reach == "local":
        size, stride, padding = (
            _pair(v) for v in (field.size, [_number(s) for s in field.stride], field.padding)
        )
    elif field is not None and field.reach == "global":
        size = "global"
    return {
        "receptive_field": size,
        "receptive_field_stride": stride,
        "receptive_field_padding": padding,
    }


def _pair(values: Sequence[Any]) -> Any:
    """Return one value where rows and columns have the same, else both."""
    return values[0] if values[0] == values[1] else list(values)


def _number(value: Any) -> Any:
    return int(value) if value == int(value) else float(value)


def _memory(subject: Subject, activations: int) -> dict[str, int]:
    """Return bytes: of what is written, once for a forward pass, twice with the gradients of a backward pass."""
    image = 4
    for side in subject.shape:
        image *= side
    weights = sum(p.numel() * p.element_size() for p in subject.model.parameters())
    return {
        "input_bytes": image,
        "forward_bytes": image + activations + weights,
        "forward_backward_bytes": image + 2 * activations + 2 * weights,
    }


def _foremost(rows: Sequence[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    total = sum(row[key] for row in rows)
    ranked = sorted((row for row in rows if row[key]), key=lambda row: -row[key])[:_FOREMOST]
    return [{"name": row["name"], "share": row[key] / total} for row in ranked]
