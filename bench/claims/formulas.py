"""Formulas as lectures print them, such as ``(In-K+2P)/S+1`` and ``27C^2 < 49C^2``: evaluated exactly, and checked."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from fractions import Fraction

from bench.claims.claim import Claim
from bench.claims.context import Context
from bench.claims.finding import Finding, decide_rule
from bench.claims.layers import Row, fits_exactly, of_kind, side_written, window
from bench.errors import ConfigError


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


def evaluate(text: str, values: Mapping[str, int | Fraction]) -> Fraction:
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


def formula(claim: Claim, values: Mapping[str, int | Fraction], text: str = "") -> Fraction:
    """Return the value of the formula that is claimed, or of a part of it.

    Raises:
        ConfigError: naming the claim's place, if it is no formula of these names.
    """
    try:
        return evaluate(text or claim.claimed, values)
    except ValueError as error:
        raise ConfigError(f"{claim.place}: {error}", f"use {', '.join(values)}") from error


# Of the networks that formulas are held against, should the file name no others.
STOCK = ("alexnet", "vgg16", "googlenet", "resnet18")
STACK_WIDTHS = (8, 64)


def output(claim: Claim, context: Context) -> Finding:
    """Decide a formula of In (or W), K (or F), P, S against the outputs of all convolutions and poolings at hand.

    A formula without P is of those without padding; one of `any pooling` is of poolings alone.
    """
    kinds = (
        {"pool": "poolings"}
        if claim.subject == "any pooling"
        else {"conv": "convolutions", "pool": "poolings"}
    )
    rows = [row for row in _all(context, *kinds) if set(row["dilation"] or [1]) == {1}]
    if "P" not in claim.claimed:
        rows = [row for row in rows if row["padding"][0] == 0]
    fitting = [row for row in rows if fits_exactly(row)]
    wrong = [row for row in fitting if _output(claim, row) != row["output"][2]]
    how = f"gives the output of {len(fitting) - len(wrong)} of {len(fitting)} {' and '.join(kinds.values())}"
    rest = len(rows) - len(fitting)
    how += f"; {rest} more do not fit and are rounded" if rest else ""
    how += f"; {side_written(wrong[0])}, by the formula {_output(claim, wrong[0])}" if wrong else ""
    return decide_rule(claim, not wrong, how)


def _all(context: Context, *kinds: str) -> list[Row]:
    return [row for facts in context.networks.values() for row in of_kind(facts.get("layers", ()), *kinds)]


def _output(claim: Claim, row: Row) -> Fraction:
    side, kernel, stride, padding = window(row)
    return formula(claim, {"In": side, "W": side, "K": kernel, "F": kernel, "P": padding, "S": stride})


def padding(claim: Claim, context: Context) -> Finding:
    """Decide a formula of F against the padding of all square convolutions of stride 1 that keep their map's side."""
    rows = [
        row
        for row in _all(context, "conv")
        if row["stride"] == [1, 1] and len(set(row["kernel"])) == 1 and set(row["dilation"] or [1]) == {1}
        if row["input"][2:] == row["output"][2:]
    ]
    wrong = [row for row in rows if formula(claim, {"F": row["kernel"][0]}) != row["padding"][0]]
    sides = ", ".join(str(side) for side in sorted({row["kernel"][0] for row in rows}))
    how = f"is the padding of {len(rows) - len(wrong)} of {len(rows)} such convolutions, with F = {sides}"
    return decide_rule(claim, not wrong, how)


def params(claim: Claim, context: Context) -> Finding:
    """Decide a formula of K, Cin, Cout against all ungrouped square convolutions; or ``27C^2 < 49C^2``."""
    if "<" in claim.claimed:
        return _less_params(claim, context)
    rows = [r for r in _all(context, "conv") if r["groups"] == 1 and len(set(r["kernel"])) == 1]
    excess = [(row["parameters"] - _params(claim, row), row["out_channels"]) for row in rows]
    sound = sum(extra in (0, out) for extra, out in excess)
    biased = sum(extra == out for extra, out in excess)
    how = f"gives the weights of {sound} of {len(rows)} convolutions; {biased} of them add Cout biases"
    return decide_rule(claim, sound == len(rows), how)


def _params(claim: Claim, row: Row) -> Fraction:
    sizes = {"K": row["kernel"][0], "Cin": row["in_channels"], "Cout": row["out_channels"]}
    return formula(claim, sizes)


def stacks(width: int) -> tuple[str, str]:
    """Return three 3x3 convolutions and one 7x7 of equal width, without biases."""
    start = f"pattern:INPUT(32x32x{width}) ->"
    return (
        f"{start} [CONV3-{width}(bias=no)]*3 -> FC-10",
        f"{start} CONV7-{width}(bias=no) -> FC-10",
    )


def _less_params(claim: Claim, context: Context) -> Finding:
    left, _, right = claim.claimed.partition("<")
    holds, shown = True, []
    for width in STACK_WIDTHS:
        layers = [of_kind(context.network(claim, name)["layers"], "conv") for name in stacks(width)]
        counted = [sum(row["parameters"] for row in rows) for rows in layers]
        claimed = [formula(claim, {"C": width}, text) for text in (left, right)]
        holds &= claimed == counted and counted[0] < counted[1]
        shown.append(f"C = {width}: {counted[0]:,} < {counted[1]:,}")
    return decide_rule(claim, holds, "counted, " + "; ".join(shown))
