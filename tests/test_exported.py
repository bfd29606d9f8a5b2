"""What `bench export` writes, read back by the library that it is for; skipped where that is not installed."""

from __future__ import annotations

import importlib
import json
import math
import random
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from evaluated import evaluated, run_of
from exporting import HUB, RESNET18, VGG16, evaluations_of, files_of, timed
from make_records import job, make_run, record, records, speed, times

from bench.analysis.comparison import compare_table
from bench.analysis.frame import to_frame
from bench.analysis.trainings import by_epoch
from bench.io import finite_json
from bench.records.store import Run
from bench.report.exports import EXPORTS, Results
from bench.report.exports._numbers import numbers_of
from bench.report.figures import in_order
from bench.report.tables._columns import COMPARISON
from bench.report.tables._csv import with_units

pytestmark = pytest.mark.filterwarnings("ignore")  # whatever the libraries warn of


def library(module: str) -> Any:
    """Return a module of a library; the test is skipped where the library is not installed, for no other reason."""
    name = module.partition(".")[0]
    pytest.importorskip(name, reason=f"{name} is not installed")
    return importlib.import_module(module)


def whole() -> Run:
    """Return a run with counts, times, trainings and a doubted time."""
    slow = times("latency", 0.002, rng=random.Random(1), flags=("throttled",))
    asked = job(VGG16, "infer", **speed(batch_size=1))
    return make_run([*records([RESNET18]), record(asked, VGG16, [slow])], name="whole")


def written(form: str, folder: Path, run: Run, **options: str) -> Path:
    """Return the folder that a format has filled."""
    made = EXPORTS.get(form).make(Results([run], options))
    assert not isinstance(made, str | bytes)
    folder.mkdir()
    made(folder)
    return folder


def expected(run: Run) -> dict[str, dict[str, float]]:
    """Return the numbers of each row by its label: ``latency``, ``latency_low`` ..., straight from the comparison."""
    table = compare_table(to_frame([run]))
    numbers: dict[str, dict[str, float]] = {}
    for row in table.to_dict("records"):
        names = [n.quantity.name for n in numbers_of({str(k): v for k, v in row.items()})]
        keys = [f"{name}{end}" for name in names for end in ("", "_low", "_high")]
        numbers[row["label"]] = {key: row[key] for key in keys if not pd.isna(row.get(key, math.nan))}
    return numbers


# --- TensorBoard ---


def events(folder: Path) -> Any:
    module = library("tensorboard.backend.event_processing.event_accumulator")
    return module.EventAccumulator(str(folder)).Reload()


def test_tensorboard_reads_each_number_with_its_ends(tmp_path: Path) -> None:
    library("tensorboard")
    run = whole()
    out = written("tensorboard", tmp_path / "out", run)
    for label, numbers in expected(run).items():
        read = events(out / f"whole-{label}")
        scalars = {tag: read.Scalars(tag)[0].value for tag in read.Tags()["scalars"]}
        assert scalars.keys() == {_tag(key) for key in numbers}
        for key, value in numbers.items():
            assert scalars[_tag(key)] == struct.unpack("f", struct.pack("f", value))[0]


def _tag(key: str) -> str:
    for end in ("low", "high"):
        if key.endswith(f"_{end}"):
            return f"{key.removesuffix(f'_{end}')}/{end}"
    return f"{key}/value"


def test_tensorboard_reads_hyperparameters_and_what_is_in_doubt(tmp_path: Path) -> None:
    library("tensorboard")
    out = written("tensorboard", tmp_path / "out", whole())
    data = library("tensorboard.plugins.hparams.plugin_data_pb2").HParamsPluginData
    read = events(out / "whole-vgg16")
    content = read.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    given = data.FromString(content).session_start_info.hparams
    assert given["network"].string_value == "vgg16"
    assert given["input_size"].number_value == 224
    assert "latency" in given["in_doubt"].string_value
    (text,) = read.Tensors("in doubt")
    assert b"throttled" in text.tensor_proto.string_val[0]
    assert "In doubt: throttled" in read.SummaryMetadata("latency/value").summary_description
    assert (
        "In doubt"
        not in events(out / "whole-resnet18").SummaryMetadata("parameters/value").summary_description
    )
    experiment = data.FromString(
        events(out).SummaryMetadata("_hparams_/experiment").plugin_data.content
    ).experiment
    assert {"network", "precision", "in_doubt"} <= {info.name for info in experiment.hparam_infos}
    assert "latency/value" in {info.name.tag for info in experiment.metric_infos}


def test_tensorboard_reads_learning_curves(tmp_path: Path) -> None:
    library("tensorboard")
    run = whole()
    out = written("tensorboard", tmp_path / "out", run)
    trainings = [r for r in run.records if r.job.task == "accuracy"]
    folders = sorted((out / "trainings").iterdir())
    assert len(folders) == len(trainings) == 3
    for training in trainings:
        (folder,) = [f for f in folders if f.name.endswith(training.job.id)]
        top1 = training.measurement("top1")
        assert top1 is not None
        read = [(e.step, e.value) for e in events(folder).Scalars("by epoch/top1")]
        assert read == [(n, pytest.approx(v)) for n, (v,) in by_epoch([top1.detail])]


def test_tensorboard_reads_the_figures(tmp_path: Path) -> None:
    library("tensorboard")
    run = whole()
    out = written("tensorboard", tmp_path / "out", run)
    read = events(out / "figures")
    tags = read.Tags()["images"]
    assert tags
    assert set(tags) <= {name for name, _ in in_order()}
    for tag in tags:
        (image,) = read.Images(tag)
        assert image.encoded_image_string.startswith(b"\x89PNG")
        assert min(image.width, image.height) > 100


def test_tensorboard_writes_the_same_again(tmp_path: Path) -> None:
    library("tensorboard")
    first, again = (written("tensorboard", tmp_path / name, whole()) for name in ("first", "again"))
    files = [p.relative_to(first) for p in first.rglob("*") if p.is_file()]
    assert len(files) > 5
    assert all((first / file).read_bytes() == (again / file).read_bytes() for file in files)


# --- tables ---


def table_of(run: Run) -> tuple[list[str], list[list[Any]]]:
    """Return the columns and rows of the report's CSV, with None for what is missing."""
    frame = with_units(compare_table(to_frame([run])), COMPARISON)
    rows = [[None if pd.isna(v) else v for v in row] for row in frame.itertuples(index=False)]
    return [*map(str, frame)], rows


def records_of(file: Path) -> Iterator[Any]:
    """Yield the records of an offline run: a log of LevelDB's form in blocks of 32 KiB, behind seven bytes."""
    record = library("wandb.proto.wandb_internal_pb2").Record
    data, place, whole = file.read_bytes(), 7, b""
    assert data.startswith(b":W&B")
    while place < len(data):
        if (left := -place % 32768) and left < 7:  # too little of the block for a head
            place += left
            continue
        _, size, kind = struct.unpack_from("<IHB", data, place)
        place += 7 + size
        whole += data[place - size : place]
        if kind in (1, 4):  # all of it, or its last part
            yield record.FromString(whole)
            whole = b""


def test_wandb_reads_the_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = library("wandb")
    monkeypatch.setattr(wandb.Table, "MAX_ROWS", 1)  # beyond which tables are cut
    monkeypatch.setattr(wandb.Table, "MAX_ARTIFACT_ROWS", 1)
    run = whole()
    out = written("wandb", tmp_path / "out", run, project="backbones")
    (file,) = out.glob("wandb/offline-run-*/run-*.wandb")
    read = list(records_of(file))
    (told,) = {(r.run.project, r.run.display_name) for r in read if r.WhichOneof("record_type") == "run"}
    assert told == ("backbones", "whole")
    logged = {
        ".".join(item.nested_key) or item.key: json.loads(item.value_json)
        for r in read
        if r.WhichOneof("record_type") == "history"
        for item in r.history.item
    }
    local = {
        entry.local_path
        for r in read
        if r.WhichOneof("record_type") == "artifact"
        for entry in r.artifact.manifest.contents
    }
    assert len(local) == 2
    assert all(Path(path).is_relative_to(out) and Path(path).is_file() for path in local)  # for `wandb sync`
    tables = {
        name: wandb.Table.from_json(
            json.loads((file.parent / "files" / logged[f"{name}.path"]).read_text()), None
        )
        for name in ("networks", "measurements")
    }
    columns, rows = table_of(run)
    assert tables["networks"].columns == columns
    assert tables["networks"].data == rows
    medians = tables["measurements"].get_column("median")
    assert medians == finite_json(to_frame([run])["median"].tolist())


def test_mlflow_reads_the_runs_and_the_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = library("mlflow")
    monkeypatch.chdir(tmp_path)
    run = whole()
    out = written("mlflow", tmp_path / "out", run)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{out / 'mlflow.db'}")
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("whole")
    read = {one.info.run_name: one for one in client.search_runs([experiment.experiment_id])}
    numbers = expected(run)
    assert read.keys() == {"tables", *numbers}
    for label, each in numbers.items():
        assert read[label].data.metrics == each
    assert read["vgg16"].data.params["network"] == "vgg16"
    assert "throttled" in read["vgg16"].data.tags["in_doubt.latency"]
    assert not [tag for tag in read["resnet18"].data.tags if tag == "in_doubt.parameters"]
    tables = {
        name: client.load_table(experiment.experiment_id, f"{name}.parquet", [read["tables"].info.run_id])
        for name in ("networks", "measurements")
    }
    columns, rows = table_of(run)
    assert [*tables["networks"]] == columns
    assert [
        [None if pd.isna(v) else v for v in row] for row in tables["networks"].itertuples(index=False)
    ] == rows
    assert tables["measurements"]["median"].tolist() == to_frame([run])["median"].tolist()


# --- Hugging Face ---


def test_the_hubs_library_reads_eval_results(tmp_path: Path) -> None:
    hub = library("huggingface_hub")
    files = files_of("eval-results", tmp_path / "out", evaluations_of(tmp_path), **HUB)
    for content in files.values():
        entries = yaml.safe_load(content)
        (entry,) = hub.parse_eval_result_entries(entries)
        assert hub.eval_result_entries_to_yaml([entry]) == entries  # no field that it does not know
        assert (entry.dataset_id, entry.task_id) == ("owner/pictures", "default")
    (first,) = hub.parse_eval_result_entries(
        yaml.safe_load(files["torchvision-a/.eval_results/pictures.yaml"])
    )
    assert first.value == 0.75
    assert first.date == "2026-01-01T00:00:00+00:00"


def test_the_hubs_library_reads_a_model_card(tmp_path: Path) -> None:
    hub = library("huggingface_hub")
    run = run_of(tmp_path, *timed(), evaluated(tmp_path, "resnet18", [0, 1, 1, 1], [0, 1, 1, 0]))
    options: Mapping[str, str] = {"dataset": "owner/pictures", "source": "https://example.org/run"}
    files_of("model-card", tmp_path / "out", run, **options)
    card = hub.ModelCard.load(tmp_path / "out" / "resnet18" / "README.md")
    first, second = card.data.eval_results
    assert (first.metric_type, first.metric_name, first.metric_value) == ("accuracy", "Top-1 accuracy", 0.75)
    assert (second.metric_name, second.metric_value) == ("Top-5 accuracy", 1.0)
    assert (first.dataset_type, first.dataset_name) == ("owner/pictures", "imagefolder:pictures val")
    assert (first.task_type, first.source_url) == ("image-classification", "https://example.org/run")
    assert "| Throughput |" in card.text
