"""`bench export`: nothing lost on the way to CSV and Parquet, and timm's own columns."""

from __future__ import annotations

import csv
import io
import json
import math
import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from make_records import by_name, counted, job, make_run, record, records, speed, stepped
from typer.testing import CliRunner, Result

from bench.analysis.comparison import compare_table
from bench.analysis.frame import to_frame
from bench.cli.app import app
from bench.records.record import Measurement, Record, count
from bench.records.store import Run, Store
from bench.report.tables.export import _timm_frame, long_csv, long_parquet, timm_csv, variants

TIMM = (
    *("model", "infer_img_size", "infer_samples_per_sec", "infer_step_time", "infer_batch_size"),
    *("infer_gmacs", "infer_macts", "param_count"),
    *("train_samples_per_sec", "train_step_time", "train_batch_size", "train_img_size"),
)
RESNET18, VGG16 = by_name("resnet18", "vgg16")[::-1]
ODD = 'a "quoted", text\nof two lines, 😀'


def of_time(name: str, seconds: float) -> Measurement:
    return Measurement(name=name, unit="s", better="lower", samples=(seconds,) * 7)


def everything() -> Run:
    odd = Measurement(
        name="odd", unit="1", better="neither", samples=(0.1 + 0.2, math.nan, 1e-300),
        detail={"text": ODD, "nested": {"n": [1, math.nan]}}, flags=("noisy", "unsteady"),
    )  # fmt: skip
    asked = job(RESNET18, "infer", **speed(batch_size=2))
    failed = record(job(VGG16, "infer", **speed()), VGG16, status="oom", error={"type": "E", "message": ODD})
    return make_run([*records([RESNET18]), record(asked, RESNET18, [odd]), failed], planned=[job(VGG16)])


def test_csv_has_every_row_with_raw_samples() -> None:
    frame = to_frame([everything()])
    rows = list(csv.DictReader(io.StringIO(long_csv([everything()]))))
    assert [r["job_id"] for r in rows] == frame["job_id"].tolist()
    assert set(frame.columns) - {"outputs", "evaluation"} == set(rows[0])
    odd = next(r for r in rows if r["measurement"] == "odd")
    assert json.loads(odd["samples"]) == [0.1 + 0.2, None, 1e-300]
    assert json.loads(odd["flags"]) == ["noisy", "unsteady"]
    assert json.loads(odd["detail"]) == {"text": ODD, "nested": {"n": [1, None]}}
    assert next(r for r in rows if r["status"] == "oom")["error"] == f"E: {ODD}"


def test_parquet_gives_the_frame_back() -> None:
    frame = to_frame([everything()])
    back = pd.read_parquet(io.BytesIO(long_parquet([everything()])))
    assert back.columns.tolist() == frame.columns.drop(["outputs", "evaluation"]).tolist()
    assert len(back) == len(frame)
    for name in ("median", "low", "n", "year", "batch_size"):
        pd.testing.assert_series_equal(back[name], frame[name], check_dtype=False)
    for name in ("arch", "status", "measurement", "error"):
        assert [None if pd.isna(v) else v for v in back[name]] == frame[name].tolist()
    for mine, theirs in zip(frame["samples"], back["samples"], strict=True):
        assert [repr(float(v)) for v in mine] == [repr(float(v)) for v in theirs]
    odd = back[back["measurement"] == "odd"].iloc[0]
    assert list(odd["flags"]) == ["noisy", "unsteady"]
    assert json.loads(odd["detail"])["text"] == ODD


def test_parquet_types_do_not_depend_on_what_is_there() -> None:
    whole, empty = (pq.read_schema(io.BytesIO(long_parquet([r]))) for r in (everything(), make_run([])))
    assert whole.names == empty.names
    assert {str(t) for t in whole.types} == {
        "string",
        "double",
        "int64",
        "list<element: double>",
        "list<element: string>",
    }
    assert whole.field("samples").type == empty.field("samples").type
    assert whole == pq.read_schema(io.BytesIO(long_parquet([make_run(list(records([VGG16])))])))


def timed(name: str = "resnet18", **changes: object) -> list[Record]:
    net = replace(RESNET18, name=name)
    return [
        record(job(net), net, [*counted(net), count("matrix_activations", 2.5e6)]),
        record(job(net, "infer", **speed(batch_size=1)), net, [of_time("step_time", 0.002)]),
        record(job(net, "infer", **speed(batch_size=64, **changes)), net, [of_time("step_time", 0.016)]),
        record(job(net, "train_step", **speed(batch_size=32)), net, [of_time("step_time", 0.040)]),
    ]


def table_of(seen: Iterable[Record]) -> pd.DataFrame:
    return compare_table(to_frame([make_run(seen)]))


def test_timms_columns_have_timms_units() -> None:
    (row,) = _timm_frame(table_of(timed())).to_dict("records")
    assert list(row) == list(TIMM)
    expected = {
        "model": "resnet18",
        "infer_img_size": 224,
        "infer_samples_per_sec": 64 / 0.016,
        "infer_step_time": 16,  # ms
        "infer_batch_size": 64,
        "infer_gmacs": 1.8141,
        "infer_macts": 2.5,
        "param_count": 11.689512,
        "train_samples_per_sec": 32 / 0.040,
        "train_step_time": 40,
        "train_batch_size": 32,
        "train_img_size": 224,
    }
    assert row == pytest.approx(expected)


def test_prefixes_are_dropped_in_timms_model() -> None:
    names = ["timm:resnet18", "torchvision:resnet18", "resnet18", "my_net.py:Net(width=2)"]
    frame = _timm_frame(table_of([r for n in names for r in timed(n)]))
    assert sorted(frame["model"]) == ["my_net.py:Net(width=2)", "resnet18", "resnet18", "resnet18"]


def test_fastest_comes_first_and_the_counted_alone_last() -> None:
    rng = random.Random(0)
    seen = [record(job(VGG16), VGG16, counted(VGG16)), *timed()]
    fast = by_name("lenet5")[0]
    seen.append(record(job(fast, "infer", **speed(batch_size=64)), fast, stepped(fast, 64, rng)))
    frame = _timm_frame(table_of(seen))
    assert frame["model"].tolist() == ["lenet5", "resnet18", "vgg16"]
    assert math.isnan(frame["infer_samples_per_sec"].iloc[-1])


def test_timm_csv_is_read_by_whoever_reads_timms() -> None:
    frame = pd.read_csv(io.StringIO(timm_csv(table_of(timed()))))
    assert frame.columns.tolist() == list(TIMM)
    assert frame["infer_batch_size"].tolist() == [64]
    infer_alone = pd.read_csv(io.StringIO(timm_csv(table_of(timed()[:3]))))
    assert infer_alone.columns.tolist() == [c for c in TIMM if not c.startswith("train_")]
    assert timm_csv(table_of([])).strip().split(",") == [c for c in TIMM if not c.startswith("train_")]


def test_what_timm_does_not_tell_apart_is_named() -> None:
    assert variants(table_of(timed())) == []
    assert variants(table_of([*timed(), *timed(precision="bf16")[2:3]])) == ["precision"]
    runs = [make_run(timed(), name=name) for name in "ab"]
    assert variants(compare_table(to_frame(runs))) == ["run"]
    assert variants(table_of([])) == []


# The command.

Bench = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    monkeypatch.chdir(tmp_path)
    with Store(tmp_path / "results" / "mine") as store:
        for one in [*timed(), *timed(precision="bf16")[2:3]]:
            store.append(one)
    return lambda *words: CliRunner().invoke(app, ["export", *words])


def test_command_writes_to_stdout_or_a_file(run: Bench, tmp_path: Path) -> None:
    result = run("mine")
    assert result.exit_code == 0
    assert result.stdout.startswith("run,job_id,")
    assert run("mine", "-o", "mine.csv").stdout == ""
    assert (tmp_path / "mine.csv").read_text() == result.stdout
    assert run("results/mine", "-f", "parquet", "-o", "mine.parquet").exit_code == 0
    assert len(pd.read_parquet(tmp_path / "mine.parquet")) == result.stdout.count("\n") - 1


def test_command_writes_timms_columns_and_says_what_is_lost(run: Bench) -> None:
    result = run("mine", "--format", "timm")
    assert result.stdout.splitlines()[0] == ",".join(TIMM)
    assert result.stdout.count("\nresnet18,") == 2
    assert "do not tell apart rows that differ in precision" in result.stderr


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["mine", "-f", "parquet"], 2, "name a file: --out"),
        (["mine", "-o", "nowhere/mine.csv"], 2, "no folder nowhere"),
        (["mine", "-o", "results"], 1, "cannot write"),
        (["other"], 1, "runs there: mine"),
        (["mine", "-f", "xlsx"], 2, "xlsx"),
        ([], 2, "RUN"),
    ],
)
def test_command_refuses(run: Bench, words: list[str], code: int, message: str) -> None:
    result = run(*words)
    assert result.exit_code == code
    assert message in result.stderr
    assert "Traceback" not in result.output
