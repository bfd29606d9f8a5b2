"""Ensembles of trained networks: the mean of what they say of each test image, against their members.

An ensemble's probabilities are the mean of its members' softmax. It is held against its mean member, which is what
one training gives on average, and against its best member, chosen on these test images and so at its luckiest.
Intervals are over test images, paired; they hold for these trained networks.

Source: Krizhevsky, Sutskever & Hinton, ImageNet classification with deep convolutional neural networks, 2012, whose
average of 7 networks lowers the top-5 error from 18.2 % to 15.4 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.analysis.members import Member, members, trainings_of
from bench.analysis.trainings import same_images
from bench.errors import ConfigError, StoreError
from bench.records.store import Run
from bench.stats.effects import Effect, over_images

MIXTURE = "one of each"


@dataclass(frozen=True, slots=True)
class Ensemble:
    """An ensemble and its members; accuracies are top-1 fractions.

    Attributes:
        label: the network, or `MIXTURE`.
        kind: `seeds` of one network, or a `mixture` of one training of each network.
        members: names of the members, with their seeds.
        dataset: whose test images.
        images: count of test images.
        accuracy: of the ensemble.
        mean_member: mean accuracy of the members.
        best_member: accuracy of the best of them on these images.
        gain: over the mean member.
        gain_low: lower end of its 95 % interval over test images.
        gain_high: upper end, alike.
        over_best: gain over the best member.
        over_best_low: lower end of its interval.
        over_best_high: upper end, alike.
        disagreement: share of images that two members tell differently, mean over all pairs.
    """

    label: str
    kind: Literal["seeds", "mixture"]
    members: tuple[str, ...]
    dataset: str
    images: int
    accuracy: float
    mean_member: float
    best_member: float
    gain: float
    gain_low: float
    gain_high: float
    over_best: float
    over_best_low: float
    over_best_high: float
    disagreement: float

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**asdict(self), "members": list(self.members)}


def ensembles(run: Run, networks: Sequence[str] = (), dataset: str | None = None) -> list[Ensemble]:
    """Return the ensemble of the seeds of each network, and of one training of each.

    The mixture takes the training with the best validation accuracy of each network where images were held back, else
    that with the lowest seed, so that the test images choose nothing.

    Args:
        run: as it is stored.
        networks: names or globs; none for all.
        dataset: of the trainings; None for the only one there is.

    Raises:
        ConfigError: for trainings on different test images, or too few of them.
        StoreError: where no outputs are stored, or they cannot be read.
        UnknownNameError: for a pattern that no trained network matches.
    """
    series = [t for t in trainings_of(run, networks) if dataset in (None, _dataset(t.jobs))]
    found = {t.label: members(run, t) for t in series}
    found = {label: some for label, some in found.items() if some}
    if not found:
        raise _none_stored(run, len(series))
    _check_images(found)
    seeds = [_ensemble(label, "seeds", some) for label, some in found.items() if len(some) > 1]
    if len(found) > 1:
        seeds.append(_ensemble(MIXTURE, "mixture", [_chosen(some) for some in found.values()]))
    if not seeds:
        [label] = found
        raise ConfigError(
            f"{label} was trained once in run {run.name}: an ensemble needs two", "train it with --seeds 3"
        )
    return seeds


def to_table(found: Sequence[Ensemble]) -> pd.DataFrame:
    """Return one row an ensemble, with its fields as columns."""
    return pd.DataFrame([asdict(e) for e in found], columns=list(Ensemble.__dataclass_fields__))


def together(some: Sequence[Member]) -> npt.NDArray[np.bool_]:
    """Return [N]: whether the mean of the members' softmax tells each test image right."""
    mean = np.mean([m.probabilities for m in some], axis=0)
    return np.asarray(mean.argmax(axis=1) == some[0].labels)


def gain(some: Sequence[Member]) -> Effect:
    """Return the ensemble's accuracy less that of its mean member, over test images."""
    return over_images(together(some) - np.mean([m.correct for m in some], axis=0))


def disagreement(some: Sequence[Member]) -> float:
    """Return the share of images that two members tell differently, mean over all pairs; NaN of one member."""
    said = [m.logits.argmax(axis=1) for m in some]
    pairs = [float(np.mean(a != b)) for a, b in combinations(said, 2)]
    return sum(pairs) / len(pairs) if pairs else math.nan


def _ensemble(label: str, kind: Literal["seeds", "mixture"], some: Sequence[Member]) -> Ensemble:
    right = together(some)
    alone = [float(m.correct.mean()) for m in some]
    best = some[int(np.argmax(alone))]
    over_mean, over_best = gain(some), over_images(right.astype(np.float64) - best.correct)
    jobs = [m.record.job for m in some]
    return Ensemble(
        label=label,
        kind=kind,
        members=tuple(f"{job.arch} seed {job.seed}" for job in jobs),
        dataset=_dataset(jobs),
        images=len(right),
        accuracy=float(right.mean()),
        mean_member=sum(alone) / len(alone),
        best_member=max(alone),
        gain=over_mean.estimate,
        gain_low=over_mean.low,
        gain_high=over_mean.high,
        over_best=over_best.estimate,
        over_best_low=over_best.low,
        over_best_high=over_best.high,
        disagreement=disagreement(some),
    )


def _dataset(jobs: Sequence[Any]) -> str:
    return str(jobs[0].settings.given.get("dataset"))


def _chosen(some: Sequence[Member]) -> Member:
    held = [m.record.measurement("val_top1") for m in some]
    values = [h.samples[-1] for h in held if h is not None]
    return some[int(np.argmax(values))] if len(values) == len(some) else some[0]


def _check_images(found: dict[str, list[Member]]) -> None:
    everyone = [m for some in found.values() for m in some]
    datasets = sorted({_dataset([m.record.job]) for m in everyone})
    if len(datasets) > 1:
        raise ConfigError(
            f"the networks were trained on {' and '.join(datasets)}: their test images are not the same",
            f"choose one: --dataset {datasets[0]}",
        )
    if not same_images(everyone):
        raise ConfigError(
            f"the stored outputs are of different test images of {datasets[0]}",
            "the data has changed in between: train the networks again under another --name",
        )


def _none_stored(run: Run, trained: int) -> StoreError:
    asked = "bench train ARCH... --dataset D stores them"
    if not trained:
        return StoreError(f"run {run.name} has no such training", asked)
    return StoreError(
        f"run {run.name} has trainings, but no test outputs are stored",
        f"they may have failed or be older: {asked}",
    )
