"""Effects: a difference or a ratio, its 95 % interval, and the p of any value that it is held against.

`bench.stats.comparisons` makes them of numbers: of two groups, over test images, over networks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

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

    def share(self, base: float) -> Effect:
        """Return a difference to `base`, which is above zero, as a ratio to it, not below 0."""
        e = self
        low, high = (max(0.0, 1 + v / base) if math.isfinite(v) else v for v in (e.low, e.high))
        return replace(
            e, estimate=1 + e.estimate / base, low=low, high=high, p_at=lambda at: e.p_at((at - 1) * base)
        )

    def ratio(self) -> Effect:
        """Return the difference of two logarithms as the ratio that it is."""
        e = self
        centre, low, high = map(_exp, (e.estimate, e.low, e.high))

        def p_at(at: float) -> float:
            return e.p_at(math.log(at)) if at > 0 else 0.0

        return replace(e, estimate=centre, low=low, high=high, p_at=p_at)

    @classmethod
    def none(cls, reason: str, estimate: float = math.nan, n: int = 0) -> Effect:
        """Return an effect that decides nothing."""
        return cls(estimate, n=n, reason=reason)


def _exp(value: float) -> float:
    return math.exp(min(value, 700.0)) if value < math.inf else value  # beyond, a float overflows; NaN stays
