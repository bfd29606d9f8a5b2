"""Answers of networks to the same images: how many are right, which network is better, what they agree in.

    Share            of right answers, with Wilson's interval; against one that is known, by the score test
    paired           two networks on the same images: the difference, tested by McNemar
    LabelOrder       whether the answers fit the labels better in another order
    CorruptionError  of a network under corruption, against a baseline's

McNemar's test is the exact one, of the images that only one network tells right. It errs on the safe side, by up to a
factor of two in p of few such images; the mid-p variant is nearer to its level on average, but may exceed it, and a
verdict here is to be certain. Pairs of several networks are corrected by Holm (`bench.stats.verdicts.corrected`).

Sources: Wilson, Probable inference, the law of succession, and statistical inference, J. Am. Stat. Assoc. 22, 1927;
McNemar, Psychometrika 12, 1947; Fagerland, Lydersen & Laake, The McNemar test for binary matched-pairs data, BMC
Medical Research Methodology 13, 2013; Kuhn, The Hungarian method for the assignment problem, Naval Research Logistics
Quarterly 2, 1955; Hendrycks & Dietterich, ICLR 2019 (mean corruption error).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from bench.io import ToJson
from bench.stats.comparisons import mcnemar, over_images
from bench.stats.effects import Effect, Verdict
from bench.stats.intervals import wilson_interval
from bench.stats.verdicts import decide_difference

_LEAST = 1e-300  # what is smaller is shown as a bound: it may be no number of the machine any more

_Classes = npt.NDArray[np.integer]
_Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Share(ToJson):
    """So many of so many images, with the 95 % interval by Wilson."""

    count: int
    images: int

    @property
    def value(self) -> float:
        """The share; NaN of no image."""
        return self.count / self.images if self.images else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Between which shares it lies; NaN of no image."""
        return wilson_interval(self.count, self.images)

    def holds(self, value: float) -> bool:
        """Whether the interval holds a share."""
        low, high = self.interval
        return low <= value <= high

    @classmethod
    def of(cls, flags: _Flags) -> Share:
        """Return how many of [N] flags are set."""
        return cls(int(flags.sum()), len(flags))

    def against(self, value: float) -> Effect:
        """Return the difference of a share from one that is known, above 0 and below 1, by the score test.

        Its p is at most 0.05 where Wilson's interval leaves the known share out. The verdict is `higher` or `lower`
        then, on its own.
        """
        if not self.images:
            return Effect.none("no image")
        low, high = self.interval
        error = math.sqrt(value * (1 - value) / self.images)
        gap = self.value - value
        p = 2 * NormalDist().cdf(-abs(gap) / error) if error else float(gap == 0)
        word: Verdict = "undecided" if low <= value <= high else "higher" if gap > 0 else "lower"
        reason = f"score test, {self.images} images"
        return Effect(gap, low - value, high - value, p, self.images, reason, _LEAST, word)


def paired(correct: _Flags, others: _Flags) -> Effect:
    """Return the difference of two shares of right answers to the same N images, with McNemar's exact p.

    The interval is a paired bootstrap's over images. The verdict is `higher` or `lower` where both leave out zero, on
    its own; see `bench.stats.verdicts.corrected` for several.
    """
    effect = over_images(correct.astype(np.float64) - others)
    if math.isnan(effect.estimate):
        return effect
    p, only, only_other = mcnemar(correct, others)
    how = f"McNemar's exact test: {only} and {only_other} of {len(correct)} images only one tells right"
    tested = replace(effect, p=p, reason=how, p_floor=_LEAST)
    return tested if p > 0.05 else decide_difference(tested)


# --- order of labels ---


@dataclass(frozen=True, slots=True, eq=False)
class LabelOrder:
    """An order of labels that suits the answers better, found on some images and checked on the others."""

    order: npt.NDArray[np.int64]  # [K], the class that is meant by each answer
    held: _Flags  # [N], the images held out
    right: _Flags  # of these, those that are told right in the other order
    before: Share  # of the images held out, with the labels as they are
    after: Share  # of the same, in the other order
    gain: Effect  # after less before, by McNemar
    commonest: float  # share of the commonest class among them
    gain_of_moved: (
        float  # after less before, of those images whose class is meant by another answer; 0 of none
    )

    @property
    def tells(self) -> bool:
        """Whether it is certainly better than to call every image by one class, which any order may come to."""
        return self.after.interval[0] > self.commonest

    @property
    def moved(self) -> int:
        """How many classes mean another one."""
        return int((self.order != np.arange(len(self.order))).sum())

    @classmethod
    def of(cls, labels: _Classes, answers: _Classes, classes: int) -> LabelOrder:
        """Return the order of labels that suits most answers of every other image, and what it does to the rest.

        Any order that is chosen suits the images that it was chosen on; only the others tell whether it is one.

        Args:
            labels: [N] true classes.
            answers: [N] classes as the network gave them.
            classes: how many there are; K.
        """
        held = np.zeros(len(labels), dtype=np.bool_)
        held[np.argsort(labels, kind="stable")[1::2]] = True  # every other image of each class
        counts = np.zeros((classes, classes))
        np.add.at(counts, (answers[~held], labels[~held]), 1)
        counts += 1e-6 * np.eye(classes)  # an answer that was never given stays what it is
        _, order = linear_sum_assignment(counts, maximize=True)
        order = np.asarray(order, dtype=np.int64)
        before = np.asarray(answers[held] == labels[held])
        after = np.asarray(order[answers[held]] == labels[held])
        commonest = float(np.bincount(labels[held]).max() / held.sum())
        moved = np.isin(labels[held], np.flatnonzero(order != np.arange(classes)))
        gain_of_moved = float((after[moved].mean() - before[moved].mean()) if moved.any() else 0.0)
        gain = paired(after, before)
        return cls(order, held, after, Share.of(before), Share.of(after), gain, commonest, gain_of_moved)


# --- corruptions ---


@dataclass(frozen=True, slots=True)
class CorruptionError(ToJson):
    """Errors under corruption; of a baseline's, where there is one."""

    mean: float  # error, over severities and then over corruptions; a share
    relative: float  # mean over corruptions of the error over that of the baseline (mCE); NaN without one
    corruptions: int  # how many it is over

    @classmethod
    def of(
        cls, errors: Mapping[str, Mapping[int, float]], baseline: Mapping[str, float] | None = None
    ) -> CorruptionError:
        """Return the mean error under corruption, and the mean corruption error against a baseline.

        Args:
            errors: by corruption and severity, as shares.
            baseline: its mean error over the same severities, by corruption; where it lacks one, or makes no error
                there, there is no mean corruption error.
        """
        means = {name: float(np.mean(list(one.values()))) for name, one in errors.items() if one}
        if not means:
            return cls(math.nan, math.nan, 0)
        ratios = [mean / baseline[name] for name, mean in means.items() if baseline and baseline.get(name)]
        relative = float(np.mean(ratios)) if len(ratios) == len(means) else math.nan
        return cls(float(np.mean(list(means.values()))), relative, len(means))
