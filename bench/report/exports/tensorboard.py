"""TensorBoard: scalars, hyperparameters and figures, as files of events that ``tensorboard --logdir FOLDER`` reads.

Each row of the comparison is a run of TensorBoard's, and so is each training, with its curves over epochs. A number is
`latency/value` with `latency/low` and `latency/high`; TensorBoard keeps it in single precision. What is doubted stands
in the description of its scalar, in a text, and in the hyperparameter `in_doubt`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from bench.analysis.flags import Row
from bench.report._short_names import shortened
from bench.report.exports import Files, Results, export
from bench.report.exports._library import library
from bench.report.exports._numbers import (
    Number,
    doubted,
    file_names,
    numbers_of,
    rows_of,
    seconds,
    settings_of,
    started,
)
from bench.report.text import markdown

_FILE = "events.out.tfevents.0.bench"  # TensorBoard looks for `tfevents`
_TRAINING = ["run", "label", "job_id"]


@export(
    "tensorboard",
    about="scalars with their intervals, hyperparameters, learning curves and figures of TensorBoard",
)
def _tensorboard(results: Results) -> Files:
    """Return the function that writes the files of events."""
    library("tensorboard")
    return partial(_write, results)


def _write(results: Results, folder: Path) -> None:
    rows, when = rows_of(results), started(results)
    labels = file_names(_name(row) for row in rows)
    with _log(folder, when) as add:
        add(_config(rows, when))
    for row in rows:
        with _log(folder / labels[_name(row)], when) as add:
            _add_row(add, row, when)
    _write_trainings(results, folder / "trainings")
    with _log(folder / "figures", when) as add:
        for summary in _figures(results):
            add(summary)


_Add = Callable[..., None]  # a summary, and of a curve its epoch as `step`


@contextmanager
def _log(folder: Path, when: float) -> Iterator[_Add]:
    """Give the function that adds a summary to a file of events in a folder, which is made with those above.

    `when` is the time of the events, in seconds since 1970.
    """
    event = library("tensorboard.compat.proto.event_pb2").Event
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _FILE).open("wb") as file:
        writer = library("tensorboard.summary.writer.record_writer").RecordWriter(file)

        def write(**fields: Any) -> None:
            writer.write(event(wall_time=when, **fields).SerializeToString())

        write(file_version="brain.Event:2")
        yield lambda summary, step=0: write(summary=summary, step=step)


# --- rows of the comparison ---


def _name(row: Row) -> str:
    return f"{row['run']} {row['label']}"


def _add_row(add: _Add, row: Row, when: float) -> None:
    """Write how a row was run, its numbers with their intervals, and what is doubted of them."""
    numbers = numbers_of(row)
    hparams = library("tensorboard.plugins.hparams.summary_v2")
    add(hparams.hparams_pb(_hyperparameters(row), start_time_secs=when))
    for number in numbers:
        for end, value in number.ends.items():
            add(_scalar(f"{number.quantity.name}/{end}", value, _description(number)))
    if said := doubted(numbers):
        text = "\n".join(f"- **{markdown(name)}**: {markdown(words)}" for name, words in said.items())
        add(library("tensorboard.plugins.text.summary_v2").text_pb("in doubt", text))


def _hyperparameters(row: Row) -> dict[str, str | int | float]:
    in_doubt = ", ".join(doubted(numbers_of(row)))
    return {"network": str(row["network"]), "run": str(row["run"]), **settings_of(row), "in_doubt": in_doubt}


def _config(rows: list[Row], when: float) -> Any:
    """Return the summary that says which hyperparameters and which numbers there are."""
    hparams = library("tensorboard.plugins.hparams.summary_v2")
    names = dict.fromkeys(name for row in rows for name in _hyperparameters(row))
    known = {n.quantity.name: n.quantity for row in rows for n in numbers_of(row)}
    metrics = [
        hparams.Metric(f"{name}/value", display_name=f"{name} ({q.unit})", description=q.about)
        for name, q in known.items()
    ]
    parameters = [hparams.HParam(name) for name in names]
    return hparams.hparams_config_pb(parameters, metrics, time_created_secs=when)


def _scalar(tag: str, value: float, description: str = "") -> Any:
    """Return the summary of a number; in the form that `SummaryWriter` has, which all readers know."""
    proto = library("tensorboard.compat.proto.summary_pb2")
    metadata = proto.SummaryMetadata(
        summary_description=description, plugin_data=proto.SummaryMetadata.PluginData(plugin_name="scalars")
    )
    return proto.Summary(value=[proto.Summary.Value(tag=tag, simple_value=value, metadata=metadata)])


def _description(number: Number) -> str:
    words = doubted([number]).get(number.quantity.name)
    doubt = f" In doubt: {markdown(words)}." if words else ""
    return f"{number.quantity.about} ({number.quantity.unit}).{doubt}"


# --- trainings ---


def _write_trainings(results: Results, folder: Path) -> None:
    """Write what trainings have of each epoch, each as a run of its own."""
    frame = results.frame
    curves = frame[[isinstance(detail.get("by_epoch"), list | tuple) for detail in frame["detail"]]]
    trainings = {" ".join(map(str, key)): rows for key, rows in curves.groupby(_TRAINING, sort=False)}
    names = file_names(trainings)
    for name, rows in trainings.items():
        with _log(folder / names[name], seconds(rows["started_at"].iloc[0])) as add:
            for measurement, detail in zip(rows["measurement"], rows["detail"], strict=True):
                for epoch, value in enumerate(detail["by_epoch"], start=1):
                    if isinstance(value, int | float) and math.isfinite(value):
                        add(_scalar(f"by epoch/{measurement}", value), epoch)


# --- figures ---


def _figures(results: Results) -> Iterator[Any]:
    """Yield the summary of each figure of a report that there is something to draw for."""
    from bench.report.figures._drawing import DrawingOptions, drawing

    proto = library("tensorboard.compat.proto.summary_pb2")
    with drawing(sum(len(run.records) for run in results.runs), DrawingOptions(kinds=("png",))) as draw:
        pictures = draw(*shortened(results.table, results.frame))()
    for picture in pictures:
        if png := picture.files.get("png"):
            width, height = struct.unpack(">II", png[16:24])  # of the header that a PNG begins with
            image = proto.Summary.Image(width=width, height=height, colorspace=4, encoded_image_string=png)
            plugin = proto.SummaryMetadata.PluginData(plugin_name="images")
            metadata = proto.SummaryMetadata(summary_description=picture.caption, plugin_data=plugin)
            yield proto.Summary(value=[proto.Summary.Value(tag=picture.name, image=image, metadata=metadata)])
