"""`bench export`: nothing lost on the way to CSV, Parquet and JSON, and timm's own columns, in both ways."""

from __future__ import annotations

import csv
import io
import json
import math
import random
import re
import tomllib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from evaluated import evaluated, run_of
from exporting import HUB, RESNET18, TIMM, VGG16, evaluations_of, files_of, of_time, timed
from make_records import by_name, counted, job, make_run, record, records, speed, stepped

from bench.analysis.comparison import compare_table
from bench.analysis.filter import narrowed
from bench.analysis.frame import to_frame
from bench.contracts import check_export
from bench.errors import BenchError, UnsupportedError, install_tip
from bench.facts import accuracies, speeds
from bench.facts.convert import update
from bench.records.record import Measurement, Record
from bench.records.store import Run
from bench.report import exports
from bench.report.exports import EXPORTS, Export, Results
from bench.report.exports._library import library
from bench.report.exports._numbers import file_names
from bench.report.exports.measurements import _csv, long_parquet
from bench.report.exports.timm import _file_name, _timm_csv, _timm_frame, _variants
from bench.report.text import markdown
from bench.stats.answers import Share

ODD = 'a "quoted", text\nof two lines, 😀'


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
    rows = list(csv.DictReader(io.StringIO(_csv(Results([everything()])))))
    assert [r["job_id"] for r in rows] == frame["job_id"].tolist()
    assert {*frame.columns, "value"} - {"outputs", "evaluation"} == set(rows[0])
    assert [r["value"] for r in rows] == [r["median"] for r in rows]
    assert [r["started_at"] or None for r in rows] == frame["started_at"].tolist()
    odd = next(r for r in rows if r["measurement"] == "odd")
    assert json.loads(odd["samples"]) == [0.1 + 0.2, None, 1e-300]
    assert json.loads(odd["flags"]) == ["noisy", "unsteady"]
    assert json.loads(odd["detail"]) == {"text": ODD, "nested": {"n": [1, None]}}
    assert next(r for r in rows if r["status"] == "oom")["error"] == f"E: {ODD}"


def test_parquet_gives_the_frame_back() -> None:
    frame = to_frame([everything()])
    back = pd.read_parquet(io.BytesIO(long_parquet(to_frame([everything()]))))
    columns = frame.columns.drop(["outputs", "evaluation"]).tolist()
    assert [column for column in back if column != "value"] == columns
    assert back["value"].dropna().tolist() == back["median"].dropna().tolist()
    assert len(back) == len(frame)
    for name in ("median", "low", "n", "year", "batch_size"):
        pd.testing.assert_series_equal(back[name].astype("float64"), frame[name].astype("float64"))
    for name in ("arch", "status", "measurement", "error"):
        assert [None if pd.isna(v) else v for v in back[name]] == frame[name].tolist()
    for mine, theirs in zip(frame["samples"], back["samples"], strict=True):
        assert [repr(float(v)) for v in mine] == [repr(float(v)) for v in theirs]
    odd = back[back["measurement"] == "odd"].iloc[0]
    assert list(odd["flags"]) == ["noisy", "unsteady"]
    assert json.loads(odd["detail"])["text"] == ODD


def test_parquet_types_do_not_depend_on_what_is_there() -> None:
    whole, empty = (
        pq.read_schema(io.BytesIO(long_parquet(to_frame([r])))) for r in (everything(), make_run([]))
    )
    assert whole.names == empty.names
    assert {str(t) for t in whole.types} == {
        "string",
        "double",
        "int64",
        "timestamp[ns, tz=UTC]",
        "list<element: double>",
        "list<element: string>",
    }
    assert whole.field("samples").type == empty.field("samples").type
    assert whole == pq.read_schema(io.BytesIO(long_parquet(to_frame([make_run(list(records([VGG16])))]))))


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
    frame = pd.read_csv(io.StringIO(_timm_csv(table_of(timed()))))
    assert frame.columns.tolist() == list(TIMM)
    assert frame["infer_batch_size"].tolist() == [64]
    infer_alone = pd.read_csv(io.StringIO(_timm_csv(table_of(timed()[:3]))))
    assert infer_alone.columns.tolist() == [c for c in TIMM if not c.startswith("train_")]
    assert _timm_csv(table_of([])).strip().split(",") == [c for c in TIMM if not c.startswith("train_")]


def test_what_timm_does_not_tell_apart_is_named() -> None:
    assert _variants(table_of(timed())) == []
    assert _variants(table_of([*timed(), *timed(precision="bf16")[2:3]])) == ["precision"]
    runs = [make_run(timed(), name=name) for name in "ab"]
    assert _variants(compare_table(to_frame(runs))) == ["run"]
    assert _variants(table_of([])) == []
    namesake = replace(job(RESNET18), arch="torchvision:resnet18")
    library = record(namesake, replace(RESNET18, name="torchvision:resnet18"), counted(RESNET18))
    assert _variants(table_of([*timed(), library])) == ["network"]
    small = record(replace(job(RESNET18), num_classes=10), RESNET18, counted(RESNET18))
    assert _variants(table_of([*timed(), small])) == ["num_classes"]


# --- JSON ---


def json_of(*runs: Run) -> Any:
    """Return the document, in which no number may be one that JSON lacks."""
    text = EXPORTS.get("json").make(Results(runs))
    assert isinstance(text, str)
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_json_has_each_number_with_its_interval_unit_and_doubts() -> None:
    infer = job(RESNET18, "infer", **speed(batch_size=1))
    noisy = Measurement(
        name="latency", unit="s", better="lower", samples=(0.001,) * 7, flags=("throttled", "power_capped")
    )
    run = make_run(
        [*timed()[:1], record(infer, RESNET18, [noisy]), record(job(VGG16), VGG16, counted(VGG16))]
    )
    networks = {one["network"]: one for one in json_of(run)["networks"]}
    assert networks["resnet18"]["quantities"]["latency"] == {
        "value": 0.001, "low": 0.001, "high": 0.001, "unit": "s", "better": "lower",
        "flags": ["throttled", "power_capped", "one_process"], "doubts": ["throttled", "one_process"],
    }  # fmt: skip
    macs = networks["vgg16"]["quantities"]["macs"]
    assert (macs["value"], macs["low"], macs["unit"], macs["doubts"]) == (15_470_300_000, None, "MAC", [])
    assert networks["vgg16"]["quantities"]["latency"] is None  # nothing measured is null, and not 0
    assert networks["resnet18"]["settings"]["input_size"] == 224
    assert networks["vgg16"]["settings"].keys() & {"precision", "device"} == set()


def test_json_has_all_that_the_comparison_has() -> None:
    run = make_run(list(records([RESNET18, VGG16])))
    table = compare_table(to_frame([run]))
    for (_, row), one in zip(table.iterrows(), json_of(run)["networks"], strict=True):
        assert one["label"] == row["label"]
        for name, number in one["quantities"].items():
            if number is None:
                assert pd.isna(row[name])
            else:
                ends = [row.get(f"{name}_{end}", math.nan) for end in ("low", "high")]
                assert number["value"] == row[name]
                assert [number["low"], number["high"]] == [None if pd.isna(e) else e for e in ends]


def test_json_tells_what_failed() -> None:
    (failure,) = json_of(everything())["failures"]
    assert str(failure["attempt"]) == "1"  # a count is whole, whatever else is missing
    assert (failure["network"], failure["status"], failure["error"]) == ("vgg16", "oom", f"E: {ODD}")


# --- timm's files, in both ways ---


def test_speeds_go_to_timms_columns_and_come_back_as_facts(tmp_path: Path) -> None:
    counted_alone = record(job(VGG16), VGG16, counted(VGG16))
    run = make_run([*timed(), counted_alone])
    table = compare_table(to_frame([run]))
    name = _file_name([run], table)
    assert name == "benchmark-infer-fp32-nchw-pt2110-cu128-nvidia_h100_80gb_hbm3.csv"
    (tmp_path / name).write_text(_timm_csv(table))
    (source,) = update([tmp_path / name], tmp_path / "facts", url="https://example.org/runs", licence="MIT")
    assert (source.of, source.rows) == ("nvidia_h100_80gb_hbm3", 1)  # vgg16 has no speed
    assert (source.url, source.licence) == ("https://example.org/runs", "MIT")
    assert source.conditions == {
        "precision": "fp32", "layout": "nchw", "torch": "2.11.0", "cuda": "12.8", "compiled": False,
    }  # fmt: skip
    facts = speeds(tmp_path / "facts")
    (fact,) = facts[facts["source"] == source.name].to_dict("records")
    (row,) = table[table["throughput"].notna()].to_dict("records")
    assert fact["throughput"] == pytest.approx(row["throughput"], rel=1e-15)
    for mine, theirs in (
        ("input_size", "input_size"),
        ("batch_size", "batch_size"),
        ("macs", "macs"),
        ("parameters", "parameters"),
    ):
        assert fact[theirs] == row[mine]
    assert fact["activations"] == row["matrix_activations"]


def test_files_of_others_do_not_become_timms(tmp_path: Path) -> None:
    file = tmp_path / "benchmark-infer-amp_bf16-nhwc-pt113-cpu-xeon-dynamo.csv"
    file.write_text(
        "model,infer_img_size,infer_samples_per_sec,infer_batch_size,param_count\nnet,224,10,1,2\n"
    )
    (timms,) = update([file], tmp_path / "facts")
    assert timms.licence == "Apache-2.0"
    (own,) = update([file], tmp_path / "facts", url="https://example.org")
    assert (own.url, own.licence) == ("https://example.org", None)
    assert own.conditions == {
        "precision": "amp_bf16", "layout": "nhwc", "torch": "1.13", "cuda": None, "compiled": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"backend": "compiled"}, "benchmark-infer-fp32-nchw-pt2110-cu128-nvidia_h100_80gb_hbm3-dynamo.csv"),
        (
            {"memory_format": "channels_last"},
            "benchmark-infer-fp32-nhwc-pt2110-cu128-nvidia_h100_80gb_hbm3.csv",
        ),
        ({"device": "cpu"}, "benchmark-infer-fp32-nchw-pt2110-cpu-amd_epyc_9654_96_core_processor.csv"),
        ({"backend": "onnx"}, None),  # timm has no name for it
    ],
)
def test_a_file_is_named_as_timm_names_it(changes: dict[str, str], expected: str | None) -> None:
    run = make_run(
        [record(job(RESNET18, "infer", **speed(**changes)), RESNET18, [of_time("step_time", 1.0)])]
    )
    assert _file_name([run], compare_table(to_frame([run]))) == expected


def test_only_what_was_timed_has_a_name() -> None:
    run = make_run([record(job(VGG16), VGG16, counted(VGG16))])
    assert _file_name([run], compare_table(to_frame([run]))) is None


def test_accuracies_go_to_timms_columns_and_come_back_as_facts(tmp_path: Path) -> None:
    right = evaluated(tmp_path, "timm:net.tag", [0, 1, 2, 3], [0, 1, 2, 0], weights="tag")
    cost = record(replace(job(RESNET18), arch="timm:net.tag"), RESNET18, counted(RESNET18))
    said: list[str] = []
    results = Results([run_of(tmp_path, cost, right)], remark=said.append)
    text = EXPORTS.get("timm-accuracy").make(results)
    assert isinstance(text, str)
    (row,) = csv.DictReader(io.StringIO(text))
    assert row == {
        "model": "net.tag", "top1": "75", "top1_err": "25", "top5": "100", "top5_err": "0",
        "param_count": "11.689512", "img_size": "224", "crop_pct": "0.875", "interpolation": "bilinear",
    }  # fmt: skip
    assert said == ["tested on imagefolder:pictures val, 4 images"]
    (tmp_path / "results-imagenet.csv").write_text(text)
    update([tmp_path / "results-imagenet.csv"], tmp_path / "facts")
    facts = accuracies(tmp_path / "facts")
    (fact,) = facts[facts["source"] == "results-imagenet"].to_dict("records")
    assert (fact["weights"], fact["network"], fact["top1"], fact["parameters"]) == (
        "net.tag",
        "net",
        0.75,
        11_689_512,
    )


def test_an_accuracy_without_a_count_of_parameters_has_an_empty_cell_and_a_remark(tmp_path: Path) -> None:
    one = evaluated(tmp_path, "net.py:Net", [0, 1], [0, 1], transform={"crop": None})
    said: list[str] = []
    text = EXPORTS.get("timm-accuracy").make(Results([run_of(tmp_path, one)], remark=said.append))
    assert said[-1].startswith("param_count is empty of net.py:Net: export a run beside")
    assert isinstance(text, str)
    (row,) = csv.DictReader(io.StringIO(text))
    assert (row["model"], row["param_count"], row["img_size"], row["crop_pct"]) == (
        "net.py:Net",
        "",
        "224",
        "1",
    )  # seen whole


def test_evaluations_that_timm_does_not_tell_apart_are_named(tmp_path: Path) -> None:
    ways = [
        evaluated(tmp_path, "timm:net.tag", [0, 1], [0, 1], weights="tag", precision=way)
        for way in ("fp32", "bf16")
    ]
    said: list[str] = []
    EXPORTS.get("timm-accuracy").make(Results([run_of(tmp_path, *ways)], remark=said.append))
    assert "timm's columns do not tell apart rows that differ in precision: see --where" in said
    said.clear()
    EXPORTS.get("timm-accuracy").make(Results([run_of(tmp_path, ways[0])], remark=said.append))
    assert not any("tell apart" in remark for remark in said)


# --- Hugging Face: fields as documented at huggingface.co/docs/hub/eval-results, and hub-docs' modelcard.md ---


def test_eval_results_are_a_file_for_each_network(tmp_path: Path) -> None:
    files = files_of("eval-results", tmp_path / "out", evaluations_of(tmp_path), **HUB)
    assert sorted(files) == [
        "b.py-Net/.eval_results/pictures.yaml",
        "torchvision-a/.eval_results/pictures.yaml",
    ]
    (entry,) = yaml.safe_load(files["torchvision-a/.eval_results/pictures.yaml"])
    low, high = Share(75, 100).interval
    notes = entry.pop("notes")
    assert entry == {
        "dataset": {"id": "owner/pictures", "task_id": "default"},
        "value": 0.75,
        "date": "2026-01-01T00:00:00+00:00",
    }
    assert f"95 % interval {low:.6g} to {high:.6g}, of 100 images" in notes
    assert "in doubt" not in notes
    (other,) = yaml.safe_load(files["b.py-Net/.eval_results/pictures.yaml"])
    assert "in doubt, assumed_transform: " in other["notes"]
    assert "in doubt, images_left_out" not in other["notes"]  # which is told, and no doubt
    assert "images of 4 of 1000 classes" in other["notes"]


def test_eval_results_have_what_is_given_of_the_leaderboard(tmp_path: Path) -> None:
    more = {**HUB, "scale": "percent", "revision": "abc", "source": "https://example.org"}
    files = files_of("eval-results", tmp_path / "out", evaluations_of(tmp_path), **more)
    (entry,) = yaml.safe_load(files["torchvision-a/.eval_results/pictures.yaml"])
    assert entry["value"] == 75.0
    assert entry["dataset"]["revision"] == "abc"
    assert entry["source"] == {"url": "https://example.org"}


def test_a_model_card_has_each_number_and_an_index_where_the_data_set_is_named(tmp_path: Path) -> None:
    of_weights = evaluated(tmp_path, "resnet18", [0, 1], [0, 1])
    run = run_of(tmp_path, *timed(), of_weights)
    card = files_of("model-card", tmp_path / "without", run)["resnet18/README.md"]
    assert card.startswith("# resnet18\n")
    assert "| Parameters | 11.7 M | – |" in card
    assert "| Throughput | 4,000 images/s (one process) | 4,000 images/s – 4,000 images/s |" in card
    card = files_of("model-card", tmp_path / "with", run, dataset="owner/pictures")["resnet18/README.md"]
    (index,) = yaml.safe_load(card.split("---\n")[1])["model-index"]
    assert index["name"] == "resnet18"
    (result,) = index["results"]
    assert result["task"] == {"type": "image-classification"}
    assert result["dataset"] == {"type": "owner/pictures", "name": "imagefolder:pictures val"}
    assert [m["value"] for m in result["metrics"]] == [1.0, 1.0]


def test_a_model_card_marks_what_is_in_doubt_and_says_why(tmp_path: Path) -> None:
    throttled = of_time("step_time", 0.016).changed(flags=("throttled",))
    infer = record(job(RESNET18, "infer", **speed(batch_size=64)), RESNET18, [throttled])
    card = files_of("model-card", tmp_path / "out", make_run([infer]))["resnet18/README.md"]
    assert "| Throughput | 4,000 images/s (one process)<sup>a</sup> |" in card
    assert "<sup>a</sup> throttled: the GPU was slowed down" in card


def test_a_count_on_a_model_card_has_no_decimals(tmp_path: Path) -> None:
    small = [Measurement(name=n, unit=u, better="lower", samples=(v,)) for n, u, v in _SMALL]
    run = make_run([record(job(RESNET18), RESNET18, small)])
    card = files_of("model-card", tmp_path / "out", run)["resnet18/README.md"]
    assert "| Parameters | 65 | – |" in card
    assert "| Receptive field | 3 px | – |" in card


_SMALL = (("parameters", "1", 65), ("receptive_field", "px", 3))


def test_folders_above_the_images_are_not_published(tmp_path: Path) -> None:
    data = "imagefolder:/home/somebody/my pictures/birds"
    run = run_of(tmp_path, *timed(), evaluated(tmp_path, "resnet18", [0, 1], [0, 1], data=data))
    for form, options in (("eval-results", HUB), ("model-card", {"dataset": "owner/birds"})):
        (text,) = files_of(form, tmp_path / form, run, **options).values()
        assert "imagefolder:birds val" in text
        assert "somebody" not in text


@pytest.mark.parametrize(
    ("form", "options", "message", "tip"),
    [
        (
            "eval-results",
            {},
            "needs dataset and task_id",
            "--set dataset=ILSVRC/imagenet-1k --set task_id=default",
        ),
        ("eval-results", {"dataset": "owner/name"}, "needs task_id", "--set task_id=default"),
        ("eval-results", {"dataset": "pictures", "task_id": "x"}, "no id of the Hub", "OWNER/NAME"),
        ("eval-results", {**HUB, "scale": "permille"}, "scale permille", "fraction, percent"),
        ("eval-results", HUB, "no evaluation in synthetic", "bench evaluate"),
        ("model-card", {"dataset": "owner/name"}, "no evaluation in synthetic", "bench evaluate"),
        ("timm-accuracy", {}, "no evaluation in synthetic", "bench evaluate"),
    ],
)
def test_what_no_result_says_is_asked_for(form: str, options: dict[str, str], message: str, tip: str) -> None:
    with pytest.raises(BenchError, match=message) as caught:
        EXPORTS.get(form).make(Results([make_run(timed())], options))
    assert tip in str(caught.value.tip)


@pytest.mark.parametrize("form", ["model-card", "timm"])
def test_a_card_or_a_table_of_nothing_is_none(form: str) -> None:
    with pytest.raises(BenchError, match="nothing is measured of any network in synthetic"):
        EXPORTS.get(form).make(Results([make_run([], planned=[job(VGG16)])]))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("/home/somebody/nets/net.py:Net", "net.py:Net"),
        ("net(weights='/home/some body/w.pt')", "net(weights='w.pt')"),
        ("nets/net.py:Net", "nets/net.py:Net"),
        ("pattern:INPUT -> CONV3-64/2 -> FC", "pattern:INPUT -> CONV3-64/2 -> FC"),
    ],
)
def test_folders_above_a_network_are_not_published(tmp_path: Path, name: str, told: str) -> None:
    cost = record(replace(job(RESNET18), arch=name), RESNET18, counted(RESNET18))
    (card,) = files_of("model-card", tmp_path / "out", make_run([cost])).values()
    assert card.splitlines()[0] == f"# {markdown(told)}"


def test_evaluations_on_several_data_sets_are_no_single_leaderboard(tmp_path: Path) -> None:
    run = run_of(tmp_path, *(evaluated(tmp_path, "a", [0, 1], [0, 1], data=data) for data in ("one", "two")))
    with pytest.raises(BenchError, match="on one val, two val") as caught:
        EXPORTS.get("eval-results").make(Results([run], HUB))
    assert "--where" in str(caught.value.tip)
    chosen = narrowed([run], ["evaluation ~ '*two*'"])
    files = files_of("eval-results", tmp_path / "out", *chosen, **HUB)
    assert len(yaml.safe_load(files["a/.eval_results/pictures.yaml"])) == 1


# --- names of folders ---


def test_names_of_folders_are_plain_and_no_two_alike() -> None:
    names = ["my_net.py:Net", "my_net.py/Net", "MY_NET.py-net", "../..", "", "a" * 300]
    made = file_names(names)
    assert list(made.values())[:3] == ["my_net.py-Net", "my_net.py-Net-2", "MY_NET.py-net-3"]
    assert made["../.."] == "network"
    assert all(re.fullmatch(r"[\w.+-]{1,83}", name) and not name.startswith(".") for name in made.values())


# --- formats ---


@pytest.mark.filterwarnings("ignore")  # whatever libraries warn of
@pytest.mark.parametrize("name", EXPORTS.names())
def test_each_format_keeps_the_contract(name: str) -> None:
    reason = check_export(name, *([] if name in _OF_EVALUATIONS else [make_run(timed())]))
    if reason and "not installed" in reason:
        pytest.skip(f"{reason}: in a clone, pip install '.[{name}]'")
    assert reason == ("no runs were given" if name in _OF_EVALUATIONS else None)


_OF_EVALUATIONS = ("eval-results", "timm-accuracy")


def test_a_format_that_writes_nothing_breaks_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    EXPORTS.load()
    monkeypatch.setitem(EXPORTS._units, "empty", Export("it writes nothing", lambda results: ""))
    monkeypatch.setitem(EXPORTS._units, "none", Export("nor does it", lambda results: lambda folder: None))
    with pytest.raises(AssertionError, match="it is empty"):
        check_export("empty", make_run(timed()))
    with pytest.raises(AssertionError, match="it writes no file"):
        check_export("none", make_run(timed()))


def test_a_library_that_is_not_there_is_named_with_its_extra() -> None:
    with pytest.raises(UnsupportedError, match="no_such_library is not installed") as caught:
        library("no_such_library.part")
    assert caught.value.tip == install_tip("no_such_library")


def test_a_folder_of_its_name_is_no_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "left_by_a_library").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UnsupportedError, match="left_by_a_library is not installed"):
        library("left_by_a_library")


def test_each_library_has_an_extra() -> None:
    extras = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    folder = Path(exports.__file__).parent
    asked = {
        name for file in folder.glob("*.py") for name in re.findall(r'library\("(\w+)', file.read_text())
    }
    assert {"tensorboard", "wandb", "mlflow"} <= asked <= set(extras)
