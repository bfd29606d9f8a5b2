"""Reliability: whether a network is right as often as its confidence says, and how much of the gap is chance.

The expected calibration error is the mean gap between confidence and accuracy over bins of confidence, weighted by
their images. Its usual estimate takes the amount of gaps that are partly chance, and so is too high: of few images, a
network without any fault has one of several points. That is told beside it: what the estimate would be on average were
each image right with the probability that its confidence says, found by simulation, with the p that there is no fault
at all; and the root mean square gap, of which the square has an estimate without bias. Bins hide what happens inside
of them, so that even this is of binned confidences alone.

Sources: Guo, Pleiss, Sun & Weinberger, On calibration of modern neural networks, ICML 2017 (15 bins of equal width);
Bröcker & Smith, Increasing the reliability of reliability diagrams, Weather and Forecasting 22, 2007 (the simulation);
Kumar, Liang & Ma, Verified uncertainty calibration, NeurIPS 2019, section 4 (the square without bias); Roelofs, Cain,
Shlens & Mozer, Mitigating bias in calibration error estimation, AISTATS 2022 (how large the bias is).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.io import ToJson
from bench.stats.intervals import wilson_interval
from bench.stats.samples import Floats

_BINS = 15
_DRAWS = 400  # simulated test sets; the least p is 1 / 401


@dataclass(frozen=True, slots=True)
class _Bin(ToJson):
    """The images of a range of confidence."""

    confidence: float  # mean
    accuracy: float  # share of right answers
    low: float  # lower end of its 95 % interval
    high: float  # upper end
    images: int

    @property
    def gap(self) -> float:
        """Accuracy less confidence: below zero where the network is too sure."""
        return self.accuracy - self.confidence


@dataclass(frozen=True, slots=True)
class Reliability(ToJson):
    """How far confidence and accuracy are apart; all are shares."""

    error: float  # the expected calibration error, as it is usually estimated
    perfect: float  # what that would be on average, were the network without fault
    perfect_high: float  # below which it would be in 95 % of cases
    square: float  # mean square of the gap, without bias; chance may bring it below zero
    p: float  # that so large an error is chance alone
    bins: tuple[_Bin, ...]  # those that have images, by confidence

    @property
    def debiased(self) -> float:
        """The root mean square gap with the part of chance taken off, at least 0; larger gaps count for more in it."""
        return math.sqrt(max(0.0, self.square))

    @property
    def lean(self) -> float:
        """Mean accuracy less mean confidence: below zero where the network is too sure on the whole."""
        images = sum(one.images for one in self.bins)
        return sum(one.gap * one.images for one in self.bins) / images if images else math.nan

    @classmethod
    def of(cls, confidence: Floats, correct: npt.NDArray[np.bool_], bins: int = _BINS) -> Reliability:
        """Return how reliable the confidence of N answers is.

        Args:
            confidence: [N] probability that the network gives its answer, 0 to 1.
            correct: [N] whether the answer is right; of those whose confidence is no number, it does not matter.
            bins: of equal width; one ends where the next begins, and its upper end is its own.
        """
        known = ~np.isnan(confidence)
        confidence, correct = confidence[known], correct[known]
        if not len(confidence):
            return cls(math.nan, math.nan, math.nan, math.nan, math.nan, ())
        place = np.clip(np.ceil(confidence * bins) - 1, 0, bins - 1).astype(np.int64)
        images = np.bincount(place, minlength=bins)
        sums = np.asarray(np.bincount(place, confidence, bins), dtype=np.float64)
        right = np.bincount(place, correct, bins)
        made = [
            _Bin(s / n, r / n, *wilson_interval(r, n), n)
            for s, r, n in zip(sums.tolist(), right.tolist(), images.tolist(), strict=True)
            if n
        ]
        error = float(np.abs(right - sums).sum() / len(confidence))
        drawn = _by_chance(confidence, place, sums)
        return cls(
            error=error,
            perfect=float(drawn.mean()),
            perfect_high=float(np.quantile(drawn, 0.95)),
            square=_square(made),
            p=(int((drawn >= error * (1 - 1e-12)).sum()) + 1) / (_DRAWS + 1),
            bins=tuple(made),
        )


def _by_chance(confidence: Floats, place: npt.NDArray[np.int64], sums: Floats) -> Floats:
    """Return the error of simulated test sets, in which each image is right with the probability of its confidence."""
    rng = np.random.default_rng(0)
    errors = np.empty(_DRAWS)
    for draw in range(_DRAWS):
        right = np.bincount(place, rng.random(len(confidence)) < confidence, len(sums))
        errors[draw] = np.abs(right - sums).sum()
    return errors / len(confidence)


def _square(bins: list[_Bin]) -> float:
    """Return the mean square of the gaps less the variance of the accuracies seen; bins of one image tell none."""
    several = [one for one in bins if one.images > 1]
    parts = (
        one.images * one.gap**2 - one.accuracy * (1 - one.accuracy) * one.images / (one.images - 1)
        for one in several
    )
    images = sum(one.images for one in several)
    return sum(parts) / images if images else math.nan
