"""Ensembles of trained networks: the mean of what they predict of each test image, against their members.

An ensemble's probabilities are the mean of its members' softmax. It is held against its mean member, which is what
one training gives on average, and against its best member, chosen on these test images and so at its luckiest.
Intervals are over test images, paired; they hold for these trained networks.

Source: Krizhevsky, Sutskever & Hinton, ImageNet classification with deep convolutional neural networks, 2012, whose
average of 7 networks lowers the top-5 error from 18.2 % to 15.4 %.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import combinations
from typing import Literal, get_type_hints

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.analysis._series import Series, Training, read_trainings, same_images, series_of
from bench.analysis.entry import Entry, documented
from bench.errors import ConfigError, StoreError
from bench.io import ToJson
from bench.records.store import Run
from bench.stats.comparisons import over_images
from bench.stats.effects import Effect

_MIXTURE = "one of each"


@dataclass(frozen=True, slots=True)
class Ensemble(ToJson):
    """An ensemble and its members; accuracies are top-1 fractions.

    Attributes:
        label: the network, or `one of each`.
        kind: `seeds` of one network, or a `mixture` of one training of each network.
        members: names of the members, with their seeds.
        dataset: whose test images.
        images: count of test images.
        accuracy: of the ensemble.
        mean_member: mean accuracy of the members.
        best_member: accuracy of the best of them on these images.
        gain: over the mean member.
        gain_low: lower end of its 95 % interval over test images.
        gain_high: upper end; likewise.
        over_best: gain over the best member.
        over_best_low: lower end of its interval.
        over_best_high: upper end; likewise.
        disagreement: share of images that two members classify differently, mean over all pairs.
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

    @classmethod
    def entries(cls) -> tuple[Entry, ...]:
        """Return what each column of `table` holds."""
        about = documented(cls)
        return tuple(
            replace(_COLUMNS.get(kind, Entry("")), column=name, about=about[name])
            for name, kind in get_type_hints(cls).items()
        )

    @classmethod
    def table(cls, joined: Sequence[Ensemble]) -> pd.DataFrame:
        """Return one row an ensemble, with its fields as columns."""
        return pd.DataFrame([asdict(e) for e in joined], columns=[one.name for one in fields(cls)])

    @classmethod
    def in_run(cls, run: Run, networks: Sequence[str] = (), dataset: str | None = None) -> list[Ensemble]:
        """Return the ensemble of the seeds of each network, and of one training of each.

        The mixture takes the training with the best validation accuracy of each network where images were held back,
        else that with the lowest seed, so that the test images choose nothing.

        Args:
            run: as it is stored.
            networks: names or globs; none for all.
            dataset: of the trainings; None for the only one there is.

        Raises:
            ConfigError: for trainings on different test images, or too few of them.
            StoreError: where no outputs are stored, or they cannot be read.
            UnknownNameError: for a pattern that no trained network matches.
        """
        series = [one for one in series_of(run, networks) if dataset in (None, one.dataset)]
        stored = [(one, trainings) for one in series if (trainings := read_trainings(run, one))]
        if not stored:
            raise _none_stored(run, len(series))
        name = _dataset(stored)
        joined = [_ensemble(one.label, "seeds", name, members) for one, members in stored if len(members) > 1]
        if len(stored) > 1:
            joined.append(
                _ensemble(_MIXTURE, "mixture", name, [_best_validated(members) for _, members in stored])
            )
        if not joined:
            raise ConfigError(
                f"{stored[0][0].label} was trained once in run {run.name}: an ensemble needs two",
                "train it with --seeds 3",
            )
        return joined

    @staticmethod
    def gain_of(members: Sequence[Training]) -> Effect:
        """Return the ensemble's accuracy less that of its mean member, over test images."""
        return over_images(_correct(members) - np.mean([m.correct for m in members], axis=0))


_COLUMNS: Mapping[object, Entry] = {
    int: Entry("", "Int64", "1"),
    float: Entry("", "float64", "1"),
    tuple[str, ...]: Entry("", "object", each="string"),
}


def _disagreement(members: Sequence[Training]) -> float:
    """Return the share of images that two members classify differently, mean over all pairs; NaN of one member."""
    pairs = [float(np.mean(a.answers != b.answers)) for a, b in combinations(members, 2)]
    return sum(pairs) / len(pairs) if pairs else math.nan


def _correct(members: Sequence[Training]) -> npt.NDArray[np.bool_]:
    """Return [N]: whether the mean of the members' softmax classifies each test image correctly."""
    mean = np.mean([m.probabilities for m in members], axis=0)
    return np.asarray(mean.argmax(axis=1) == members[0].labels)


def _ensemble(
    label: str, kind: Literal["seeds", "mixture"], dataset: str, members: Sequence[Training]
) -> Ensemble:
    correct = _correct(members)
    alone = [float(m.correct.mean()) for m in members]
    best = members[int(np.argmax(alone))]
    over_mean, over_best = Ensemble.gain_of(members), over_images(correct.astype(np.float64) - best.correct)
    return Ensemble(
        label=label,
        kind=kind,
        members=tuple(f"{m.record.job.arch} seed {m.record.job.seed}" for m in members),
        dataset=dataset,
        images=len(correct),
        accuracy=float(correct.mean()),
        mean_member=sum(alone) / len(alone),
        best_member=max(alone),
        gain=over_mean.estimate,
        gain_low=over_mean.low,
        gain_high=over_mean.high,
        over_best=over_best.estimate,
        over_best_low=over_best.low,
        over_best_high=over_best.high,
        disagreement=_disagreement(members),
    )


def _best_validated(members: Sequence[Training]) -> Training:
    held = [m.record.measurement("val_top1") for m in members]
    values = [h.samples[-1] for h in held if h is not None]
    return members[int(np.argmax(values))] if len(values) == len(members) else members[0]


def _dataset(stored: Sequence[tuple[Series, Sequence[Training]]]) -> str:
    """Return the data set that all were trained on.

    Raises:
        ConfigError: where they are of several, or of different test images.
    """
    datasets = sorted({series.dataset for series, _ in stored})
    if len(datasets) > 1:
        raise ConfigError(
            f"the networks were trained on {' and '.join(datasets)}: their test images are not the same",
            f"choose one: --dataset {datasets[0]}",
        )
    if not same_images([training for _, trainings in stored for training in trainings]):
        raise ConfigError(
            f"the stored outputs are of different test images of {datasets[0]}",
            "the data has changed in between: train the networks again under another --name",
        )
    return datasets[0]


def _none_stored(run: Run, trained: int) -> StoreError:
    tip = "bench train NET... --dataset D stores them"
    if not trained:
        return StoreError(f"run {run.name} has no such training", tip)
    return StoreError(
        f"run {run.name} has trainings, but no test outputs are stored",
        f"they may have failed or be older: {tip}",
    )
