"""Checks of parameters, of networks and of their layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal

from bench.analysis.claims.book import Claim
from bench.analysis.claims.facts import (
    Book,
    Facts,
    Row,
    elements,
    kind_of,
    of_kind,
    output_written,
    weights,
    weights_written,
)
from bench.analysis.claims.verdict import Finding, Reading, judge


def params(claim: Claim, book: Book) -> Finding:
    """Decide a count of parameters, of a network or of one of its layers."""
    if claim.layer[0]:
        return _layer_params(claim, book)
    facts = book.network(claim)
    total = facts["counts"]["parameters"]
    others = [*_other_params(facts), *_variants(claim, book, lambda f: f["counts"]["parameters"])]
    return judge(
        claim, [Reading(Decimal(total), f"{total:,} parameters"), *others], _pinned(claim, book, total)
    )


def _other_params(facts: Facts) -> Iterator[Reading]:
    counts, rows = facts["counts"], facts["layers"]
    total, buffers = counts["parameters"], counts["buffers"]
    if buffers:
        how = f"{total:,} + {buffers:,} in buffers = {total + buffers:,}"
        yield Reading(Decimal(total + buffers), how, "with the running statistics of batch norm")
    alone = sum(weights(row) for row in rows)
    yield Reading(Decimal(alone), f"{alone:,} weights", "without biases and norms")
    if dense := of_kind(rows, "fc"):
        rest = total - dense[-1]["parameters"]
        how = f"{total:,} − {dense[-1]['parameters']:,} = {rest:,}"
        yield Reading(Decimal(rest), how, "without the last layer, the classifier")
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
    total = sum(weights(row) for row in facts["layers"]) + sum(weights(row) // 9 * 16 for row in rows)
    how = f"{total:,} weights with 5x5 filters / 1,024 = {total / 1024:,.0f} K"
    yield Reading(Decimal(total) / 1024 * 1000, how, "the paper's filters, without biases, K = 1,024")


def _layer_params(claim: Claim, book: Book) -> Finding:
    rows = book.rows(claim)
    total, alone = (sum(f(row) for row in rows) for f in (lambda r: r["parameters"], weights))
    readings = [
        Reading(Decimal(total), _layer_sum(rows[0]) if len(rows) == 1 else f"{total:,} in {len(rows)} layers")
    ]
    if 0 < alone < total:
        readings.append(Reading(Decimal(alone), f"{weights_written(rows[0])} = {alone:,}", "without biases"))
    return judge(claim, readings, _as_convolution(claim, rows[0]))


def _layer_sum(row: Row) -> str:
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


def _pinned(claim: Claim, book: Book, ours: int) -> str:
    """Name the layer that the same source gives just as much too much as it gives the network."""
    excess = claim.number - ours
    for other in book.claims:
        same = (other.source, other.network, other.quantity) == (claim.source, claim.network, claim.quantity)
        if excess and same and other.layer[0]:
            layer = sum(row["parameters"] for row in book.rows(other))
            if other.number - layer == excess:
                name = other.subject.rpartition("/")[2]
                sums = f"{claim.number:,} = {ours:,} + {excess:,}"
                return f"{sums}, which the same source gives {name}, that has {layer:,}"
    return ""


def _variants(
    claim: Claim, book: Book, count: Callable[[Facts], int], what: str = "parameters"
) -> Iterator[Reading]:
    for name, facts in book.variants(claim.network):
        value = count(facts)
        yield Reading(Decimal(value), f"{value:,} {what}", f"{name}: {facts['card']['note']}")


def params_without_sharing(claim: Claim, book: Book) -> Finding:
    """Decide what a convolution would have if each of its outputs had weights of its own."""
    row = book.layer(claim, "conv")
    out, each = elements(row), weights(row) // row["out_channels"]
    bias = (row["parameters"] - weights(row)) // row["out_channels"]
    filters = weights_written(row).rpartition("·")[0]
    own = Decimal(out * (each + bias))
    readings = [Reading(own, f"{output_written(row)} × ({filters} + {bias}) = {own:,}")]
    readings.append(Reading(Decimal(out * each), f"{out * each:,}", "without biases"))
    return judge(claim, readings)
