"""Effects: a difference or a ratio, its 95 % interval, and the p of any value that it is held against.

    welch          means, of numbers that are about normal
    rank_sums      medians of what is skewed, or censored: a target that was never reached is an infinity
    signed_ranks   the centre of one number a process, such as the logarithm of a ratio that was measured in turn
    exact          counts: no doubt
    two_groups     one of these, by the kind of the numbers
    over_images    paired over test images: a bootstrap of the mean of one number an image
    correlation    Spearman's rank correlation over networks
    ratio, share   the same effect as a ratio

Processes and trainings are the unit of the first three: their answer is for the next process or training. Images are
the unit of `over_images`: its answer is for these trained networks, on new images. Neither stands for the other.

Sources: Hodges & Lehmann, Estimates of location based on rank tests, Ann. Math. Stat. 34, 1963; Hollander, Wolfe &
Chicken, Nonparametric Statistical Methods, chapters 3 and 4; Welch, The generalization of "Student's" problem,
Biometrika 34, 1947; Mickey & Brown, Bounds on the distribution functions of the Behrens-Fisher statistic, Ann. Math.
Stat. 37, 1966; Efron & Tibshirani, An Introduction to the Bootstrap, chapters 13 and 16; Bonett & Wright, Sample size
requirements for estimating Pearson, Kendall and Spearman correlations, Psychometrika 65, 2000; McNemar, Psychometrika
12, 1947; Agresti & Min, Simple improved confidence intervals for comparing matched proportions, Stat. Med. 24, 2005.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import permutations
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, stdtr, stdtrit

from bench.stats.samples import NONE, Floats, Values, doubled_ranks

ALPHA = 0.05
_MANY = 120  # numbers in all, from which the normal approximation is as good as the exact distribution

Verdict = Literal[
    "faster",  # of times and rates
    "slower",
    "lower",  # of other quantities
    "higher",
    "same",  # all of the interval is within the band that is the same to a user
    "suspected",  # beyond the noise, and not tested well enough to be certain
    "undecided",
    "equal",  # of counts
    "different",
    "supported",  # of an expectation
    "refuted",
]

Kind = Literal["counts", "ranks", "means"]

_RESAMPLES = 10_000
_FEW = 4  # numbers of the smaller group, from which Welch's freedom is right enough also where groups are unequal
_ROUNDING = 1e-12  # what is left of equal numbers by computing with them
_NORMAL = NormalDist().inv_cdf(1 - ALPHA / 2)
_ALL_ORDERS = 8  # networks up to which all of their orders are tried


def _unknown(_at: float) -> float:
    return math.nan


@dataclass(frozen=True, slots=True)
class Effect:
    """A difference, or a ratio, and how sure it is."""

    estimate: float  # of the first to the second; NaN where there is none
    low: float = math.nan  # lower end of the 95 % interval; NaN where so few numbers have none
    high: float = math.nan  # upper end; NaN likewise
    # two-sided, that there is no effect; NaN where it is not tested. Corrected where a verdict is one of
    # several.
    p: float = math.nan
    n: int = 0  # numbers of the side that has fewer
    reason: str = ""  # how it was tested, or why it was not
    # the least p that an exact test of so many numbers can give; a smaller one is a bound (see `show_p`)
    p_floor: float = 0.0
    verdict: Verdict = "undecided"  # what is certain
    counted: bool = False  # whether it is beyond doubt
    error: float = math.nan  # standard error of a difference of means; NaN where there is none
    # the two-sided p that the effect is a given number; NaN where it cannot be told
    p_at: Callable[[float], float] = field(default=_unknown, repr=False, compare=False)

    def to_json(self, name: str) -> dict[str, float | str]:
        """Return plain values, the estimate under a name."""
        numbers = {
            name: self.estimate,
            "low": self.low,
            "high": self.high,
            "p": self.p,
            "p_floor": self.p_floor,
        }
        return {**numbers, "verdict": self.verdict, "reason": self.reason}


def none(reason: str, estimate: float = math.nan, n: int = 0) -> Effect:
    """Return an effect that decides nothing."""
    return Effect(estimate, n=n, reason=reason)


def _exact(of: Values, against: Values) -> Effect:
    """Return the difference of two counts; each side's numbers must be one and the same."""
    sides = [np.unique(np.asarray(v, dtype=np.float64)) for v in (of, against)]
    if any(len(side) != 1 for side in sides):
        return none("no count" if not all(map(len, sides)) else "counts of one side differ")
    gap = float(sides[0][0] - sides[1][0])
    return Effect(gap, gap, gap, n=1, reason="counted", counted=True, p_at=lambda at: float(at == gap))


def welch(of: Values, against: Values, unit: str = "trainings", *, safe: bool = False) -> Effect:
    """Return the difference of two means by Welch's t.

    It supposes independent, about normal numbers; spreads may differ. Its degrees of freedom mislead where groups are
    unequal and the smaller has two or three (simulated size up to 0.12): there the smaller group's alone are taken,
    which errs on the safe side. Then the size is at most 0.06 for 2 to 8 numbers and spreads of 1/4 to 4 times.
    `safe` takes the smaller group's freedom wherever groups are unequal, for a p far below 0.05, as of many tests.
    `unit` is what the numbers are of, for the reason.
    """
    a, b = (np.asarray(v, dtype=np.float64) for v in (of, against))
    n, sizes = min(len(a), len(b)), f"{len(a)} and {len(b)} {unit}"
    if not n:
        return none(f"no {unit} on a side")
    gap = float(a.mean() - b.mean())
    if n < 2:
        return none(f"{sizes} cannot decide: at least 2 on each side", gap, n)
    shares = [float(v.var(ddof=1)) / len(v) for v in (a, b)]
    error = math.sqrt(sum(shares))
    if error <= _ROUNDING * float(np.abs([*a, *b]).max()):
        return none(f"no spread among {sizes} to judge by", gap, n)
    freedom = sum(shares) ** 2 / sum(s**2 / (len(v) - 1) for s, v in zip(shares, (a, b), strict=True))
    if (safe or n < _FEW) and len(a) != len(b):
        freedom = n - 1.0
    half = float(stdtrit(freedom, 1 - ALPHA / 2)) * error

    def p_at(at: float) -> float:
        return 2 * float(stdtr(freedom, -abs(gap - at) / error))

    floor = _floor_of_two(len(a), len(b))
    how = f"Welch's t, {sizes}"
    return _tested(gap, (gap - half, gap + half), p_at, n=n, reason=how, p_floor=floor, error=error)


def rank_sums(of: Values, against: Values, unit: str = "trainings") -> Effect:
    """Return the Hodges-Lehmann shift with the Mann-Whitney test; infinities are beyond all other numbers.

    Where there are infinities, the estimate is the difference of the medians; of two infinite ones there is none.
    """
    a, b = (np.asarray(v, dtype=np.float64) for v in (of, against))
    n, sizes = min(len(a), len(b)), f"{len(a)} and {len(b)} {unit}"
    if not n:
        return none(f"no {unit} on a side")
    middles = float(np.median(a)), float(np.median(b))
    known = math.isfinite(middles[0]) or middles[0] != middles[1]
    numbers = bool(np.isfinite(a).all() and np.isfinite(b).all())
    gap = _shift(b, a) if numbers else middles[0] - middles[1] if known else math.nan
    if not _can_decide(len(a), len(b)):
        return none(f"{sizes} cannot decide by ranks: at least 4 on each side", gap, n)
    how = f"Mann-Whitney test, {sizes}"
    floor = _floor_of_two(len(a), len(b))
    return _tested(
        gap, _shift_interval(b, a), lambda at: _rank_sum_p(b + at, a), n=n, reason=how, p_floor=floor
    )


def signed_ranks(values: Values, unit: str = "processes") -> Effect:
    """Return the centre of differences by Wilcoxon's signed ranks, with Hodges and Lehmann's estimate."""
    a = np.asarray(values, dtype=np.float64)
    n = len(a)
    if n < 6:
        return none(f"n = {n} {unit} cannot decide: at least 6", _hodges_lehmann(a), n)
    ends, how = _signed_rank_interval(a), f"Wilcoxon's signed ranks, {n} {unit}"
    floor = _floor_of_pairs(n)
    return _tested(
        _hodges_lehmann(a), ends, lambda at: _signed_rank_p(a - at), n=n, reason=how, p_floor=floor
    )


def two_groups(
    of: Values, against: Values, unit: str = "trainings", *, by: Kind = "means", as_ratio: bool = False
) -> Effect:
    """Return the effect of one group on another by what suits its numbers: exact, by ranks or by means.

    Args:
        of: one number a training or process; an infinity was never reached, or is of a training that diverged.
        against: likewise.
        unit: what the numbers are of, for the reason.
        by: `counts`, `ranks` or `means`; of means ranks decide where there is an infinity.
        as_ratio: of geometric means, or of medians, instead of the difference.
    """
    sides = [np.asarray(v, dtype=np.float64) for v in (of, against)]
    if as_ratio and any(len(side) and side.min() <= 0 for side in sides):
        return none("a ratio needs numbers above zero")
    a, b = (np.log(side) for side in sides) if as_ratio else sides
    if by == "counts":
        effect = _exact(a, b)
    elif by == "ranks" or bool(np.isinf([*a, *b]).any()):
        effect = rank_sums(a, b, unit)
    else:
        effect = welch(a, b, unit)
    return ratio(effect) if as_ratio else effect


def over_images(differences: Floats, resamples: int = _RESAMPLES) -> Effect:
    """Return the mean of one number an image, such as the difference of two networks, by a paired bootstrap.

    `differences` [N] have few different values, as few as trainings make, which is what makes this fast; N
    images are drawn anew each time, with a fixed seed.
    """
    count = len(differences)
    if count < 2:
        return none("no test images")
    values, times = np.unique(np.round(differences, 12), return_counts=True)
    drawn = np.random.default_rng(0).multinomial(count, times / count, size=resamples)
    means = np.sort(drawn @ values / count)

    def p_at(at: float) -> float:
        below = int(np.searchsorted(means, at, side="right"))
        above = resamples - int(np.searchsorted(means, at, side="left"))
        return min(1.0, 2 * (min(below, above) + 1) / (resamples + 1))

    ends = float(np.quantile(means, ALPHA / 2)), float(np.quantile(means, 1 - ALPHA / 2))
    how, floor = f"paired bootstrap over {count} test images", 2 / (resamples + 1)
    error = float(np.std(differences, ddof=1)) / math.sqrt(count)
    return _tested(float(np.mean(differences)), ends, p_at, n=count, reason=how, p_floor=floor, error=error)


def mcnemar(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> tuple[float, int, int]:
    """Return the two-sided exact p that two networks err as often, and how many images only A, only B tells right."""
    only_a, only_b = int((a & ~b).sum()), int((b & ~a).sum())
    return min(1.0, 2 * float(bdtr(float(min(only_a, only_b)), only_a + only_b, 0.5))), only_a, only_b


def matched(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> Effect:
    """Return the share of images that A tells right less that of B, of the same N images, with McNemar's exact p.

    The 95 % interval is Agresti and Min's, which adds half an image to each of the four kinds: it has a width also
    where the two answer alike on every image, so that few images bound nothing.
    """
    count = len(a)
    if not count:
        return none("no test images")
    p, only_a, only_b = mcnemar(a, b)
    of, against, total = only_a + 0.5, only_b + 0.5, count + 2
    centre = (of - against) / total
    half = _NORMAL * math.sqrt((of + against) / total - centre**2) / math.sqrt(total)
    how = f"McNemar's exact test: {only_a} and {only_b} of {count} images only one tells right"
    return Effect((only_a - only_b) / count, centre - half, centre + half, p, count, how)


def correlation(x: Values, y: Values) -> Effect:
    """Return Spearman's rho of two quantities of networks; its p of no correlation is exact for up to 8 networks.

    The interval is Fisher's with the variance of Bonett and Wright. A perfect correlation, which would have none, is
    given that of the next lower one.
    """
    a, b = (_centred_ranks(np.asarray(v, dtype=np.float64)) for v in (x, y))
    n = len(a)
    if n < 6 or not a.any() or not b.any():
        why = "cannot decide a trend: at least 6" if n < 6 else "do not differ in it"
        return none(f"{n} networks {why}", n=n)
    scale = math.sqrt(float(a @ a) * float(b @ b))
    rho = float(a @ b) / scale
    highest = 1 - 12 / (n * (n * n - 1))
    z = math.atanh(max(-highest, min(highest, rho)))
    error = math.sqrt((1 + rho**2 / 2) / (n - 3))
    half = NormalDist().inv_cdf(1 - ALPHA / 2) * error

    def p_at(at: float) -> float:
        if at:
            return 2 * NormalDist().cdf(-abs(z - math.atanh(max(-highest, min(highest, at)))) / error)
        if n <= _ALL_ORDERS:
            every = np.array(list(permutations(b))) @ a / scale
            return float(np.mean(np.abs(every) >= abs(rho) - 1e-9))
        steep = abs(rho) * math.sqrt((n - 2) / max(1 - rho**2, 1e-300))
        return 2 * float(stdtr(n - 2, -steep))

    ends, how = (math.tanh(z - half), math.tanh(z + half)), f"Spearman's rho over {n} networks"
    return _tested(rho, ends, p_at, n=n, reason=how, p_floor=2 / math.factorial(n))


def ratio(of_logarithms: Effect) -> Effect:
    """Return the difference of two logarithms as the ratio that it is."""
    e = of_logarithms
    centre, low, high = map(_exp, (e.estimate, e.low, e.high))

    def p_at(at: float) -> float:
        return e.p_at(math.log(at)) if at > 0 else 0.0

    return replace(e, estimate=centre, low=low, high=high, p_at=p_at)


def share(difference: Effect, base: float) -> Effect:
    """Return a difference to `base`, which is above zero, as a ratio to it, not below 0."""
    e = difference
    low, high = (max(0.0, 1 + v / base) if math.isfinite(v) else v for v in (e.low, e.high))
    return replace(
        e, estimate=1 + e.estimate / base, low=low, high=high, p_at=lambda at: e.p_at((at - 1) * base)
    )


def _tested(
    estimate: float, ends: tuple[float, float], p_at: Callable[[float], float], **more: Any
) -> Effect:
    return Effect(estimate, *ends, p=p_at(0.0), p_at=p_at, **more)


def _exp(value: float) -> float:
    return math.exp(min(value, 700.0)) if value < math.inf else value  # beyond, a float overflows; NaN stays


def _centred_ranks(values: Floats) -> Floats:
    return np.asarray(doubled_ranks(values) - (len(values) + 1.0), dtype=np.float64)


# --- rank tests, exact and with ties ---
#
# Each has its estimate, and an interval from the same distribution: of one sample's centre (Wilcoxon's signed ranks),
# which supposes numbers symmetric about it, and of the shift between two (Mann and Whitney's rank sums), which supposes
# samples that are alike but for it.


def _hodges_lehmann(values: Floats) -> float:
    """Return the median of the Walsh averages, (x_i + x_j) / 2 for i <= j; NaN of none."""
    return float(np.median(_walsh(values))) if len(values) else math.nan


def _signed_rank_interval(values: Floats, confidence: float = 1 - ALPHA) -> tuple[float, float]:
    """Return the interval of the centre from ordered Walsh averages; NaN where n is too small (below 6 at 95 %)."""
    return _interval(_walsh(values), _signed_rank_end(len(values), confidence))


def _signed_rank_p(values: Floats) -> float:
    """Return the two-sided p of the Wilcoxon signed-rank test that the centre is zero, exact with ties as well.

    Zeros are left out, as Wilcoxon does; where nothing else is there, p is 1.
    """
    values = values[values != 0]
    if len(values) == 0:
        return 1.0
    if len(values) > _MANY:
        from scipy.stats import wilcoxon

        return float(wilcoxon(values, method="asymptotic").pvalue)
    ranks = doubled_ranks(np.abs(values))
    return _two_sided(_sums_of_signs(tuple(ranks.tolist())), int(ranks[values > 0].sum()))


def _shift(a: Floats, b: Floats) -> float:
    """Return the Hodges-Lehmann shift, the median of all differences b_j - a_i; NaN of none."""
    return float(np.median(_differences(a, b))) if len(a) and len(b) else math.nan


def _shift_interval(a: Floats, b: Floats, confidence: float = 1 - ALPHA) -> tuple[float, float]:
    """Return the interval of the shift from ordered differences; NaN where the samples are too small.

    An infinity is a number beyond all that was seen, such as of a training that never reached its target; what two of
    them differ by is not known, and the interval reaches as far as it may.
    """
    gaps, end = _differences(a, b), _rank_sum_end(len(a), len(b), confidence)
    if not np.isnan(gaps).any():
        return _interval(gaps, end)
    least, most = (np.sort(np.where(np.isnan(gaps), unknown, gaps)) for unknown in (-math.inf, math.inf))
    return _interval(least, end)[0], _interval(most, end)[1]


def _rank_sum_p(a: Floats, b: Floats) -> float:
    """Return the two-sided p of the Mann-Whitney test that A and B are alike, exact with ties as well."""
    if not len(a) or not len(b):
        return 1.0
    both = np.concatenate([a, b])
    if (both == both[0]).all():
        return 1.0
    if len(both) > _MANY:
        from scipy.stats import mannwhitneyu

        return float(mannwhitneyu(a, b, method="asymptotic").pvalue)
    ranks = doubled_ranks(both)
    return _two_sided(_sums_of_choices(tuple(ranks.tolist()), len(a)), int(ranks[: len(a)].sum()))


def _floor_of_two(n: int, m: int) -> float:
    """Return the least two-sided p of an exact test of two samples: of all ways to deal them out, the two extremes."""
    return min(1.0, 2 / math.comb(n + m, n))


def _floor_of_pairs(n: int) -> float:
    """Return the least two-sided p of an exact test of n signs."""
    return min(1.0, math.ldexp(2.0, -n))


def _can_decide(n: int, m: int) -> bool:
    """Return whether two samples so large, completely apart, have a p of at most 0.05."""
    return _floor_of_two(n, m) <= ALPHA


def _walsh(values: Floats) -> Floats:
    first, second = np.triu_indices(len(values))
    return np.sort((values[first] + values[second]) / 2)


def _differences(a: Floats, b: Floats) -> Floats:
    with np.errstate(invalid="ignore"):  # two infinities
        return np.sort(np.subtract.outer(b, a).ravel())


def _interval(ordered: Floats, end: int) -> tuple[float, float]:
    """Return the `end`-th smallest and largest; NaN where even the whole range holds the truth too seldom."""
    return (float(ordered[end - 1]), float(ordered[-end])) if end else NONE


def _two_sided(shares: Floats, at: int) -> float:
    return min(1.0, 2 * min(float(shares[: at + 1].sum()), float(shares[at:].sum())))


@lru_cache(maxsize=512)
def _sums_of_signs(ranks: tuple[int, ...]) -> Floats:
    """Return how often each sum of the ranks with a positive sign, where each sign is a fair coin."""
    shares = np.ones(1)
    for rank in ranks:
        grown = np.zeros(len(shares) + rank)
        grown[: len(shares)] += shares / 2
        grown[rank:] += shares / 2
        shares = grown
    return shares


@lru_cache(maxsize=512)
def _sums_of_choices(ranks: tuple[int, ...], n: int) -> Floats:
    """Return how often each sum of n of the ranks, where every choice is as likely."""
    ways = np.zeros((n + 1, sum(ranks) + 1))  # [how many are chosen, their sum]
    ways[0, 0] = 1
    for rank in ranks:
        ways[1:, rank:] += ways[:-1, :-rank].copy()
    return np.asarray(ways[n] / math.comb(len(ranks), n))


@lru_cache(maxsize=512)
def _signed_rank_end(n: int, confidence: float) -> int:
    """Return the largest k with 2 P(W < k) <= 1 - confidence, for n values without ties."""
    if n > _MANY:
        return _normal_end(n * (n + 1) / 4, n * (n + 1) * (2 * n + 1) / 24, confidence)
    return _end(_sums_of_signs(tuple(range(1, n + 1))), confidence)


@lru_cache(maxsize=512)
def _rank_sum_end(n: int, m: int, confidence: float) -> int:
    """Return the largest k with 2 P(U < k) <= 1 - confidence, for samples of n and m without ties."""
    if n + m > _MANY:
        return _normal_end(n * m / 2, n * m * (n + m + 1) / 12, confidence)
    least = n * (n + 1) // 2
    return _end(_sums_of_choices(tuple(range(1, n + m + 1)), n)[least:], confidence)


def _end(shares: Floats, confidence: float) -> int:
    return int(np.searchsorted(2 * np.cumsum(shares), 1 - confidence, side="right"))


def _normal_end(mean: float, variance: float, confidence: float) -> int:
    return max(0, math.floor(mean - NormalDist().inv_cdf((1 + confidence) / 2) * math.sqrt(variance)))
