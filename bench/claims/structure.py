"""Checks of shapes, layers and grammars: what is claimed is a text, equal to ours or not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from itertools import groupby, product

from bench.claims._claim import Claim
from bench.claims._context import (
    Context,
    Facts,
    Row,
    check,
    elements,
    fits_exactly,
    kind_of,
    of_kind,
    shape,
    side_written,
    weights,
)
from bench.claims._finding import Finding, Reading, decide_number, decide_rule, decide_text, undecidable
from bench.errors import ConfigError

# --- shapes ---


@check("output", "shape", "px")
def _output(claim: Claim, context: Context) -> Finding:
    """Decide the output of a layer, or of the network: a shape, or its side in px."""
    row = context.rows(claim)[-1]
    windowed = kind_of(row) in ("conv", "pool")
    how = side_written(row) if windowed else f"{row['name']} writes {shape(row['output'])}"
    if claim.unit == "px":
        return decide_number(claim, [Reading(row["output"][-1], how)])
    return decide_text(claim, shape(row["output"]), how)


@check("shapes", "shape")
def _shapes(claim: Claim, context: Context) -> Finding:
    """Decide the shapes that an image goes through, ``32x32x3 > 16x16x12 > ...``; those that stay equal once."""
    facts = context.network(claim)
    maps = [row["output"] for row in facts["layers"] if row["type"] not in ("Flatten", "Dropout")]
    ours = " > ".join(text for text, _ in groupby(map(shape, [facts["input"], *maps])))
    return decide_text(claim, ours, ours)


@check("fits", "bool")
def _fits(claim: Claim, context: Context) -> Finding:
    """Decide whether a window covers its map without a rest."""
    row = context.layer(claim, "conv", "pool")
    return decide_text(claim, "yes" if fits_exactly(row) else "no", side_written(row))


# --- layers ---


@check("conv+fc", "layers")
def _conv_fc(claim: Claim, context: Context) -> Finding:
    """Decide the numbers of convolutions and of fully connected layers: ``5+3``.

    The classifier may be left out, if the same source leaves it out everywhere.
    """
    conv, dense = _conv_fc_of(context.network(claim))
    ours, without = f"{conv}+{dense}", f"{conv}+{dense - 1}"
    how = f"{conv} convolutions + {dense} fully connected layers"
    column = [c for c in context.claims if (c.source, c.quantity) == (claim.source, claim.quantity)]
    counted = [c for c in column if c.claimed == "{}+{}".format(*_conv_fc_of(context.network(c)))]
    if claim.claimed == without and counted:
        how += f"; {without} leaves out the classifier, which the source counts in {counted[0].network}"
        return decide_text(claim, ours, how)
    return decide_text(claim, ours, how, {"without the classifier": without})


def _conv_fc_of(facts: Facts) -> tuple[int, int]:
    conv, dense = (len(of_kind(facts["layers"], kind)) for kind in ("conv", "fc"))
    return conv, dense


@check("structure", "shape")
def _structure(claim: Claim, context: Context) -> Finding:
    """Decide ``7x7 stride 2`` of a layer, or ``conv2 conv4 grouped by 2`` of a network."""
    if "grouped" not in claim.claimed:
        row = context.layer(claim, "conv", "pool")
        (height, width), stride = row["kernel"], row["stride"][0]
        ours = f"{height}x{width} stride {stride}"
        return decide_text(claim, ours, f"{row['name']}: {ours}")
    numbered = [(i, row["groups"]) for i, row in enumerate(of_kind(context.rows(claim), "conv"), start=1)]
    grouped = [(i, groups) for i, groups in numbered if groups > 1]
    by = "/".join(str(g) for g in dict.fromkeys(g for _, g in grouped))
    ours = f"{' '.join(f'conv{i}' for i, _ in grouped)} grouped by {by}" if grouped else "none grouped"
    rest = ", ".join(f"conv{i}" for i, groups in numbered if groups == 1)
    return decide_text(claim, ours, f"{ours}; whole: {rest}")


@check("structure", "windows")
def _windows(claim: Claim, context: Context) -> Finding:
    """Decide which windows the convolutions and poolings have: ``conv 3x3 stride 1 pad 1, pool 2x2 stride 2``."""
    rows = of_kind(context.network(claim)["layers"], "conv", "pool")
    ours = ", ".join(sorted(dict.fromkeys(map(_window, rows))))
    return decide_text(claim, ours, f"{len(rows)} layers: {ours}")


def _window(row: Row) -> str:
    (height, width), stride, padding = row["kernel"], row["stride"][0], row["padding"][0]
    return f"{kind_of(row)} {height}x{width} stride {stride}" + (f" pad {padding}" if padding else "")


@check("structure", "filters")
def _filters(claim: Claim, context: Context) -> Finding:
    """Decide the widths of a network's last convolutions: ``384/384/256``."""
    count = claim.claimed.count("/") + 1
    ours = _widths(context.network(claim), count)
    others = {name: _widths(facts, count) for name, facts in context.variants(claim.network)}
    return decide_text(claim, ours, f"{claim.network} has {ours}", others)


def _widths(facts: Facts, count: int) -> str:
    return "/".join(str(row["out_channels"]) for row in of_kind(facts["layers"], "conv")[-count:])


@check("output", "split")
def _split_output(claim: Claim, context: Context) -> Finding:
    """Decide the output of a convolution as the groups of the next grouped one read it: ``2 x 55x55x48``."""
    row = context.layer(claim, "conv")
    rows = of_kind(context.network(claim)["layers"], "conv")
    behind = rows[rows.index(row) + 1 :]
    groups = next((r["groups"] for r in behind if r["in_channels"] == row["out_channels"]), 1)
    _, channels, height, width = row["output"]
    how = f"{shape(row['output'])}, read in {groups} groups of {channels // groups} channels"
    return decide_text(claim, f"{groups} x {height}x{width}x{channels // groups}", how)


@check("sequence", "layers")
def _sequence(claim: Claim, context: Context) -> Finding:
    """Decide the order of convolutions, poolings and fully connected layers: ``conv pool fc``."""
    kinds = [kind_of(row) for row in of_kind(context.network(claim)["layers"], "conv", "pool", "fc")]
    return decide_text(claim, " ".join(kinds), f"{len(kinds)} layers in this order")


@check("typical", "range", needs=lambda claim: claim.listed)
def _typical(claim: Claim, context: Context) -> Finding:
    """Decide a range, ``relu_layers 10 to 20``, of networks that a source does not name, by the subject's examples.

    It is confirmed where all have it, an erratum where none has, and not decided where some do.
    """
    parts = re.fullmatch(r"(\w+) (\S+) to (\S+)", claim.claimed)
    if parts is None or parts[1] not in _TYPICAL:
        tip = f"write QUANTITY LOW to HIGH, of {', '.join(_TYPICAL)}"
        raise ConfigError(f"{claim.place}: {claim.claimed!r} is no range", tip)
    low, high = Decimal(parts[2]), Decimal(parts[3])
    inside: list[str] = []
    outside: list[str] = []
    for name in claim.listed:
        count = _TYPICAL[parts[1]](context.network(claim, name))
        (inside if low <= count <= high else outside).append(f"{name} ({count:,})")
    texts = [f"{word} {', '.join(some)}" for word, some in (("of", inside), ("not of", outside)) if some]
    how = "; ".join(texts)
    if inside and outside:
        return undecidable(claim, f"the source names no network: it holds {how}")
    return decide_rule(claim, bool(inside), f"holds {how}")


_TYPICAL: Mapping[str, Callable[[Facts], int]] = {
    "relu_layers": lambda facts: len(of_kind(facts["layers"], "relu")),
    "parameters": lambda facts: int(facts["counts"]["parameters"]),
    "macs": lambda facts: int(facts["counts"]["macs"]),
}


@check("where", "trend")
def _distribution(claim: Claim, context: Context) -> Finding:
    """Decide whether the first half of the convolutions writes most, while most weights are fully connected."""
    rows = context.network(claim)["layers"]
    conv, dense = of_kind(rows, "conv"), of_kind(rows, "fc")
    early = conv[: (len(conv) + 1) // 2]
    written = sum(map(elements, early)) / max(1, sum(map(elements, [*conv, *dense])))
    weighted = sum(map(weights, dense)) / max(1, sum(map(weights, rows)))
    how = (
        f"the first {len(early)} of {len(conv)} convolutions write {written:.1%} of the activations; "
        f"fully connected layers hold {weighted:.1%} of the weights"
    )
    return decide_text(claim, "early conv layers" if min(written, weighted) > 0.5 else "elsewhere", how)


# --- the grammar of layer patterns ---


def _instances(claim: Claim) -> list[str]:
    """Return patterns that the grammar allows: repetitions filled in, optional layers in and out."""
    text = re.sub(r"^INPUT\b", "INPUT(32x32x3)", claim.claimed)
    letters = list(dict.fromkeys(re.findall(r"\*([A-Z])\b", text)))
    patterns = []
    for counts in product((0, 1, 2), repeat=len(letters)):
        filled = text
        for letter, count in zip(letters, counts, strict=True):
            filled = filled.replace(f"*{letter}", f"*{count}")
        patterns += [f"pattern:{one}" for one in _options(filled)]
    return list(dict.fromkeys(patterns))


def _options(text: str) -> Iterator[str]:
    """Yield a pattern with its optional layers, written with a question mark, and without them."""
    yield text.replace("?", "")
    if "?" in text:
        yield re.sub(r"\s*->\s*\w+\?", "", text)


@check("pattern", "grammar", needs=_instances)
def _grammar(claim: Claim, context: Context) -> Finding:
    """Decide whether the networks that a grammar allows can be read and built."""
    names = _instances(claim)
    refused = [name for name in names if "error" in context.networks.get(name, {"error": "unknown"})]
    how = f"{len(names) - len(refused)} of {len(names)} patterns of this form, with 0 to 2 repetitions, are built"
    return decide_rule(claim, not refused, how + (f"; not {refused[0]}" if refused else ""))
