"""The rows that figures are drawn of: accuracies, machines, trainings, layers, and what failed."""

from __future__ import annotations

import math
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pandas as pd
from matplotlib.figure import Figure

from bench.analysis.comparison import STATUS_WORDS, row_labels
from bench.analysis.flags import doubts_of
from bench.analysis.frame import PENDING
from bench.analysis.keys import WAY
from bench.errors import StoreError
from bench.records.flags import spoken
from bench.records.outputs import Outputs, load_outputs
from bench.report.figures.style import drawable


class Part(Protocol):
    """What one panel shows: at least rows of the table."""

    @property
    def rows(self) -> pd.DataFrame:
        """Return the rows, each a point."""
        ...


P = TypeVar("P", bound=Part)

# --- accuracies ---


@dataclass(frozen=True, slots=True)
class AccuracyKind:
    """One kind of accuracy: rows of the table with `value` (a fraction) and `spread` (its sd, or NaN).

    Those of published ones have a `protocol` as well, how the images were tested.
    """

    title: str
    axis: str
    rows: pd.DataFrame


def accuracies(table: pd.DataFrame) -> list[AccuracyKind]:
    """Return each kind of accuracy that the table has, published first; neither tasks nor trainings are mixed."""
    return [*published(table), *trained(table)]


def published(table: pd.DataFrame) -> Iterator[AccuracyKind]:
    """Yield the published accuracies of each count of classes: top-5 where any is known, else top-1."""
    for classes, rows in table.groupby("published_classes", dropna=False):
        key = "published_top5" if rows["published_top5"].notna().any() else "published_top1"
        known = rows[rows[key].notna()]
        if len(known):
            name, count = f"Top-{key[-1]}", _count(", {:.0f} classes", classes)
            protocol = known.get("published_protocol", None)
            known = known.assign(value=known[key], spread=math.nan, protocol=protocol)
            yield AccuracyKind(f"{name} as published{count}", f"{name} accuracy", known)


def protocols(rows: pd.DataFrame) -> list[str]:
    """Return of each published accuracy how its images were tested; empty texts where all are the same, or measured."""
    ways = rows["protocol"].fillna("unknown").tolist() if "protocol" in rows else []
    return ways if len(set(ways)) > 1 else [""] * len(rows)


def protocol_note(kinds: Iterable[AccuracyKind]) -> str:
    """Return a line for the foot of a figure with accuracies that were tested in several ways; else nothing."""
    ways = ", ".join(
        map(drawable, dict.fromkeys(way for kind in kinds for way in protocols(kind.rows) if way))
    )
    return (
        f"Published accuracies were tested in several ways ({ways}) and do not compare across these"
        if ways
        else ""
    )


_SHAPE_TRAINED = {
    "input_size": "trained_size",
    "in_channels": "trained_channels",
    "num_classes": "trained_classes",
}
_TIMED = ("latency", "throughput", "peak_memory", "tensor_memory", "energy")


def trained(table: pd.DataFrame) -> Iterator[AccuracyKind]:
    """Yield the measured accuracies of each data set, recipe and count of epochs.

    An accuracy stands against the cost of the shape that was trained; what was timed in another shape is missing.
    """
    for name, rows in by_training(table[table["accuracy"].notna()]):
        same = [rows[timed] == rows[trained] for timed, trained in _SHAPE_TRAINED.items()]
        in_shape = pd.concat(same, axis=1).all(axis=1)
        own = rows.assign(
            value=rows["accuracy"],
            spread=rows["accuracy_sd"],
            value_flags=rows["accuracy_flags"],
            parameters=rows["trained_parameters"],
            macs=rows["trained_macs"],
            **{key: rows[key].where(in_shape) for key in _TIMED},
        )
        yield AccuracyKind(f"Top-1 on {name}", "Top-1 accuracy", own)


def worthwhile(parts: Iterable[P]) -> list[P]:
    """Return the parts that compare two networks or more; where there is none, all that have a row."""
    filled = [part for part in parts if len(part.rows)]
    return [part for part in filled if part.rows["network"].nunique() > 1] or filled


def in_doubt(rows: pd.DataFrame, *columns: str) -> pd.Series[bool]:
    """Return which rows have a number in these columns that is in doubt: drawn hollow, and on no front."""
    marked = [any(doubts_of(row, column) for column in columns) for row in rows.to_dict("records")]
    return pd.Series(marked, rows.index, dtype=bool)


def doubt_note(parts: Iterable[pd.DataFrame], *columns: str) -> str:
    """Return a line for the foot of a figure that says why points are hollow; nothing where none is."""
    rows = [row for part in parts for row in part.to_dict("records")]
    flags = dict.fromkeys(flag for row in rows for column in columns for flag in doubts_of(row, column))
    return f"Hollow points are in doubt: {drawable(spoken(*flags), 200)}" if flags else ""


# --- machines and conditions ---

_CONDITIONS = ("precision", "memory_format", "backend")
_USUAL = ("contiguous", "eager")


def by_machine(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return the rows of each machine under its name, labelled by what tells them apart there.

    Rows that ran on none are left out.
    """
    ran = table[table["device"].notna()]
    names = ran["device_name"].where(ran["device_name"].notna(), ran["device"])
    return [(str(name), rows.assign(label=row_labels(rows))) for name, rows in ran.groupby(names, sort=False)]


def conditions(rows: pd.DataFrame, batch: bool = False) -> str:
    """Return the settings that all rows share, such as ``bf16, batch 64``; usual ones go without saying."""
    shared = [str(rows[key].iloc[0]) for key in _CONDITIONS if rows[key].nunique(dropna=False) == 1]
    shared = [setting for setting in shared if setting not in _USUAL]
    if batch:
        low, high = rows["batch_size"].min(), rows["batch_size"].max()
        shared.append(f"batch {low:.0f}" if low == high else f"batches {low:.0f} to {high:.0f}")
    return ", ".join(shared)


def _count(text: str, count: Any) -> str:
    """Return the text with its number, or nothing where that is not known."""
    return "" if math.isnan(count) else text.format(count)


# --- what failed ---

_MOST_FAILED = 8  # names behind one status
_LETTERS = 16  # of an inch


def failed(frame: pd.DataFrame, tasks: Sequence[str]) -> pd.DataFrame:
    """Return one row a job of these tasks that has a record and did not end well, its `arch` as `network`."""
    rows = frame[frame["task"].isin(tasks) & ~frame["status"].isin(["ok", PENDING])]
    return rows.drop_duplicates(["run", "job_id"], keep="last").rename(columns={"arch": "network"})


def unmeasured(table: pd.DataFrame, frame: pd.DataFrame, key: str, batch: int | None = None) -> pd.DataFrame:
    """Return the rows of the table that have no `key` since their timing failed, with the status as `why`.

    Args:
        table: of `compare_table`.
        frame: of `to_frame`.
        key: column of the table.
        batch: the only batch size that counts, where there is one.
    """
    jobs = failed(frame, ["infer"])
    jobs = jobs if batch is None else jobs[jobs["batch_size"] == batch]
    if jobs.empty:
        return table.iloc[:0].assign(why=None)
    reasons = jobs.drop_duplicates(WAY, keep="last")[[*WAY, "status"]].rename(columns={"status": "why"})
    return table[table[key].isna()].merge(reasons, on=WAY)


def absent(frame: pd.DataFrame, tasks: Sequence[str], measured: Iterable[str]) -> list[tuple[str, str]]:
    """Return (status, network) of the networks that are not `measured` since a job of these tasks failed."""
    jobs = failed(frame, tasks)
    jobs = jobs[~jobs["network"].isin(set(measured))].drop_duplicates("network")
    return list(zip(jobs["status"], jobs["network"], strict=True))


def failed_note(drawing: Figure, names: Iterable[tuple[str, str]]) -> str:
    """Return lines for the foot of a figure that say what failed, from pairs of a status and a name.

    Behind each status stand eight names at most, and how many more there are.
    """
    by_status: defaultdict[str, list[str]] = defaultdict(list)
    for status, name in names:
        by_status[status].append(name)
    parts = [f"{STATUS_WORDS.get(status, status)}: {_first(some)}" for status, some in by_status.items()]
    text = "Failed, so not drawn · " + " · ".join(parts) if parts else ""
    return textwrap.fill(text, width=int(drawing.get_figwidth() * _LETTERS))


def _first(names: Sequence[str]) -> str:
    more = len(names) - _MOST_FAILED
    return ", ".join(map(drawable, names[:_MOST_FAILED])) + (f" and {more} more" if more > 0 else "")


# --- trainings ---


def by_training(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the rows of each data set, recipe and count of epochs, such as ``cifar10, 8 epochs, std v1``.

    Recipes of one network alone are compared with each other.
    """
    recipe = table["recipe"]
    if recipe.nunique() > 1 and table["network" if "network" in table else "arch"].nunique() == 1:
        recipe = recipe.map(lambda _: None)
    for (dataset, name, epochs), rows in table.groupby(["dataset", recipe, "epochs"], dropna=False):
        length = _count("{:.0f} epoch" if epochs == 1 else "{:.0f} epochs", epochs)
        yield ", ".join(word for word in (dataset, length, name) if isinstance(word, str) and word), rows


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
    known = table[table["accuracy"].notna()].sort_values("accuracy", ascending=False, kind="stable")
    return list(dict.fromkeys(known["network"]))


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
class Answers:
    """The trainings of one network that differ in their seed, with the outputs that each stored, the best seed first.

    Attributes:
        network: its name.
        dataset: name of the data set.
        accuracy: top-1 on the test images, the mean over the seeds that ended well.
        files: (path, SHA-256) of each seed's outputs.
    """

    network: str
    dataset: str
    accuracy: float
    files: Sequence[tuple[str, str]]

    @property
    def outputs(self) -> Iterator[Outputs]:
        """Read the files one by one; those that are gone, stale or torn are left out."""
        for path, digest in self.files:
            with suppress(StoreError):  # a report is made of what there is
                outputs = load_outputs(Path(path), digest)
                if outputs is not None:
                    yield outputs


def stored_answers(frame: pd.DataFrame) -> list[Answers]:
    """Return the trainings that stored their answers to the test images, most accurate first."""
    rows = frame[(frame["measurement"] == "top1") & (frame["status"] == "ok") & frame["outputs"].notna()]
    rows = rows.sort_values("median", ascending=False, kind="stable")
    trainings = []
    for _, seeds in rows.groupby(["run", "series"], sort=False):
        digests = [str(detail.get("outputs_sha256")) for detail in seeds["detail"]]
        files = list(zip(seeds["outputs"], digests, strict=True))
        network, dataset = (str(seeds[key].iloc[0]) for key in ("arch", "dataset"))
        trainings.append(Answers(network, dataset, float(seeds["median"].mean()), files))
    return sorted(trainings, key=lambda one: -one.accuracy)


# --- layers ---

_LAYER_NUMBERS = ("parameters", "macs", "activation_bytes")


def layer_lists(frame: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
    """Return the layers of each (run, network), in the order of the pass, with the columns of the record's list.

    Of a network that was counted in several shapes, those of the largest image. Lists that hold no such table are
    left out.
    """
    rows = frame[(frame["task"] == "cost") & (frame["measurement"] == "layers")]
    rows = rows.sort_values("input_size", kind="stable")
    keys = zip(rows["run"], rows["arch"], rows["detail"], strict=True)
    tables = {(run, arch): _layer_table(detail) for run, arch, detail in keys}
    return {key: table for key, table in tables.items() if table is not None}


def _layer_table(detail: Mapping[str, Any]) -> pd.DataFrame | None:
    columns, rows = detail.get("columns"), detail.get("rows")
    if not isinstance(columns, list | tuple) or not isinstance(rows, list | tuple) or not rows:
        return None
    if not {"name", "kind", *_LAYER_NUMBERS} <= {*map(str, columns)}:
        return None
    if any(not isinstance(row, list | tuple) or len(row) != len(columns) for row in rows):
        return None
    table = pd.DataFrame([list(row) for row in rows], columns=[str(c) for c in columns], dtype=object)
    numbers = {
        key: pd.to_numeric(table[key], errors="coerce").fillna(0).clip(lower=0) for key in _LAYER_NUMBERS
    }
    return table.assign(depth=detail.get("depth"), **numbers)


def weighted_layers(frame: pd.DataFrame) -> dict[tuple[str, str], int]:
    """Return how many layers of each (run, network) hold weights and multiply, such as 16 of vgg16.

    Convolutions and fully connected layers on all branches count, and so do projections on shortcuts: 21 of resnet18.
    Networks of which whole modules are listed have none.
    """
    whole = {key: table for key, table in layer_lists(frame).items() if table["depth"].isna().all()}
    return {key: int(((t["macs"] > 0) & (t["parameters"] > 0)).sum()) for key, t in whole.items()}
