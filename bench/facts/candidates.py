"""Candidates: networks with a published accuracy, and what they cost on a machine, as published or as measured here."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Container, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from bench.analysis.choosing import Budget
from bench.analysis.comparison import compare_table
from bench.analysis.frame import to_frame
from bench.errors import ConfigError, UnknownNameError, unknown_name
from bench.facts import SETS, Source, accuracies, sources, speeds
from bench.records.machines import by_machine
from bench.records.store import Run
from bench.units import show

# What `--accuracy` may name: a set of images, and the column.
ACCURACIES = {
    "top1": ("val", "top1"),
    "top5": ("val", "top5"),
    **{name: (name, "top1") for name in SETS if name != "val"},
}
_SPELLED = {name.replace("_", ""): name for name in ACCURACIES}
FP32 = 4  # bytes of a parameter in a file
_TIMM = "timm:"
_TORCHVISION = "torchvision:"
_MEASURED = {  # of a comparison
    "latency": "latency",
    "throughput": "throughput",
    "memory": "tensor_memory",
    "energy": "energy",
}
_IMAGENET = {"in_channels": 3, "num_classes": 1000}  # of all accuracies that are published
_BESIDE = [f"{cost}_{what}" for cost in ("latency", "throughput") for what in ("low", "high", "flags")]


@dataclass(frozen=True, slots=True)
class Candidates:
    """What there is to choose from.

    Attributes:
        table: a row a network: `network`, `accuracy` (a share), `input_size` (px), and costs, NaN where they are not
            known: `latency` (s, of one image alone), `throughput` (1/s), `memory` (B), `energy` (J an image),
            `parameters`, `macs`, `file_size` (B, of the parameters in single precision), those that were measured with
            their intervals.
        accuracy: ``top-1`` or ``top-5``.
        images: how many the accuracies are of.
        remarks: what is to be known of the numbers, in sentences.
    """

    table: pd.DataFrame
    accuracy: str
    images: int
    remarks: tuple[str, ...]

    @classmethod
    def published(cls, machine: str, accuracy: str, patterns: Sequence[str]) -> Candidates:
        """Return networks with what is published of their speed on a machine.

        Args:
            machine: such as ``rtx4090``, which stands for the newest of its sources, or the name of a source.
            accuracy: of `ACCURACIES`.
            patterns: names or globs of networks; none for all.

        Raises:
            UnknownNameError: for a machine that no facts are of, or where no network matches.
        """
        source = _speed_source(machine)
        images, column = ACCURACIES[accuracy]
        rows = _accuracies(images, column)
        timed = speeds()
        timed = timed[timed["source"] == source.name].drop(columns=["source", "machine", "parameters"])
        joined = rows.merge(timed, on=["network", "input_size"])
        joined["latency"] = (1 / joined["throughput"]).where(joined["batch_size"] == 1)
        joined["memory"], joined["energy"] = float("nan"), float("nan")
        joined["network"] = _TIMM + joined["weights"]
        joined["file_size"] = FP32 * joined["parameters"]
        table = _matching(joined, patterns)
        remarks = (_said(source, table), _of_accuracies(images, column))
        return cls(table, _word(column), SETS[images][0], remarks)

    @classmethod
    def measured(cls, run: Run, accuracy: str, patterns: Sequence[str]) -> Candidates:
        """Return the networks of a run that have a published accuracy for images and classes as they were timed.

        Args:
            run: a run with times.
            accuracy: of `ACCURACIES`.
            patterns: names or globs of networks; none for all.

        Raises:
            ConfigError: for a run of several machines, as a choice is for one; without times; or of networks without an
                accuracy that is published for such images.
            UnknownNameError: where no network matches.
        """
        if len(machines := by_machine(run)) > 1:
            names = " and ".join(one.name for one in machines)
            raise ConfigError(
                f"several machines were measured: {names}", "choose from a run of one of them: --on RUN"
            )
        if not any(r.job.task == "infer" and r.status == "ok" for r in run.records):
            raise _without_times(run)
        images, column = ACCURACIES[accuracy]
        timed = compare_table(to_frame([run]))
        timed = timed[timed["latency"].notna() | timed["throughput"].notna()]
        costs = timed.rename(columns={name: cost for cost, name in _MEASURED.items()})
        costs = costs[["network", "label", *_IMAGENET, "input_size", *_MEASURED, *_BESIDE, "macs"]]
        costs = costs.astype({"input_size": "int32"})
        costs["key"] = costs["network"].map(_without_tag)
        rows = _accuracies(images, column)
        rows["key"] = rows["network"].where(rows["network"].str.contains(":"), _TIMM + rows["network"])
        rows = rows.assign(**_IMAGENET).drop(columns="network")
        joined = costs.merge(rows, on=["key", "input_size", *_IMAGENET]).drop(columns=list(_IMAGENET))
        several = costs["network"].duplicated(keep=False).any()
        weights = joined["weights"].where(joined["weights"].str.contains(":"), _TIMM + joined["weights"])
        joined["network"] = weights + (" (" + joined["label"] + ")" if several else "")
        joined["file_size"] = FP32 * joined["parameters"]
        without = sorted(set(costs["key"]) - set(joined["key"]))
        if joined.empty:
            raise _without_accuracies(run, without, set(rows["key"]))
        missing = (
            f"Left out, as no accuracy of theirs is published for such images and classes: {', '.join(without)}."
            if without
            else ""
        )
        own = f"Speeds are measured: run {run.name}, with their 95 % intervals over processes."
        remarks = tuple(filter(None, (own, missing, _of_accuracies(images, column))))
        return cls(_matching(joined, patterns), _word(column), SETS[images][0], remarks)

    def of_batches(self, budgets: Sequence[Budget]) -> tuple[Candidates, list[Budget]]:
        """Return the same and budgets: where no latency is known, one of it as one of throughput, which is told."""
        table = self.table
        if table["latency"].notna().any() or table["throughput"].isna().all():
            return self, list(budgets)
        taken = [Budget("throughput", 1 / b.limit) if b.quantity == "latency" else b for b in budgets]
        remarks = [
            f"No latency is known there, of one image alone: {show(budget.limit, 's')} is taken as the share of an "
            "image in the time of its batch. One image alone takes longer, so that a latency is not what was tested."
            for budget in budgets
            if budget.quantity == "latency"
        ]
        return replace(self, remarks=(*remarks, *self.remarks)), taken

    @staticmethod
    def machines() -> list[str]:
        """Return the machines whose speeds are published, and the names of those sources."""
        of_speeds = [source for source in sources() if source.kind == "speed"]
        return sorted({s.of for s in of_speeds}) + sorted(s.name for s in of_speeds)


def accuracy_named(text: str) -> str:
    """Return which of `ACCURACIES` is meant, however it is written: ``Top-5``, ``ReaL``, ``ImageNet-V2``.

    Raises:
        UnknownNameError: if none is.
    """
    key = re.sub(r"\W|_", "", text.lower()).removeprefix("imagenet")
    if key in _SPELLED:
        return _SPELLED[key]
    if (clean := f"val_{key}") in ACCURACIES:
        tip = f"{clean} is of its 200 classes, but of images of the validation set, which are easier"
        raise UnknownNameError(f"no accuracy on ImageNet-{key.upper()} is published here", tip)
    raise unknown_name("accuracy", text, ACCURACIES, f"there are {', '.join(ACCURACIES)}")


def _without_times(run: Run) -> ConfigError:
    """Return what to say of a run from which no speed is known."""
    tasks = sorted({record.job.task for record in run.records})
    of = f"only jobs of {' and '.join(tasks)}" if tasks else "no records"
    if "infer" in tasks:
        of = "none of its jobs of infer ended well"
    return ConfigError(
        f"run {run.name} holds no times of inference to choose by: {of}",
        "bench run NETWORK... --task infer times some; bench choose without --on races them here, "
        f"with --accuracy {run.name} by what that run has trained or evaluated",
    )


def _speed_source(machine: str) -> Source:
    named = [s for s in sources() if s.kind == "speed" and machine in (s.of, s.name)]
    if not named:
        raise unknown_name(
            "machine",
            machine,
            Candidates.machines(),
            "`bench facts list` shows those whose speeds are published",
        )
    return max(named, key=lambda source: source.recency)


def _said(source: Source, table: pd.DataFrame) -> str:
    """Return a sentence on published speeds: whose, under which conditions, and what they are not."""
    said = source.conditions
    conditions = [
        str(said["precision"]),
        str(said["layout"]),
        "compiled" if said["compiled"] else "eager",
        f"torch {said['torch']}",
        *([f"CUDA {said['cuda']}"] if said["cuda"] else []),
    ]
    batches = sorted(set(table["batch_size"]))
    batch = f"batch {batches[0]:,}" if len(batches) == 1 else f"batches of {batches[0]:,} to {batches[-1]:,}"
    return (
        f"Speeds are published, not measured here: {source.of}, {', '.join(conditions)}, {batch}; "
        f"{source.url}, {source.date or 'no date'}, {source.licence or 'no licence told'}. They are single runs "
        "without spread: of two that are close, either may be the faster."
    )


def _without_accuracies(run: Run, networks: Sequence[str], published: Container[str]) -> ConfigError:
    """Return the error of a run of whose networks, as they were timed, no accuracy is published."""
    message = (
        f"no network of run {run.name} has weights whose accuracy is published for images and classes as it was timed: "
        f"{', '.join(networks)}"
    )
    theirs = [other for name in networks if (other := _TORCHVISION + name) in published]
    tip = (
        f"time those that have: {', '.join(theirs[:3])} ..."
        if theirs
        else "time them at the sizes of their weights"
    )
    return ConfigError(
        message,
        f"{tip}; or, where this run has trained or evaluated them: bench choose --accuracy {run.name}",
    )


def _without_tag(network: str) -> str:
    """Return ``timm:resnet50`` of ``timm:resnet50.a1_in1k``: one architecture, with other weights."""
    return network.partition(".")[0] if network.startswith(_TIMM) else network


def _accuracies(images: str, column: str) -> pd.DataFrame:
    rows = accuracies()
    rows = rows[rows["set"] == images]
    return rows[["weights", "network", "input_size", "parameters"]].assign(accuracy=rows[column])


def _word(column: str) -> str:
    return f"top-{column[-1]}"


def _of_accuracies(images: str, column: str) -> str:
    return f"Accuracies are published, {_word(column)}: {SETS[images][1]}; {SETS[images][0]:,} images."


def _matching(table: pd.DataFrame, patterns: Sequence[str]) -> pd.DataFrame:
    if not patterns:
        return table.reset_index(drop=True)
    names = table["network"]
    chosen = [False] * len(names)
    for pattern in patterns:
        named = called(names, pattern)
        if not any(named):
            raise unknown_name("network", pattern, names, "it has no published accuracy, or no cost there")
        chosen = [*map(any, zip(chosen, named, strict=True))]
    return table[chosen].reset_index(drop=True)


def called(names: Collection[str], pattern: str) -> list[bool]:
    """Return for each network whether a name or glob means it: the tag of its weights may be left out, and a prefix.

    So `resnet50`, `timm:resnet50` and `resnet50.*` all mean ``timm:resnet50.a1_in1k``; where timm has none called so,
    `resnet50` means ``torchvision:resnet50.IMAGENET1K_V2``.
    """
    of_timm = [_is_called(name, pattern, _TIMM) for name in names]
    return of_timm if any(of_timm) else [_is_called(name, pattern, _TORCHVISION) for name in names]


def _is_called(name: str, pattern: str, prefix: str) -> bool:
    bare, asked = name.removeprefix(prefix), pattern.removeprefix(prefix)
    ways = (bare, bare.partition(".")[0]) if name.startswith((_TIMM, _TORCHVISION)) else (bare,)
    return name == pattern or any(fnmatch.fnmatchcase(way, asked) for way in ways)
