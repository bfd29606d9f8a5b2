"""Trainings compared: the first network against each other one that was trained on the same, alike in all else.

Two questions are kept apart, since two things vary. Would the network be better if it were trained again? The
trainings vary, and Welch's t over the seeds answers: this is the verdict, and its p the one that counts, since a claim
about an architecture is about its trainings. Would these trained networks be better on other images? The test images
vary, and a bootstrap paired over them answers, with the seeds of a network pooled. The standard errors of both are
given beside each other. Where there is one training each, only the second question can be put; McNemar's exact test
answers it, and the reason says that it holds for these two trained networks alone.

A training that diverged is worse than any that ended: where there is one, ranks decide instead of means.

Source: Dietterich, Approximate statistical tests for comparing supervised classification learning algorithms, Neural
Computation 10, 1998.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.analysis.members import Member, Trainings, conditions_of, members, trainings_of
from bench.records.record import Record, finite
from bench.records.store import Run
from bench.stats.effects import Effect, mcnemar, none, over_images, rank_sums, welch
from bench.stats.verdicts import corrected


@dataclass(frozen=True, slots=True)
class Comparison:
    """One network against another; differences are the first's top-1 accuracy less the other's, as fractions.

    Attributes:
        network: the first of those that were asked for.
        baseline: the other.
        dataset: on which both were trained.
        effect: the difference, its interval and p over trainings, or McNemar's of one each; p is corrected for the
            number of comparisons (Holm). `higher` or `lower` where it is certain, else `undecided`.
        n: trainings of the network, with those that diverged.
        n_baseline: of the other.
        image_low: lower end of the 95 % interval over test images; NaN where no outputs are stored.
        image_high: upper end, alike.
        trainings_error: standard error of the difference that comes of training anew; NaN where unknown.
        images_error: standard error of the difference that comes of the choice of test images; NaN where unknown.
    """

    network: str
    baseline: str
    dataset: str
    effect: Effect
    n: int
    n_baseline: int
    image_low: float
    image_high: float
    trainings_error: float
    images_error: float

    def to_json(self) -> dict[str, Any]:
        """Return plain values in one level; what is not a number is None."""
        own = {key: getattr(self, key) for key in self.__slots__ if key != "effect"}
        plain: dict[str, Any] = finite({**own, **self.effect.to_json("difference")})
        return plain


def compare_trainings(run: Run) -> list[Comparison]:
    """Return the comparisons of the trainings of a run, for each way that networks were trained in.

    Raises:
        StoreError: for test outputs that cannot be read.
    """
    alike: defaultdict[str, list[Trainings]] = defaultdict(list)
    for trainings in trainings_of(run):
        alike[conditions_of(trainings.jobs[0])].append(trainings)
    found = [_compare(run, first, other) for first, *others in alike.values() for other in others]
    effects = corrected([c.effect for c in found])
    return [replace(c, effect=e) for c, e in zip(found, effects, strict=True)]


def image_differences(a: Sequence[Member], b: Sequence[Member]) -> npt.NDArray[np.float64]:
    """Return [N]: of each test image the share of A's trainings that tell it right, less that of B's."""
    shares = [np.mean([m.correct for m in side], axis=0) for side in (a, b)]
    return np.asarray(shares[0] - shares[1])


def _compare(run: Run, first: Trainings, other: Trainings) -> Comparison:
    sides = _accuracies(first), _accuracies(other)
    told = [members(run, t) for t in (first, other)]
    images = _over_images(*told)
    effect = rank_sums(*sides) if -math.inf in (*sides[0], *sides[1]) else welch(*sides)
    if [len(s) for s in sides] == [1, 1] == [len(s) for s in told] and math.isfinite(images.estimate):
        p, *only = mcnemar(told[0][0].correct, told[1][0].correct)
        how = f"McNemar's test of these two trainings alone: {only[0]} and {only[1]} images only one tells right"
        effect = replace(effect, low=images.low, high=images.high, p=p, reason=how)
    elif not any(told):
        effect = replace(effect, reason=f"{effect.reason}; no test outputs are stored")
    return Comparison(
        network=first.label,
        baseline=other.label,
        dataset=str(first.jobs[0].settings.given.get("dataset")),
        effect=_judged(replace(effect, reason=effect.reason + _missing(first, other))),
        n=len(sides[0]),
        n_baseline=len(sides[1]),
        image_low=images.low,
        image_high=images.high,
        trainings_error=effect.error,
        images_error=images.error,
    )


def _judged(effect: Effect) -> Effect:
    if math.isnan(effect.p) or not (effect.low > 0 or effect.high < 0):
        return effect
    return replace(effect, verdict="higher" if effect.low > 0 else "lower")


def _accuracies(trainings: Trainings) -> list[float]:
    """Return the accuracy of each training; of one that diverged an infinity below all others."""
    found = [_top1(record) for record in trainings.ended]
    return [v for v in found if math.isfinite(v)] + [-math.inf] * trainings.diverged


def _top1(record: Record) -> float:
    measurement = record.measurement("top1")
    return math.nan if measurement is None else measurement.samples[-1]


def _over_images(a: Sequence[Member], b: Sequence[Member]) -> Effect:
    if not a or not b or not same_images([*a, *b]):
        return none("no outputs of the same test images")
    return over_images(image_differences(a, b))


def same_images(found: Sequence[Member]) -> bool:
    """Return whether all were tested on the same images, in the same order."""
    return all(np.array_equal(found[0].labels, m.labels) for m in found[1:])


def _missing(*sides: Trainings) -> str:
    """Return ``; plain20: 1 of 3 diverged``, of each network that lacks trainings."""
    told = []
    for side in sides:
        lost = len(side.jobs) - len(side.ended) - side.diverged
        counts = [
            f"{n} of {len(side.jobs)} {w}" for n, w in ((side.diverged, "diverged"), (lost, "missing")) if n
        ]
        told += [f"; {side.label}: {', '.join(counts)}"] if counts else []
    return "".join(told)
