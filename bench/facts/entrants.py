"""Entrants of a race: networks by name, with the accuracy that is known and published counts and speeds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from bench.errors import BenchError, listed
from bench.facts import accuracies, speed_sources, speeds
from bench.facts.accuracy import TIMM, TORCHVISION, Accuracies
from bench.facts.candidates import FP32
from bench.plan.card import ArchCard
from bench.plan.task import INPUT

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
    def of(cls, names: Sequence[str], given: Accuracies) -> Known:
        """Return networks with their accuracies, of each size of images that of the weights with the best one.

        Args:
            names: such as ``timm:resnet50``, ``timm:resnet50.a1_in1k`` and ``my_net.py:Net``.
            given: published accuracies, of which networks are built in their own shapes, or those of a run.

        Raises:
            BenchError: where none of them has one.
        """
        rows, asked = given.rows, pd.Series(list(dict.fromkeys(names)), name="name")
        exact = asked.to_frame().merge(rows, left_on="name", right_on="network")
        others = asked[~asked.isin(exact["name"])].to_frame()
        found = pd.concat([exact, others.merge(rows, left_on="name", right_on="architecture")])
        if not given.run:
            found = found.assign(in_channels=0, num_classes=0)
        found = found.sort_values("accuracy", ascending=False, kind="stable").drop_duplicates(
            ["name", *INPUT]
        )
        without = tuple(asked[~asked.isin(found["name"])])
        if found.empty:
            raise _of_none(without, given)
        table, machines = _with_speeds(found.reset_index(drop=True))
        table = table.assign(file_size=FP32 * table["parameters"])
        return cls(table, machines, given.word, given.origin, given.images, without, given.remark)

    def cards_of(self, cards: Iterable[ArchCard]) -> list[ArchCard]:
        """Return networks' cards with what is published of the weights that race, where they tell it of others."""
        if self.origin != "published":
            return list(cards)
        rows = accuracies()
        table = self.table.assign(weights=self.table["network"].str.removeprefix(TIMM))
        rows = table.merge(rows[rows["set"] == "val"], on=["weights", "input_size"])
        columns = ["name", "input_size", "top1", "top5", "weights"]
        of_each = {
            (name, size): {"top1": top1, "top5": top5, "source": weights}
            for name, size, top1, top5, weights in rows[columns].itertuples(index=False)
        }
        return [
            replace(card, published={**card.published, **of_each.get((card.name, card.input_size), {})})
            for card in cards
        ]


def _of_none(names: Sequence[str], accuracies: Accuracies) -> BenchError:
    """Return the error of networks that have no accuracy."""
    named = listed(names, 5)
    if accuracies.run:
        there = ", ".join(accuracies.rows["network"].iloc[:5])
        return BenchError(
            f"run {accuracies.run} has measured no accuracy of {named}", f"it has those of {there}"
        )
    return BenchError(
        f"no accuracy is known of {named}",
        "another --accuracy, or a run of yours that has trained or evaluated them: --accuracy results/RUN",
    )


def _with_speeds(table: pd.DataFrame) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return the table with published counts and speeds: timm's, torchvision's networks those of equal ones."""
    bare = table["name"].str.replace(r"^(timm|torchvision):", "", regex=True).str.partition(".")[0]
    theirs = table["name"].str.startswith((TIMM, TORCHVISION))
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
    newest = {source.of: source.name for source in sorted(speed_sources(), key=lambda source: source.recency)}
    for machine, source in newest.items():
        table[machine] = 1 / joined(timed[timed["source"] == source], ["throughput"])["throughput"]
    return table, tuple(newest)
