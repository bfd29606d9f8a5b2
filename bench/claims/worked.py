"""Checks of examples that a lecture works by hand, and of definitions: computed here, from the claim alone."""

from __future__ import annotations

import re
from fractions import Fraction

import numpy as np

from bench.claims.claim import Claim
from bench.claims.context import Context
from bench.claims.finding import Finding, decide_rule, decide_text, undecidable
from bench.claims.formulas import formula
from bench.errors import BenchError, ConfigError
from bench.plan.recipe import load_recipe

Matrix = np.ndarray[tuple[int, int], np.dtype[np.int64]]


def convolution(claim: Claim, _context: Context) -> Finding:
    """Decide a worked convolution, ``MAP * KERNEL, padding 1`` with slashes between rows; or its upper left."""
    whole, padding = _with_number(claim, "padding", 0)
    parts = whole.split("*")
    if len(parts) != 2:
        raise ConfigError(
            f"{claim.place}: {claim.subject!r} is no MAP * KERNEL", "write 1 2 / 3 4 * 1 0 / 0 1"
        )
    maps, kernel = np.pad(_matrix(claim, parts[0]), padding), _matrix(claim, parts[1])
    windows = np.lib.stride_tricks.sliding_window_view(maps, kernel.shape)
    first = " + ".join(f"{a}·{b}" for a, b in zip(windows[0, 0].flat, kernel.flat, strict=True) if b)
    return _upper_left(claim, (windows * kernel).sum(axis=(2, 3)), first)


def max_pooling(claim: Claim, _context: Context) -> Finding:
    """Decide a worked max pooling, ``MAP, window 2``: of windows side by side."""
    whole, side = _with_number(claim, "window", 2)
    maps = _matrix(claim, whole)
    windows = np.lib.stride_tricks.sliding_window_view(maps, (side, side))[::side, ::side]
    return _upper_left(claim, windows.max(axis=(2, 3)), f"max({', '.join(map(str, windows[0, 0].flat))})")


def _with_number(claim: Claim, word: str, default: int) -> tuple[str, int]:
    """Return the subject without its ``, WORD N``, and N."""
    text, _, number = claim.subject.partition(f", {word} ")
    return text, int(number) if number.isdigit() else default


def _matrix(claim: Claim, text: str) -> Matrix:
    rows = [row.split() for row in text.split("/")]
    try:
        return np.array([[int(n) for n in row] for row in rows], dtype=np.int64)
    except ValueError:
        tip = "write whole numbers with spaces, and rows with slashes between"
        raise ConfigError(f"{claim.place}: {text.strip()!r} is no matrix", tip) from None


def _upper_left(claim: Claim, ours: Matrix, first: str) -> Finding:
    claimed = _matrix(claim, claim.claimed)
    part = ours[: claimed.shape[0], : claimed.shape[1]]
    text = " / ".join(" ".join(map(str, row)) for row in part)
    more = "" if part.shape == ours.shape else f"; all is {ours.shape[0]}x{ours.shape[1]}"
    same = " / ".join(" ".join(map(str, row)) for row in claimed)
    return decide_text(claim, claim.claimed if text == same else text, f"first {first} = {ours[0, 0]}{more}")


_BETAS = (Fraction(1, 2), Fraction(9, 10), Fraction(99, 100))
_GRADIENTS = [Fraction(n) for n in (3, -1, 4, 1, -5, 9, -2, 6)]


def momentum_forms(claim: Claim, _context: Context) -> Finding:
    """Decide a rate, ``c*(1-b)``, with which two forms of momentum move the same, in exact arithmetic.

    V = bV + (1 - b)g with W -= cV, against V = bV + ag with W -= V, for which the claim gives a.
    """
    c = Fraction(1, 10)
    equal = all(
        _moved(b, 1 - b, c) == _moved(b, formula(claim, {"b": b, "c": c}), Fraction(1)) for b in _BETAS
    )
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


def recipe(claim: Claim, _context: Context) -> Finding:
    """Decide how a network was trained by the recipe that the subject names: ``batch_size=128 momentum=0.9``."""
    name = claim.subject.removeprefix("recipe ")
    try:
        data = load_recipe(name).model_dump(mode="json")
    except BenchError as error:
        raise ConfigError(f"{claim.place}: {error.message}", error.tip) from error
    pairs = [pair.partition("=") for pair in claim.claimed.split()]
    claimed = {key: value for key, _, value in pairs}
    ours = {key: _value(data, key) for key in claimed}
    text = " ".join(f"{key}={value}" for key, value in ours.items())
    same = all(_equal(value, ours[key]) for key, value in claimed.items())
    return decide_text(claim, claim.claimed if same else text, f"the recipe {name} has {text}")


def _value(data: object, key: str) -> object:
    for part in key.split("."):
        data = data.get(part) if isinstance(data, dict) else None
    return data


def _equal(claimed: str, ours: object) -> bool:
    number = re.fullmatch(r"[-+\d.e]+", claimed) and isinstance(ours, int | float)
    return float(claimed) == ours if number else claimed == str(ours)


def unit(claim: Claim, context: Context) -> Finding:
    """Decide the unit of a printed count of operations: that of one image, whatever the time it takes."""
    once = context.network(claim)["counts"]["macs"]
    how = f"{once:,} multiply-adds for one image on any machine: a count; per second it would be a rate of the machine"
    return decide_text(claim, "operations", how)


def custom(claim: Claim, _context: Context) -> Finding:
    """Leave what is a matter of custom or of history: nothing here decides it."""
    return undecidable(claim, claim.convention or "a matter of custom: there is nothing to count or to train")
