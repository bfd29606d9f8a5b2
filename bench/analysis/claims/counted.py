"""Checks of numbers that are counted: each is a list of readings, ours first, and one judgement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

from bench.analysis.claims.book import Claim
from bench.analysis.claims.facts import (
    Book,
    Facts,
    Row,
    elements,
    of_kind,
    output_written,
    path_layers,
    weights,
    weights_written,
)
from bench.analysis.claims.verdict import Finding, Reading, agreement, consistent, judge, match

BYTES = 4  # of a number in single precision
MEBI = 2**20

# --- work ---


def macs(claim: Claim, book: Book) -> Finding:
    """Decide a count of multiply-accumulates."""
    if claim.layer[0]:
        return judge(claim, _multiply_adds(book.rows(claim)))
    return _in_column(claim, book, _network_macs)


def _network_macs(claim: Claim, book: Book) -> list[Reading]:
    variants = [
        replace(r, convention=_joined(_described(other), r.convention))
        for _, other in book.variants(claim.network)
        for r in _multiply_adds(other["layers"])[:1]
    ]
    return [*_multiply_adds(book.rows(claim)), *variants]


def _multiply_adds(rows: Sequence[Row]) -> list[Reading]:
    once = sum(row["macs"] for row in rows)
    alone = sum(row["macs"] for row in of_kind(rows, "conv"))
    readings = [Reading(Decimal(once), f"{once:,} multiply-adds", counting=_WHOLE)]
    readings += [_counted(alone, f"{alone:,} multiply-adds", "convolutions alone")] if alone != once else []
    return [*readings, _counted(2 * once, f"2 × {once:,} = {2 * once:,}", "each as two operations")]


_WHOLE = "those of all layers"


def _counted(value: int, how: str, counting: str) -> Reading:
    return Reading(Decimal(value), how, counting, counting)


def operations(claim: Claim, book: Book) -> Finding:
    """Decide a count of operations: a multiply-add is two of them, though many sources count it as one."""
    if claim.layer[0]:
        once = sum(row["macs"] for row in book.rows(claim))
        return judge(claim, [_twice(once), _counted(once, f"{once:,}", _ONCE)])
    return _in_column(claim, book, _network_operations)


def _network_operations(claim: Claim, book: Book) -> list[Reading]:
    variants = [r for _, other in book.variants(claim.network) for r in _work(other, _described(other))]
    return [*_work(book.network(claim)), *variants]


def _in_column(claim: Claim, book: Book, ways: Callable[[Claim, Book], list[Reading]]) -> Finding:
    """Decide a count of a whole network by the one way in which its source counts."""
    column = [(c, ways(c, book)) for c in book.alike(claim) if not c.layer[0]]
    return consistent(claim, ways(claim, book), column, _relative(claim, book, book.network(claim)))


_ONCE = "each multiply-add counted once"


def _twice(once: int) -> Reading:
    return Reading(
        Decimal(2 * once), f"2 × {once:,} multiply-adds = {2 * once:,}", counting="two operations each"
    )


def _work(facts: Facts, variant: str = "") -> list[Reading]:
    """Return the ways to count the operations of a network; of a variant, its name is part of the convention."""
    once, rest = facts["counts"]["macs"], facts["counts"]["operations"]
    whole = 2 * once + rest
    twice = _twice(once)
    return [
        replace(twice, convention=_joined(variant, twice.counting) if variant else ""),
        Reading(Decimal(once), f"{once:,} multiply-adds", _joined(variant, _ONCE), _ONCE),
        Reading(
            Decimal(whole),
            f"2 × {once:,} + {rest:,} = {whole:,}",
            _joined(variant, "with norms, activation functions and pooling"),
            "with norms, activation functions and pooling",
        ),
    ]


def _described(facts: Facts) -> str:
    return f"{facts['card']['name']}: {facts['card']['note']}"


def _joined(*texts: str) -> str:
    return "; ".join(text for text in texts if text)


def _relative(claim: Claim, book: Book, facts: Facts) -> str:
    """Name another network of the family whose multiply-adds the claim gives, should it be an erratum."""
    for name, other in book.family(claim.network):
        value = other["counts"]["macs"]
        if agreement(claim, Decimal(value)) in ("exact", "rounded"):
            own = facts["counts"]["macs"]
            return f"{own:,} multiply-adds counted once; the claim is {name}'s: {value:,}"
    return ""


# --- activations ---


def activations(claim: Claim, book: Book) -> Finding:
    """Decide how many numbers a forward pass writes."""
    printed = _printed_rows(claim, book)
    hint = f"the rows that the same source prints come to {printed:,}" if printed else ""
    return judge(claim, _activations(claim, book), hint)


def activation_bytes(claim: Claim, book: Book) -> Finding:
    """Decide the memory of the activations of one image, in single precision."""
    printed = _printed_rows(claim, book)
    hint = f"the rows that the same source prints come to {printed:,} numbers, × 4 B = {BYTES * printed:,} B"
    return judge(claim, _in_bytes(_written_out(claim, book), BYTES, "4 B"), hint if printed else "")


def activation_and_gradient_bytes(claim: Claim, book: Book) -> Finding:
    """Decide the memory of the activations of one image and of their gradients, in single precision."""
    return judge(claim, _in_bytes(_written_out(claim, book), 2 * BYTES, "4 B × 2"))


def activation_list(claim: Claim, book: Book) -> Finding:
    """Decide what image, convolutions, poolings and fully connected layers write, row by row."""
    return by_row(claim, _written_rows(book.network(claim)))


def weight_list(claim: Claim, book: Book) -> Finding:
    """Decide the weights of convolutions and fully connected layers, without biases, row by row."""
    rows = of_kind(book.rows(claim), "conv", "fc")
    return by_row(claim, [(weights(row), weights_written(row)) for row in rows])


def _written_rows(facts: Facts) -> list[tuple[int, str]]:
    rows = [{"output": facts["input"]}, *of_kind(facts["layers"], "conv", "pool", "fc")]
    return [(elements(row), output_written(row)) for row in rows]


def _printed_rows(claim: Claim, book: Book) -> int:
    """Return what the rows come to that the same source prints of the same network; 0 where it prints none."""
    printed = any(c.quantity == "activations" and c.unit == "list" for c in book.of_source(claim))
    return sum(n for n, _ in _written_rows(book.network(claim))) if printed else 0


def by_row(claim: Claim, ours: Sequence[tuple[int, str]]) -> Finding:
    """Return the finding for numbers with commas between: of each row its number and the product behind it."""
    said = [replace(claim, claimed=text.strip(), unit="1") for text in claim.claimed.split(",")]
    total = sum(n for n, _ in ours)
    text = ", ".join(str(n) for n, _ in ours)
    if len(said) != len(ours):
        return match(claim, text, f"{len(ours)} rows, not {len(said)}; they come to {total:,}")
    ways = [agreement(one, Decimal(n)) for one, (n, _) in zip(said, ours, strict=True)]
    sums = "; ".join(f"{how} = {n:,}" if how != str(n) else how for n, how in ours)
    wrong = [f"row {i} is {ours[i - 1][0]:,}" for i, way in enumerate(ways, start=1) if way is None]
    how = "; ".join([*wrong, sums, f"all come to {total:,}"])
    if wrong:
        return match(claim, text, how)
    finding = match(claim, claim.claimed, how)
    exact = all(way == "exact" for way in ways)
    return finding if exact else replace(finding, verdict="rounding", ours=text, agreement="rounded")


def _written_out(claim: Claim, book: Book) -> list[Reading]:
    """Return the ways to count what memory holds; ours are all numbers that layers write, not in place."""
    counts = _activations(claim, book)
    if claim.layer[0]:
        return counts
    total = book.network(claim)["totals"]["activations"]
    ours = Reading(Decimal(total), f"{total:,} numbers written")
    return [ours, Reading(counts[0].value, counts[0].how, "matrix products alone"), *counts[1:]]


def _in_bytes(counts: Sequence[Reading], factor: int, written: str) -> list[Reading]:
    """Return readings in bytes, and ours in MB of 2^20 B as well."""
    found = []
    for reading in counts:
        assert isinstance(reading.value, Decimal)  # counted
        size = reading.value * factor
        found.append(Reading(size, f"{reading.how}; × {written} = {size:,} B", reading.convention))
    ours = found[0]
    assert isinstance(ours.value, Decimal)  # as above
    binary = ours.value / MEBI
    found.append(Reading(binary * 10**6, f"{ours.how} = {binary:.2f} × 2^20 B", "MB of 2^20 B"))
    return found


def _activations(claim: Claim, book: Book) -> list[Reading]:
    """Return the ways to count activations; ours are the outputs of convolutions and matrix products."""
    rows, facts = book.rows(claim), book.network(claim)
    matrix = of_kind(rows, "conv", "fc")
    ours = sum(map(elements, rows if claim.layer[0] else matrix))
    if claim.layer[0]:
        return [Reading(Decimal(ours), f"{_sums(rows)}{ours:,}")]
    pools, relus = (sum(map(elements, of_kind(rows, kind))) for kind in ("pool", "relu"))
    image = elements({"output": facts["input"]})
    base = f"{ours:,} (convolutions, fully connected)"
    whole = ours + pools + image
    return [
        Reading(Decimal(ours), base),
        Reading(Decimal(ours + pools), f"{base} + {pools:,} (pooling) = {ours + pools:,}", "with pooling"),
        Reading(
            Decimal(whole),
            f"{base} + {pools:,} (pooling) + {image:,} (image) = {whole:,}",
            "with pooling and the image",
        ),
        Reading(
            Decimal(whole + relus),
            f"{whole:,} with pooling and the image + {relus:,} (ReLU) = {whole + relus:,}",
            "ReLU apart",
        ),
    ]


def _sums(rows: Sequence[Row]) -> str:
    """Write the sum of a few outputs out: ``3 × 224·224·64 = ``."""
    shapes = Counter(output_written(row) for row in rows)
    if len(shapes) > 3:
        return ""
    return " + ".join(f"{n} × {s}" if n > 1 else s for s, n in shapes.items()) + " = "


# --- receptive field, depth, pooling ---


def receptive_field(claim: Claim, book: Book) -> Finding:
    """Decide the side of the image part that one place of a layer sees; of the last such layer by default."""
    row = _last_local(book.rows(claim))
    if row is None:
        return match(claim, "global", f"every place of {claim.subject} sees the whole image")
    readings = [_field(row), *_late_strides(book.rows(claim))]
    strided = "stride" in claim.convention  # then a variant that has it elsewhere is not what is claimed
    for name, facts in book.variants(claim.network) if not strided else ():
        other = _last_local(book.rows(claim, facts))
        if other is not None:
            readings.append(_field(other, f"{name}: {facts['card']['note']}"))
    return judge(claim, readings)


def _last_local(rows: Sequence[Row]) -> Row | None:
    """Return the layer that gave the last such field its size."""
    local = [row for row in rows if isinstance(row["receptive_field"], int)]
    return next((row for row in local if row["receptive_field"] == local[-1]["receptive_field"]), None)


def _field(row: Row, convention: str = "") -> Reading:
    return Reading(
        Decimal(row["receptive_field"]), f"{row['receptive_field']} px behind {row['name']}", convention
    )


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
    yield Reading(Decimal(field), how, "the stride in the 3x3 of a stage's last block, as TF-slim has it")


def _steps(path: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return by distance in px between places how many windows of 3 px stand there, behind the first layer."""
    jumps, jump = [], path[0][1]
    for _, stride in path[1:]:
        jumps.append(jump)
        jump *= stride
    return list(Counter(jumps).items())


def weight_layers(claim: Claim, book: Book) -> Finding:
    """Decide the depth: layers with weights along the longest path."""
    rows = book.rows(claim)
    path, every = path_layers(rows), of_kind(rows, "conv", "fc")
    conv, dense = (len(of_kind(path, kind)) for kind in ("conv", "fc"))
    how = f"{conv} convolutions + {dense} fully connected = {conv + dense}"
    how += f" along the longest path, of {len(every)}" if len(every) != len(path) else ""
    readings = [Reading(Decimal(len(path)), how)]
    readings.append(Reading(Decimal(len(every)), f"{len(every)} layers", "those of all branches"))
    return judge(claim, readings)


def discarded(claim: Claim, book: Book) -> Finding:
    """Decide the share of its input that a pooling leaves out."""
    row = book.layer(claim, "pool")
    kept = Decimal(elements(row)) / Decimal(elements(row, "input"))
    how = f"1 − {elements(row):,} / {elements(row, 'input'):,} = {1 - kept}"
    return judge(claim, [Reading(1 - kept, how)])


def fc_layers(claim: Claim, book: Book) -> Finding:
    """Decide the number of fully connected layers, the classifier among them."""
    dense = of_kind(book.rows(claim), "fc")
    how = ", ".join(f"{row['name']} ({weights_written(row)})" for row in dense)
    return judge(claim, [Reading(Decimal(len(dense)), f"{len(dense)}: {how}" if dense else "none")])


def connections(claim: Claim, book: Book) -> Finding:
    """Decide to how many numbers of its input one place of a layer is connected, its bias left out."""
    row = book.layer(claim, "conv", "fc")
    each = weights(row) // row["out_channels"]
    sides = (*(row["kernel"] or ()), row["in_channels"] // (row["groups"] or 1))
    return judge(claim, [Reading(Decimal(each), f"{'·'.join(map(str, sides))} = {each:,}")])


def weights_alone(claim: Claim, book: Book) -> Finding:
    """Decide a count of weights without biases."""
    rows = of_kind(book.rows(claim), "conv", "fc")
    total = sum(map(weights, rows))
    how = f"{weights_written(rows[0])} = {total:,}" if len(rows) == 1 else f"{total:,} in {len(rows)} layers"
    return judge(claim, [Reading(Decimal(total), how)])
