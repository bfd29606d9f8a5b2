"""Checks of shapes, layers, formulas and grammars: what is claimed is a text, equal to ours or not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import groupby, product

from bench.analysis.claims.book import Claim
from bench.analysis.claims.facts import (
    Book,
    Facts,
    Row,
    elements,
    kind_of,
    of_kind,
    shape,
    weights,
    window_sum,
)
from bench.analysis.claims.formula import formula
from bench.analysis.claims.verdict import Finding, Reading, judge, match, undecidable
from bench.errors import ConfigError

# --- shapes ---


def output(claim: Claim, book: Book) -> Finding:
    """Decide the output of a layer, or of the network: a shape, or its side in px."""
    row = book.rows(claim)[-1]
    how = (
        window_sum(row)
        if kind_of(row) in ("conv", "pool")
        else f"{row['name']} writes {shape(row['output'])}"
    )
    if claim.unit == "px":
        return judge(claim, [Reading(Decimal(row["output"][-1]), how)])
    return match(claim, shape(row["output"]), how)


def shapes(claim: Claim, book: Book) -> Finding:
    """Decide the shapes that an image goes through, ``32x32x3 > 16x16x12 > ...``; those that stay alike once."""
    facts = book.network(claim)
    maps = [row["output"] for row in facts["layers"] if row["type"] not in ("Flatten", "Dropout")]
    ours = " > ".join(text for text, _ in groupby(map(shape, [facts["input"], *maps])))
    return match(claim, ours, ours)


def fits(claim: Claim, book: Book) -> Finding:
    """Decide whether a window covers its map without a rest."""
    row = book.layer(claim, "conv", "pool")
    side, kernel, stride, padding = row["input"][2], row["kernel"][0], row["stride"][0], row["padding"][0]
    fit = (side - kernel + 2 * padding) % stride == 0
    return match(claim, "yes" if fit else "no", window_sum(row))


# --- layers ---


def conv_fc(claim: Claim, book: Book) -> Finding:
    """Decide the numbers of convolutions and of fully connected layers: ``5+3``.

    The classifier may be left out, if the same source leaves it out everywhere.
    """
    conv, dense = _conv_fc(book.network(claim))
    ours, without = f"{conv}+{dense}", f"{conv}+{dense - 1}"
    how = f"{conv} convolutions + {dense} fully connected layers"
    alike = [c for c in book.claims if (c.source, c.quantity) == (claim.source, claim.quantity)]
    counted = [c for c in alike if c.claimed == "{}+{}".format(*_conv_fc(book.network(c)))]
    if claim.claimed == without and counted:
        how += f"; {without} leaves out the classifier, which the source counts in {counted[0].network}"
        return match(claim, ours, how)
    return match(claim, ours, how, [Reading(without, without, "without the classifier")])


def _conv_fc(facts: Facts) -> tuple[int, int]:
    conv, dense = (len(of_kind(facts["layers"], kind)) for kind in ("conv", "fc"))
    return conv, dense


def structure(claim: Claim, book: Book) -> Finding:
    """Decide ``7x7 stride 2`` of a layer, or ``conv2 conv4 grouped by 2`` of a network."""
    if "grouped" not in claim.claimed:
        row = book.layer(claim, "conv", "pool")
        (height, width), stride = row["kernel"], row["stride"][0]
        ours = f"{height}x{width} stride {stride}"
        return match(claim, ours, f"{row['name']}: {ours}")
    numbered = [(i, row["groups"]) for i, row in enumerate(of_kind(book.rows(claim), "conv"), start=1)]
    grouped = [(i, groups) for i, groups in numbered if groups > 1]
    by = "/".join(str(g) for g in dict.fromkeys(g for _, g in grouped))
    ours = f"{' '.join(f'conv{i}' for i, _ in grouped)} grouped by {by}" if grouped else "none grouped"
    rest = ", ".join(f"conv{i}" for i, groups in numbered if groups == 1)
    return match(claim, ours, f"{ours}; whole: {rest}")


def windows(claim: Claim, book: Book) -> Finding:
    """Decide which windows the convolutions and poolings have: ``conv 3x3 stride 1 pad 1, pool 2x2 stride 2``."""
    rows = of_kind(book.network(claim)["layers"], "conv", "pool")
    ours = ", ".join(sorted(dict.fromkeys(map(_window, rows))))
    return match(claim, ours, f"{len(rows)} layers: {ours}")


def _window(row: Row) -> str:
    (height, width), stride, padding = row["kernel"], row["stride"][0], row["padding"][0]
    return f"{kind_of(row)} {height}x{width} stride {stride}" + (f" pad {padding}" if padding else "")


def filters(claim: Claim, book: Book) -> Finding:
    """Decide the widths of a network's last convolutions: ``384/384/256``."""
    count = claim.claimed.count("/") + 1
    others = [
        Reading(_widths(facts, count), _widths(facts, count), f"{name}: {facts['card']['note']}")
        for name, facts in book.variants(claim.network)
    ]
    ours = _widths(book.network(claim), count)
    return match(claim, ours, f"{claim.network} has {ours}", others)


def _widths(facts: Facts, count: int) -> str:
    return "/".join(str(row["out_channels"]) for row in of_kind(facts["layers"], "conv")[-count:])


def split_output(claim: Claim, book: Book) -> Finding:
    """Decide the output of a convolution as the groups of the next grouped one read it: ``2 x 55x55x48``."""
    row = book.layer(claim, "conv")
    behind = [r for r in book.network(claim)["layers"] if kind_of(r) == "conv"]
    behind = behind[behind.index(row) + 1 :]
    groups = next((r["groups"] for r in behind if r["in_channels"] == row["out_channels"]), 1)
    _, channels, height, width = row["output"]
    how = f"{shape(row['output'])}, read in {groups} groups of {channels // groups} channels"
    return match(claim, f"{groups} x {height}x{width}x{channels // groups}", how)


def sequence(claim: Claim, book: Book) -> Finding:
    """Decide the order of convolutions, poolings and fully connected layers: ``conv pool fc``."""
    kinds = [kind_of(row) for row in of_kind(book.network(claim)["layers"], "conv", "pool", "fc")]
    return match(claim, " ".join(kinds), f"{len(kinds)} layers in this order")


def params_ratio(claim: Claim, book: Book) -> Finding:
    """Decide how many times the parameters of a network another has: of ``alexnet : googlenet``."""
    more, less = (book.network(claim, name)["counts"]["parameters"] for name in pair(claim))
    ratio = Decimal(more) / Decimal(less)
    readings = [Reading(ratio.quantize(Decimal("0.001")), f"{more:,} / {less:,} = {ratio:.3f}")]
    printed = [_printed_params(claim, book, name) for name in pair(claim)]
    hint = ""
    if printed[0] and printed[1]:
        hint = f"{printed[0]:,} / {printed[1]:,}, as lectures print them, is {printed[0] / printed[1]:.3g}"
    return judge(claim, readings, hint)


def _printed_params(claim: Claim, book: Book, name: str) -> int:
    """Return the parameters that are printed of a whole network, by the same source before others; 0 where none are."""
    printed = [c for c in book.claims if (c.subject, c.quantity, c.unit) == (name, "params", "1")]
    printed = sorted(printed, key=lambda c: (c.source != claim.source, c.number))
    return int(printed[0].number) if printed else 0


def pair(claim: Claim) -> list[str]:
    """Return the two networks of a ratio.

    Raises:
        ConfigError: if there are not two.
    """
    names = [name.strip() for name in claim.subject.split(" : ")]
    if len(names) != 2:
        raise ConfigError(f"{claim.place}: {claim.subject!r} is no pair", "write alexnet : googlenet")
    return names


def several(claim: Claim) -> list[str]:
    """Return the networks of a subject that lists some, with commas between."""
    return [name.strip() for name in claim.subject.split(",")]


def typical(claim: Claim, book: Book) -> Finding:
    """Decide a range, ``relu_layers 10 to 20``, of networks that a source does not name, by the subject's examples.

    It is confirmed where all have it, an erratum where none has, and not decided where some do.
    """
    said = re.fullmatch(r"(\w+) (\S+) to (\S+)", claim.claimed)
    if said is None or said[1] not in _TYPICAL:
        tip = f"write QUANTITY LOW to HIGH, of {', '.join(_TYPICAL)}"
        raise ConfigError(f"{claim.place}: {claim.claimed!r} is no range", tip)
    low, high = Decimal(said[2]), Decimal(said[3])
    counts = {name: _TYPICAL[said[1]](book.network(claim, name)) for name in several(claim)}
    inside = [f"{name} ({n:,})" for name, n in counts.items() if low <= n <= high]
    outside = [f"{name} ({n:,})" for name, n in counts.items() if not low <= n <= high]
    how = "; ".join(
        f"{word} {', '.join(some)}" for word, some in (("of", inside), ("not of", outside)) if some
    )
    if inside and outside:
        return undecidable(claim, f"the source names no network: it holds {how}")
    return match(claim, claim.claimed if inside else "does not hold", f"holds {how}")


_TYPICAL: Mapping[str, Callable[[Facts], int]] = {
    "relu_layers": lambda facts: len(of_kind(facts["layers"], "relu")),
    "parameters": lambda facts: int(facts["counts"]["parameters"]),
    "macs": lambda facts: int(facts["counts"]["macs"]),
}


def where(claim: Claim, book: Book) -> Finding:
    """Decide whether the first half of the convolutions writes most, while most weights are fully connected."""
    rows = book.network(claim)["layers"]
    conv, dense = of_kind(rows, "conv"), of_kind(rows, "fc")
    early = conv[: (len(conv) + 1) // 2]
    written = sum(map(elements, early)) / max(1, sum(elements(r) for r in [*conv, *dense]))
    weighted = sum(map(weights, dense)) / max(1, sum(map(weights, rows)))
    how = (
        f"the first {len(early)} of {len(conv)} convolutions write {written:.1%} of the activations; "
        f"fully connected layers hold {weighted:.1%} of the weights"
    )
    return match(claim, "early conv layers" if min(written, weighted) > 0.5 else "elsewhere", how)


# --- formulas ---

# Of the networks that formulas are held against, should the file name no others.
STOCK = ("alexnet", "vgg16", "googlenet", "resnet18")
STACK_WIDTHS = (8, 64)


def output_formula(claim: Claim, book: Book) -> Finding:
    """Decide a formula of In (or W), K (or F), P, S against the outputs of all convolutions and poolings at hand.

    A formula without P is of those without padding; one of `any pooling` is of poolings alone.
    """
    kinds = ("pool",) if claim.subject == "any pooling" else ("conv", "pool")
    cases = [row for row in _all(book, *kinds) if set(row["dilation"] or [1]) == {1}]
    if "P" not in claim.claimed:
        cases = [row for row in cases if row["padding"][0] == 0]
    fitting = [row for row in cases if not _sides(row)[0] % _sides(row)[1]]
    wrong = [row for row in fitting if formula(claim, claim.claimed, _output_values(row)) != row["output"][2]]
    rest = len(cases) - len(fitting)
    what = " and ".join({"conv": "convolutions", "pool": "poolings"}[kind] for kind in kinds)
    how = f"gives the output of {len(fitting) - len(wrong)} of {len(fitting)} {what}"
    how += f"; {rest} more do not fit and are rounded" if rest else ""
    if wrong:
        how += f"; {window_sum(wrong[0])}, by the formula {formula(claim, claim.claimed, _output_values(wrong[0]))}"
    return match(claim, "does not hold" if wrong else claim.claimed, how)


def _all(book: Book, *kinds: str) -> list[Row]:
    return [row for facts in book.networks.values() for row in of_kind(facts.get("layers", ()), *kinds)]


def _sides(row: Row) -> tuple[int, int]:
    return row["input"][2] - row["kernel"][0] + 2 * row["padding"][0], row["stride"][0]


def _output_values(row: Row) -> dict[str, int]:
    side, kernel = row["input"][2], row["kernel"][0]
    return {"In": side, "W": side, "K": kernel, "F": kernel, "P": row["padding"][0], "S": row["stride"][0]}


def padding_formula(claim: Claim, book: Book) -> Finding:
    """Decide a formula of F against the padding of all square convolutions of stride 1 that keep their map's side."""
    rows = [
        row
        for row in _all(book, "conv")
        if row["stride"] == [1, 1] and len(set(row["kernel"])) == 1 and set(row["dilation"] or [1]) == {1}
        if row["input"][2:] == row["output"][2:]
    ]
    wrong = [r for r in rows if formula(claim, claim.claimed, {"F": r["kernel"][0]}) != r["padding"][0]]
    sides = ", ".join(str(side) for side in sorted({row["kernel"][0] for row in rows}))
    how = f"is the padding of {len(rows) - len(wrong)} of {len(rows)} such convolutions, with F = {sides}"
    return match(claim, "does not hold" if wrong else claim.claimed, how)


def params_formula(claim: Claim, book: Book) -> Finding:
    """Decide a formula of K, Cin, Cout against all ungrouped square convolutions; or ``27C^2 < 49C^2``."""
    if "<" in claim.claimed:
        return _less_params(claim, book)
    rows = [r for r in _all(book, "conv") if r["groups"] == 1 and len(set(r["kernel"])) == 1]
    excess = [row["parameters"] - _param_values(claim, row) for row in rows]
    sound = [extra in (0, row["out_channels"]) for extra, row in zip(excess, rows, strict=True)]
    biased = sum(extra > 0 for extra, good in zip(excess, sound, strict=True) if good)
    how = f"gives the weights of {sum(sound)} of {len(rows)} convolutions; {biased} of them add Cout biases"
    return match(claim, claim.claimed if all(sound) else "does not hold", how)


def _param_values(claim: Claim, row: Row) -> Fraction:
    return formula(
        claim, claim.claimed, {"K": row["kernel"][0], "Cin": row["in_channels"], "Cout": row["out_channels"]}
    )


def stacks(width: int) -> tuple[str, str]:
    """Return three 3x3 convolutions and one 7x7 of equal width, without biases."""
    start = f"pattern:INPUT(32x32x{width}) ->"
    return (
        f"{start} [CONV3-{width}(bias=no)]*3 -> FC-10",
        f"{start} CONV7-{width}(bias=no) -> FC-10",
    )


def _less_params(claim: Claim, book: Book) -> Finding:
    left, _, right = claim.claimed.partition("<")
    sound, shown = True, []
    for width in STACK_WIDTHS:
        counted = [
            sum(r["parameters"] for r in of_kind(book.network(claim, n)["layers"], "conv"))
            for n in stacks(width)
        ]
        said = [formula(claim, text, {"C": width}) for text in (left, right)]
        sound &= said == counted and counted[0] < counted[1]
        shown.append(f"C = {width}: {counted[0]:,} < {counted[1]:,}")
    return match(claim, claim.claimed if sound else "does not hold", "counted, " + "; ".join(shown))


# --- the grammar of layer patterns ---


def instances(claim: Claim) -> list[str]:
    """Return patterns that the grammar allows: repetitions filled in, optional layers in and out."""
    text = re.sub(r"^INPUT\b", "INPUT(32x32x3)", claim.claimed)
    letters = list(dict.fromkeys(re.findall(r"\*([A-Z])\b", text)))
    found = []
    for counts in product((0, 1, 2), repeat=len(letters)):
        filled = text
        for letter, count in zip(letters, counts, strict=True):
            filled = filled.replace(f"*{letter}", f"*{count}")
        found += [f"pattern:{one}" for one in _options(filled)]
    return list(dict.fromkeys(found))


def _options(text: str) -> Iterator[str]:
    """Yield a pattern with its optional layers, written with a question mark, and without them."""
    yield text.replace("?", "")
    if "?" in text:
        yield re.sub(r"\s*->\s*\w+\?", "", text)


def grammar(claim: Claim, book: Book) -> Finding:
    """Decide whether the networks that a grammar allows can be read and built."""
    names = instances(claim)
    refused = [name for name in names if "error" in book.networks.get(name, {"error": "unknown"})]
    how = f"{len(names) - len(refused)} of {len(names)} patterns of this form, with 0 to 2 repetitions, are built"
    if refused:
        how += f"; not {refused[0]}"
    return match(claim, "does not hold" if refused else claim.claimed, how)


def of_networks(names: Sequence[str]) -> list[str]:
    """Return names, each with its variants behind it, if it is one of the package's own."""
    return [asked for name in names for asked in ((name,) if ":" in name else (name, f"{name}_*"))]
