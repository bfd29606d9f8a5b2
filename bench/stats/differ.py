"""Two runs: whether a quantity is another in the later one, of so many processes each.

What is certain is tested, by Welch's t over the logarithms of the processes' medians, as one of all rows of the two
runs (`bench.stats.verdicts.corrected`). Rank tests cannot do this: of 4 and 4 processes no p is below 0.029, and one of
20 rows must be below 0.0025. Fewer processes than four decide nothing; what is beyond the noise is suspected.

Simulated with 20 rows and processes that scatter by 1, 3 and 6 %, normal or t3 in the logarithm: any row is called for
nothing in at most 5 % of pairs of runs that scatter alike; in up to 5.3 % where one scatters twice as much, and in
8.5 % of 4 and 4 processes where every row scatters four times as much in one. Of 8 and 8 processes that scatter by 3 %,
one row slowed by 10 % is called in 98 % of cases (94 % of t3), of 4 and 4 in 31 %. What a whole run has in common, such
as a machine that was slower that day, is no accident of a process, and is called.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bench.stats.effects import Effect, none, rank_sums, ratio, welch
from bench.stats.ranks import NONE
from bench.stats.samples import Floats, array, median
from bench.stats.verdicts import BAND, decide_ratio
from bench.units import Better

ENOUGH = 4  # processes in each run, from which a test decides
FLOOR = 0.05  # by how much two processes of the same may well differ


def differ(
    a: Sequence[float],
    b: Sequence[float],
    *,
    floor: float = FLOOR,
    band: float = BAND,
    better: Better = "lower",
    unit: str = "s",
    of: str = "processes",
) -> Effect:
    """Return the ratio B / A with its verdict on its own; `corrected(effects, "suspected")` makes it one of several.

    Args:
        a: of the earlier run, one number a process, above zero; NaN and infinities are left out.
        b: of the later run, likewise; the counts may differ.
        floor: a ratio this near to one is noise where there are too few processes to test.
        band: a ratio this near to one is the same to a user.
        better: which direction is an improvement.
        unit: of the quantity, see `bench.stats.verdicts.verdict`.
        of: what the numbers are of, for the reason.
    """
    one, other = array(a), array(b)
    n = min(len(one), len(other))
    if not n or min(one.min(), other.min()) <= 0:
        return none("a ratio needs numbers above zero" if n else "no value", n=n)
    if n < ENOUGH:
        return _suspicion(one, other, floor, of)
    logs = np.log(other), np.log(one)
    effect = welch(*logs, f"{of}, of logarithms", safe=True)
    if math.isnan(effect.p):  # no spread, such as of memory
        effect = rank_sums(*logs, of)
    return decide_ratio(ratio(effect), band, better=better, unit=unit)


def centres(a: Sequence[float], b: Sequence[float]) -> tuple[float, float]:
    """Return the two numbers whose ratio `differ` estimates: geometric means, of fewer than four processes medians.

    Both are of logarithms; where those do not exist, they are medians.
    """
    one, other = array(a), array(b)
    n = min(len(one), len(other))
    if not n or min(one.min(), other.min()) <= 0:
        return median(a), median(b)
    centre = np.median if n < ENOUGH else np.mean
    return math.exp(float(centre(np.log(one)))), math.exp(float(centre(np.log(other))))


def _suspicion(a: Floats, b: Floats, floor: float, of: str) -> Effect:
    """Return what too few processes say: suspected where each of one run is beyond the floor of each of the other."""
    n, sizes = min(len(a), len(b)), f"{len(a)}" if len(a) == len(b) else f"{len(a)} and {len(b)}"
    reason = f"n = {sizes} {of} cannot decide: at least {ENOUGH} in each run"
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
