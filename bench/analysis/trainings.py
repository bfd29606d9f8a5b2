"""Trainings against each other: the first network of a run against the others, over seeds and over test images.

Two questions are kept apart, since two things vary. Would the network be better if it were trained again? The
trainings vary, and Welch's t over the seeds answers: this is the verdict, and its p the one that counts, since a claim
about an architecture is about its trainings. Would these trained networks be better on other images? The test images
vary, and a bootstrap paired over them answers, with the seeds of a network pooled. The standard errors of both are
given beside each other. Where there is one training each, only the second question can be put; McNemar's exact test
answers it, and the reason says that it holds for these two trained networks alone.

A training that diverged is worse than any that ended: where there is one, ranks decide instead of means. Where all
trainings of both came to the same accuracy, that is the same.

Source: Dietterich, Approximate statistical tests for comparing supervised classification learning algorithms, Neural
Computation 10, 1998.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

import numpy as np

from bench.analysis._series import Series, Training, conditions_of, read_trainings, same_images, series_of
from bench.analysis.keys import grouped
from bench.io import JsonObject, finite_json
from bench.records.store import Run
from bench.stats.comparisons import mcnemar, over_images, two_groups
from bench.stats.effects import Effect
from bench.stats.verdicts import decide_difference, with_corrected


def by_epoch(details: Iterable[JsonObject]) -> list[tuple[int, list[float]]]:
    """Return the number of each epoch with the values that trainings have of it; those without any are left out."""
    stored = (detail.get("by_epoch") for detail in details)
    curves = [values for values in stored if isinstance(values, list | tuple)]
    epochs = [
        [v for v in values if isinstance(v, int | float) and math.isfinite(v)]
        for values in zip_longest(*curves)
    ]
    return [(number, values) for number, values in enumerate(epochs, start=1) if values]


@dataclass(frozen=True, slots=True)
class SeriesComparison:
    """One network against another; differences are the first's top-1 accuracy less the other's, as fractions."""

    network: str  # the first of those that were trained
    baseline: str  # the other
    dataset: str  # on which both were trained
    # the difference, its interval and p over trainings, or McNemar's of one each; p is corrected for the
    # number of comparisons (Holm). `higher`, `lower` or `same` where it is certain, else `undecided`.
    effect: Effect
    n: int  # trainings of the network, with those that diverged
    n_baseline: int  # of the other
    image_low: float  # lower end of the 95 % interval over test images; NaN where no outputs are stored
    image_high: float  # upper end; likewise
    trainings_error: float  # standard error of the difference that comes of training anew; NaN where unknown
    # standard error of the difference that comes of the choice of test images; NaN where unknown
    images_error: float

    def to_json(self) -> dict[str, object]:
        """Return plain values in one level; what is not a number is None."""
        own: dict[str, object] = {key: getattr(self, key) for key in self.__slots__ if key != "effect"}
        return finite_json({**own, **self.effect.to_json("difference")})

    @classmethod
    def of(cls, run: Run, first: Series, other: Series) -> SeriesComparison:
        """Return one network against another, with its verdict on its own; both trained under the same conditions.

        Raises:
            StoreError: for test outputs that cannot be read.
        """
        trainings = [read_trainings(run, series) for series in (first, other)]
        images = _over_images(*trainings)
        effect = two_groups(first.accuracies, other.accuracies)
        n, n_baseline = len(first.accuracies), len(other.accuracies)
        if [n, n_baseline] == [1, 1] == [len(t) for t in trainings] and math.isfinite(images.estimate):
            p, *only = mcnemar(trainings[0][0].correct, trainings[1][0].correct)
            how = f"McNemar's test of these two trainings alone: {only[0]} and {only[1]} images only one tells right"
            effect = replace(effect, low=images.low, high=images.high, p=p, reason=how)
        elif min(n, n_baseline) > 1 and len({*first.accuracies, *other.accuracies}) == 1:
            why = "all trainings came to the same"
            effect = replace(effect, low=0.0, high=0.0, verdict="same", reason=why)
        elif not any(trainings):
            effect = replace(effect, reason=f"{effect.reason}; no test outputs are stored")
        return cls(
            network=first.label,
            baseline=other.label,
            dataset=first.dataset,
            effect=decide_difference(replace(effect, reason=effect.reason + first.missing + other.missing)),
            n=n,
            n_baseline=n_baseline,
            image_low=images.low,
            image_high=images.high,
            trainings_error=effect.error,
            images_error=images.error,
        )

    @classmethod
    def in_run(cls, run: Run) -> list[SeriesComparison]:
        """Return the first network against each other one trained under the same conditions, for all conditions.

        Raises:
            StoreError: for test outputs that cannot be read.
        """
        by_conditions = grouped(series_of(run), lambda series: conditions_of(series.jobs[0]))
        return with_corrected(
            [cls.of(run, first, other) for first, *others in by_conditions.values() for other in others]
        )


def _over_images(a: Sequence[Training], b: Sequence[Training]) -> Effect:
    """Return the share of A's trainings that classify an image correctly less that of B's, over the test images."""
    if not a or not b or not same_images([*a, *b]):
        return Effect.none("no outputs of the same test images")
    shares = [np.mean([t.correct for t in side], axis=0) for side in (a, b)]
    return over_images(np.asarray(shares[0] - shares[1]))
