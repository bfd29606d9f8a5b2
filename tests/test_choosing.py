"""Choosing within a budget: against brute force, on tables by hand, and on what is published."""

from __future__ import annotations

import json
import math
import random
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import make_record, seconds
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from typer.testing import CliRunner

from bench.analysis.choosing import COSTS, Budget, choose
from bench.api.facts import update_facts
from bench.cli.app import app
from bench.errors import BenchError, ConfigError, UnknownNameError
from bench.facts import SETS, SHIPPED, accuracies, sources, speeds
from bench.facts.accuracy import _ACCURACIES, Accuracies, _accuracy_named
from bench.facts.candidates import Candidates, called
from bench.facts.convert import update
from bench.plan.card import ArchCard
from bench.plan.job import Job
from bench.records.record import Measurement
from bench.records.store import Run, read_run
from bench.report._choice import may_be_better
from bench.report.facts import _sentences

RESULTS = Path(__file__).parents[1] / "results"
ACCURACY_CSV = "model,img_size,top1,top5,param_count,crop_pct,interpolation\n"
SPEED_CSV = (
    "model,infer_img_size,infer_samples_per_sec,infer_batch_size,param_count,infer_gmacs,infer_macts\n"
)


SPEED = "benchmark-infer-amp-nchw-pt300-cu140-9090"


def table(*rows: tuple[str, float, float], **columns: list[float]) -> pd.DataFrame:
    """Return candidates of (name, accuracy, latency in s)."""
    made = pd.DataFrame(rows, columns=["network", "accuracy", "latency"])
    unknown = {cost: math.nan for cost in COSTS if cost not in made}
    return made.assign(input_size=224, **unknown).assign(**columns)


ROWS = table(("small", 0.70, 0.005), ("good", 0.80, 0.010), ("slow", 0.75, 0.020), ("large", 0.85, 0.050))
TWENTY = Budget("latency", 0.02)
TOP1 = Accuracies.published("top1")


def test_the_most_accurate_within_the_budget_is_taken() -> None:
    choice = choose(ROWS, [TWENTY], images=50_000)
    assert choice.best is not None
    assert choice.best["network"] == "good"
    assert choice.rivals.empty
    assert choice.dearer is not None
    assert (choice.dearer["network"], choice.dearer["excess"]) == ("large", 0.05 / 0.02)
    assert [choice.dismissal(i) for i in range(4)] == [
        "less accurate", "", "good at 224 px (10.0 ms) is as accurate or more", "latency 50.0 ms, 2.50 times the budget",
    ]  # fmt: skip


def test_two_accuracies_are_told_apart_by_enough_images() -> None:
    """At 0.80 against 0.79 of n images: 0.01 is 1.96 standard errors at n = 1.96² (0.16 + 0.1659) / 0.01²."""
    rows = table(("a", 0.80, 0.010), ("b", 0.79, 0.005))
    enough = 1.96**2 * (0.8 * 0.2 + 0.79 * 0.21) / 0.01**2
    assert choose(rows, [TWENTY], images=math.ceil(enough)).rivals.empty
    assert choose(rows, [TWENTY], images=math.floor(enough)).rivals["network"].tolist() == ["b"]


def test_an_interval_on_both_sides_of_the_limit_is_open() -> None:
    rows = ROWS.assign(latency_low=[0.004, 0.009, 0.018, 0.019], latency_high=[0.006, 0.011, 0.022, 0.090])
    choice = choose(rows, [TWENTY], images=50_000)
    assert choice.candidates["holds"].tolist() == ["yes", "yes", "open", "open"]
    assert choice.open["network"].tolist() == ["large"]  # the others are less accurate than the best
    said = _sentences(choice, Candidates(rows, "top-1", 50_000, ()))
    assert said[0].startswith(
        "Take good at 224 px (top-1 80.0 %, 79.6 – 80.3; 10.0 ms): the most accurate of the 2 of 4"
    )
    assert "large at 224 px" in said[1]


def test_a_time_of_one_process_decides_far_from_the_limit_alone() -> None:
    """Such a process may be slow as a whole, by half; an interval of its samples says nothing of the next one."""
    rows = ROWS.assign(latency=[0.0133, 0.0134, 0.0299, 0.0301], latency_flags="noisy;one_process")
    choice = choose(rows, [TWENTY], images=50_000)
    assert choice.candidates["holds"].tolist() == ["yes", "open", "open", "no"]
    reason = "its latency is of one process, which decides nothing within 1.5 times the budget"
    assert choice.dismissal(1) == reason
    said = _sentences(choice, Candidates(rows, "top-1", 50_000, ()))
    assert said[1].endswith(f"may be better: of each, {reason}.")
    inside = rows.assign(latency_low=0.9995 * rows["latency"], latency_high=1.0005 * rows["latency"])
    assert choose(inside, [TWENTY], images=50_000).candidates["holds"].tolist() == [
        "yes",
        "open",
        "open",
        "no",
    ]
    several = choose(rows.assign(latency_flags="noisy"), [TWENTY], images=50_000)
    assert several.candidates["holds"].tolist() == ["yes", "yes", "no", "no"]
    rates = rows.assign(throughput=[151.0, 149.0, 67.0, 66.0], throughput_flags="one_process")
    held = choose(rates, [Budget("throughput", 100.0)], images=50_000).candidates["holds"]
    assert held.tolist() == ["yes", "open", "open", "no"]
    [near, *_] = (none := choose(rows.iloc[1:], [TWENTY], images=50_000)).open["network"]
    assert (none.best, near) == (None, "good")
    assert _sentences(none, Candidates(rows, "top-1", 50_000, ()))[1] == f"That is open: {reason}."


def test_a_run_of_one_process_is_chosen_from_as_such() -> None:
    known = Accuracies.measured(evaluated(("lenet5", 0.8), ("mlp", 0.7)))
    numbered = [
        replace(r.job, settings={**r.job.settings.given, "replicate": 0})
        for r in times(("mlp", 0.019)).records
    ]
    one = times(("lenet5", 0.019))
    run = replace(one, records=(*one.records, *(one.records[0].changed(job=job) for job in numbered)))
    table = Candidates.measured(run, known, []).table
    assert choose(table, [TWENTY], images=400).candidates["holds"].tolist() == ["open", "open"]
    assert choose(table, [Budget("latency", 0.03)], images=400).candidates["holds"].tolist() == ["yes", "yes"]


def test_where_nothing_holds_the_nearest_is_named() -> None:
    choice = choose(ROWS, [Budget("latency", 0.001)], images=50_000)
    assert choice.best is None
    assert choice.nearest is not None
    said = _sentences(choice, Candidates(ROWS, "top-1", 50_000, ()))
    assert said == [
        "None of 4 has latency ≤ 1 ms. The nearest is small at 224 px (top-1 70.0 %, 69.6 – 70.4; 5.00 ms), "
        "which misses it by a factor of 5.00."
    ]


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=12),
    st.integers(1, 9),
    st.integers(1, 9),
)
def test_several_budgets_against_brute_force(rows: list[tuple[int, int, int]], most: int, least: int) -> None:
    frame = table(*((str(i), a / 10, t) for i, (a, t, _) in enumerate(rows)), throughput=[r[2] for r in rows])
    budgets = [Budget("latency", most), Budget("throughput", least)]
    choice = choose(frame, budgets, images=10)
    holding = [(a, -t) for a, t, rate in rows if t <= most and rate >= least]
    assert (choice.candidates["holds"] == "yes").sum() == len(holding)
    if holding:
        assert choice.best is not None
        assert (round(10 * choice.best["accuracy"]), -choice.best["latency"]) == max(holding)
    else:
        assert choice.best is None
    front = [not any(o[0] >= a and o[1] <= t and (o[0] > a or o[1] < t) for o in rows) for a, t, _ in rows]
    assert choice.candidates["on_front"].tolist() == front


def test_an_unknown_cost_is_held_by_nobody() -> None:
    choice = choose(
        ROWS.assign(memory=[1e6, math.nan, 1e6, 1e6]), [TWENTY, Budget("memory", 2e6)], images=50_000
    )
    assert choice.best is not None
    assert choice.best["network"] == "slow"
    assert choice.dismissal(1) == "a cost that the budget is of is not known"
    with pytest.raises(BenchError, match="no throughput is known"):
        choose(ROWS, [Budget("throughput", 1.0)], images=50_000)
    with pytest.raises(BenchError, match="no network"):
        choose(ROWS.iloc[:0], [], images=50_000)


LIMITS = [
    ("latency", "20ms", 0.02),
    ("latency", "1.5 s", 1.5),
    ("latency", "300us", 3e-4),
    ("latency", "1e-2s", 1e-2),
    ("latency", "2.5E+1 ms", 25e-3),
    ("throughput", "1,000/s", 1000),
    ("throughput", "30 img/s", 30),
    ("memory", "300MB", 3e8),
    ("memory", "0.3GB", 3e8),
    ("memory", "300 MiB", 300 * 1024**2),
    ("memory", "300KB", 3e5),
    ("parameters", "25M", 25e6),
    ("parameters", "1000", 1000),
    ("parameters", "1,000,000", 1e6),
    ("macs", "4GMAC", 4e9),
    ("macs", "4 GMACs", 4e9),
    ("parameters", "25e6", 25e6),
]
WRONG = [
    *(("latency", text) for text in ("20", "20 MB", "soon", "0ms", "-3ms", "2,5ms", f"{'9' * 400}s")),
    *(("memory", text) for text in ("1e400GB", "", "300", "300mb", "300Mbit", "300 s", "1e5")),
    *(("macs", text) for text in ("4G", "4GFLOPs", "4s")),
    *(("parameters", text) for text in ("5 %", "1,00", "1000,000")),
]


@pytest.mark.parametrize(("quantity", "text", "limit"), LIMITS)
def test_budgets_as_they_are_written(quantity: str, text: str, limit: float) -> None:
    assert Budget.read(quantity, text).limit == pytest.approx(limit)


@pytest.mark.parametrize(("quantity", "text"), WRONG)
def test_a_budget_that_is_none_is_told(quantity: str, text: str) -> None:
    with pytest.raises(BenchError, match=f"--{quantity}"):
        Budget.read(quantity, text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        *((name, name) for name in _ACCURACIES),
        ("Top-5", "top5"),
        ("ReaL", "real"),
        ("ImageNet-V2", "v2"),
        ("VAL A", "val_a"),
    ],
)
def test_an_accuracy_is_known_however_it_is_written(text: str, name: str) -> None:
    assert _accuracy_named(text) == name


@pytest.mark.parametrize(
    ("text", "said"), [("A", "val_a is of its 200 classes"), ("imagenet-r", "val_r"), ("top6", "top5")]
)
def test_an_accuracy_that_is_none_is_told(text: str, said: str) -> None:
    """The published files have other images of the classes of ImageNet-A and ImageNet-R, not those."""
    with pytest.raises(UnknownNameError) as told:
        _accuracy_named(text)
    assert said in str(told.value.tip)


@pytest.mark.parametrize(
    "pattern", ["resnet50", "timm:resnet50", "resnet50.*", "timm:resnet50.a1_in1k", "resnet5?"]
)
def test_a_network_is_called_with_its_tag_and_without(pattern: str) -> None:
    others = ["timm:resnet152.a1_in1k", "my_net.py:resnet50.a1_in1k", "torchvision:resnet50.IMAGENET1K_V2"]
    assert called(["timm:resnet50.a1_in1k", *others], pattern) == [True, False, False, False]


@pytest.mark.parametrize(
    "pattern", ["resnet50", "torchvision:resnet50", "resnet50.*", "resnet50.IMAGENET1K_V2", "resnet5?"]
)
def test_a_network_is_called_without_a_prefix_where_timm_has_none_called_so(pattern: str) -> None:
    names = [
        "torchvision:resnet152.IMAGENET1K_V2",
        "torchvision:resnet50.IMAGENET1K_V2",
        "my_net.py:resnet50",
    ]
    assert called(names, pattern) == [False, True, False]


def test_a_network_of_a_published_machine_is_named_without_the_tag_of_its_weights() -> None:
    (rows,) = {
        len(Candidates.published("rtx4090", TOP1, [p]).table)
        for p in ("resnet50", "timm:resnet50", "resnet50.*")
    }
    assert rows > 1


def test_what_is_shipped_has_its_sources() -> None:
    rows, timed = accuracies(), speeds()
    known = {source.name: source for source in sources()}
    counts = pd.concat([rows["source"], timed["source"]]).value_counts().to_dict()
    assert counts == {name: source.rows for name, source in known.items()}
    assert all(source.licence and source.url and (source.date or source.commit) for source in known.values())
    assert rows["top1"].between(0, 1).all()
    assert (rows["top5"] >= rows["top1"]).all()
    assert set(rows["set"]) == set(SETS)
    assert not rows.duplicated(["source", "weights", "input_size"]).any()
    assert (timed["throughput"] > 0).all()


def test_published_speeds_choose_as_the_tables_say() -> None:
    """The best of those within the budget, by hand of the same tables."""
    candidates, (budget,) = Candidates.published("rtx4090", TOP1, ["timm:*"]).of_batches(
        [Budget("latency", 1e-3)]
    )
    assert budget == Budget("throughput", 1000.0)
    assert "one image alone" in candidates.remarks[0]
    choice = choose(candidates.table, [budget], candidates.images)
    val = accuracies().query("set == 'val'")
    timed = speeds().query("source == 'benchmark-infer-amp-nchw-pt291-cu128-4090' and throughput >= 1000")
    networks = set(zip(timed["network"], timed["input_size"], strict=True))
    inside = [key in networks for key in zip(val["network"], val["input_size"], strict=True)]
    best = val[inside].sort_values("top1").iloc[-1]
    assert choice.best is not None
    assert choice.best["network"] == f"timm:{best['weights']}"
    assert (choice.candidates["holds"] == "yes").sum() == sum(inside)


def test_a_latency_of_one_image_stays_one() -> None:
    candidates = Candidates.published("i7_12700h", Accuracies.published("real"), [])
    same, budgets = candidates.of_batches([Budget("latency", 0.02)])
    assert same is candidates
    assert budgets == [Budget("latency", 0.02)]
    assert candidates.images == 46_837
    assert np.allclose(candidates.table["latency"] * candidates.table["throughput"], 1)


def test_networks_of_a_run_have_their_own_costs_and_published_accuracies() -> None:
    run = read_run(RESULTS / "h100-line-up")
    candidates = Candidates.measured(run, TOP1, ["torchvision:convnext_tiny.*"])
    (row,) = candidates.table.to_dict("records")
    assert row["network"] == "torchvision:convnext_tiny.IMAGENET1K_V1"
    assert row["accuracy"] == 0.8252  # as torchvision says
    assert row["throughput_low"] < row["throughput"] < row["throughput_high"]
    assert "run h100-line-up" in candidates.remarks[0]
    assert "resnet50" in candidates.remarks[1]  # whose accuracy nobody has published: it is not torchvision's
    assert not any("int8" in remark for remark in candidates.remarks)
    int8 = [
        r.changed(job=r.job.with_settings(precision="int8", backend="onnx"))
        for r in run.records
        if r.job.task == "infer"
    ]
    both = Candidates.measured(replace(run, records=[*run.records, *int8]), TOP1, [])
    assert both.table["network"].is_unique  # and in none of them int8, whose accuracy nobody has published
    assert any("left of an accuracy" in remark and " int8 " in remark for remark in both.remarks)
    with pytest.raises(ConfigError, match="int8 alone"):
        Candidates.measured(replace(run, records=int8), TOP1, [])
    few = replace(run, records=[r.changed(job=replace(r.job, num_classes=10)) for r in run.records])
    with pytest.raises(ConfigError, match="accuracy is published for images and classes"):
        Candidates.measured(few, TOP1, [])  # accuracies are published of a thousand classes


def files(folder: Path) -> list[Path]:
    accuracy, speed = (
        folder / "results-imagenet.csv",
        folder / f"{SPEED}.csv",
    )
    accuracy.write_text(
        ACCURACY_CSV + 'net.one,224,80.5,95.25,1.5,0.9,bicubic\nnet.two,224,81,95.5,"1,001.5",1,bilinear\n'
    )
    speed.write_text(SPEED_CSV + "net,224,1234.5,256,1.5,0.5,2\n")
    return [accuracy, speed]


def test_files_become_facts_and_replace_their_like(tmp_path: Path) -> None:
    read = update(files(tmp_path), tmp_path / "facts", commit="abc", date="2026-01-02")
    assert [(s.name, s.kind, s.of, s.rows) for s in read] == [
        ("results-imagenet", "accuracy", "val", 2),
        (SPEED, "speed", "rtx9090", 1),
    ]
    assert read[1].conditions == {
        "precision": "amp", "layout": "nchw", "torch": "3.0.0", "cuda": "14.0", "compiled": False,
    }  # fmt: skip
    rows = accuracies(tmp_path / "facts")
    val = rows[rows["source"] == "results-imagenet"]
    assert val["top1"].tolist() == [0.805, 0.81]
    assert val["parameters"].tolist() == [1_500_000, 1_001_500_000]
    assert (rows["set"] == "real").sum() == (accuracies()["set"] == "real").sum()  # the others stay
    assert len(sources(tmp_path / "facts")) == len(sources()) + 1
    again = update(files(tmp_path)[:1], tmp_path / "facts")
    assert again[0].commit is None
    assert len(accuracies(tmp_path / "facts")) == len(rows)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("notes.csv", "a,b\n1,2\n", "has not the name"),
        ("results-sketch.csv", "model,img_size\nx,224\n", "lacks top1"),
        ("results-sketch.csv", ACCURACY_CSV + "x,224,high,90,1,1,bicubic\n", "line 2: top1 is 'high'"),
        ("results-sketch.csv", ACCURACY_CSV + "x,224,70,90,-1,1,bicubic\n", "line 2: param_count"),
        (
            "results-sketch.csv",
            ACCURACY_CSV + "x,224,700,90,1,1,bicubic\n",
            "line 2: top1 is .*no percentage",
        ),
        ("results-sketch.csv", ACCURACY_CSV + ",224,70,90,1,1,bicubic\n", "line 2: model is empty"),
        (
            "results-sketch.csv",
            ACCURACY_CSV + "x,224,0.7,0.9,1,1,bicubic\n",
            "line 2: top1 is 0.7, .*no percentage",
        ),
        ("results-sketch.csv", ACCURACY_CSV + "x,inf,70,90,1,1,bicubic\n", "line 2: img_size is inf"),
        (
            "results-sketch.csv",
            ACCURACY_CSV + "x,224.5,70,90,1,1,bicubic\n",
            "line 2: img_size .*no whole number",
        ),
        (
            "results-sketch.csv",
            ACCURACY_CSV + 2 * "x,224,70,90,1,1,bicubic\n",
            "line 3: model is 'x', .*already",
        ),
        (f"{SPEED}.csv", SPEED_CSV + "x,224,inf,8,1,1,1\n", "line 2: infer_samples_per_sec is inf"),
        (f"{SPEED}.csv", SPEED_CSV + "x,224,9,1e12,1,1,1\n", "line 2: infer_batch_size"),
        (f"{SPEED}.csv", SPEED_CSV + "x,224,9,8,1,4.1G,1\n", "line 2: infer_gmacs is '4.1G'"),
        ("results-sketch.csv", "", "no CSV"),
        ("results-sketch.csv", None, "cannot read"),
    ],
)
def test_a_file_that_is_none_changes_nothing(
    tmp_path: Path, name: str, content: str | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(BenchError, match=message):
        update([tmp_path / name], tmp_path / "facts")
    assert not (tmp_path / "facts").exists()


def test_columns_may_stand_anywhere_and_further_ones_are_left_alone(tmp_path: Path) -> None:
    file = tmp_path / f"{SPEED}.csv"
    lines = (
        "infer_gmacs,flops,infer_batch_size,model,infer_img_size,param_count,infer_samples_per_sec",
        ",x,1,a,32,1,9",
    )
    file.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*lines, "0.5,?,8,a,32,1,9", ""]).encode())
    (source,) = update([file], tmp_path / "facts")
    rows = speeds(tmp_path / "facts").query(f"source == '{source.name}'")
    assert rows["macs"].isna().tolist() == [True, False]
    assert rows[["batch_size", "throughput", "input_size"]].values.tolist() == [[1, 9, 32], [8, 9, 32]]


def test_two_files_of_one_name_and_a_day_that_is_none_change_nothing(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    one, other = (files(tmp_path / folder)[0] for folder in ("a", "b"))
    with pytest.raises(BenchError, match=r"several files are called results-imagenet\.csv"):
        update([one, other], tmp_path / "facts")
    for text in ("yesterday", "2026-02-30", "20260130", ""):
        with pytest.raises(BenchError, match="is no day"):
            update([one], tmp_path / "facts", date=text)
    assert not (tmp_path / "facts").exists()


def test_torchvision_joins_by_what_is_installed(tmp_path: Path) -> None:
    (source,) = update_facts(["torchvision"], tmp_path)
    rows = accuracies(tmp_path).query("source == 'torchvision'").set_index("weights")
    assert source.rows == len(rows)
    assert rows.loc["torchvision:resnet50.IMAGENET1K_V2", "top1"] == 0.80858
    assert rows.loc["torchvision:alexnet.IMAGENET1K_V1", "parameters"] == 61_100_840
    assert "torchvision:vgg16.IMAGENET1K_FEATURES" not in rows.index  # which has no answer, and no accuracy


def test_damaged_facts_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_FACTS", str(tmp_path))
    with pytest.raises(BenchError, match="no facts in"):
        sources()
    good = {"name": "a", "kind": "accuracy", "of": "val", "rows": 1}
    for text in ("[{}]", json.dumps([{**good, "kind": "speeds"}]), json.dumps([{**good, "of": "train"}])):
        (tmp_path / "sources.json").write_text(text)
        with pytest.raises(BenchError, match="no list of sources"):
            sources()
    (tmp_path / "speed.parquet").write_bytes(b"PAR1")
    with pytest.raises(BenchError, match="it is damaged, cut short, or no Parquet"):
        speeds()
    pd.DataFrame({"source": ["a"], "throughput": ["fast"]}).to_parquet(tmp_path / "speed.parquet")
    with pytest.raises(BenchError, match="no table of facts: machine, network, .*throughput"):
        speeds()


@pytest.mark.parametrize("kind", ["accuracy", "speed"])
def test_a_byte_that_has_turned_gives_no_other_number(kind: str, tmp_path: Path) -> None:
    whole, read = (SHIPPED / f"{kind}.parquet").read_bytes(), {"accuracy": accuracies, "speed": speeds}[kind]
    expected, refused = read(), 0
    rng = random.Random(0)
    for _ in range(20):
        content = bytearray(whole)
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        (tmp_path / f"{kind}.parquet").write_bytes(content)
        try:
            same = read(tmp_path).equals(expected)
        except BenchError:
            same, refused = True, refused + 1
        assert same  # or what has turned says nothing of a number
    assert refused > 10


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--on", "rtx4009"], "rtx4090"),
        (["--on", "rtx4090", "--latency", "20"], "no unit"),
        (["--on", "rtx4090", "--memory", "3MB"], "no memory is known"),
        (["--on", "rtx4090", "--accuracy", "top2"], "top5"),
        (["--on", "rtx4090", "nothing_like_it"], "nothing_like_it"),
        (["--latency", "20ms", "--latency", "30ms"], "--latency is given 2 times"),
        (["--memory", "3MB", "--latency", "1ms", "--memory=3MB"], "--memory is given 2 times"),
        (["--on", "rtx4090", "--on", "rtx3090"], "--on is given 2 times"),
        (["--on", str(RESULTS / "study-depth")], "run study-depth holds no times of inference"),
        (["--on", "rtx4090", "--explain", "nothing_like_it"], "nothing_like_it"),
        (["--on", "rtx4090", "--minutes", "3"], "so that --minutes would change nothing"),
        (["--on", "rtx4090", "--set", "device=cpu", "--name", "x"], "--set and --name would change nothing"),
    ],
)
def test_wrong_words_have_a_message(words: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["choose", *words])
    assert result.exit_code == 2
    assert message in result.stderr


def test_the_command_answers_in_each_form() -> None:
    words = ["choose", "--on", "i7_12700h", "--latency", "5ms", "--among", "timm:mobilenet*", "levit*"]
    answer = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert answer["best"]["latency"] <= 0.005
    assert answer["best"]["accuracy"] == max(
        row["accuracy"] for row in answer["front"] if row["holds"] == "yes"
    )
    text, markdown = (CliRunner().invoke(app, [*words, *more]).stdout for more in ([], ["--format", "md"]))
    for shown in (text, markdown):
        assert answer["best"]["network"] in shown.replace("\\_", "_")
        assert "published, not measured here" in shown
    why = CliRunner().invoke(app, [*words, "--explain", "timm:levit_128s*"]).stdout
    assert "timm:levit_128s.fb_dist_in1k at 224 px: " in why


def test_facts_are_listed_and_shown() -> None:
    listed = json.loads(CliRunner().invoke(app, ["facts", "list", "--json"]).stdout)
    assert {row["licence"] for row in listed} == {"Apache-2.0", "BSD-3-Clause"}
    shown = json.loads(CliRunner().invoke(app, ["facts", "show", "timm:resnet50.a1_in1k", "--json"]).stdout)
    assert {row["weights"] for row in shown["accuracies"]} == {"resnet50.a1_in1k"}
    assert {row["machine"] for row in shown["speeds"]} >= {"rtx3090", "i7_12700h"}
    assert "resnet50" in CliRunner().invoke(app, ["facts", "show", "resnet5"]).stderr
    several = CliRunner().invoke(app, ["facts", "show", "resnet1[48]*"]).stdout
    tables = several.split("Published speeds")
    assert all(f"{name} " in tables[1] and f"{name}." in tables[0] for name in ("resnet14t", "resnet18"))


def test_what_may_be_better_for_one_reason_is_one_sentence_and_many_are_counted() -> None:
    rows = pd.DataFrame(
        {
            "network": list("abcde"),
            "accuracy": [0.1, 0.5, 0.3, 0.4, 0.2],
            "n": [1, 8, 1, 8, 1],
            "input_size": 32,
            "latency": 0.001,
        }
    )
    choice = choose(ROWS, [TWENTY], images=50_000)

    def say(some: pd.DataFrame) -> list[str]:
        by = SimpleNamespace(accuracy="top-1", origin="published", images=50_000)
        said = may_be_better(replace(choice, open=some), by, lambda row: f"{row['n']} processes")
        return [re.sub(r" at 32 px \(.*?\)", "", line) for line in said]

    two = ["b, d may be better: of each, 8 processes.", "c may be better: 1 processes."]
    assert say(rows) == [two[0], f"{two[1]} So may 2 more."]
    assert say(rows.iloc[1:4]) == two
    assert say(rows.iloc[:0]) == []


def times(*timed: tuple[str, float], **shape: int) -> Run:
    """Return a run in which networks were timed, by name and seconds of one image."""
    shape = {"input_size": 32, "in_channels": 1, "num_classes": 10, **shape}
    records = [
        make_record(
            job=Job(task="infer", arch=arch, settings={"batch_size": 1, "device": "cpu"}, **shape),
            card=ArchCard(name=arch),
            measurements=(seconds("latency", latency),),
        )
        for arch, latency in timed
    ]
    return Run("timed", Path("timed"), tuple(records))


def evaluated(*known: tuple[str, float], **shape: int) -> Run:
    """Return a run in which networks were evaluated, by name and share of 400 images."""
    shape = {"input_size": 32, "in_channels": 1, "num_classes": 10, **shape}
    made = [
        (
            Job(task="evaluate", arch=arch, settings={"data": "digits", "device": "cpu"}, **shape),
            Measurement(name="top1", unit="1", better="higher", samples=(top1,), detail={"images": 400}),
        )
        for arch, top1 in known
    ]
    records = [make_record(job=job, card=ArchCard(name=job.arch), measurements=(m,)) for job, m in made]
    return Run("tested", Path("tested"), tuple(records))


def test_times_of_one_run_and_accuracies_of_another_join_by_architecture_and_shape() -> None:
    known = evaluated(("lenet5(weights='a.pt')", 0.8), ("mlp", 0.7), ("linear", 0.5))
    run = times(("lenet5", 0.010), ("mlp", 0.004), ("vgg11", 0.030))
    candidates = Candidates.measured(run, Accuracies.measured(known), [])
    rows = candidates.table[["network", "accuracy", "latency"]].sort_values("network")
    assert rows.values.tolist() == [["lenet5(weights='a.pt')", 0.8, 0.010], ["mlp", 0.7, 0.004]]
    assert (candidates.origin, candidates.images) == ("measured", 400)
    assert candidates.remarks[1:] == (
        "Left out, as no accuracy of theirs is measured for such images and classes: vgg11.",
        "Left out, as run timed has not timed them so: linear.",
        "Accuracies are measured on digits, top-1: run tested; 400 images.",
    )


def test_a_network_that_was_timed_with_its_weights_has_no_other_time() -> None:
    known = evaluated(("lenet5(weights='a.pt')", 0.8), ("lenet5(weights='b.pt')", 0.7))
    run = times(("lenet5(weights='a.pt')", 0.010), ("lenet5(weights='b.pt')", 0.020))
    rows = Candidates.measured(run, Accuracies.measured(known), []).table
    assert sorted(zip(rows["accuracy"], rows["latency"], strict=True)) == [(0.7, 0.020), (0.8, 0.010)]


def edited(run: Run, *parts: str, **sources: str) -> Run:
    """Return a run whose network `my.py:Net` is of such a file, or of several."""
    files = {name.replace("_", "."): digest for name, digest in sources.items()}
    records = [
        structs.replace(r, card=replace(r.card, source_sha256="".join(parts) or str(files), sources=files))
        if r.job.arch.startswith("my.py:Net")
        else r
        for r in run.records
    ]
    return replace(run, records=tuple(records))


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({"my_py": "1", "layers_py": "2"}, {"my_py": "1", "layers_py": "3"}),  # an import was edited
        ({"my_py": "1", "layers_py": "2"}, {"my_py": "3", "layers_py": "2"}),
    ],
)
def test_accuracies_of_an_edited_network_are_not_joined_with_its_times(
    before: dict[str, str], now: dict[str, str]
) -> None:
    run, known = times(("my.py:Net", 0.01), ("mlp", 0.004)), evaluated(("my.py:Net", 0.8), ("mlp", 0.7))
    same = Candidates.measured(edited(run, **before), Accuracies.measured(edited(known, **before)), [])
    assert sorted(same.table["network"]) == ["mlp", "my.py:Net"]
    other = Candidates.measured(edited(run, **now), Accuracies.measured(edited(known, **before)), [])
    assert list(other.table["network"]) == ["mlp"]
    assert "their files are others now than in run tested: my.py:Net." in other.remarks[-1]
    alone = edited(times(("my.py:Net", 0.01)), **now)
    with pytest.raises(ConfigError, match="nothing is known of my.py:Net: their files are others now"):
        Candidates.measured(alone, Accuracies.measured(edited(evaluated(("my.py:Net", 0.8)), **before)), [])


@pytest.mark.parametrize(("digest", "kept"), [("1", True), ("2", False)])
def test_a_network_of_one_file_is_the_same_with_weights(digest: str, kept: bool) -> None:
    known = edited(evaluated(("my.py:Net(weights='a.pt')", 0.8), ("mlp", 0.7)), my_py="1", a_pt="9")
    run = edited(times(("my.py:Net", 0.01), ("mlp", 0.004)), digest)
    rows = Candidates.measured(run, Accuracies.measured(known), []).table
    assert ("my.py:Net(weights='a.pt')" in set(rows["network"])) is kept


def test_published_speeds_choose_by_accuracies_of_a_run() -> None:
    shape = {"input_size": 224, "in_channels": 3, "num_classes": 1000}
    known = evaluated(("timm:resnet50.mine", 0.9), ("timm:resnet18", 0.8), ("my.py:Net", 0.95), **shape)
    candidates = Candidates.published("rtx4090", Accuracies.measured(known), [])
    theirs = Candidates.published("rtx4090", TOP1, ["resnet50.a1_in1k"]).table
    rows = candidates.table.set_index("network")
    assert sorted(rows.index) == ["timm:resnet18", "timm:resnet50.mine"]
    speed = theirs.loc[theirs["input_size"] == 224, "throughput"].item()
    assert rows.loc["timm:resnet50.mine", ["accuracy", "throughput"]].tolist() == [0.9, speed]
    assert (
        rows.loc["timm:resnet50.mine", "parameters"] == theirs["parameters"].iloc[0]
    )  # as that source counts them
    assert candidates.remarks[1] == "Left out, as no speed of theirs is published of rtx4090: my.py:Net."
    with pytest.raises(
        ConfigError, match="no speed on rtx4090 is published of the networks of run tested: mlp"
    ):
        Candidates.published("rtx4090", Accuracies.measured(evaluated(("mlp", 0.5))), [])


@pytest.mark.parametrize(
    ("run", "accuracies", "message", "tip"),
    [
        (
            times(("mlp", 0.1)),
            Accuracies.measured(evaluated(("mlp", 0.5), in_channels=3)),
            r"timed mlp \(32 px, 1 channel, 10 classes\); .* of mlp \(32 px, 3 channels, 10 classes\)",
            "race here, which times those: bench choose --accuracy tested",
        ),
        (
            times(("alexnet", 0.1), ("lenet5", 0.1)),
            TOP1,
            "as it was timed: alexnet, lenet5",
            "torchvision:alexnet ...;",
        ),
        (
            times(("my.py:Net", 0.1)),
            TOP1,
            "as it was timed: my.py:Net",
            "time them at the sizes of their weights;",
        ),
    ],
)
def test_runs_that_have_no_network_in_common_say_what_they_have(
    run: Run, accuracies: Accuracies, message: str, tip: str
) -> None:
    with pytest.raises(ConfigError, match=message) as told:
        Candidates.measured(run, accuracies, [])
    assert tip in str(told.value.tip)


def test_of_a_network_that_was_evaluated_in_several_ways_the_best_counts() -> None:
    """Not the mean of them, which it has reached in none."""
    made = evaluated(("lenet5", 0.8), ("mlp", 0.7))
    settings = {"data": "digits", "device": "cpu", "precision": "bf16"}
    again = [
        structs.replace(
            record,
            job=Job(task="evaluate", arch=record.job.arch, settings=settings, seed=seed, input_size=32, in_channels=1,
                    num_classes=10),
            measurements=(record.measurements[0].changed(samples=(top1,)),),
        )
        for record, seed, top1 in zip([made.records[0]] * 2 + [made.records[1]], (0, 1, 0), (0.7, 0.96, math.nan),
                                      strict=True)
    ]  # fmt: skip
    known = Accuracies.measured(replace(made, records=(*made.records, *again)))
    assert known.rows[["network", "accuracy"]].values.tolist() == [["mlp", 0.7], ["lenet5", 0.83]]
    assert known.remark.endswith("400 images. In several ways, of which the best counts: lenet5.")
    with pytest.raises(ConfigError, match="none of its trainings and evaluations ended well"):
        Accuracies.measured(replace(made, records=(again[2],)))


def test_a_run_without_accuracies_is_told() -> None:
    with pytest.raises(
        ConfigError, match="run timed has measured no accuracy to choose by: only jobs of infer"
    ):
        Accuracies.measured(times(("mlp", 0.1)))


def test_damaged_facts_are_made_anew_from_those_that_are_shipped(tmp_path: Path) -> None:
    said: list[str] = []
    accuracy, speed = files(tmp_path)
    of = tmp_path / "facts"
    update([accuracy, speed], of)
    (of / "speed.parquet").write_bytes(b"PAR1" * 9)
    update([accuracy], of, say=said.append)
    assert said[0].startswith(f"cannot read the facts in {of / 'speed.parquet'}: ")
    assert said[1:] == [f"lost with it, and to be given again: {speed.stem}"]
    assert speeds(of).equals(speeds())
    assert accuracies(of).query("source == 'results-imagenet'")["top1"].tolist() == [0.805, 0.81]
    assert {source.name for source in sources(of)} == {source.name for source in sources()}
    (of / "sources.json").write_text("{")
    update([speed], of, say=said.append)
    assert "is no list of sources" in said[-1]
    assert len(sources(of)) == len(sources()) + 1
    (of / "accuracy.parquet").unlink()
    (of / "accuracy.parquet").mkdir()
    with pytest.raises(BenchError, match="is a folder"):
        update([speed], of, say=said.append)
