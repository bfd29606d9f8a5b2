"""Candidates: networks with an accuracy, and what they cost on a machine, as published or as measured here."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from bench.analysis.choosing import Budget
from bench.analysis.comparison import compare_table
from bench.analysis.frame import to_frame
from bench.errors import ConfigError, listed, unknown_name
from bench.facts import Source, speed_sources, speeds
from bench.facts.accuracy import TIMM, TORCHVISION, Accuracies, architecture_of, left_out, only_jobs_of
from bench.plan.task import INPUT
from bench.records.machines import by_machine
from bench.records.store import Run
from bench.units import show

FP32 = 4  # bytes of a parameter in a file
_MEASURED = ("latency", "throughput", "memory", "energy")
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
        origin: of the accuracies: `published`, or `measured` in a run.
    """

    table: pd.DataFrame
    accuracy: str
    images: int
    remarks: tuple[str, ...]
    origin: str = "published"

    @classmethod
    def published(cls, machine: str, accuracies: Accuracies, patterns: Sequence[str]) -> Candidates:
        """Return networks with what is published of their speed on a machine.

        Args:
            machine: such as ``rtx4090``, which stands for the newest of its sources, or the name of a source.
            accuracies: published, or of a run; speeds are published of timm's networks of a thousand classes alone.
            patterns: names or globs of networks; none for all.

        Raises:
            ConfigError: where no network of the run that accuracies are of has a speed.
            UnknownNameError: for a machine that no facts are of, or where no network matches.
        """
        source = _speed_source(machine)
        rows = accuracies.rows
        shaped = (rows["in_channels"] == 3) & (rows["num_classes"] == 1000)
        rows = rows[rows["architecture"].str.startswith(TIMM) & shaped]
        rows = rows.assign(key=rows["architecture"].str.removeprefix(TIMM))
        timed = speeds()
        timed = timed[timed["source"] == source.name].drop(columns=["source", "machine"])
        timed = timed.rename(columns={"network": "key", "parameters": "counted"})
        joined = rows.merge(timed, on=["key", "input_size"])
        joined["parameters"] = joined["parameters"].fillna(joined["counted"])
        joined["latency"] = (1 / joined["throughput"]).where(joined["batch_size"] == 1)
        joined["memory"], joined["energy"] = float("nan"), float("nan")
        joined["file_size"] = FP32 * joined["parameters"]
        if joined.empty:
            raise _without_speeds(accuracies, source)
        table = _matching(joined, patterns)
        untimed = _untimed(accuracies, joined, f"no speed of theirs is published of {source.of}")
        return cls._of(table, accuracies, (_said(source, table), untimed))

    @classmethod
    def measured(cls, run: Run, accuracies: Accuracies, patterns: Sequence[str]) -> Candidates:
        """Return the networks of a run that have an accuracy for images and classes as they were timed.

        A network that was timed with other weights is the same one, unless it was timed with these as well.

        Args:
            run: a run with times.
            accuracies: published, or of a run.
            patterns: names or globs of networks; none for all.

        Raises:
            ConfigError: for a run of several machines, as a choice is for one; without times; or of networks without an
                accuracy for such images.
            UnknownNameError: where no network matches.
        """
        if len(machines := by_machine(run)) > 1:
            names = " and ".join(one.name for one in machines)
            tip = "choose from a run of one of them: --on RUN"
            raise ConfigError(f"several machines were measured: {names}", tip)
        if not any(r.job.task == "infer" and r.status == "ok" for r in run.records):
            raise _without_times(run)
        timed = compare_table(to_frame([run]))
        timed = timed[timed["latency"].notna() | timed["throughput"].notna()]
        quantised = timed["precision"] == "int8"
        of_int8 = left_out(_OF_INT8, sorted(timed.loc[quantised, "label"]))
        timed = timed[~quantised]
        if timed.empty:
            raise ConfigError(f"run {run.name} has timed engines of int8 alone", _OF_INT8)
        costs = timed.rename(columns={"tensor_memory": "memory"})
        costs = costs[["network", "label", *INPUT, *_MEASURED, *_BESIDE, "macs", "parameters"]]
        costs[[*INPUT]] = costs[[*INPUT]].fillna(0).astype("int32")
        costs = costs.rename(columns={"network": "timed", "parameters": "counted"})
        costs["architecture"] = costs["timed"].map(architecture_of)
        accuracies = accuracies.of(r.card for r in run.records if r.job.task == "infer")
        rows = accuracies.rows
        joined = costs.merge(rows, on=["architecture", *INPUT])
        both = joined["timed"].isin(rows["network"]) & joined["network"].isin(costs["timed"])
        joined = joined[~both | (joined["timed"] == joined["network"])]
        if joined.empty:
            raise _nothing_in_both(run, accuracies, costs)
        joined["parameters"] = joined["parameters"].fillna(joined["counted"])
        joined["file_size"] = FP32 * joined["parameters"]
        without = sorted(set(costs["architecture"]) - set(joined["architecture"]))
        untimed = _untimed(accuracies, joined, f"run {run.name} has not timed them so")
        several = joined.duplicated(["network", "input_size"], keep=False)
        joined.loc[several, "network"] += " (" + joined["label"] + ")"
        own = f"Speeds are measured: run {run.name}, with their 95 % intervals over processes."
        unknown = left_out(
            f"no accuracy of theirs is {accuracies.origin} for such images and classes", without
        )
        return cls._of(_matching(joined, patterns), accuracies, (own, unknown, of_int8, untimed))

    @classmethod
    def _of(cls, table: pd.DataFrame, accuracies: Accuracies, remarks: Sequence[str]) -> Candidates:
        said = tuple(filter(None, (*remarks, accuracies.remark)))
        return cls(table, accuracies.word, accuracies.images, said, accuracies.origin)

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
        return sorted({s.of for s in speed_sources()}) + sorted(s.name for s in speed_sources())


_OF_INT8 = "what int8 has left of an accuracy `bench engines NET --data D` measures"


def _without_times(run: Run) -> ConfigError:
    """Return what to say of a run from which no speed is known."""
    of = only_jobs_of(run, ("infer",), "none of its jobs of infer ended well")
    return ConfigError(
        f"run {run.name} holds no times of inference to choose by: {of}",
        "bench run NET... --task infer times some; bench choose without --on races them here, "
        f"with --accuracy {run.name} by what that run has trained or evaluated",
    )


def _speed_source(machine: str) -> Source:
    named = [s for s in speed_sources() if machine in (s.of, s.name)]
    if not named:
        tip = "`bench facts list` shows those whose speeds are published"
        raise unknown_name("machine", machine, Candidates.machines(), tip)
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


def _untimed(accuracies: Accuracies, joined: pd.DataFrame, reason: str) -> str:
    """Return which networks of a run of accuracies have no time; of published ones that goes without saying."""
    rows = accuracies.rows
    missing = rows.loc[~rows["network"].isin(joined["network"]), "network"] if accuracies.run else ()
    return left_out(reason, sorted(missing))


def _nothing_in_both(run: Run, accuracies: Accuracies, costs: pd.DataFrame) -> ConfigError:
    """Return the error of a run of whose networks, as they were timed, no accuracy is known."""
    own = accuracies.rows.rename(columns={"network": "timed"})
    if accuracies.run:
        return ConfigError(
            f"no network is in both runs with the same images and classes: run {run.name} has timed {_shaped(costs)}; "
            f"run {accuracies.run} has measured accuracies of {_shaped(own)}",
            f"race here, which times those: bench choose --accuracy {accuracies.run}",
        )
    networks = sorted(set(costs["architecture"]))
    theirs = [other for name in networks if (other := TORCHVISION + name) in set(own["architecture"])]
    which = (
        f"those that have: {', '.join(theirs[:3])} ..." if theirs else "them at the sizes of their weights"
    )
    return ConfigError(
        f"no network of run {run.name} has weights whose accuracy is published for images and classes as it was timed: "
        f"{', '.join(networks)}",
        f"time {which}; or, where a run has trained or evaluated them, choose by it: --accuracy RUN",
    )


_NAMED = 5  # networks, in a message


def _shaped(rows: pd.DataFrame) -> str:
    """Return names and shapes of networks: ``lenet5 (32 px, 1 channel, 10 classes)``; of many how many more."""
    told = (
        f"{name} ({size} px, {channels} channel{'s' * (channels != 1)}, {classes:,} classes)"
        for name, size, channels, classes in rows[["timed", *INPUT]].itertuples(index=False)
    )
    return listed(told, _NAMED)


def _without_speeds(accuracies: Accuracies, source: Source) -> ConfigError:
    """Return the error of accuracies of which no network has a published speed."""
    whose = f"run {accuracies.run}" if accuracies.run else "the facts"
    names = ", ".join(accuracies.rows["network"].iloc[:_NAMED])
    return ConfigError(
        f"no speed on {source.of} is published of the networks of {whose}: {names}",
        "speeds are of timm's networks for a thousand classes; time others, bench run NET... --task infer, and "
        "choose --on that run",
    )


def _matching(table: pd.DataFrame, patterns: Sequence[str]) -> pd.DataFrame:
    if not patterns:
        return table.reset_index(drop=True)
    names = table["network"]
    chosen = np.zeros(len(names), dtype=np.bool_)
    for pattern in patterns:
        named = called(names, pattern)
        if not any(named):
            raise unknown_name("network", pattern, names, "it has no accuracy, or no cost there")
        chosen |= named
    return table[chosen].reset_index(drop=True)


def called(names: Collection[str], pattern: str) -> list[bool]:
    """Return for each network whether a name or glob means it: the tag of its weights may be left out, and a prefix.

    So `resnet50`, `timm:resnet50` and `resnet50.*` all mean ``timm:resnet50.a1_in1k``; where timm has none called so,
    `resnet50` means ``torchvision:resnet50.IMAGENET1K_V2``.
    """
    of_timm = [_is_called(name, pattern, TIMM) for name in names]
    return of_timm if any(of_timm) else [_is_called(name, pattern, TORCHVISION) for name in names]


def _is_called(name: str, pattern: str, prefix: str) -> bool:
    bare, asked = name.removeprefix(prefix), pattern.removeprefix(prefix)
    ways = (bare, bare.partition(".")[0]) if name.startswith((TIMM, TORCHVISION)) else (bare,)
    return name == pattern or any(fnmatch.fnmatchcase(way, asked) for way in ways)
