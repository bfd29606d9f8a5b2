"""Checks of what lectures work out: formulas such as ``(In-K+2P)/S+1``, evaluated exactly, examples and definitions."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from fractions import Fraction

import numpy as np

from bench.claims._claim import Claim
from bench.claims._context import Context, Row, check, fits_exactly, nothing, of_kind, side_written, window
from bench.claims._finding import Finding, decide_rule, decide_text, undecidable
from bench.errors import BenchError, ConfigError
from bench.plan.recipe import Recipe


def _refusal(expected: str) -> ValueError:
    return ValueError(f"expected {expected}")


def _power(base: Fraction, power: Fraction) -> Fraction:
    if power not in range(10):
        raise _refusal("a power from 0 to 9")
    return Fraction(base**power)


_OPERATORS: dict[type[ast.operator], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: _power,
}


def _evaluate(text: str, values: Mapping[str, int | Fraction]) -> Fraction:
    """Return the value of a formula; ``2P`` is a product and ``C^2`` a power.

    Raises:
        ValueError: if it is no formula of these names.
    """
    written = re.sub(r"(?<![\w.])(\d+)(?=[A-Za-z(])", r"\1*", text).replace("^", "**")
    names = {key: Fraction(value) for key, value in values.items()}
    try:
        return _value(ast.parse(written.strip(), mode="eval").body, names)
    except (SyntaxError, RecursionError, ZeroDivisionError, MemoryError) as error:
        raise ValueError(f"{text!r} is no formula: {error}") from error


def _value(node: ast.expr, names: Mapping[str, Fraction]) -> Fraction:
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return Fraction(_OPERATORS[type(node.op)](_value(node.left, names), _value(node.right, names)))
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return Fraction(node.value)
    if isinstance(node, ast.Name) and node.id in names:
        return names[node.id]
    raise _refusal(f"one of the names {', '.join(names)}, a whole number, or one of + - * / ^")


def _formula(claim: Claim, values: Mapping[str, int | Fraction], text: str = "") -> Fraction:
    """Return the value of the formula that is claimed, or of a part of it.

    Raises:
        ConfigError: naming the claim's place, if it is no formula of these names.
    """
    try:
        return _evaluate(text or claim.claimed, values)
    except ValueError as error:
        raise ConfigError(f"{claim.place}: {error}", f"use {', '.join(values)}") from error


_STACK_WIDTHS = (8, 64)


def _stock(_claim: Claim) -> list[str]:
    """Return the networks that formulas are held against, should the file name no others."""
    return ["alexnet", "vgg16", "googlenet", "resnet18"]


def _stacks_or_stock(claim: Claim) -> list[str]:
    return [n for w in _STACK_WIDTHS for n in _stacks(w)] if "<" in claim.claimed else _stock(claim)


@check("output", "formula", needs=_stock)
def _output(claim: Claim, context: Context) -> Finding:
    """Decide a formula of In (or W), K (or F), P, S against the outputs of all convolutions and poolings at hand.

    A formula without P is of those without padding; one of `any pooling` is of poolings alone.
    """
    kinds = {"pool": "poolings"}
    if claim.subject != "any pooling":
        kinds = {"conv": "convolutions", **kinds}
    rows = [row for row in _all(context, *kinds) if set(row["dilation"] or [1]) == {1}]
    if "P" not in claim.claimed:
        rows = [row for row in rows if row["padding"][0] == 0]
    fitting = [row for row in rows if fits_exactly(row)]
    wrong = [row for row in fitting if _output_by(claim, row) != row["output"][2]]
    how = f"gives the output of {len(fitting) - len(wrong)} of {len(fitting)} {' and '.join(kinds.values())}"
    rest = len(rows) - len(fitting)
    how += f"; {rest} more do not fit and are rounded" if rest else ""
    how += f"; {side_written(wrong[0])}, by the formula {_output_by(claim, wrong[0])}" if wrong else ""
    return decide_rule(claim, not wrong, how)


def _all(context: Context, *kinds: str) -> list[Row]:
    return [row for facts in context.networks.values() for row in of_kind(facts.get("layers", ()), *kinds)]


def _output_by(claim: Claim, row: Row) -> Fraction:
    side, kernel, stride, padding = window(row)
    return _formula(claim, {"In": side, "W": side, "K": kernel, "F": kernel, "P": padding, "S": stride})


@check("padding", "formula", needs=_stock)
def _padding(claim: Claim, context: Context) -> Finding:
    """Decide a formula of F against the padding of all square convolutions of stride 1 that keep their map's side."""
    rows = [
        row
        for row in _all(context, "conv")
        if row["stride"] == [1, 1] and len(set(row["kernel"])) == 1 and set(row["dilation"] or [1]) == {1}
        if row["input"][2:] == row["output"][2:]
    ]
    wrong = [row for row in rows if _formula(claim, {"F": row["kernel"][0]}) != row["padding"][0]]
    sides = ", ".join(str(side) for side in sorted({row["kernel"][0] for row in rows}))
    how = f"is the padding of {len(rows) - len(wrong)} of {len(rows)} such convolutions, with F = {sides}"
    return decide_rule(claim, not wrong, how)


@check("params", "formula", needs=_stacks_or_stock)
def _params(claim: Claim, context: Context) -> Finding:
    """Decide a formula of K, Cin, Cout against all ungrouped square convolutions; or ``27C^2 < 49C^2``."""
    if "<" in claim.claimed:
        return _less_params(claim, context)
    rows = [r for r in _all(context, "conv") if r["groups"] == 1 and len(set(r["kernel"])) == 1]
    sizes = [{"K": r["kernel"][0], "Cin": r["in_channels"], "Cout": r["out_channels"]} for r in rows]
    excess = [(r["parameters"] - _formula(claim, by), by["Cout"]) for r, by in zip(rows, sizes, strict=True)]
    sound = sum(extra in (0, out) for extra, out in excess)
    biased = sum(extra == out for extra, out in excess)
    how = f"gives the weights of {sound} of {len(rows)} convolutions; {biased} of them add Cout biases"
    return decide_rule(claim, sound == len(rows), how)


def _stacks(width: int) -> tuple[str, str]:
    """Return three 3x3 convolutions and one 7x7 of equal width, without biases."""
    start = f"pattern:INPUT(32x32x{width}) ->"
    return f"{start} [CONV3-{width}(bias=no)]*3 -> FC-10", f"{start} CONV7-{width}(bias=no) -> FC-10"


def _less_params(claim: Claim, context: Context) -> Finding:
    left, _, right = claim.claimed.partition("<")
    holds, shown = True, []
    for width in _STACK_WIDTHS:
        layers = [of_kind(context.network(claim, name)["layers"], "conv") for name in _stacks(width)]
        counted = [sum(row["parameters"] for row in rows) for rows in layers]
        claimed = [_formula(claim, {"C": width}, text) for text in (left, right)]
        holds &= claimed == counted and counted[0] < counted[1]
        shown.append(f"C = {width}: {counted[0]:,} < {counted[1]:,}")
    return decide_rule(claim, holds, "counted, " + "; ".join(shown))


# --- examples worked by hand, and definitions: computed here, from the claim alone ---

_Matrix = np.ndarray[tuple[int, int], np.dtype[np.int64]]


@check("convolution", "numbers", needs=nothing)
def _convolution(claim: Claim, _context: Context) -> Finding:
    """Decide a worked convolution, ``MAP * KERNEL, padding 1`` with slashes between rows; or its upper left."""
    whole, padding = _with_number(claim, "padding", 0)
    parts = whole.split("*")
    if len(parts) != 2:
        message = f"{claim.place}: {claim.subject!r} is no MAP * KERNEL"
        raise ConfigError(message, "write 1 2 / 3 4 * 1 0 / 0 1")
    maps, kernel = np.pad(_matrix(claim, parts[0]), padding), _matrix(claim, parts[1])
    windows = np.lib.stride_tricks.sliding_window_view(maps, kernel.shape)
    first = " + ".join(f"{a}·{b}" for a, b in zip(windows[0, 0].flat, kernel.flat, strict=True) if b)
    return _upper_left(claim, (windows * kernel).sum(axis=(2, 3)), first)


@check("max_pooling", "numbers", needs=nothing)
def _max_pooling(claim: Claim, _context: Context) -> Finding:
    """Decide a worked max pooling, ``MAP, window 2``: of windows side by side."""
    whole, side = _with_number(claim, "window", 2)
    maps = _matrix(claim, whole)
    windows = np.lib.stride_tricks.sliding_window_view(maps, (side, side))[::side, ::side]
    return _upper_left(claim, windows.max(axis=(2, 3)), f"max({', '.join(map(str, windows[0, 0].flat))})")


def _with_number(claim: Claim, word: str, default: int) -> tuple[str, int]:
    """Return the subject without its ``, WORD N``, and N."""
    text, _, number = claim.subject.partition(f", {word} ")
    return text, int(number) if number.isdigit() else default


def _matrix(claim: Claim, text: str) -> _Matrix:
    rows = [row.split() for row in text.split("/")]
    try:
        return np.array([[int(n) for n in row] for row in rows], dtype=np.int64)
    except ValueError:
        tip = "write whole numbers with spaces, and rows with slashes between"
        raise ConfigError(f"{claim.place}: {text.strip()!r} is no matrix", tip) from None


def _upper_left(claim: Claim, ours: _Matrix, first: str) -> Finding:
    claimed = _matrix(claim, claim.claimed)
    part = ours[: claimed.shape[0], : claimed.shape[1]]
    text = " / ".join(" ".join(map(str, row)) for row in part)
    more = "" if part.shape == ours.shape else f"; all is {ours.shape[0]}x{ours.shape[1]}"
    same = " / ".join(" ".join(map(str, row)) for row in claimed)
    return decide_text(claim, claim.claimed if text == same else text, f"first {first} = {ours[0, 0]}{more}")


_BETAS = (Fraction(1, 2), Fraction(9, 10), Fraction(99, 100))
_GRADIENTS = [Fraction(n) for n in (3, -1, 4, 1, -5, 9, -2, 6)]


@check("momentum_forms", "formula", needs=nothing)
def _momentum_forms(claim: Claim, _context: Context) -> Finding:
    """Decide a rate, ``c*(1-b)``, with which two forms of momentum move the same, in exact arithmetic.

    V = bV + (1 - b)g with W -= cV, against V = bV + ag with W -= V, for which the claim gives a.
    """
    c = Fraction(1, 10)
    gains = {b: _formula(claim, {"b": b, "c": c}) for b in _BETAS}
    equal = all(_moved(b, 1 - b, c) == _moved(b, gain, Fraction(1)) for b, gain in gains.items())
    how = (
        f"the same weights after each of {len(_GRADIENTS)} steps with b = 0.5, 0.9 and 0.99 where a = c(1-b); with one "
        "rate in both, the second moves 1/(1-b) times as far: 10 times with b = 0.9"
    )
    return decide_rule(claim, equal, how)


def _moved(beta: Fraction, gain: Fraction, rate: Fraction) -> list[Fraction]:
    """Return the weight after each step: V = beta V + gain g, W −= rate V."""
    weight, velocity, path = Fraction(0), Fraction(0), []
    for gradient in _GRADIENTS:
        velocity = beta * velocity + gain * gradient
        weight -= rate * velocity
        path.append(weight)
    return path


@check("structure", "recipe", needs=nothing)
def _recipe(claim: Claim, _context: Context) -> Finding:
    """Decide how a network was trained by the recipe that the subject names: ``batch_size=128 momentum=0.9``."""
    name = claim.subject.removeprefix("recipe ")
    try:
        data = Recipe.load(name).model_dump(mode="json")
    except BenchError as error:
        raise ConfigError(f"{claim.place}: {error.message}", error.tip) from error
    pairs = [pair.partition("=") for pair in claim.claimed.split()]
    claimed = {key: value for key, _, value in pairs}
    ours = {key: _value_at(data, key) for key in claimed}
    text = " ".join(f"{key}={value}" for key, value in ours.items())
    same = all(_equal(value, ours[key]) for key, value in claimed.items())
    return decide_text(claim, claim.claimed if same else text, f"the recipe {name} has {text}")


def _value_at(data: object, key: str) -> object:
    for part in key.split("."):
        data = data.get(part) if isinstance(data, dict) else None
    return data


def _equal(claimed: str, ours: object) -> bool:
    number = re.fullmatch(r"[-+\d.e]+", claimed) and isinstance(ours, int | float)
    return float(claimed) == ours if number else claimed == str(ours)


@check("unit", "unit")
def _unit(claim: Claim, context: Context) -> Finding:
    """Decide the unit of a printed count of operations: that of one image, whatever the time it takes."""
    once = context.network(claim)["counts"]["macs"]
    how = f"{once:,} multiply-adds for one image on any machine: a count; per second it would be a rate of the machine"
    return decide_text(claim, "operations", how)


@check("custom", "words", needs=nothing)
def _custom(claim: Claim, _context: Context) -> Finding:
    """Leave what is a matter of custom or of history: nothing here decides it."""
    return undecidable(claim, claim.convention or "a matter of custom: there is nothing to count or to train")
