"""Accuracies to choose by: those that are published of weights, and those that a run has measured."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import fmean, median

import numpy as np
import pandas as pd

from bench.errors import ConfigError, UnknownNameError, unknown_name
from bench.facts import SETS, accuracies
from bench.io import JsonObject
from bench.plan.card import ArchCard
from bench.plan.task import INPUT
from bench.records.current import current
from bench.records.record import Measurement, Record
from bench.records.store import Run, latest, read_run, run_called

TIMM, TORCHVISION = "timm:", "torchvision:"
# What `--accuracy` may name beside a run: a set of images, and the column.
_ACCURACIES = {
    "top1": ("val", "top1"),
    "top5": ("val", "top5"),
    **{name: (name, "top1") for name in SETS if name != "val"},
}
_SPELLED = {name.replace("_", ""): name for name in _ACCURACIES}
_WEIGHTS = re.compile(r"\bweights=(['\"]).*?\1(, )?")
_COLUMNS = ["network", "architecture", *INPUT, "accuracy", "parameters"]


@dataclass(frozen=True, slots=True)
class Accuracies:
    """Accuracies of one kind, of weights.

    Attributes:
        rows: a row for weights and the images that they take: `network` (with its weights: ``timm:resnet50.a1_in1k``),
            `architecture` (as it is built with others: ``timm:resnet50``), `input_size` (px), `in_channels`,
            `num_classes` (0 where the job does not say), `accuracy` (a share), and `parameters`, NaN where not known.
        word: what kind they are: ``top-1``.
        images: how many they are of.
        remark: where they come from, as a sentence.
        run: the name of the run that has measured them; empty for published ones.
        cards: of each network of a run, what it was; none of published ones.
    """

    rows: pd.DataFrame
    word: str
    images: int
    remark: str
    run: str = ""
    cards: Mapping[str, ArchCard] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        """`published`, or `measured` in a run."""
        return "measured" if self.run else "published"

    @classmethod
    def called(cls, text: str, results: Path | str) -> Accuracies:
        """Return published accuracies, or those of a run, given by name or path; a kind of published ones comes first.

        Raises:
            UnknownNameError: where they are neither.
            BenchError: for a run that has none, and what is no run.
        """
        folder = None if text in _ACCURACIES else run_called(text, results)
        return cls.published(text) if folder is None else cls.measured(read_run(folder))

    @classmethod
    def published(cls, name: str) -> Accuracies:
        """Return published accuracies, called by any spelling of one of `_ACCURACIES`.

        Raises:
            UnknownNameError: if none is called so.
        """
        images, column = _ACCURACIES[_accuracy_named(name)]
        rows = accuracies()
        rows = rows[rows["set"] == images]
        prefix = np.where(rows["weights"].str.contains(":"), "", TIMM)
        rows = rows.assign(
            network=prefix + rows["weights"],
            architecture=prefix + rows["network"],
            in_channels=3,
            num_classes=1000,
            accuracy=rows[column],
        )
        word = f"top-{column[-1]}"
        remark = f"Accuracies are published, {word}: {SETS[images][1]}; {SETS[images][0]:,} images."
        return cls(rows[_COLUMNS], word, SETS[images][0], remark)

    @classmethod
    def measured(cls, run: Run) -> Accuracies:
        """Return the accuracies that a run of trainings or evaluations has measured, over seeds their mean.

        Of a network that was trained or evaluated in several ways, such as by two recipes, it is that of the best one.

        Raises:
            ConfigError: for a run without any, or on several data sets.
        """
        groups: defaultdict[tuple[tuple[str, int, int, int], str], list[Record]] = defaultdict(list)
        for record in latest(current(run).records).values():
            job, top1 = record.job, record.measurement("top1")
            changed = {"transform", "corruption"} & job.settings.content.keys()
            if record.status == "ok" and top1 is not None and math.isfinite(top1.samples[-1]) and not changed:
                shape = (job.arch, job.input_size, job.in_channels, job.num_classes or 0)
                groups[shape, job.series()].append(record)
        if not groups:
            raise _without_accuracies(run)
        sets: set[tuple[str, str]] = set()
        images = 0
        rows = []
        for (key, _), records in groups.items():
            measured = [m for record in records if (m := record.measurement("top1")) is not None]
            sets |= {_images_of(r.job.settings.content) for r in records}
            images = max(images, *(_images(m) for m in measured))
            counted = [m.samples[0] for r in records if (m := r.measurement("parameters")) is not None]
            parameters = median(counted) if counted else math.nan
            name, *sides = key
            accuracy = fmean(m.samples[-1] for m in measured)
            rows.append((name, architecture_of(name), *sides, accuracy, parameters))
        if len(sets) > 1:
            kinds = (f"{words} ({digest[:8]})" if digest else words for words, digest in sorted(sets))
            message = f"{run.name} has accuracies on several data sets: {', '.join(kinds)}"
            raise ConfigError(message, "name a run of one of them")
        remark = f"Accuracies are measured on {sets.pop()[0]}, top-1: run {run.name}; {images:,} images."
        cards = {key[0]: records[-1].card for (key, _), records in groups.items()}
        every = pd.DataFrame(rows, columns=_COLUMNS).sort_values("accuracy", ascending=False, kind="stable")
        again = every.duplicated(["network", *INPUT])
        if again.any():
            several = ", ".join(sorted(every.loc[again, "network"].unique()))
            remark += f" In several ways, of which the best counts: {several}."
        return cls(every[~again].sort_index(), "top-1", images, remark, run.name, cards)

    def of(self, cards: Iterable[ArchCard]) -> Accuracies:
        """Return those of networks that are what costs are of: a file that was edited since says another network.

        Raises:
            ConfigError: where all of them were edited.
        """
        now = {architecture_of(card.name): card for card in cards}
        known = self.cards.items()
        edited = [name for name, card in known if not card.is_same_code(now.get(architecture_of(name), card))]
        if not edited:
            return self
        why = f"their files are others now than in run {self.run}"
        rows = self.rows[~self.rows["network"].isin(edited)]
        if rows.empty:
            tip = "train or evaluate them again, into a run of another --name, and choose by that"
            raise ConfigError(f"nothing is known of {', '.join(edited)}: {why}", tip)
        return replace(self, rows=rows, remark=f"{self.remark} {left_out(why, edited)}")


def left_out(reason: str, networks: Sequence[str]) -> str:
    """Return a sentence on networks that are left out; empty where none is."""
    return f"Left out, as {reason}: {', '.join(networks)}." if networks else ""


def _accuracy_named(text: str) -> str:
    """Return which of `_ACCURACIES` is meant, however it is written: ``Top-5``, ``ReaL``, ``ImageNet-V2``.

    Raises:
        UnknownNameError: if none is.
    """
    key = re.sub(r"\W|_", "", text.lower()).removeprefix("imagenet")
    if key in _SPELLED:
        return _SPELLED[key]
    if (clean := f"val_{key}") in _ACCURACIES:
        tip = f"{clean} is of its 200 classes, but of images of the validation set, which are easier"
        raise UnknownNameError(f"no accuracy on ImageNet-{key.upper()} is published here", tip)
    there = f"there are {', '.join(_ACCURACIES)}, or name a run that has trained or evaluated the networks"
    raise unknown_name("accuracy", text, _ACCURACIES, there)


def architecture_of(network: str) -> str:
    """Return what a network is, whichever weights it has: ``timm:resnet50`` of ``timm:resnet50.a1_in1k``."""
    bare = _WEIGHTS.sub("", network).replace(", )", ")").removesuffix("()")
    return bare.partition(".")[0] if bare.startswith(TIMM) else bare


def _without_accuracies(run: Run) -> ConfigError:
    """Return what to say of a run that has measured no accuracy."""
    failed = "none of its trainings and evaluations ended well on images as they are"
    of = only_jobs_of(run, ("accuracy", "evaluate"), failed)
    return ConfigError(
        f"run {run.name} has measured no accuracy to choose by: {of}",
        "bench train NET... -d DATASET, or bench evaluate NET... --data DATASET, makes one that has",
    )


def only_jobs_of(run: Run, wanted: Sequence[str], failed: str) -> str:
    """Return what a run has instead of what jobs of the wanted tasks measure; `failed` where it has such jobs."""
    tasks = sorted({record.job.task for record in run.records})
    if {*wanted} & {*tasks}:
        return failed
    return f"only jobs of {' and '.join(tasks)}" if tasks else "no records"


def _images_of(given: JsonObject) -> tuple[str, str]:
    """Return which images an accuracy is of, in words, ``imagefolder:x val``, and the fingerprint of what lay there."""
    words = [str(given[key]) for key in ("dataset", "data", "split") if given.get(key)]
    limit = given.get("limit")
    digest = given.get("dataset_sha256") or given.get("data_sha256") or ""
    return " ".join(words) + (f", {limit:,} images" if limit else ""), str(digest)


def _images(top1: Measurement) -> int:
    """Return how many images an accuracy is of; 0 where it does not say so."""
    counts = (top1.detail.get(key) for key in ("n", "images"))
    return next((n for n in counts if isinstance(n, int)), 0)
