"""The trainings of a run, by network: those that differ in nothing but their seed, and what they answered."""

from __future__ import annotations

import fnmatch
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.analysis.keys import grouped
from bench.errors import unknown_name
from bench.io import JsonObject
from bench.plan.job import Job
from bench.records.current import current
from bench.records.outputs import Outputs
from bench.records.record import Record
from bench.records.store import Run, latest
from bench.stats.samples import Floats

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
    """Return the trainings of a run by network, in the order they were planned; of networks as they are now.

    `networks` are names or globs; none for all.

    Raises:
        UnknownNameError: for a pattern that no trained network matches.
    """
    run = current(run)
    last = latest(run.records)
    jobs = {j.id: j for j in (*run.planned, *(r.job for r in last.values())) if j.task == "accuracy"}
    known = {job.arch for job in jobs.values()}
    for pattern in networks:
        if not any(_matches(pattern, arch) for arch in known):
            raise unknown_name("trained network", pattern, known, "`bench report` shows the run")
    wanted = (
        job for job in jobs.values() if any(_matches(pattern, job.arch) for pattern in networks or ("*",))
    )
    series = grouped(wanted, lambda job: job.series())
    labels = _labels([some[0] for some in series.values()])
    return [
        Series(label, tuple(some), tuple(last[j.id] for j in some if j.id in last))
        for label, some in zip(labels, series.values(), strict=True)
    ]


def _matches(pattern: str, arch: str) -> bool:
    return pattern == arch or fnmatch.fnmatchcase(arch, pattern)


def _labels(jobs: Sequence[Job]) -> list[str]:
    """Return the name of each network, with the settings that tell it from others of that name."""
    by_arch = grouped(jobs, lambda job: job.arch)
    telling = {arch: differing_keys([settings_of(job) for job in some]) for arch, some in by_arch.items()}
    return [
        " · ".join([job.arch, *(f"{key} {settings_of(job).get(key)}" for key in telling[job.arch])])
        for job in jobs
    ]


def differing_keys(settings: Sequence[JsonObject]) -> list[str]:
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
        outputs = Outputs.read(run.path, record)
        if outputs is not None:
            trainings.append(Training(record, outputs.logits, outputs.labels))
    return trainings


def same_images(trainings: Sequence[Training]) -> bool:
    """Return whether all were tested on the same images, in the same order."""
    return all(np.array_equal(trainings[0].labels, other.labels) for other in trainings[1:])
