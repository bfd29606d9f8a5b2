"""What figures of trainings share: those that ended well, by conditions and by network, and their stored answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bench.errors import StoreError
from bench.records.outputs import Outputs, load_outputs
from bench.report.figures._failed import absent
from bench.report.figures._panels import by_training


def ended_trainings(
    table: pd.DataFrame, frame: pd.DataFrame, measurements: Sequence[str]
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the named measurements of each data set, recipe and count of epochs, networks in the table's order."""
    rows = frame[(frame["task"] == "accuracy") & (frame["status"] == "ok")]
    rows = rows[rows["measurement"].isin(measurements)]
    place = {network: position for position, network in enumerate(table["network"])}
    yield from by_training(rows.sort_values("arch", key=lambda names: names.map(place), kind="stable"))


def most_accurate(table: pd.DataFrame) -> list[str]:
    """Return the names of the networks that were trained, the most accurate first."""
    trained = table[table["accuracy"].notna()].sort_values("accuracy", ascending=False, kind="stable")
    return list(dict.fromkeys(trained["network"]))


def failed_trainings(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """Return (status, network) of the networks of which no training ended well, since one failed."""
    ended = frame[(frame["task"] == "accuracy") & (frame["status"] == "ok")]
    return absent(frame, ["accuracy"], ended["arch"])


def by_seeds(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the rows of trainings that differ in nothing but their seed, under the name of their network."""
    several = [key for key in ("recipe", "run") if rows.groupby("arch")[key].nunique().max() > 1]
    for _, seeds in rows.groupby(["run", "series"], sort=False):
        yield " · ".join(str(seeds[key].iloc[0]) for key in ("arch", *several)), seeds


@dataclass(frozen=True, slots=True)
class Stored:
    """The trainings of one network that differ in their seed, with what each stored, the best seed first.

    Attributes:
        network: its name.
        dataset: name of the data set.
        accuracy: top-1 on the test images, the mean over the seeds that ended well.
        outputs: read when asked for; of files that are gone, stale or torn there are none.
    """

    network: str
    dataset: str
    accuracy: float
    files: Sequence[tuple[str, str]]

    @property
    def outputs(self) -> Iterator[Outputs]:
        """Read the files one by one."""
        for path, digest in self.files:
            with suppress(StoreError):  # a report is made of what there is
                outputs = load_outputs(Path(path), digest)
                if outputs is not None:
                    yield outputs


def stored_trainings(frame: pd.DataFrame) -> list[Stored]:
    """Return the trainings that stored their answers to the test images, most accurate first."""
    rows = frame[(frame["measurement"] == "top1") & (frame["status"] == "ok") & frame["outputs"].notna()]
    rows = rows.sort_values("median", ascending=False, kind="stable")
    found = [
        Stored(
            network=str(seeds["arch"].iloc[0]),
            dataset=str(seeds["dataset"].iloc[0]),
            accuracy=float(seeds["median"].mean()),
            files=[
                (p, str(d.get("outputs_sha256")))
                for p, d in zip(seeds["outputs"], seeds["detail"], strict=True)
            ],
        )
        for _, seeds in rows.groupby(["run", "series"], sort=False)
    ]
    return sorted(found, key=lambda one: -one.accuracy)
