"""Evaluations with stored answers, for the tests of what is read from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from conftest import make_job, make_record

from bench.analysis.evaluations import Evaluations
from bench.analysis.frame import to_frame
from bench.plan.card import ArchCard
from bench.plan.job import Job
from bench.records.job_files import JobFile
from bench.records.outputs import Answers, save_outputs
from bench.records.record import Measurement, Record
from bench.records.store import Run

TRANSFORM: Mapping[str, Any] = {
    "resize": 256,
    "crop": [224, 224],
    "crop_mode": "center",
    "interpolation": "bilinear",
    "antialias": True,
    "library": "pil",
    "channels": 3,
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
    "colour": "rgb",
    "scale": 255.0,
}


def evaluation(arch: str, **settings: Any) -> Job:
    """Return a job of the task `evaluate`."""
    usual = {
        "data": "imagefolder:pictures",
        "split": "val",
        "precision": "fp32",
        "backend": "eager",
        "device": "cpu",
    }
    return make_job(task="evaluate", arch=arch, input_size=224, settings={**usual, **settings})


def evaluated(
    folder: Path,
    arch: str,
    said: Sequence[int] | npt.NDArray[np.integer],
    labels: Sequence[int] | npt.NDArray[np.integer],
    *,
    classes: int | None = None,
    outputs: int | None = None,
    confidence: Sequence[float] | None = None,
    images: Sequence[str] = (),
    left_out: int = 0,
    transform: Mapping[str, Any] | None = None,
    published: Mapping[str, Any] | None = None,
    class_names: Sequence[str] = (),
    detail: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Record:
    """Return the record of an evaluation that told the classes `said`, with its answers kept in `folder`.

    `transform` is what the job changes; the detail has the whole.
    """
    given, truth = np.asarray(said), np.asarray(labels)
    count = classes or int(max(given.max(), truth.max())) + 1
    top5 = np.full((len(given), 5), -1)
    top5[:, 0] = given
    top5[:, 1] = np.where(
        truth == given, (given + 1) % count, truth
    )  # the second is right where the first is not
    names = tuple(images) or tuple(f"{label}/{i}.png" for i, label in enumerate(truth))
    answers = Answers(
        labels=truth.astype(np.int32),
        top5=top5.astype(np.int32),
        confidence=np.asarray(
            confidence if confidence is not None else np.full(len(given), 0.9), dtype=np.float32
        ),
        images=names,
        class_names=tuple(class_names) or tuple(f"class {k}" for k in range(count)),
    )
    if transform is not None:
        settings["transform"] = dict(transform)
    job = evaluation(arch, **settings)
    content, digest = answers.encode()
    save_outputs(JobFile.outputs.path(folder, job.id), content)
    told = {
        "images": len(given),
        "dataset": "imagefolder:pictures",
        "classes": count,
        "network_outputs": outputs or count,
        "transform": {**TRANSFORM, **(transform or {})},
        "outputs": f"outputs/{job.id}.npz",
        "outputs_sha256": digest,
        **(detail or {}),
    }
    right = int((given == truth).sum())
    return make_record(
        job=job,
        card=ArchCard(name=arch, num_classes=count, published=dict(published or {})),
        measurements=(
            _share("top1", right, told),
            _share("top5", len(given) if count > 1 else right, told),
            Measurement(
                name="left_out",
                unit="1",
                better="lower",
                samples=(float(left_out),),
                detail={"images": [{"image": f"0/cut {n}.jpg", "reason": "cut"} for n in range(left_out)]},
            ),
        ),
    )


def _share(name: str, correct: int, told: Mapping[str, Any]) -> Measurement:
    share = correct / told["images"] if told["images"] else 0.0
    return Measurement(
        name=name, unit="1", better="higher", samples=(share,), detail={"correct": correct, **told}
    )


def run_of(path: Path, *records: Record) -> Run:
    """Return a run with these records."""
    return Run(path.name, path, records, (), info={})


def read(path: Path, *records: Record) -> Evaluations:
    """Return the evaluations of a run with these records."""
    return Evaluations.of(to_frame([run_of(path, *records)]))


def right_so_often(
    labels: npt.NDArray[np.integer], share: float, classes: int, seed: int = 0
) -> npt.NDArray[np.int64]:
    """Return answers of which exactly this share is right, the wrong ones anywhere."""
    rng = np.random.default_rng(seed)
    wrong = rng.permutation(len(labels))[: round(len(labels) * (1 - share))]
    said = np.asarray(labels, dtype=np.int64).copy()
    said[wrong] = (said[wrong] + rng.integers(1, classes, len(wrong))) % classes
    return said


def with_evaluations(run: Run, names: Sequence[str], classes: int = 10) -> Run:
    """Return the run, whose files are kept, with evaluations of networks of these names, some on corrupted images."""
    labels = np.repeat(np.arange(classes), 20)
    records = []
    for i, name in enumerate(f"{bare}(weights='V1')" for bare in names):
        share = 0.9 - 0.05 * i
        sure = np.random.default_rng(i).beta(8, 2, len(labels)).tolist()
        said = right_so_often(labels, share, classes, i)
        records.append(evaluated(run.path, name, said, labels, confidence=sure))
        for severity in (1, 5):
            worse = right_so_often(labels, share - 0.1 * severity, classes, i)
            records.append(evaluated(run.path, name, worse, labels, corruption=f"fog:{severity}"))
    return replace(run, records=(*run.records, *records))
