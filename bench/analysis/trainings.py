"""Trainings: those of a run by network, what they answered to the test images, and the first network against others.

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

import fnmatch
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.errors import unknown_name
from bench.io import finite_json
from bench.plan.job import Job
from bench.records.outputs import read_outputs
from bench.records.record import Record
from bench.records.store import Run, latest
from bench.stats.effects import Effect, mcnemar, none, over_images, two_groups
from bench.stats.samples import Floats
from bench.stats.verdicts import corrected, decide_difference

_OF_THE_NETWORK = ("arch", "input_size", "in_channels", "source_sha256")  # of what a job asks


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """One training with its test outputs: logits [N, K] and labels [N]."""

    record: Record
    logits: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]

    @property
    def answers(self) -> npt.NDArray[np.int64]:
        """The class that it gives each of the N test images."""
        return np.asarray(self.logits.argmax(axis=1))

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """Whether each of the N test images is classified correctly."""
        return np.asarray(self.answers == self.labels)

    @property
    def probabilities(self) -> Floats:
        """Softmax of the logits, [N, K]."""
        logits = self.logits.astype(np.float64)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))


@dataclass(frozen=True, slots=True)
class Series:
    """The trainings of one network that differ in nothing but their seed; `label` has what sets it apart."""

    label: str
    jobs: tuple[Job, ...]
    records: tuple[Record, ...]

    @property
    def dataset(self) -> str:
        """On which they train."""
        return str(self.jobs[0].settings.given.get("dataset"))

    @property
    def ended(self) -> tuple[Record, ...]:
        """The records of those that ended well."""
        return tuple(r for r in self.records if r.status == "ok")

    @property
    def diverged(self) -> int:
        """How many diverged."""
        return sum(r.status == "diverged" for r in self.records)

    @property
    def accuracies(self) -> list[float]:
        """The top-1 accuracy of each; of one that diverged an infinity below all others."""
        top1 = [m.samples[-1] for r in self.ended if (m := r.measurement("top1")) is not None]
        return [v for v in top1 if math.isfinite(v)] + [-math.inf] * self.diverged

    @property
    def missing(self) -> str:
        """Return ``; plain20: 1 of 3 diverged, 1 of 3 missing`` where it lacks trainings."""
        lost = len(self.jobs) - len(self.ended) - self.diverged
        counts = ((self.diverged, "diverged"), (lost, "missing"))
        parts = [f"{n} of {len(self.jobs)} {word}" for n, word in counts if n]
        return f"; {self.label}: {', '.join(parts)}" if parts else ""


def series_of(run: Run, networks: Sequence[str] = ()) -> list[Series]:
    """Return the trainings of a run by network, in the order they were planned.

    `networks` are names or globs; none for all.

    Raises:
        UnknownNameError: for a pattern that no trained network matches.
    """
    last = latest(run.records)
    jobs = {j.id: j for j in (*run.planned, *(r.job for r in last.values())) if j.task == "accuracy"}
    known = {job.arch for job in jobs.values()}
    for pattern in networks:
        if not any(_matches(pattern, arch) for arch in known):
            raise unknown_name("trained network", pattern, known, "`bench report` shows the run")
    series: defaultdict[str, list[Job]] = defaultdict(list)
    for job in jobs.values():
        if not networks or any(_matches(pattern, job.arch) for pattern in networks):
            series[job.series()].append(job)
    labels = _labels([some[0] for some in series.values()])
    return [
        Series(label, tuple(some), tuple(last[j.id] for j in some if j.id in last))
        for label, some in zip(labels, series.values(), strict=True)
    ]


def _matches(pattern: str, arch: str) -> bool:
    return pattern == arch or fnmatch.fnmatchcase(arch, pattern)


def _labels(jobs: Sequence[Job]) -> list[str]:
    """Return the name of each network, with the settings that tell it from others of that name."""
    settings: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for job in jobs:
        settings[job.arch].append(settings_of(job))
    telling = {arch: differing_keys(some) for arch, some in settings.items()}
    return [
        " · ".join([job.arch, *(f"{key} {settings_of(job).get(key)}" for key in telling[job.arch])])
        for job in jobs
    ]


def differing_keys(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the keys that do not have the same value in all of some settings."""
    keys = dict.fromkeys(key for one in settings for key in one)
    return [key for key in keys if len({str(one.get(key)) for one in settings}) > 1]


def settings_of(job: Job) -> dict[str, Any]:
    """Return the input size and the settings of a job, its recipe by name and its augmentation in one word."""
    settings = job.settings.content
    recipe, augmentation = settings.get("recipe"), settings.get("augment")
    named: dict[str, Any] = {"recipe": recipe.get("name")} if isinstance(recipe, Mapping) else {}
    if isinstance(augmentation, Mapping):
        named["augment"] = ",".join(f"{key}={json.dumps(value)}" for key, value in augmentation.items())
    return {"input_size": job.input_size, **settings, **named}


def conditions_of(job: Job) -> str:
    """Return what a job asks but for its network and its seed, as one string: under equal ones networks compare."""
    content = {k: v for k, v in job.content().items() if k not in _OF_THE_NETWORK}
    return json.dumps({**content, "seed": None}, sort_keys=True)


def read_trainings(run: Run, series: Series) -> list[Training]:
    """Return the trainings that ended well and whose test outputs are stored, by seed.

    Raises:
        StoreError: for outputs that cannot be read.
    """
    trainings = []
    for record in sorted(series.ended, key=lambda r: r.job.seed):
        outputs = read_outputs(run.path, record)
        if outputs is not None:
            trainings.append(Training(record, outputs.logits, outputs.labels))
    return trainings


def same_images(trainings: Sequence[Training]) -> bool:
    """Return whether all were tested on the same images, in the same order."""
    return all(np.array_equal(trainings[0].labels, other.labels) for other in trainings[1:])


def by_epoch(details: Iterable[Mapping[str, Any]]) -> list[tuple[int, list[float]]]:
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
        own = {key: getattr(self, key) for key in self.__slots__ if key != "effect"}
        plain: dict[str, Any] = finite_json({**own, **self.effect.to_json("difference")})
        return plain


def compare_trainings(run: Run) -> list[SeriesComparison]:
    """Return the first network against each other one that was trained under the same conditions, for all conditions.

    Raises:
        StoreError: for test outputs that cannot be read.
    """
    by_conditions: defaultdict[str, list[Series]] = defaultdict(list)
    for series in series_of(run):
        by_conditions[conditions_of(series.jobs[0])].append(series)
    compared = [
        compare_series(run, first, other) for first, *others in by_conditions.values() for other in others
    ]
    effects = corrected([c.effect for c in compared])
    return [replace(c, effect=e) for c, e in zip(compared, effects, strict=True)]


def compare_series(run: Run, first: Series, other: Series) -> SeriesComparison:
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
        effect = replace(effect, low=0.0, high=0.0, verdict="same", reason="all trainings came to the same")
    elif not any(trainings):
        effect = replace(effect, reason=f"{effect.reason}; no test outputs are stored")
    return SeriesComparison(
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


def _over_images(a: Sequence[Training], b: Sequence[Training]) -> Effect:
    """Return the share of A's trainings that classify an image correctly less that of B's, over the test images."""
    if not a or not b or not same_images([*a, *b]):
        return none("no outputs of the same test images")
    shares = [np.mean([t.correct for t in side], axis=0) for side in (a, b)]
    return over_images(np.asarray(shares[0] - shares[1]))
