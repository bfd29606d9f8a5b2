"""How sure a ratio is: rank tests over processes, their estimates and intervals, and a verdict in one word.

The unit of replication is the process: each gives one number, the median of its samples, since samples of one process
share its memory layout and its choice of algorithms. Ratios are of the second to the first, B / A, and are estimated
on the logarithms, so that B / A and A / B say the same. Nothing here is decided by a mean, but for accuracies over
seeds (`welch`). Tests and intervals are exact, and hold for any distribution that is alike (unpaired) or symmetric
(paired) in the logarithm.

Sources: those of `bench.analysis.rank_tests`; Welch, The generalization of "Student's" problem, Biometrika 34, 1947.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.special import stdtr, stdtrit

from bench.analysis.rank_tests import (
    ALPHA,
    Values,
    can_decide,
    hodges_lehmann,
    rank_sum_p,
    shift,
    shift_interval,
    signed_rank_interval,
    signed_rank_p,
)
from bench.analysis.statistics import NONE, Floats
from bench.records.record import Better

Verdict = Literal["faster", "slower", "lower", "higher", "same", "undecided", "equal", "different"]

BAND = 0.02  # ratios this near to one are the same to a user
_ROUNDING = 1e-12  # what is left of equal numbers by computing with them


@dataclass(frozen=True, slots=True)
class Effect:
    """A ratio B / A and how sure it is.

    Attributes:
        ratio: estimate; NaN where there is none.
        low: lower end of the 95 % interval; NaN where so few numbers have none.
        high: upper end, alike.
        p: two-sided probability of a difference at least this large where there is none; NaN where it is not tested.
        n: processes (or seeds) of the side that has fewer.
        verdict: what is certain, at 95 %: `faster` or `slower` of times and rates, `lower` or `higher` of other
            quantities, `same` where the whole interval is within the band, else `undecided`; of counts `equal` or
            `different`.
        reason: why, in words.
    """

    ratio: float
    low: float
    high: float
    p: float
    n: int
    verdict: Verdict
    reason: str


def verdict(
    low: float, high: float, p: float, band: float, *, better: Better = "lower", unit: str = "s"
) -> Verdict:
    """Return what the interval of a ratio B / A and its p say.

    Args:
        low: lower end of the 95 % interval.
        high: upper end.
        p: two-sided; NaN decides nothing.
        band: a ratio from 1 / (1 + band) to 1 + band is the same to a user.
        better: which direction is an improvement.
        unit: of the quantity; only times (`s`) and rates (`1/s`) are faster or slower.
    """
    if not (math.isfinite(low) and math.isfinite(high) and math.isfinite(p)):
        return "undecided"
    if low >= 1 / (1 + band) and high <= 1 + band:
        return "same"
    if p <= ALPHA and (low > 1 or high < 1):
        return direction(low, better, unit)
    return "undecided"


def direction(ratio: float, better: Better = "lower", unit: str = "s") -> Verdict:
    """Return the word for a ratio B / A that is certainly above or below one."""
    if unit not in ("s", "1/s") or better == "neither":
        return "higher" if ratio > 1 else "lower"
    return "faster" if (ratio > 1) == (better == "higher") else "slower"


def paired(
    a: Values,
    b: Values,
    *,
    band: float = BAND,
    better: Better = "lower",
    unit: str = "s",
    of: str = "processes",
) -> Effect:
    """Compare A and B that were measured in turn within each of n processes, one number a process.

    The Wilcoxon signed-rank test of the log ratios, their Hodges-Lehmann estimate and its interval.

    Args:
        a: of each process, above zero; pairs with a NaN or an infinity are left out.
        b: alike, in the same order.
        band: see `verdict`, as for `better` and `unit`.
        better: see `verdict`.
        unit: see `verdict`.
        of: what the numbers are of, for the reason.

    Raises:
        ValueError: if there are not as many of one as of the other.
    """
    one, other = (np.asarray(v, dtype=np.float64) for v in (a, b))
    if one.shape != other.shape:
        raise ValueError(f"{one.size} values of A and {other.size} of B are no pairs")
    both = np.isfinite(one) & np.isfinite(other)
    one, other, n = one[both], other[both], int(both.sum())
    if reason := _no_ratio(one, other):
        return _none(n, reason)
    logs = np.log(other) - np.log(one)
    p = signed_rank_p(logs)
    least = f"n = {n} {of} cannot decide: at least 6" if n < 6 else ""
    found = (hodges_lehmann(logs), *signed_rank_interval(logs))
    return _effect(found, p, n, least, band=band, better=better, unit=unit)


def unpaired(
    a: Values,
    b: Values,
    *,
    band: float = BAND,
    better: Better = "lower",
    unit: str = "s",
    of: str = "processes",
) -> Effect:
    """Compare A and B of which each process measured one, such as those of two runs; the counts may differ.

    The Mann-Whitney test, the Hodges-Lehmann shift of the logarithms and its interval.

    Args:
        a: one number a process, above zero; NaN and infinities are left out.
        b: alike.
        band: see `verdict`, as for `better` and `unit`.
        better: see `verdict`.
        unit: see `verdict`.
        of: what the numbers are of, for the reason.
    """
    one, other = _finite(a), _finite(b)
    n = min(len(one), len(other))
    if reason := _no_ratio(one, other):
        return _none(n, reason)
    one, other = np.log(one), np.log(other)
    least = "" if can_decide(len(one), len(other)) else _too_few(len(one), len(other), of)
    found = (shift(one, other), *shift_interval(one, other))
    return _effect(found, rank_sum_p(one, other), n, least, band=band, better=better, unit=unit)


def welch(a: Values, b: Values, *, band: float = BAND, better: Better = "higher", unit: str = "1") -> Effect:
    """Compare two means over seeds, such as of accuracies, by Welch's t; NaN and infinities are left out.

    The ratio is of the means; its interval is that of their difference as a share of A's mean, not below 0.
    """
    one, other = _finite(a), _finite(b)
    n = min(len(one), len(other))
    if n == 0 or float(one.mean()) <= 0:
        return _none(n, "no value" if n == 0 else "a ratio needs a mean above zero")
    base, gap = float(one.mean()), float(other.mean() - one.mean())
    ratio = 1 + gap / base
    if n < 2:
        return Effect(ratio, *NONE, math.nan, n, "undecided", "n = 1 seed cannot decide: at least 2")
    shares = [float(v.var(ddof=1)) / len(v) for v in (one, other)]
    error = math.sqrt(sum(shares))
    if error <= _ROUNDING * base:
        return _without_spread(ratio, n)
    freedom = sum(shares) ** 2 / sum(s**2 / (len(v) - 1) for s, v in zip(shares, (one, other), strict=True))
    p = 2 * float(stdtr(freedom, -abs(gap) / error))
    half = float(stdtrit(freedom, 1 - ALPHA / 2)) * error / base
    low, high = max(0.0, ratio - half), ratio + half
    word = verdict(low, high, p, band, better=better, unit=unit)
    return Effect(ratio, low, high, p, n, word, _why(word, p, band))


def _without_spread(ratio: float, n: int) -> Effect:
    if abs(ratio - 1) <= _ROUNDING:
        return Effect(1.0, 1.0, 1.0, 1.0, n, "same", "equal")
    return Effect(ratio, *NONE, math.nan, n, "undecided", "no spread between seeds to judge by")


def _too_few(n: int, m: int, of: str) -> str:
    least = next(k for k in range(1, 10) if can_decide(k, k))
    sizes = str(n) if n == m else f"{n} and {m}"
    return f"n = {sizes} {of} cannot decide: at least {least} in each run"


def _finite(values: Values) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    return array[np.isfinite(array)]


def _no_ratio(a: Floats, b: Floats) -> str:
    if not len(a) or not len(b):
        return "no value"
    return "" if a.min() > 0 and b.min() > 0 else "a ratio needs numbers above zero"


def _none(n: int, reason: str) -> Effect:
    return Effect(math.nan, *NONE, math.nan, n, "undecided", reason)


def _effect(found: tuple[float, float, float], p: float, n: int, least: str, /, **asked: Any) -> Effect:
    """Return the effect of an estimate, low and high of the log ratio; `asked` is as for `verdict`."""
    ratio, low, high = (math.exp(min(v, 700.0)) for v in found)  # beyond, a float overflows
    if least:
        return Effect(ratio, *NONE, math.nan, n, "undecided", least)
    word = verdict(low, high, p, **asked)
    return Effect(ratio, low, high, p, n, word, _why(word, p, asked["band"]))


def _why(word: Verdict, p: float, band: float) -> str:
    if word == "same":
        return f"all of the interval is within ±{100 * band:g} %"
    return f"p = {p:.2g}" + (
        f"; the interval reaches beyond ±{100 * band:g} %" if word == "undecided" else ""
    )
