"""Trained networks with what they said of each test image, as their trainings stored it."""

from __future__ import annotations

import fnmatch
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.errors import unknown_name
from bench.plan.job import Job
from bench.records.outputs import read_outputs
from bench.records.record import Record
from bench.records.store import Run, latest
from bench.stats.samples import Floats

_NETWORK = ("arch", "input_size", "in_channels", "source_sha256")


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One training with its test outputs: logits [N, K] and labels [N]."""

    record: Record
    logits: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """Whether each of the N test images is told right."""
        return np.asarray(self.logits.argmax(axis=1) == self.labels)

    @property
    def probabilities(self) -> Floats:
        """Softmax of the logits, [N, K]."""
        logits = self.logits.astype(np.float64)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))


@dataclass(frozen=True, slots=True)
class Trainings:
    """The trainings of one network that differ in nothing but their seed; `label` has what sets it apart."""

    label: str
    jobs: tuple[Job, ...]
    records: tuple[Record, ...]

    @property
    def ended(self) -> tuple[Record, ...]:
        """Return the records of those that ended well."""
        return tuple(r for r in self.records if r.status == "ok")

    @property
    def diverged(self) -> int:
        """Return how many diverged."""
        return sum(r.status == "diverged" for r in self.records)


def trainings_of(run: Run, networks: Sequence[str] = ()) -> list[Trainings]:
    """Return the trainings of a run by network, in the order they were asked for.

    Args:
        run: as it is stored.
        networks: names or globs; none for all.

    Raises:
        UnknownNameError: for a pattern that no trained network matches.
    """
    last = latest(run.records)
    jobs = {j.id: j for j in (*run.planned, *(r.job for r in last.values())) if j.task == "accuracy"}
    for pattern in networks:
        if not any(_matches(pattern, job.arch) for job in jobs.values()):
            known = {job.arch for job in jobs.values()}
            raise unknown_name("trained network", pattern, known, "`bench report` shows the run")
    series: defaultdict[str, list[Job]] = defaultdict(list)
    for job in jobs.values():
        if not networks or any(_matches(p, job.arch) for p in networks):
            series[job.series()].append(job)
    names = _labels([found[0] for found in series.values()])
    return [
        Trainings(label, tuple(found), tuple(last[j.id] for j in found if j.id in last))
        for label, found in zip(names, series.values(), strict=True)
    ]


def members(run: Run, trainings: Trainings) -> list[Member]:
    """Return those that ended well and whose outputs are stored, by seed.

    Raises:
        StoreError: for outputs that cannot be read.
    """
    found = []
    for record in sorted(trainings.ended, key=lambda r: r.job.seed):
        outputs = read_outputs(run.path, record)
        if outputs is not None:
            found.append(Member(record, outputs.logits, outputs.labels))
    return found


def conditions_of(job: Job) -> str:
    """Return what a job asks but for its network and its seed, as one string: what is alike can be compared."""
    content = {k: v for k, v in job.content().items() if k not in _NETWORK}
    return json.dumps({**content, "seed": None}, sort_keys=True)


def _matches(pattern: str, arch: str) -> bool:
    return pattern == arch or fnmatch.fnmatchcase(arch, pattern)


def _labels(jobs: Sequence[Job]) -> list[str]:
    """Return the name of each network, with the settings that tell it from others of that name."""
    same: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for job in jobs:
        same[job.arch].append(settings_of(job))
    return [" · ".join([job.arch, *_telling(settings_of(job), same[job.arch])]) for job in jobs]


def _telling(settings: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> list[str]:
    keys = dict.fromkeys(k for other in others for k in other)
    return [f"{k} {settings.get(k)}" for k in keys if len({str(o.get(k)) for o in others}) > 1]


def settings_of(job: Job) -> dict[str, Any]:
    """Return the input size and the settings of a job, its recipe by name and its augmentation in one word."""
    settings = job.settings.content
    recipe, augment = settings.get("recipe"), settings.get("augment")
    named: dict[str, Any] = {"recipe": recipe.get("name")} if isinstance(recipe, Mapping) else {}
    if isinstance(augment, Mapping):
        named["augment"] = ",".join(f"{key}={json.dumps(value)}" for key, value in augment.items())
    return {"input_size": job.input_size, **settings, **named}
