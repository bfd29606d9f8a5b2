"""Checks of numbers that are counted: each is a list of readings, ours first, and one decision."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import accumulate, pairwise

from bench.claims._claim import Claim
from bench.claims._context import (
    Context,
    Facts,
    Row,
    check,
    elements,
    kind_of,
    longest_path,
    of_kind,
    output_written,
    weights,
    weights_written,
)
from bench.claims._finding import Finding, Reading, agreement, decide_in_column, decide_number, decide_text

_BYTES = 4  # of a number in single precision
_MEBI = 2**20

# --- parameters ---


@check("params", "1")
def _params(claim: Claim, context: Context) -> Finding:
    """Decide a count of parameters, of a network or of one of its layers."""
    if claim.layer[0]:
        return _layer_params(claim, context.rows(claim))
    facts = context.network(claim)
    total = facts["counts"]["parameters"]
    variants = [_total(other, name) for name, other in context.variants(claim.network)]
    readings = [_total(facts), *_other_params(facts), *variants]
    return decide_number(claim, readings, _pinned(claim, context, total))


def _total(facts: Facts, convention: str = "") -> Reading:
    total = facts["counts"]["parameters"]
    return Reading(total, f"{total:,} parameters", convention)


def _other_params(facts: Facts) -> Iterator[Reading]:
    counts, rows = facts["counts"], facts["layers"]
    total, buffers = counts["parameters"], counts["buffers"]
    if buffers:
        how = f"{total:,} + {buffers:,} in buffers = {total + buffers:,}"
        yield Reading(total + buffers, how, "with the running statistics of batch norm")
    alone = sum(map(weights, rows))
    yield Reading(alone, f"{alone:,} weights", "without biases and norms")
    if dense := of_kind(rows, "fc"):
        rest = total - dense[-1]["parameters"]
        how = f"{total:,} − {dense[-1]['parameters']:,} = {rest:,}"
        yield Reading(rest, how, "without the last layer, the classifier")
    yield from _paper_filters(facts)


def _paper_filters(facts: Facts) -> Iterator[Reading]:
    """Read GoogLeNet as its paper prints it: torchvision's 3x3 in the third branch are 5x5 there.

    Its Table 1 counts weights in thousands of 1,024: 112K stands for 64·64 + 3·3·64·192 = 112·1,024.
    """
    rows = [
        row for row in facts["layers"] if row["name"].endswith("branch3.1.conv") and row["kernel"] == [3, 3]
    ]
    if facts["card"]["family"] != "googlenet" or not rows:
        return
    total = sum(map(weights, facts["layers"])) + sum(weights(row) // 9 * 16 for row in rows)
    how = f"{total:,} weights with 5x5 filters / 1,024 = {total / 1024:,.0f} K"
    yield Reading(Decimal(total) / 1024 * 1000, how, "the paper's filters, without biases, K = 1,024")


def _layer_params(claim: Claim, rows: Sequence[Row]) -> Finding:
    total, alone = sum(row["parameters"] for row in rows), sum(map(weights, rows))
    how = _params_written(rows[0]) if len(rows) == 1 else f"{total:,} in {len(rows)} layers"
    readings = [Reading(total, how)]
    if 0 < alone < total:
        readings.append(Reading(alone, f"{weights_written(rows[0])} = {alone:,}", "without biases"))
    return decide_number(claim, readings, _as_convolution(claim, rows[0]))


def _params_written(row: Row) -> str:
    """Write the parameters of a layer out: ``11·11·3·96 + 96 = 34,944``."""
    total, alone, out = row["parameters"], weights(row), row["out_channels"]
    if not total:
        return f"{row['type']} has no weights: 0"
    if not alone or total not in (alone, alone + out):
        return f"{total:,} parameters"
    bias = f" + {out}" if total > alone else ""
    return f"{weights_written(row)}{bias} = {total:,}"


def _as_convolution(claim: Claim, row: Row) -> str:
    """Say it if the claim is what a convolution with a pooling's window would have."""
    if kind_of(row) != "pool":
        return ""
    (height, width), channels = row["kernel"], row["in_channels"]
    if height * width * channels**2 + channels != claim.number:
        return ""
    sums = f"{height}·{width}·{channels}·{channels} + {channels} = {claim.number:,}"
    return f"{sums} would be a convolution's in its place"


def _pinned(claim: Claim, context: Context, ours: int) -> str:
    """Name the layer that the same source gives just as much too much as it gives the network."""
    excess = claim.number - ours
    for other in context.of_source(claim):
        if excess and other.quantity == claim.quantity and other.layer[0]:
            layer = sum(row["parameters"] for row in context.rows(other))
            if other.number - layer == excess:
                name = other.subject.rpartition("/")[2]
                sums = f"{claim.number:,} = {ours:,} + {excess:,}"
                return f"{sums}, which the same source gives {name}, that has {layer:,}"
    return ""


@check("params_without_sharing", "1")
def _params_without_sharing(claim: Claim, context: Context) -> Finding:
    """Decide what a convolution would have if each of its outputs had weights of its own."""
    row = context.layer(claim, "conv")
    out, each = elements(row), weights(row) // row["out_channels"]
    bias = (row["parameters"] - weights(row)) // row["out_channels"]
    filters = weights_written(row).rpartition("·")[0]
    own = out * (each + bias)
    how = f"{output_written(row)} × ({filters} + {bias}) = {own:,}"
    return decide_number(claim, [Reading(own, how), Reading(out * each, f"{out * each:,}", "without biases")])


@check("params_ratio", "1", needs=lambda claim: claim.pair)
def _params_ratio(claim: Claim, context: Context) -> Finding:
    """Decide how many times the parameters of a network another has: of ``alexnet : googlenet``."""
    more, less = (context.network(claim, name)["counts"]["parameters"] for name in claim.pair)
    ratio = Decimal(more) / Decimal(less)
    reading = Reading(ratio.quantize(Decimal("0.001")), f"{more:,} / {less:,} = {ratio:.3f}")
    printed = [_printed_params(claim, context, name) for name in claim.pair]
    hint = ""
    if all(printed):
        hint = f"{printed[0]:,} / {printed[1]:,}, as lectures print them, is {printed[0] / printed[1]:.3g}"
    return decide_number(claim, [reading], hint)


def _printed_params(claim: Claim, context: Context, name: str) -> int:
    """Return the parameters that are printed of a whole network, by the same source before others; 0 where none are."""
    printed = [c for c in context.claims if (c.subject, c.quantity, c.unit) == (name, "params", "1")]
    printed = sorted(printed, key=lambda c: (c.source != claim.source, c.number))
    return int(printed[0].number) if printed else 0


@check("weights", "1")
def _weights_alone(claim: Claim, context: Context) -> Finding:
    """Decide a count of weights without biases."""
    rows = of_kind(context.rows(claim), "conv", "fc")
    total = sum(map(weights, rows))
    how = f"{weights_written(rows[0])} = {total:,}" if len(rows) == 1 else f"{total:,} in {len(rows)} layers"
    return decide_number(claim, [Reading(total, how)])


@check("weights", "list")
def _weight_list(claim: Claim, context: Context) -> Finding:
    """Decide the weights of convolutions and fully connected layers, without biases, row by row."""
    rows = of_kind(context.rows(claim), "conv", "fc")
    return _by_row(claim, [(weights(row), weights_written(row)) for row in rows])


@check("connections", "1")
def _connections(claim: Claim, context: Context) -> Finding:
    """Decide to how many numbers of its input one place of a layer is connected, its bias left out."""
    row = context.layer(claim, "conv", "fc")
    each = weights(row) // row["out_channels"]
    sides = (*(row["kernel"] or ()), row["in_channels"] // (row["groups"] or 1))
    return decide_number(claim, [Reading(each, f"{'·'.join(map(str, sides))} = {each:,}")])


# --- work ---

_WHOLE = "those of all layers"
_ONCE = "each multiply-add counted once"
_TWICE = "two operations each"
_ALL = "with norms, activation functions and pooling"


@check("macs", "MAC")
def _macs(claim: Claim, context: Context) -> Finding:
    """Decide a count of multiply-accumulates."""
    if claim.layer[0]:
        return decide_number(claim, _multiply_adds(context.rows(claim)))
    return _in_column(claim, context, _network_macs)


def _network_macs(claim: Claim, context: Context) -> list[Reading]:
    variants = [
        replace(_multiply_adds(other["layers"])[0], convention=name)
        for name, other in context.variants(claim.network)
    ]
    return [*_multiply_adds(context.rows(claim)), *variants]


def _multiply_adds(rows: Sequence[Row]) -> list[Reading]:
    once, alone = (sum(row["macs"] for row in some) for some in (rows, of_kind(rows, "conv")))
    readings = [Reading(once, f"{once:,} multiply-adds", counting=_WHOLE)]
    if alone != once:
        readings.append(_counted(alone, f"{alone:,} multiply-adds", "convolutions alone"))
    return [*readings, _counted(2 * once, f"2 × {once:,} = {2 * once:,}", "each as two operations")]


def _counted(value: int, how: str, counting: str, variant: str = "") -> Reading:
    """Return a reading by another convention than ours; of a variant, its name is part of the convention."""
    return Reading(value, how, f"{variant}; {counting}" if variant else counting, counting)


@check("operations", "op")
def _operations(claim: Claim, context: Context) -> Finding:
    """Decide a count of operations: a multiply-add is two of them, though many sources count it as one."""
    if claim.layer[0]:
        once = sum(row["macs"] for row in context.rows(claim))
        return decide_number(claim, [_twice(once), _counted(once, f"{once:,}", _ONCE)])
    return _in_column(claim, context, _network_operations)


def _network_operations(claim: Claim, context: Context) -> list[Reading]:
    variants = [r for name, other in context.variants(claim.network) for r in _work(other, name)]
    return [*_work(context.network(claim)), *variants]


def _in_column(claim: Claim, context: Context, ways: Callable[[Claim, Context], list[Reading]]) -> Finding:
    """Decide a count of a whole network by the one way in which its source counts."""
    column = [(c, ways(c, context)) for c in context.column(claim) if not c.layer[0]]
    return decide_in_column(claim, ways(claim, context), column, _relative(claim, context))


def _twice(once: int) -> Reading:
    return Reading(2 * once, f"2 × {once:,} multiply-adds = {2 * once:,}", counting=_TWICE)


def _work(facts: Facts, variant: str = "") -> list[Reading]:
    """Return the ways to count the operations of a network."""
    once, rest = facts["counts"]["macs"], facts["counts"]["operations"]
    whole = 2 * once + rest
    twice = _twice(once)
    return [
        _counted(2 * once, twice.how, _TWICE, variant) if variant else twice,
        _counted(once, f"{once:,} multiply-adds", _ONCE, variant),
        _counted(whole, f"2 × {once:,} + {rest:,} = {whole:,}", _ALL, variant),
    ]


def _relative(claim: Claim, context: Context) -> str:
    """Name another network of the family whose multiply-adds the claim gives, should it be an erratum."""
    own = context.network(claim)["counts"]["macs"]
    for name, other in context.family(claim.network):
        value = other["counts"]["macs"]
        if agreement(claim, value) in ("exact", "rounded"):
            return f"{own:,} multiply-adds counted once; the claim is {name}'s: {value:,}"
    return ""


# --- activations ---


@check("activations", "1")
def _activations(claim: Claim, context: Context) -> Finding:
    """Decide how many numbers a forward pass writes."""
    printed = _printed_rows(claim, context)
    hint = f"the rows that the same source prints come to {printed:,}" if printed else ""
    return decide_number(claim, _activation_counts(claim, context), hint)


@check("activation_bytes", "B")
def _activation_bytes(claim: Claim, context: Context) -> Finding:
    """Decide the memory of the activations of one image, in single precision."""
    printed = _printed_rows(claim, context)
    hint = f"the rows that the same source prints come to {printed:,} numbers, × 4 B = {_BYTES * printed:,} B"
    return decide_number(claim, _in_bytes(_written(claim, context), _BYTES, "4 B"), hint if printed else "")


@check("activation_and_gradient_bytes", "B")
def _activation_and_gradient_bytes(claim: Claim, context: Context) -> Finding:
    """Decide the memory of the activations of one image and of their gradients, in single precision."""
    return decide_number(claim, _in_bytes(_written(claim, context), 2 * _BYTES, "4 B × 2"))


@check("activations", "list")
def _activation_list(claim: Claim, context: Context) -> Finding:
    """Decide what image, convolutions, poolings and fully connected layers write, row by row."""
    return _by_row(claim, _written_rows(context.network(claim)))


def _written_rows(facts: Facts) -> list[tuple[int, str]]:
    rows = [{"output": facts["input"]}, *of_kind(facts["layers"], "conv", "pool", "fc")]
    return [(elements(row), output_written(row)) for row in rows]


def _printed_rows(claim: Claim, context: Context) -> int:
    """Return what the rows come to that the same source prints of the same network; 0 where it prints none."""
    printed = any(c.quantity == "activations" and c.unit == "list" for c in context.of_source(claim))
    return sum(n for n, _ in _written_rows(context.network(claim))) if printed else 0


def _by_row(claim: Claim, ours: Sequence[tuple[int, str]]) -> Finding:
    """Return the finding for numbers with commas between: of each row its number and the product behind it."""
    printed = [replace(claim, claimed=text.strip(), unit="1") for text in claim.claimed.split(",")]
    total = sum(n for n, _ in ours)
    text = ", ".join(str(n) for n, _ in ours)
    if len(printed) != len(ours):
        return decide_text(claim, text, f"{len(ours)} rows, not {len(printed)}; they come to {total:,}")
    ways = [agreement(one, n) for one, (n, _) in zip(printed, ours, strict=True)]
    sums = "; ".join(f"{how} = {n:,}" if how != str(n) else how for n, how in ours)
    numbered = enumerate(zip(ours, ways, strict=True), start=1)
    wrong = [f"row {i} is {n:,}" for i, ((n, _), way) in numbered if way is None]
    how = "; ".join([*wrong, sums, f"all come to {total:,}"])
    if wrong:
        return decide_text(claim, text, how)
    finding = decide_text(claim, claim.claimed, how)
    exact = all(way == "exact" for way in ways)
    return finding if exact else replace(finding, verdict="rounding", ours=text, agreement="rounded")


def _written(claim: Claim, context: Context) -> list[Reading]:
    """Return the ways to count what memory holds; ours are all numbers that layers write, not in place."""
    counts = _activation_counts(claim, context)
    if claim.layer[0]:
        return counts
    total = context.network(claim)["totals"]["activations"]
    ours = Reading(total, f"{total:,} numbers written")
    return [ours, replace(counts[0], convention="matrix products alone"), *counts[1:]]


def _in_bytes(counts: Sequence[Reading], factor: int, written: str) -> list[Reading]:
    """Return readings in bytes, and ours in MB of 2^20 B as well."""
    sizes = []
    for reading in counts:
        size = reading.value * factor
        sizes.append(Reading(size, f"{reading.how}; × {written} = {size:,} B", reading.convention))
    binary = Decimal(sizes[0].value) / _MEBI
    how = f"{sizes[0].how} = {binary:.2f} × 2^20 B"
    return [*sizes, Reading(binary * 10**6, how, "MB of 2^20 B")]


def _activation_counts(claim: Claim, context: Context) -> list[Reading]:
    """Return the ways to count activations; ours are the outputs of convolutions and matrix products."""
    rows = context.rows(claim)
    if claim.layer[0]:
        ours = sum(map(elements, rows))
        return [Reading(ours, f"{_sums(rows)}{ours:,}")]
    matrix, pools, relus = (
        sum(map(elements, of_kind(rows, *kinds))) for kinds in (("conv", "fc"), ("pool",), ("relu",))
    )
    image = elements({"output": context.network(claim)["input"]})
    base = f"{matrix:,} (convolutions, fully connected)"
    pooled, whole = matrix + pools, matrix + pools + image
    total = whole + relus
    return [
        Reading(matrix, base),
        Reading(pooled, f"{base} + {pools:,} (pooling) = {pooled:,}", "with pooling"),
        Reading(
            whole,
            f"{base} + {pools:,} (pooling) + {image:,} (image) = {whole:,}",
            "with pooling and the image",
        ),
        Reading(total, f"{whole:,} with pooling and the image + {relus:,} (ReLU) = {total:,}", "ReLU apart"),
    ]


def _sums(rows: Sequence[Row]) -> str:
    """Write the sum of a few outputs out: ``3 × 224·224·64 = ``."""
    shapes = Counter(map(output_written, rows))
    if len(shapes) > 3:
        return ""
    return " + ".join(f"{n} × {s}" if n > 1 else s for s, n in shapes.items()) + " = "


# --- receptive field, depth, pooling ---


@check("receptive_field", "px")
def _receptive_field(claim: Claim, context: Context) -> Finding:
    """Decide the side of the image part that one place of a layer sees; of the last such layer by default."""
    rows = context.rows(claim)
    row = _last_local(rows)
    if row is None:
        return decide_text(claim, "global", f"every place of {claim.subject} sees the whole image")
    readings = [_field(row), *_late_strides(rows)]
    strided = "stride" in claim.convention  # then a variant that has it elsewhere is not what is claimed
    for name, facts in context.variants(claim.network) if not strided else ():
        other = _last_local(context.rows(claim, facts))
        if other is not None:
            readings.append(_field(other, name))
    return decide_number(claim, readings)


def _last_local(rows: Sequence[Row]) -> Row | None:
    """Return the layer that gave the last such field its size."""
    local = [row for row in rows if isinstance(row["receptive_field"], int)]
    return next((row for row in local if row["receptive_field"] == local[-1]["receptive_field"]), None)


def _field(row: Row, convention: str = "") -> Reading:
    side = row["receptive_field"]
    return Reading(side, f"{side} px behind {row['name']}", convention)


def _late_strides(rows: Sequence[Row]) -> Iterator[Reading]:
    """Read a network of bottlenecks whose stages are strided in the 3x3 of their last block, as TF-slim has them."""
    stem = [(row["kernel"][0], row["stride"][0]) for row in of_kind(rows, "conv", "pool")[:2]]
    stages: dict[str, list[int]] = {}  # by stage, the strides of the 3x3 of its blocks
    for row in of_kind(rows, "conv"):
        stage, _, layer = row["name"].partition(".")
        if stage.startswith("layer") and layer.endswith(".conv2") and row["kernel"] == [3, 3]:
            stages.setdefault(stage, []).append(row["stride"][0])
    if not stages or not any(row["name"].endswith(".conv3") for row in rows):
        return
    for stage, following in pairwise(stages):
        stages[stage][-1], stages[following][0] = stages[following][0], 1
    path = [*stem, *((3, stride) for blocks in stages.values() for stride in blocks)]
    field, jump = 1, 1
    for kernel, stride in path:
        field, jump = field + (kernel - 1) * jump, jump * stride
    sums = " + ".join(f"{n}·2·{step}" for step, n in _steps(path))
    how = f"1 + {stem[0][0] - 1}·1 + {sums} = {field} px"
    yield Reading(field, how, "the stride in the 3x3 of a stage's last block, as TF-slim has it")


def _steps(path: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return by distance in px between places how many windows of 3 px stand there, behind the first layer."""
    jumps = accumulate((stride for _, stride in path[:-1]), operator.mul)
    return list(Counter(jumps).items())


@check("weight_layers", "1")
def _weight_layers(claim: Claim, context: Context) -> Finding:
    """Decide the depth: layers with weights along the longest path."""
    rows = context.rows(claim)
    path, every = longest_path(rows), of_kind(rows, "conv", "fc")
    conv, dense = (len(of_kind(path, kind)) for kind in ("conv", "fc"))
    how = f"{conv} convolutions + {dense} fully connected = {conv + dense}"
    how += f" along the longest path, of {len(every)}" if len(every) != len(path) else ""
    others = Reading(len(every), f"{len(every)} layers", "those of all branches")
    return decide_number(claim, [Reading(len(path), how), others])


@check("discarded", "1")
def _discarded(claim: Claim, context: Context) -> Finding:
    """Decide the share of its input that a pooling leaves out."""
    row = context.layer(claim, "pool")
    share = 1 - Decimal(elements(row)) / elements(row, "input")
    how = f"1 − {elements(row):,} / {elements(row, 'input'):,} = {share}"
    return decide_number(claim, [Reading(share, how)])


@check("fc_layers", "1")
def _fc_layers(claim: Claim, context: Context) -> Finding:
    """Decide the number of fully connected layers, the classifier among them."""
    dense = of_kind(context.rows(claim), "fc")
    how = ", ".join(f"{row['name']} ({weights_written(row)})" for row in dense)
    return decide_number(claim, [Reading(len(dense), f"{len(dense)}: {how}" if dense else "none")])
