"""Checks of numbers that are counted: each is a list of readings, ours first, and one judgement."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

from bench.analysis.claims.book import Claim
from bench.analysis.claims.facts import Book, Facts, Row, elements, of_kind, output_written, path_layers
from bench.analysis.claims.verdict import Finding, Reading, agreement, judge, match

BYTES = 4  # of a number in single precision
MEBI = 2**20

# --- work ---


def macs(claim: Claim, book: Book) -> Finding:
    """Decide a count of multiply-accumulates."""
    facts = book.network(claim)
    once = sum(row["macs"] for row in book.rows(claim))
    readings = [Reading(Decimal(once), f"{once:,} multiply-adds")]
    alone = sum(row["macs"] for row in of_kind(book.rows(claim), "conv"))
    if alone != once:
        readings.append(Reading(Decimal(alone), f"{alone:,} multiply-adds", "convolutions alone"))
    readings.append(Reading(Decimal(2 * once), f"2 × {once:,} = {2 * once:,}", "each as two operations"))
    if claim.layer[0]:
        return judge(claim, readings)
    readings += [_once(other) for _, other in book.variants(claim.network)]
    return judge(claim, readings, _relative(claim, book, facts))


def operations(claim: Claim, book: Book) -> Finding:
    """Decide a count of operations: a multiply-add is two of them, though many sources count it as one."""
    if claim.layer[0]:
        once = sum(row["macs"] for row in book.rows(claim))
        readings = [_twice(once), Reading(Decimal(once), f"{once:,}", "each multiply-add counted once")]
        return judge(claim, readings)
    facts = book.network(claim)
    readings = [*_work(facts), *(r for _, other in book.variants(claim.network) for r in _work(other, other))]
    return judge(claim, readings, _relative(claim, book, facts))


def _twice(once: int) -> Reading:
    return Reading(Decimal(2 * once), f"2 × {once:,} multiply-adds = {2 * once:,}")


def _work(facts: Facts, variant: Facts | None = None) -> list[Reading]:
    """Return the ways to count the operations of a network; of a variant, its name is part of the convention."""
    once, rest = facts["counts"]["macs"], facts["counts"]["operations"]
    name = f"{variant['card']['name']}: {variant['card']['note']}; " if variant else ""
    whole = 2 * once + rest
    twice = _twice(once)
    return [
        Reading(twice.value, twice.how, f"{name}two operations each" if variant else ""),
        Reading(Decimal(once), f"{once:,} multiply-adds", f"{name}each multiply-add counted once"),
        Reading(
            Decimal(whole),
            f"2 × {once:,} + {rest:,} = {whole:,}",
            f"{name}with norms, activation functions and pooling",
        ),
    ]


def _once(facts: Facts) -> Reading:
    value, card = facts["counts"]["macs"], facts["card"]
    return Reading(Decimal(value), f"{value:,} multiply-adds", f"{card['name']}: {card['note']}")


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
    return judge(claim, _activations(claim, book))


def activation_bytes(claim: Claim, book: Book) -> Finding:
    """Decide the memory of the activations of one image, in single precision."""
    return judge(claim, _in_bytes(_written_out(claim, book), BYTES, "4 B"))


def activation_and_gradient_bytes(claim: Claim, book: Book) -> Finding:
    """Decide the memory of the activations of one image and of their gradients, in single precision."""
    return judge(claim, _in_bytes(_written_out(claim, book), 2 * BYTES, "4 B × 2"))


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
    readings = [_field(row)]
    for name, facts in book.variants(claim.network):
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
