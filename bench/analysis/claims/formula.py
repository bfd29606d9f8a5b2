"""Formulas as lectures print them, such as ``(In-K+2P)/S+1`` and ``27C^2 < 49C^2``, evaluated exactly."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from bench.analysis.claims.book import Claim
from bench.errors import ConfigError


def _refusal(wanted: str) -> ValueError:
    return ValueError(f"expected {wanted}")


def _power(base: Fraction, power: Fraction) -> Fraction:
    if power not in range(10):
        raise _refusal("a power from 0 to 9")
    return Fraction(base**power)


_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
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


def formula(claim: Claim, text: str, values: Mapping[str, int | Fraction]) -> Fraction:
    """Return the value of a formula of a claim.

    Raises:
        ConfigError: naming the claim's place, if it is no formula of these names.
    """
    try:
        return evaluate(text, values)
    except ValueError as error:
        raise ConfigError(f"{claim.place}: {error}", f"use {', '.join(values)}") from error
