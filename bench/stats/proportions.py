"""Proportions: so many of so many, and between which shares the truth lies.

Sources: Clopper & Pearson, The use of confidence or fiducial limits illustrated in the case of the binomial, Biometrika
26, 1934; of trials that hang together Korn & Graubard, Confidence intervals for proportions with small expected number
of positive counts estimated from survey data, Survey Methodology 24, 1998.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import betaincinv

from bench.stats.ranks import NONE


@dataclass(frozen=True, slots=True)
class Proportion:
    """A count of trials.

    Attributes:
        count: of those that came out so.
        of: all of them.
        worth: how many independent ones they are worth; fewer than `of` where trials share what was measured.
    """

    count: int
    of: int
    worth: int

    @property
    def share(self) -> float:
        """Return count / of; NaN of no trial."""
        return self.count / self.of if self.of else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval of the share; NaN of no trial."""
        return binomial_interval(self.share * self.worth, self.worth) if self.of else NONE

    def to_json(self) -> dict[str, object]:
        """Return plain values; what is not a number is None."""
        low, high = self.interval if self.worth else (None, None)
        return {"count": self.count, "of": self.of, "worth": self.worth, "low": low, "high": high}


def proportion(trials: Sequence[bool], worth: int | None = None) -> Proportion:
    """Return how many trials came out so; they are independent where nothing else is said."""
    return Proportion(sum(trials), len(trials), len(trials) if worth is None else worth)


def below_chance(share: float, n: int | float | None, chance: float) -> bool:
    """Return whether guessing n times would come to more, by three of its standard deviations; 0 of no known n."""
    slack = 3 * math.sqrt(chance * (1 - chance) / n) if n else 0.0
    return share < chance - slack


def binomial_interval(count: float, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of a binomial share; it covers at least what it says, and NaN of no trial.

    Args:
        count: from 0 to n; not whole where n is what dependent trials are worth.
        n: independent trials.
        confidence: with which the interval holds the share.
    """
    if not n:
        return NONE
    tail = (1 - confidence) / 2
    low = float(betaincinv(count, n - count + 1, tail)) if count > 0 else 0.0
    high = float(betaincinv(count + 1, n - count, 1 - tail)) if count < n else 1.0
    return low, high
