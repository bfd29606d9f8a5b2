"""Entrants of a race: networks by name, with the accuracy that is known and published counts and speeds."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median

import numpy as np
import pandas as pd

from bench.errors import BenchError, ConfigError
from bench.facts import SETS, Source, accuracies, sources, speeds
from bench.facts.candidates import ACCURACIES, FP32
from bench.io import JsonObject
from bench.records.current import current
from bench.records.record import Measurement, Record
from bench.records.store import Run, latest

_TIMM, _TORCHVISION = "timm:", "torchvision:"
_ROUNDED = 10_000  # by which counts of parameters that are published in millions differ


@dataclass(frozen=True, slots=True)
class Known:
    """Networks with an accuracy.

    Attributes:
        table: a row a network, size of images and, of those trained here, channels and classes: `name` (how it is
            built), `network` (with the tag of its most accurate weights), `input_size` (px), `in_channels`,
            `num_classes` (0 for the network's own), `accuracy` (a share), `parameters`, `macs`, `activations`,
            `file_size` (B), NaN where not published, and a column of published seconds an image for each of `machines`.
        machines: whose speeds are published.
        accuracy: what kind it is of: ``top-1``.
        origin: `published`, or `measured` in a run.
        images: how many the accuracies are of.
        without: names that have none.
        remark: where the accuracies come from, as a sentence.
    """

    table: pd.DataFrame
    machines: tuple[str, ...]
    accuracy: str
    origin: str
    images: int
    without: tuple[str, ...]
    remark: str

    @classmethod
    def published(cls, names: Sequence[str], accuracy: str) -> Known:
        """Return networks with their published accuracies, of each size the weights with the best one.

        Args:
            names: such as ``timm:resnet50``, ``timm:resnet50.a1_in1k`` and ``torchvision:resnet50``.
            accuracy: of `bench.facts.candidates.ACCURACIES`.

        Raises:
            BenchError: where none of them has one.
        """
        images, column = ACCURACIES[accuracy]
        rows = accuracies()
        rows = rows[rows["set"] == images]
        prefix = np.where(rows["weights"].str.contains(":"), "", _TIMM)
        rows = rows.assign(
            network=prefix + rows["weights"], untagged=prefix + rows["network"], accuracy=rows[column]
        )
        asked = pd.Series(list(dict.fromkeys(names)), name="name")
        by_name = asked.to_frame().merge(rows, left_on="name", right_on="untagged")
        by_weights = asked.to_frame().merge(
            rows[rows["network"] != rows["untagged"]], left_on="name", right_on="network"
        )
        found = pd.concat([by_name, by_weights], ignore_index=True).assign(in_channels=0, num_classes=0)
        found = found.sort_values("accuracy", ascending=False, kind="stable").drop_duplicates(
            ["name", "input_size"]
        )
        word = f"top-{column[-1]}"
        remark = f"Accuracies are published, {word}: {SETS[images][1]}; {SETS[images][0]:,} images."
        return _known(found[_COLUMNS], asked, (word, "published"), SETS[images][0], remark)

    @classmethod
    def measured(cls, names: Sequence[str], run: Run) -> Known:
        """Return networks with the accuracy that a run of trainings or evaluations has measured, over seeds their mean.

        Raises:
            BenchError: where none of them has one.
            ConfigError: for a run of several data sets.
        """
        groups: defaultdict[tuple[str, int, int, int], list[Record]] = defaultdict(list)
        for record in latest(current(run).records).values():
            changed = {"transform", "corruption"} & record.job.settings.content.keys()
            if record.status == "ok" and record.measurement("top1") is not None and not changed:
                job = record.job
                groups[job.arch, job.input_size, job.in_channels, job.num_classes or 0].append(record)
        sets: set[tuple[str, str]] = set()
        images = 0
        rows = []
        for key, records in groups.items():
            measured = [m for record in records if (m := record.measurement("top1")) is not None]
            sets |= {_images_of(r.job.settings.content) for r in records}
            images = max(images, *(_images(m) for m in measured))
            counted = [
                m.samples[0] for record in records if (m := record.measurement("parameters")) is not None
            ]
            parameters = median(counted) if counted else math.nan
            rows.append((key[0], key[0], *key[1:], fmean(m.samples[-1] for m in measured), parameters))
        if len(sets) > 1:
            kinds = ", ".join(
                f"{words} ({digest[:8]})" if digest else words for words, digest in sorted(sets)
            )
            message = f"{run.name} has accuracies on several data sets: {kinds}"
            raise ConfigError(message, "name a run of one of them")
        asked = pd.Series(list(dict.fromkeys(names)), name="name")
        found = pd.DataFrame(rows, columns=_COLUMNS)
        found = found[found["name"].isin(asked)]
        of = f" on {sets.pop()[0]}" if sets else ""
        remark = f"Accuracies are measured{of}, top-1: run {run.name}; {images:,} images."
        return _known(found, asked, ("top-1", "measured"), images, remark)

    @staticmethod
    def names_in(run: Run) -> list[str]:
        """Return the networks of which a run has measured an accuracy."""
        return list(
            dict.fromkeys(
                r.job.arch for r in latest(current(run).records).values() if r.measurement("top1") is not None
            )
        )


_COLUMNS = ["name", "network", "input_size", "in_channels", "num_classes", "accuracy", "parameters"]


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


def _known(
    found: pd.DataFrame, asked: pd.Series[str], kind: tuple[str, str], images: int, remark: str
) -> Known:
    without = tuple(asked[~asked.isin(found["name"])])
    if found.empty:
        named = ", ".join(without[:5]) + (f" and {len(without) - 5} more" if len(without) > 5 else "")
        raise BenchError(
            f"no accuracy is known of {named}",
            "another --accuracy, or a run of yours that has trained or evaluated them: --accuracy results/RUN",
        )
    table, machines = _with_speeds(found.reset_index(drop=True))
    return Known(table.assign(file_size=FP32 * table["parameters"]), machines, *kind, images, without, remark)


def _with_speeds(table: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the table with published counts and speeds: timm's, torchvision's networks those of equal ones."""
    bare = table["name"].str.replace(r"^(timm|torchvision):", "", regex=True).str.partition(".")[0]
    theirs = table["name"].str.startswith((_TIMM, _TORCHVISION))
    timed = speeds()
    timed = timed[timed["network"].isin(bare)]  # before they are gone through for each machine
    keys = pd.DataFrame(
        {"network": bare.where(theirs, ""), "input_size": table["input_size"].astype("int32")}
    )

    def joined(rows: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
        rows = rows.drop_duplicates(["network", "input_size"])
        own = keys.merge(rows[["network", "input_size", "parameters", *columns]], on=list(keys), how="left")
        same = (own["parameters"] - table["parameters"]).abs() <= _ROUNDED
        return own[columns].where(same)

    counted = joined(timed.dropna(subset=["macs", "activations"]), ["macs", "activations"])
    table = table.join(counted)
    newest = {source.of: source.name for source in sorted(_of_speeds(), key=lambda source: source.recency)}
    for machine, source in newest.items():
        table[machine] = 1 / joined(timed[timed["source"] == source], ["throughput"])["throughput"]
    return table, tuple(newest)


def _of_speeds() -> list[Source]:
    return [source for source in sources() if source.kind == "speed"]
