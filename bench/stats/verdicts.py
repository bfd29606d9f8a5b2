"""Verdicts: what an effect says in one word, alone and as one of several, and how its p is shown.

Of two runs, what is certain is tested by Welch's t over the logarithms of the processes' medians, as one of all rows
(`differ`, `corrected`). Rank tests cannot do this: of 4 and 4 processes no p is below 0.029, and one of 20 rows must be
below 0.0025. Fewer processes than four decide nothing; what is beyond the noise is suspected.

Simulated with 20 rows and processes that scatter by 1, 3 and 6 %, normal or t3 in the logarithm: any row is called for
nothing in at most 5 % of pairs of runs that scatter alike; in up to 5.3 % where one scatters twice as much, and in
8.5 % of 4 and 4 processes where every row scatters four times as much in one. Of 8 and 8 processes that scatter by 3 %,
one row slowed by 10 % is called in 98 % of cases (94 % of t3), of 4 and 4 in 31 %. What a whole run has in common, such
as a machine that was slower that day, is no accident of a process, and is called.

Source: Holm, A simple sequentially rejective multiple test procedure, Scand. J. Stat. 6, 1979.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, Protocol, TypeVar

import numpy as np

from bench.stats._tests import ALPHA, rank_sums, signed_ranks, welch
from bench.stats.effects import Effect, Verdict
from bench.stats.samples import NONE, Floats, Values, finite, median, robust_sd
from bench.units import DASH, Better

Expectation = Literal["higher", "lower", "same"]
BAND = 0.02  # ratios this near to one are the same to a user
ENOUGH = 4  # processes in each run, from which a test decides
FLOOR = 0.05  # by how much two processes of the same may well differ
CHANGED = ("faster", "slower", "lower", "higher")
_CERTAIN = (*CHANGED, "supported", "refuted")


def _holm(ps: Values) -> Floats:
    """Return p-values corrected for their number, in their order; NaN (not tested) stays NaN and does not count.

    The chance that any true hypothesis of them has one of at most 0.05 is at most 0.05, whatever they have in common.
    """
    values = np.asarray(ps, dtype=np.float64)
    steps = np.full(values.shape, math.nan)
    order = np.argsort(values, kind="stable")[: int((~np.isnan(values)).sum())]
    steps[order] = np.maximum.accumulate(values[order] * np.arange(len(order), 0, -1))
    return np.asarray(np.minimum(1.0, steps))


def corrected(effects: Sequence[Effect], lost: Verdict = "undecided") -> list[Effect]:
    """Return effects with p corrected for their number (Holm); what is not certain any more is `lost`."""
    ps = _holm([e.p for e in effects]).tolist()
    many = sum(not math.isnan(p) for p in ps)
    return [e if math.isnan(p) else _one_of(e, p, many, lost) for e, p in zip(effects, ps, strict=True)]


class _Tested(Protocol):
    """A frozen dataclass with an effect."""

    @property
    def effect(self) -> Effect: ...


_T = TypeVar("_T", bound=_Tested)


def with_corrected(tested: Sequence[_T], lost: Verdict = "undecided") -> list[_T]:
    """Return what was tested, its effects corrected as of `corrected`."""
    effects = corrected([one.effect for one in tested], lost)
    return [replace(one, effect=effect) for one, effect in zip(tested, effects, strict=True)]  # type: ignore[type-var]


def _one_of(effect: Effect, p: float, many: int, lost: Verdict) -> Effect:
    if effect.verdict not in _CERTAIN or p <= ALPHA:
        return replace(effect, p=p)
    reason = f"{effect.reason}; not certain once corrected for {many} tests"
    return replace(effect, p=p, verdict=lost, reason=reason)


def direction(value: float, better: Better = "lower", unit: str = "s") -> Verdict:
    """Return the word for a ratio that is certainly above or below one."""
    if unit not in ("s", "1/s") or better == "neither":
        return "higher" if value > 1 else "lower"
    return "faster" if (value > 1) == (better == "higher") else "slower"


def _decide_ratio(effect: Effect, band: float = BAND, *, better: Better = "lower", unit: str = "s") -> Effect:
    """Return the effect, which is a ratio, with its verdict and why; without an interval and a p it decides nothing.

    Args:
        effect: on its own.
        band: a ratio from 1 / (1 + band) to 1 + band is the same to a user.
        better: which direction is an improvement.
        unit: of the quantity; only times (`s`) and rates (`1/s`) are faster or slower.
    """
    low, high, p = effect.low, effect.high, effect.p
    known = math.isfinite(low) and math.isfinite(high) and math.isfinite(p)
    if known and low >= 1 / (1 + band) and high <= 1 + band:
        return replace(effect, verdict="same", reason=f"all of the interval is within ±{100 * band:g} %")
    if known and p <= ALPHA and (low > 1 or high < 1):
        return replace(effect, verdict=direction(low, better, unit))
    beyond = "" if math.isnan(p) else f"; the interval reaches beyond ±{100 * band:g} %"
    return replace(effect, verdict="undecided", reason=effect.reason + beyond)


def of_ratios(
    ratios: Sequence[float], band: float = BAND, *, better: Better = "lower", unit: str = "s"
) -> Effect:
    """Return the verdict on two things that were measured in turn within each of n processes.

    Wilcoxon's signed ranks of the logarithms, so that B / A and A / B say the same. It supposes independent
    processes, and logarithms that are symmetric about their centre; what each process has of its own does not matter.
    One ratio a process, such as `bench.stats.samples.median_ratio`; NaN and infinities are left out. See
    `_decide_ratio` for the rest.
    """
    values = _array(ratios)
    if not len(values) or values.min() <= 0:
        return Effect.none("a ratio needs numbers above zero" if len(values) else "no value", n=len(values))
    return _decide_ratio(signed_ranks(np.log(values)).ratio(), band, better=better, unit=unit)


def of_means(
    of: Sequence[float],
    against: Sequence[float],
    band: float = BAND,
    *,
    better: Better = "higher",
    unit: str = "1",
) -> Effect:
    """Return the verdict on two means over trainings, by Welch's t, as the ratio to the second.

    One number a training; NaN and infinities are left out. See `_decide_ratio` for the rest.
    """
    a, b = _array(of), _array(against)
    n = min(len(a), len(b))
    if n == 0 or float(b.mean()) <= 0:
        return Effect.none("no value" if n == 0 else "a ratio needs a mean above zero", n=n)
    if n > 1 and len({*a.tolist(), *b.tolist()}) == 1:
        return Effect(1.0, 1.0, 1.0, 1.0, n, "equal", verdict="same")
    return _decide_ratio(welch(a, b).share(float(b.mean())), band, better=better, unit=unit)


def differ(
    a: Sequence[float],
    b: Sequence[float],
    *,
    floor: float = FLOOR,
    band: float = BAND,
    better: Better = "lower",
    unit: str = "s",
    spread: float = 0.0,
) -> Effect:
    """Return the ratio B / A with its verdict on its own; `corrected(effects, "suspected")` makes it one of several.

    Args:
        a: of the earlier run, one number a process, above zero; NaN and infinities are left out.
        b: of the later run, likewise; the counts may differ.
        floor: a ratio this near to one is noise where there are too few processes to test.
        band: a ratio this near to one is the same to a user.
        better: which direction is an improvement.
        unit: of the quantity, see `_decide_ratio`.
        spread: the standard deviation of a process's logarithm, by all that was timed; see `_drawn_in`. 0 draws nothing
            in.
    """
    one, other = _array(a), _array(b)
    n = min(len(one), len(other))
    if not n or min(one.min(), other.min()) <= 0:
        return Effect.none("a ratio needs numbers above zero" if n else "no value", n=n)
    if n < ENOUGH:
        return _suspicion(one, other, floor)
    plain = np.log(other), np.log(one)
    logs = _drawn_in(plain[0], spread), _drawn_in(plain[1], spread)
    far = sum(int((before != after).sum()) for before, after in zip(plain, logs, strict=True))
    effect = welch(*logs, f"processes, of logarithms{f', {far} of them drawn in' if far else ''}", safe=True)
    if math.isnan(effect.p):  # no spread, such as of memory
        effect = rank_sums(*logs, "processes")
    return _decide_ratio(effect.ratio(), band, better=better, unit=unit)


_REACH = 3.0  # standard deviations from the median, beyond which a process is drawn in
_DRAWN_FROM = 5  # processes of a run: of four it costs more certainty than it gains


def _drawn_in(logs: Floats, spread: float) -> Floats:
    """Return logarithms of a run's times, those of a process that is off as a whole no further than the reach.

    One that is slow by a third or seven times would else make nothing certain, however many others there are, and move
    the ratio. Where more than a quarter lie so far off they are what the times are like. Simulated, 20 quantities at
    3 %: of five processes, one in twenty slow by seven times, a change by 20 % is found in 82 of 100 pairs of runs
    instead of 60, of eight in 98 instead of 44, and the chance of a false alarm stays below 5 %.
    """
    if spread <= 0 or len(logs) < _DRAWN_FROM:
        return logs
    middle = median(logs.tolist())
    reach = _REACH * max(spread, robust_sd(logs.tolist()))
    far = int((np.abs(logs - middle) > reach).sum())
    return np.clip(logs, middle - reach, middle + reach) if far <= max(1, len(logs) // 4) else logs


def centres(a: Sequence[float], b: Sequence[float], spread: float = 0.0) -> tuple[float, float]:
    """Return the two numbers whose ratio `differ` estimates: geometric means, of fewer than four processes medians.

    Both are of logarithms, drawn in as there; where those do not exist, they are medians.
    """
    one, other = _array(a), _array(b)
    n = min(len(one), len(other))
    if not n or min(one.min(), other.min()) <= 0:
        return median(a), median(b)
    if n < ENOUGH:
        before, after = (median(np.log(side).tolist()) for side in (one, other))
    else:
        before, after = (float(_drawn_in(np.log(side), spread).mean()) for side in (one, other))
    return math.exp(before), math.exp(after)


def _suspicion(a: Floats, b: Floats, floor: float) -> Effect:
    """Return what too few processes say: suspected where each of one run is beyond the floor of each of the other."""
    n, sizes = min(len(a), len(b)), f"{len(a)}" if len(a) == len(b) else f"{len(a)} and {len(b)}"
    reason = f"n = {sizes} processes cannot decide: at least {ENOUGH} in each run"
    before, after = centres(a.tolist(), b.tolist())
    low, high = float(b.min() / a.max()), float(b.max() / a.min())
    beyond = low > 1 + floor or high < 1 / (1 + floor)
    return Effect(
        after / before,
        *((low, high) if len(a) + len(b) > 2 else NONE),
        n=n,
        reason=f"{reason}; {'all' if beyond else 'not all'} beyond the noise floor of ±{100 * floor:.3g} %",
        verdict="suspected" if beyond else "undecided",
    )


def of_counts(of: Sequence[float], against: Sequence[float]) -> Effect:
    """Return the ratio of two counts, `equal` or `different`; a count that is no number equals another such.

    One number a process; all of them count alike, and the last is taken.
    """
    equal = _counts(of) == _counts(against)
    estimate = 1.0 if equal else of[-1] / against[-1] if against[-1] else math.nan
    word: Verdict = "equal" if equal else "different"
    return Effect(estimate, n=min(len(of), len(against)), reason="counted", verdict=word, counted=True)


def _counts(values: Sequence[float]) -> set[float | None]:
    return {None if math.isnan(v) else v for v in values}


def decide_difference(effect: Effect) -> Effect:
    """Return the effect, which is a difference, as `higher` or `lower` where its interval leaves zero out."""
    if math.isnan(effect.p) or not (effect.low > 0 or effect.high < 0):
        return effect
    return replace(effect, verdict="higher" if effect.low > 0 else "lower")


def decide_expectation(effect: Effect, expect: Expectation, least: float, most: float) -> Effect:
    """Return the effect as `supported` or `refuted` by itself, with the p that it lies at the margin.

    It is `undecided` where p is above 0.05, or the interval reaches over the margin. The p of a count is NaN.

    Args:
        effect: a difference, a ratio or a correlation.
        expect: `higher` than `most`, `lower` than `least`, or `same`, between them.
        least: the margin below.
        most: the margin above.
    """
    low, high = effect.low, effect.high
    if expect == "same":
        p = max(effect.p_at(most), effect.p_at(least))
        inside, outside = least <= low and high <= most, low > most or high < least
    elif expect == "higher":
        p = effect.p_at(most)
        inside, outside = low > most, high < most
    else:
        p = effect.p_at(least)
        inside, outside = high < least, low > least
    if effect.counted:
        return replace(effect, p=math.nan, verdict="supported" if inside else "refuted")
    clear = p <= ALPHA and (inside or outside)
    return replace(effect, p=p, verdict="undecided" if not clear else "supported" if inside else "refuted")


def _array(samples: Sequence[float]) -> Floats:
    """Return the samples that are numbers, in their order, as an array."""
    return np.array(finite(samples), dtype=np.float64)


def show_p(p: float, floor: float = 0.0, *, named: bool = False) -> str:
    """Return ``0.0021``, or ``≤ 0.029`` where it is below what an exact test of so many numbers can give.

    Of too few to decide in such a test, as two against two, what has decided is ``≤ 0.05``. Where it is `named`,
    ``p = 0.0021`` or ``p ≤ 0.029``.
    """
    is_bound = p < floor * (1 - 1e-9)
    floor = min(floor, ALPHA) if p <= ALPHA else floor
    text = DASH if not math.isfinite(p) else f"≤ {floor:.2g}" if is_bound else f"{p:.2g}"
    return text if not named else f"p {text}" if is_bound else f"p = {text}"
