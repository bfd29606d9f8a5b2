"""Runs to be exported, and the files that a format writes of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from evaluated import evaluated, run_of
from make_records import by_name, counted, job, record, speed

from bench.records.record import Measurement, Record, count
from bench.records.store import Run
from bench.report.exports import EXPORTS, Results

TIMM = (
    *("model", "infer_img_size", "infer_samples_per_sec", "infer_step_time", "infer_batch_size"),
    *("infer_gmacs", "infer_macts", "param_count"),
    *("train_samples_per_sec", "train_step_time", "train_batch_size", "train_img_size"),
)
RESNET18, VGG16 = by_name("resnet18", "vgg16")[::-1]
HUB = {"dataset": "owner/pictures", "task_id": "default"}


def of_time(name: str, seconds: float) -> Measurement:
    return Measurement(name=name, unit="s", better="lower", samples=(seconds,) * 7)


def timed(name: str = "resnet18", **changes: object) -> list[Record]:
    net = replace(RESNET18, name=name)
    return [
        record(job(net), net, [*counted(net), count("matrix_activations", 2.5e6)]),
        record(job(net, "infer", **speed(batch_size=1)), net, [of_time("step_time", 0.002)]),
        record(job(net, "infer", **speed(batch_size=64, **changes)), net, [of_time("step_time", 0.016)]),
        record(job(net, "train_step", **speed(batch_size=32)), net, [of_time("step_time", 0.040)]),
    ]


def files_of(form: str, folder: Path, *runs: Run, **options: str) -> dict[str, str]:
    """Return the files that a format writes, by their paths."""
    made = EXPORTS.get(form).make(Results(runs, options))
    assert not isinstance(made, str | bytes)
    folder.mkdir()
    made(folder)
    return {p.relative_to(folder).as_posix(): p.read_text("utf-8") for p in folder.rglob("*") if p.is_file()}


def evaluations_of(folder: Path) -> Run:
    """Return a run of two networks, the second of which has outputs for more classes and an assumed transform."""
    labels = [0, 1, 2, 3] * 25
    said = [0, 1, 2, 0] * 25
    second = evaluated(folder, "b.py:Net", labels, labels, outputs=1000)
    top1 = second.measurements[0].changed(flags=("assumed_transform", "images_left_out"))
    return run_of(
        folder,
        evaluated(folder, "torchvision:a", said, labels),
        second.changed(measurements=(top1, *second.measurements[1:])),
    )
