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
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.special import betainc

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

    def named(self, name: str) -> dict[str, float]:
        """Return the share and its interval by their names, such as ``top1``, ``top1_low`` and ``top1_high``."""
        return dict(zip((name, f"{name}_low", f"{name}_high"), (self.value, *self.interval), strict=True))

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


_EXCHANGED = 2.0  # times as often as by its own name a class is called by the one of another order, at least


@dataclass(frozen=True, slots=True, eq=False)
class LabelOrder:
    """An order of labels that suits the answers better, found on some images and tested on the others.

    Where labels stand in another order, classes are called by each other's names and hardly ever by their own. A weak
    network in the right order calls many classes by the names of a few as well, and one to one some of these names suit
    other classes better: so that a better fit alone tells nothing. It is another order where its names are given more
    than `_EXCHANGED` times as often as all that speaks against it: a class's own name, and the one that it is mostly
    called by where that is neither. That is a binomial test, at the boundary of that with a level of 5 %.

    Simulated with 3 to 200 classes of 4 to 200 images each, a right order seems another one to networks of 5 to 40 %
    whose classes have each one wrong name in 2 to 16 % of cases (12 to 100 % by a better fit alone), with Dirichlet
    rows in up to 4 % (2 to 50 %), of nearest prototypes or a few favourite names in none (0 to 51 %). Of 20 images a
    class and more, it is found of networks of 80 and 95 % in 94 to 100 % of cases, two classes of up to 200 that are
    swapped in 83 to 100 %, and of networks of 60 % all classes in 82 to 95 %. Classes that a network takes for one
    another in pairs, three times as often as for themselves, look the same as swapped ones.
    """

    order: npt.NDArray[np.int64]  # [K], the class that is meant by each answer
    held: _Flags  # [N], the images held out
    right: _Flags  # of these, those that are told right in the other order
    before: Share  # of the images held out, with the labels as they are
    after: Share  # of the same, in the other order
    gain: Effect  # after less before, by McNemar
    by_other: (
        int  # of those held out, of classes that are moved, the ones called by the name of the other order
    )
    against: int  # those of any class that speak against it
    p: float  # one-sided, that names of the other order are given no more than `_EXCHANGED` times as often; 1 of none

    @property
    def tells(self) -> bool:
        """Whether it is certain."""
        return self.p <= 0.05

    @property
    def moved(self) -> int:
        """How many classes mean another one."""
        return int((self.order != np.arange(len(self.order))).sum())

    @classmethod
    def of(cls, labels: _Classes, answers: _Classes, classes: int) -> LabelOrder:
        """Return the order of labels that suits most answers of every other image, and what it does to the rest.

        Any order that is chosen suits the images that it was chosen on; only the others tell whether it is one. Classes
        are moved along with all that they change places with, or not at all.

        Args:
            labels: [N] true classes.
            answers: [N] classes as the network gave them.
            classes: how many there are; K.
        """
        held = np.zeros(len(labels), dtype=np.bool_)
        held[np.argsort(labels, kind="stable")[1::2]] = True  # every other image of each class
        chosen, others = (_said(labels[some], answers[some], classes) for some in (~held, held))
        names = _exchanged(chosen)
        every = np.arange(classes)
        moved = names != every
        order = np.argsort(names)
        mostly = np.where(np.eye(classes, dtype=np.bool_), -1, chosen).argmax(1)
        own, meant, most = (chosen[every, name] for name in (every, names, mostly))
        third = (mostly != names) & (most > _EXCHANGED * own) & (most > meant)
        by_other = int(others[every, names][moved].sum())
        against = int(others[every, every][moved].sum() + others[every, mostly][third].sum())
        bound = _EXCHANGED / (1 + _EXCHANGED)
        p = float(betainc(by_other, against + 1, bound)) if by_other else 1.0  # of a binomial's upper tail
        before = np.asarray(answers[held] == labels[held])
        after = np.asarray(order[answers[held]] == labels[held])
        shares = Share.of(before), Share.of(after)
        return cls(order, held, after, *shares, paired(after, before), by_other, against, p)


def _said(labels: _Classes, answers: _Classes, classes: int) -> npt.NDArray[np.int64]:
    """Return how often each class [K] was called by each name [K]."""
    counts = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(counts, (labels, answers), 1)
    return counts


def _exchanged(said: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the name [K] that each class has in the order that suits best, where classes exchange their names.

    Args:
        said: [K, K] how often each class was called by each name.
    """
    kept = np.arange(len(said))
    _, names = linear_sum_assignment(said + 1e-6 * np.eye(len(said)), maximize=True)  # unused names stay
    # As shares, so that a class of many images is none of many classes.
    shares = said / np.maximum(1, said.sum(1, keepdims=True))
    count, cycles = connected_components(csr_array((np.ones(len(said)), (kept, names)), shape=said.shape))
    own, other = (np.bincount(cycles, shares[kept, some], minlength=count) for some in (kept, names))
    return np.where((other > _EXCHANGED * own)[cycles], names, kept)


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
