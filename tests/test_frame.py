"""The frame: one row a measurement, nothing lost, nothing invented."""

from __future__ import annotations

import gc
import json
import math
from dataclasses import replace

import pandas as pd
import pytest
from conftest import sound_line
from hypothesis import given, settings
from hypothesis import strategies as st
from make_records import (
    ENVIRONMENT,
    NETS,
    by_name,
    counted,
    failed,
    job,
    make_run,
    record,
    records,
    scored,
    speed,
    training,
)
from series import median_interval

from bench.analysis.frame import PENDING, to_frame
from bench.analysis.machine import device_name, dig, torch_version
from bench.io import uncollected
from bench.plan.card import ArchCard
from bench.plan.job import Job
from bench.records.environment import leaves
from bench.records.line import decode, encode, shared
from bench.records.record import Measurement
from bench.report._summary import _environment
from bench.stats.samples import mean, median, sd

RESNET = by_name("resnet18")[0]


def one_row(frame: pd.DataFrame, **where: object) -> pd.Series:
    for key, value in where.items():
        frame = frame[frame[key] == value]
    assert len(frame) == 1
    return frame.iloc[0]


def test_one_row_a_measurement_in_file_order() -> None:
    seen = list(records(by_name("alexnet", "resnet18")))
    frame = to_frame([make_run(seen)])
    expected = [(r.job.id, m.name) for r in seen for m in r.measurements]
    assert list(zip(frame["job_id"], frame["measurement"], strict=True)) == expected


def test_row_says_what_was_asked_and_seen() -> None:
    asked = job(RESNET, "infer", **speed(batch_size=8, precision="bf16"))
    times = tuple(0.010 + 0.001 * i for i in range(9))
    latency = Measurement(name="latency", unit="s", better="lower", samples=times, flags=("noisy",))
    row = one_row(to_frame([make_run([record(asked, RESNET, [latency])])]))
    assert (row["arch"], row["family"], row["year"], row["input_size"]) == ("resnet18", "resnet", 2015, 224)
    assert (row["batch_size"], row["precision"], row["backend"], row["threads"]) == (8, "bf16", "eager", 8)
    assert (row["published_top5"], row["published_classes"]) == (RESNET.top5, 1000)
    assert (row["status"], row["stage"], row["error"], row["attempt"]) == ("ok", "done", None, 1)
    assert row["device_name"] == "NVIDIA H100 80GB HBM3"
    assert (row["samples"], row["flags"], row["unit"], row["n"]) == (times, ("noisy",), "s", 9)
    assert (row["low"], row["high"]) == median_interval(times)
    assert row[["median", "mean", "sd"]].tolist() == pytest.approx([median(times), mean(times), sd(times)])


def test_recipe_becomes_its_name_and_version() -> None:
    runs = [make_run([record(job(RESNET, "accuracy", size=32, **training()), RESNET)])]
    assert one_row(to_frame(runs))["recipe"] == "std v1"
    runs = [make_run([record(job(RESNET, "accuracy", size=32, **training(recipe="mine")), RESNET)])]
    assert one_row(to_frame(runs))["recipe"] == "mine"


def test_recipes_on_fewer_images_are_told_apart_where_both_are_there() -> None:
    few = [scored(RESNET, seed, train_images=2000) for seed in range(2)]
    assert set(to_frame([make_run(few)])["recipe"]) == {"std v1"}
    many, others = scored(RESNET, 0), scored(RESNET, 0, dataset="mnist", train_images=500)
    frame = to_frame([make_run([*few, many, others]), make_run([record(job(RESNET), RESNET)])])
    assert frame["recipe"].tolist() == ["std v1, 2,000 images"] * 2 + ["std v1", "std v1", None]


def test_seeds_share_a_series_and_recipes_do_not() -> None:
    changed = training(recipe={"name": "std", "version": 1, "learning_rate": 0.4})
    asked = [job(RESNET, "accuracy", seed=s, **training()) for s in range(3)]
    asked.append(job(RESNET, "accuracy", **changed))
    series = to_frame([make_run([record(a, RESNET) for a in asked])])["series"]
    assert series.nunique() == 2
    assert series.iloc[0] == series.iloc[1] == series.iloc[2]


@pytest.mark.parametrize("seen", list(failed()), ids=lambda r: r.status)
def test_failure_without_measurements_is_a_row(seen: object) -> None:
    row = one_row(to_frame([make_run([seen])]))
    assert row["status"] == seen.status
    assert row["measurement"] is None
    assert math.isnan(row["median"])
    assert row["error"] == f"Error: {seen.error['message']}"
    assert row["samples"] == ()


def test_failure_keeps_what_was_measured_before() -> None:
    seen = record(job(RESNET), RESNET, counted(RESNET)[:2], status="oom", error={"type": "OutOfMemoryError"})
    frame = to_frame([make_run([seen])])
    assert frame["measurement"].tolist() == ["parameters", "macs"]
    assert set(frame["status"]) == {"oom"}
    assert set(frame["error"]) == {"OutOfMemoryError"}


def test_planned_job_without_record_is_pending_with_the_card_of_its_network() -> None:
    asked = [job(RESNET), job(RESNET, "infer", **speed())]
    row = one_row(to_frame([make_run([record(asked[0], RESNET)], planned=asked)]), status=PENDING)
    assert row["job_id"] == asked[1].id
    assert (row["family"], row["year"]) == ("resnet", 2015)
    assert row["measurement"] is None


def test_a_pending_job_is_of_the_machine_that_the_run_is_of() -> None:
    asked = [job(RESNET, "infer", **speed("cuda:0", batch_size=n)) for n in (1, 2)]
    environment = {"gpu": [{"name": "NVIDIA H100"}]}
    frame = to_frame([make_run([record(asked[0], RESNET, environment=environment)], planned=asked)])
    assert list(frame["device_name"]) == ["NVIDIA H100"] * 2


def test_a_job_planned_twice_is_pending_once() -> None:
    assert len(to_frame([make_run([], planned=[job(RESNET), job(RESNET)])])) == 1


def test_latest_attempt_counts_unless_all_are_asked_for() -> None:
    first = record(job(RESNET), RESNET, status="killed")
    second = record(job(RESNET), RESNET, counted(RESNET)[:1], attempt=2)
    run = make_run([first, second])
    assert to_frame([run])["status"].tolist() == ["ok"]
    assert to_frame([run], attempts="all")["attempt"].tolist() == [1, 2]


def test_same_job_of_two_runs_stays_apart_also_under_one_name() -> None:
    run = make_run([record(job(RESNET), RESNET)])
    assert to_frame([run, run, replace(run, name="other")])["run"].tolist() == [
        "synthetic",
        "synthetic #2",
        "other",
    ]


def test_no_run_and_empty_run_have_all_columns() -> None:
    full = to_frame([make_run()])
    for empty in (to_frame([]), to_frame([make_run([])])):
        assert len(empty) == 0
        assert list(empty.columns) == list(full.columns)


def test_nan_samples_are_left_out_of_statistics() -> None:
    loss = Measurement(name="test_loss", unit="1", better="lower", samples=(math.nan, 2.0, 4.0))
    row = one_row(to_frame([make_run([record(job(RESNET), RESNET, [loss])])]))
    assert (row["n"], row["median"]) == (2, 3.0)


def test_unknown_batch_is_missing_not_an_error() -> None:
    run = make_run([record(job(RESNET, "infer", **speed(batch_size="max")), RESNET)])
    assert math.isnan(one_row(to_frame([run]))["batch_size"])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
environments = st.dictionaries(st.sampled_from(["cpu", "gpu", "torch", "packages", "host"]), json_values)


@settings(max_examples=40, deadline=None)
@given(environments, st.sampled_from(["cpu", "cuda", "cuda:1", "cuda:x", "mps"]))
def test_any_environment_is_read_without_an_error(environment: dict[str, object], device: str) -> None:
    asked = job(RESNET, "infer", **speed(device))
    run = make_run([record(asked, RESNET, environment=environment)])
    row = one_row(to_frame([run]))
    assert row["device_name"] is None or isinstance(row["device_name"], str)
    assert all(isinstance(v, str) for pair in _environment(run) for v in pair)
    assert torch_version(environment) is None or isinstance(torch_version(environment), str)


def test_device_names() -> None:
    assert device_name(ENVIRONMENT, "cuda:0") == "NVIDIA H100 80GB HBM3"
    assert device_name(ENVIRONMENT, "cuda:1") is None
    assert device_name(ENVIRONMENT, "cpu") == "AMD EPYC 9654 96-Core Processor"
    assert torch_version({"packages": {"torch": "2.11.0"}}) == "2.11.0"


def test_dig_and_leaves() -> None:
    data = {"a": [{"b": 1}, {"b": None}], "c": [1, 2]}
    assert dig(data, "a", 0, "b") == 1
    assert dig(data, "a", 2, "b") is None
    assert dig(data, "c", "b") is None
    assert dict(leaves(data)) == {"a.0.b": 1, "a.1.b": None, "c": [1, 2]}


def test_reading_leaves_the_collector_as_it_was() -> None:
    was = gc.isenabled()
    try:
        for enabled in (True, False):
            (gc.enable if enabled else gc.disable)()
            with uncollected():
                assert not gc.isenabled()
                with uncollected():
                    pass
                assert not gc.isenabled()
            assert gc.isenabled() is enabled
    finally:
        (gc.enable if was else gc.disable)()


def test_stored_ids_are_kept_only_where_no_field_is_new() -> None:
    asked = job(RESNET, "infer", **speed())
    stored = {**asked.to_json(), "id": "0123456789ab"}
    assert Job.stored(stored).id == "0123456789ab"
    assert Job.stored({**stored, "id": ""}).id == asked.id
    assert Job.from_json(stored).id == asked.id
    seen = record(asked, RESNET).to_json()
    older = {key: value for key, value in stored.items() if key != "source_sha256"}
    assert decode(sound_line({**seen, "job": stored})).job.id == "0123456789ab"
    assert decode(sound_line({**seen, "job": older})).job.id == asked.id
    with pytest.raises(ValueError, match="unheard_of"):
        decode(sound_line({**seen, "job": {**stored, "unheard_of": 1}}))


def test_cards_of_one_name_are_read_as_they_stand() -> None:
    seen = [record(job(RESNET), replace(RESNET, year=year)) for year in (2015, 2015, 2016)]
    read = [decode(encode(r)) for r in seen]
    assert [r.card.year for r in read] == [2015, 2015, 2016]
    assert read[0].card is read[1].card
    assert ArchCard.from_json({"name": "net", "unheard_of": 1}) == ArchCard(name="net")


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(max_size=5), json_values | st.floats(allow_nan=False, allow_infinity=False)))
def test_lines_are_parsed_to_the_bit_as_by_the_standard_library(environment: dict[str, object]) -> None:
    seen = record(job(RESNET), RESNET, environment=environment)
    assert decode(encode(seen)).environment == json.loads(json.dumps(environment))


@pytest.mark.parametrize(
    "environment",
    [
        {
            "cpu": {"cores": 2},
            "unknown": {},
            "flags": {"threads": 1},
            "state": {},
            "stages_s": {"start": 0.1},
        },
        {"cpu": {"cores": 2}, "unknown": {}, "stages_s": {"start": 0.1}},  # its process died at once
        {
            "cpu": {"cores": 2, "flags": [1]},
            "variables": {"a": "1"},
            "stages_s": {"flags": 1.0, "stages_s": 2.0},
        },
        {"cpu": {"cores": 2}, "variables": {"X": ',"flags":{'}, "flags": {"threads": 1}},
        {"flags": {"threads": 1}, "cpu": {"cores": 2}},
        {"cpu": {"name": "\udcff"}, "flags": {"threads": 1}},
        {"cpu": {"cores": 2}, "flags": {"set": "net\udcff.py"}, "stages_s": {}},
        {},
    ],
)
def test_environments_are_read_back_in_whichever_order_and_whatever_was_read_before(
    environment: dict[str, object],
) -> None:
    other = {"cpu": {"cores": 4}, "unknown": {}, "flags": {"threads": 2}, "stages_s": {"start": 0.2}}
    lines = [
        encode(record(job(RESNET), RESNET, environment=e)) for e in (other, environment, other, environment)
    ]
    read = [decode(line).environment for line in lines]
    for written, seen in zip((other, environment) * 2, read, strict=True):
        assert (dict(seen), list(seen), len(seen)) == (written, list(written), len(written))
        assert repr(seen) == repr(written)
        assert {key: seen[key] for key in written} == written
        assert "more" not in seen
        assert seen.get("more") is None


def test_records_of_one_machine_share_what_is_known_of_it() -> None:
    machine = {"cpu": {"model": "one"}, "unknown": {}}
    environments = [{**machine, "flags": {"threads": n}, "stages_s": {"start": n / 2}} for n in range(3)]
    first, *others = (
        shared(decode(encode(record(job(RESNET), RESNET, environment=e))).environment) for e in environments
    )
    assert first == machine
    assert all(other is first for other in others)


@pytest.mark.parametrize("value", ["max", [1, 2], {"cpu": 1}, None])
def test_what_is_no_number_is_nan_in_a_column_of_numbers(value: object) -> None:
    asked = job(RESNET, "infer", **{**speed(), "batch_size": value})
    assert math.isnan(one_row(to_frame([make_run([record(asked, RESNET)])]))["batch_size"])


def test_a_name_that_is_no_utf_8_is_read_back() -> None:
    told = counted(RESNET)[0].changed(detail={"file": "net\udcff.py"})
    (read,) = decode(encode(record(job(RESNET), RESNET, [told]))).measurements
    assert read.detail["file"] == "net\udcff.py"
    seen = record(replace(job(RESNET), arch="net\udcff.py"), RESNET)
    assert decode(encode(seen)).job.arch == "net\udcff.py"


def test_ten_thousand_records_take_about_a_second() -> None:

    from time import process_time

    base = list(records(NETS[:1]))[1]
    many = [
        base.changed(job=Job(task="infer", arch=f"net{i}", input_size=224, settings=base.job.settings))
        for i in range(10_000)
    ]
    begin = process_time()
    frame = to_frame([make_run(many)])
    took = process_time() - begin
    assert len(frame) == 10_000 * len(base.measurements)
    assert took < 5  # about 0.7 on one core of 2020; the rest is for busy machines
