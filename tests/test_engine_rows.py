"""Engines held against eager: who is certainly faster, what is left of the accuracy, and what is said of both."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import make_planned
from evaluated import evaluated as of_images
from evaluated import right_so_often
from make_records import by_name, job, record, speed
from stand_in import StandIn
from typer.testing import CliRunner

import bench
from bench.analysis.engines import EngineRow
from bench.analysis.frame import to_frame
from bench.api import Done
from bench.api._engines import _chosen
from bench.cli._measuring import has_failed
from bench.cli.app import app
from bench.contracts import check_figure
from bench.errors import ConfigError, UnknownNameError
from bench.execution.catalog import without_refused
from bench.execution.runner import Summary
from bench.plan.job import Job
from bench.records.job_files import JobFile
from bench.records.outputs import Answers, save_outputs
from bench.records.record import Measurement, Record, measured
from bench.records.store import Run
from bench.report.figures.engines import _panels
from bench.report.tables.engines import engines_view
from bench.report.write import write_report
from bench.stats.comparisons import matched
from reports import drawn_each

(NET,) = by_name("resnet18")
SPREAD = (1.0, 1.01, 0.99, 1.005, 0.995)  # of five processes


def timed(
    backend: str,
    seconds: float,
    precision: str = "fp32",
    flags: tuple[str, ...] = (),
    processes: Sequence[float] = SPREAD,
    **more: Any,
) -> list[Record]:
    records = []
    for number, share in enumerate(processes):
        settings = speed("cpu", backend=backend, precision=precision, threads=2, replicate=number, **more)
        time = [seconds * share] * 6
        found = [
            measured("latency", time, {}, flags),
            measured("step_time", time),
            measured(
                "prepare_time",
                (3.0,),
                {"onnxruntime": "1.31.1", "calibration": "noise"} if backend != "eager" else {},
            ),
        ]
        if backend != "eager" and not number:
            found += [measured("other_answers", (0.25,), {"images": 16}), measured("artefact_size", (4e6,))]
            found += [measured("precision_share", (1.0,), {"operators": {precision: 21}})]
        records.append(record(job(NET, "infer", **settings), measurements=found))
    return records


def evaluated(
    folder: Path, backend: str, right: np.ndarray, precision: str = "fp32", flags: tuple[str, ...] = ()
) -> Record:
    count = len(right)
    labels = np.arange(count, dtype=np.int32) % 10
    top5 = np.tile(np.arange(5, dtype=np.int32), (count, 1)) + 10
    top5[:, 0] = np.where(right, labels, (labels + 1) % 10)
    names = tuple(f"{n}.png" for n in range(count))
    answers = Answers(labels, top5, np.full(count, 0.5, np.float32), names, tuple(map(str, range(20))))
    settings = {"data": "digits", "split": "val", "backend": backend, "precision": precision, "device": "cpu"}
    asked = Job(
        task="evaluate", arch=NET.name, input_size=NET.input_size, num_classes=1000, settings=settings
    )  # type: ignore[arg-type]
    content, sha256 = answers.encode()
    save_outputs(JobFile.outputs.path(folder, asked.id), content)
    detail = {"correct": int(right.sum()), "images": count, "outputs_sha256": sha256}
    return record(asked, measurements=[measured("top1", (float(right.mean()),), detail, flags)])


def run_of(*records: Record | list[Record], path: Path = Path("run")) -> Run:
    flat = [one for part in records for one in (part if isinstance(part, list) else [part])]
    return Run("run", path, tuple(flat))


def rows_of(*records: Record | list[Record], path: Path = Path("run")) -> dict[str, EngineRow]:
    return {row.way: row for row in EngineRow.in_run(run_of(*records, path=path))}


def test_eager_stands_first_and_times_are_over_its_own() -> None:
    rows = EngineRow.in_run(run_of(timed("onnx", 0.01), timed("eager", 0.02)))
    assert [row.way for row in rows] == ["eager fp32", "onnx fp32"]
    onnx = rows[1]
    assert onnx.speedup.estimate == pytest.approx(2.0)
    assert onnx.speedup.verdict == "faster"
    assert onnx.latency is not None
    assert onnx.latency.estimate == pytest.approx(0.01)
    assert onnx.throughput == pytest.approx(100)
    assert (onnx.values["artefact_size"], onnx.values["other_answers"], onnx.operators) == (
        4e6,
        0.25,
        {"fp32": 21},
    )
    assert onnx.versions == {"onnxruntime": "1.31.1"}


def test_what_a_second_try_loads_the_first_one_has_prepared() -> None:
    """The first process was disturbed and done again; all but its first try load what that has prepared."""
    first, *later = timed("onnx", 0.01)
    loads = measured("load_time", (0.2,), {"onnxruntime": "1.31.1"})

    def loaded(one: Record, **fields: Any) -> Record:
        kept = [m for m in one.measurements if m.name != "prepare_time"]
        return one.changed(measurements=(*kept, loads), **fields)

    records = [first, *map(loaded, later), loaded(first, role="repeated", attempt=2)]
    row = rows_of(timed("eager", 0.02), records)["onnx fp32"]
    assert (row.values["prepare_time"], row.values["load_time"]) == (3.0, 0.2)
    row = rows_of(timed("eager", 0.02), records[1:])["onnx fp32"]  # the first try failed
    assert "prepare_time" not in row.values
    assert row.versions == {"onnxruntime": "1.31.1"}


def test_a_fault_of_one_process_is_a_doubt_and_its_number_is_told() -> None:
    sound, faulty = (1.0, 0.0, 2.0), (0.4, 0.2, 1.0)
    names = ("precision_share", "clipped_share", "threads_used")
    records = timed("onnx", 0.01, "int8")
    for number, one in enumerate(records):
        shares = faulty if number == 3 else sound
        own = [measured(name, (share,)) for name, share in zip(names, shares, strict=True)]
        latency = measured("latency", [0.01] * 6, {}, ("saturated",) if number == 3 else ())
        records[number] = record(one.job, measurements=[latency, *own])
    row = rows_of(timed("eager", 0.02), records)["onnx int8"]
    assert tuple(row.values[name] for name in names) == faulty
    assert (row.flags, row.worth) == (("saturated",), "open")


def test_the_largest_batch_is_the_one_that_was_found() -> None:
    records = [*timed("eager", 0.02), *timed("onnx", 0.01)]
    for one in timed("onnx", 0.24, batch_size="max"):
        found = measured("max_batch", (24.0,))
        records.append(one.changed(measurements=(*one.measurements, found)))
    onnx = rows_of(records)["onnx fp32"]
    assert (onnx.batch, onnx.throughput) == (24, pytest.approx(100))
    assert onnx.latency is not None
    assert onnx.latency.estimate == pytest.approx(0.01)


def test_engines_that_were_timed_in_batches_alone_say_so() -> None:
    rows = EngineRow.in_run(run_of(timed("eager", 0.2, batch_size=8), timed("onnx", 0.1, batch_size=8)))
    assert [(row.latency, row.reason) for row in rows] == [(None, "it was not timed with one image")] * 2
    assert engines_view(rows).rows[1][-1].text == "it was not timed with one image"
    (eager, onnx), heads = engines_view(rows).rows, [str(head) for head in engines_view(rows).heads]
    latency, throughput = heads.index("Latency (ms)"), heads.index("Throughput (images/s)")
    assert [(row[latency].text, row[throughput].text) for row in (eager, onnx)] == [
        ("–", "40.0"),
        ("–", "80.0"),
    ]


def test_what_a_process_measured_before_it_failed_is_not_compared() -> None:
    failed = [one.changed(status="oom", error={"message": "no memory"}) for one in timed("onnx", 0.01)]
    row = rows_of(timed("eager", 0.02), failed)["onnx fp32"]
    assert (row.latency, row.reason) == (None, "no memory")
    assert row.speedup.verdict == "undecided"


def test_answers_to_images_that_lay_there_before_are_held_against_nothing(tmp_path: Path) -> None:
    right = np.ones(500, dtype=bool)
    eager = evaluated(tmp_path, "eager", right)
    settings = {**eager.job.settings.content, "data_sha256": "2" * 64, "backend": "onnx"}
    other = record(
        Job(task="evaluate", arch=NET.name, input_size=NET.input_size, num_classes=1000, settings=settings),  # type: ignore[arg-type]
        measurements=[measured("top1", (1.0,), {"correct": 500, "images": 500})],
    )
    rows = rows_of(timed("eager", 0.02), timed("onnx", 0.01), eager, other, path=tmp_path)
    assert rows["eager fp32"].accuracy is None  # of the images that are there now it has none
    onnx = rows["onnx fp32"]
    assert (onnx.worth, onnx.accuracy and onnx.accuracy.images) == ("open", 500)


def test_without_images_no_engine_is_worth_it_and_it_says_so() -> None:
    rows = rows_of(timed("eager", 0.02), timed("onnx", 0.01))
    assert rows["onnx fp32"].worth == "open"
    assert "its accuracy was not tested" in rows["onnx fp32"].sentence
    notes = EngineRow.notes(list(rows.values()))
    assert sum("accuracy was" in note for note in notes) == 1  # said once, of all
    assert any("No accuracy was tested" in note for note in notes)


@pytest.mark.parametrize(
    ("time", "verdict", "worth"), [(0.03, "slower", "not worth it"), (0.02, "same", "not worth it")]
)
def test_what_is_not_faster_is_not_worth_it(time: float, verdict: str, worth: str) -> None:
    row = rows_of(timed("eager", 0.02), timed("onnx", time))["onnx fp32"]
    assert (row.speedup.verdict, row.worth) == (verdict, worth)


def test_fewer_than_four_processes_decide_nothing() -> None:
    row = rows_of(timed("eager", 0.02, processes=SPREAD[:3]), timed("onnx", 0.01, processes=SPREAD[:3]))[
        "onnx fp32"
    ]
    assert (row.speedup.verdict, row.worth) == ("suspected", "open")


@pytest.mark.parametrize(
    ("lost", "worth"), [(0, "worth it"), (10, "worth it"), (90, "not worth it"), (40, "open")]
)  # of 4,000 images; a point is 40
def test_what_is_faster_is_worth_it_where_it_has_lost_a_point_at_most(
    tmp_path: Path, lost: int, worth: str
) -> None:
    right = np.arange(4000) >= 400
    less = right.copy()
    less[1000 : 1000 + lost] = False
    evaluations = [evaluated(tmp_path, "eager", right), evaluated(tmp_path, "onnx", less, "int8")]
    row = rows_of(timed("eager", 0.02), timed("onnx", 0.01, "int8"), evaluations, path=tmp_path)["onnx int8"]
    assert row.accuracy is not None
    assert row.accuracy.lost.estimate == pytest.approx(lost / 4000)
    assert row.worth == worth
    assert row.sentence.endswith(f": {worth}.")
    assert "McNemar" in row.sentence


def test_a_doubt_leaves_it_open(tmp_path: Path) -> None:
    right = np.ones(4000, dtype=bool)
    evaluations = [evaluated(tmp_path, "eager", right), evaluated(tmp_path, "onnx", right, "int8")]
    records = [timed("eager", 0.02), timed("onnx", 0.01, "int8", flags=("other_precision",)), evaluations]
    row = rows_of(*records, path=tmp_path)["onnx int8"]
    assert row.worth == "open"
    assert ", faster, in doubt: other precision;" in row.sentence  # and not for certain


@pytest.mark.parametrize(
    ("both", "own", "worth"),
    [
        (("assumed_transform",), (), "worth it"),
        (("random_weights",), (), "open"),  # of answers by chance none is lost
        ((), ("calibrated_on_noise",), "open"),
    ],
)
def test_what_both_accuracies_have_in_common_is_no_doubt_of_the_difference(
    tmp_path: Path, both: tuple[str, ...], own: tuple[str, ...], worth: str
) -> None:
    right = np.ones(4000, dtype=bool)
    eager = evaluated(tmp_path, "eager", right, flags=both)
    engine = evaluated(tmp_path, "onnx", right, "int8", flags=(*both, *own))
    records = [timed("eager", 0.02), timed("onnx", 0.01, "int8"), eager, engine]
    assert rows_of(*records, path=tmp_path)["onnx int8"].worth == worth


def test_an_evaluation_that_failed_says_why_no_accuracy_was_tested(tmp_path: Path) -> None:
    right = np.ones(4000, dtype=bool)
    eager, engine = evaluated(tmp_path, "eager", right), evaluated(tmp_path, "onnx", right, "int8")
    failed = {"status": "unsupported", "error": {"type": "x", "message": "a.png would be tested on."}}
    times = [timed("eager", 0.02), timed("onnx", 0.01, "int8")]
    row = rows_of(*times, eager, engine.changed(measurements=(), **failed), path=tmp_path)["onnx int8"]
    assert (row.accuracy, row.worth) == (None, "open")
    assert "its accuracy was not tested (unsupported: a.png would be tested on)" in row.sentence
    assert row.to_json()["untested"] == "unsupported: a.png would be tested on"
    row = rows_of(*times, eager.changed(measurements=(), **failed), engine, path=tmp_path)["onnx int8"]
    assert row.worth == "open"
    assert "(eager's was not tested: unsupported: a.png would be tested on)" in row.sentence
    none = (one.changed(measurements=(), **failed) for one in (eager, engine))
    notes = EngineRow.notes(list(rows_of(*times, *none, path=tmp_path).values()))
    assert any(
        note.startswith("No accuracy was tested (unsupported: a.png would be tested on),") for note in notes
    )


def test_what_to_do_about_a_failure_is_told_once(tmp_path: Path) -> None:
    lacking = {
        "status": "unsupported",
        "error": {"type": "x", "message": "no weights", "tip": "fetch them by X"},
    }
    without = [
        [r.changed(measurements=(), **lacking) for r in timed(engine, 0.02)] for engine in ("eager", "onnx")
    ]
    notes = EngineRow.notes(list(rows_of(*without, path=tmp_path).values()))
    assert notes.count("To have eager, onnx: fetch them by X") == 1
    right = np.ones(4000, dtype=bool)
    eager = evaluated(tmp_path, "eager", right).changed(measurements=(), **lacking)
    other = evaluated(tmp_path, "onnx", right).changed(
        measurements=(),
        status="unsupported",
        error={"type": "x", "message": "backend onnx: onnx missing; get it"},
    )
    absent = [r.changed(measurements=(), status=other.status, error=other.error) for r in timed("onnx", 0.02)]
    notes = EngineRow.notes(list(rows_of(timed("eager", 0.02), absent, eager, other, path=tmp_path).values()))
    (accuracy,) = (note for note in notes if note.startswith("No accuracy"))
    assert (
        "(unsupported: no weights; fetch them by X)" in accuracy
    )  # and not that an engine is missing, again
    assert "To have onnx: get it" in notes


@pytest.mark.parametrize(("statuses", "failed"), [({}, 0), ({"onnx": "unsupported"}, 0), (None, 1)])
def test_engines_of_which_not_even_eager_runs_are_a_failure(
    statuses: dict[str, str] | None, failed: bool, tmp_path: Path
) -> None:
    records = [
        (
            r
            if statuses is not None and backend not in statuses
            else r.changed(measurements=(), status="unsupported")
        )
        for backend in ("eager", "onnx")
        for r in timed(backend, 0.02)
    ]
    assert has_failed(Done(tmp_path, Summary(records)), ["unsupported"]) == failed


def test_few_images_bound_no_loss() -> None:
    alike = np.ones(20, dtype=bool)
    effect = matched(alike, alike)
    assert (effect.estimate, effect.p) == (0.0, 1.0)
    assert effect.high > 0.05
    many = np.ones(4000, dtype=bool)
    assert 0 < matched(many, many).high < 0.001


def test_the_matched_interval_is_agresti_and_mins() -> None:
    a, b = (
        np.array([True] * 30 + [False] * 70),
        np.array([True] * 20 + [False] * 10 + [True] * 4 + [False] * 66),
    )
    effect = matched(a, b)
    of, against, total = 10.5, 4.5, 102
    half = 1.959964 * ((of + against) - (of - against) ** 2 / total) ** 0.5 / total
    assert effect.estimate == pytest.approx(0.06)
    assert (effect.low, effect.high) == pytest.approx((6 / 102 - half, 6 / 102 + half), abs=1e-6)


def test_what_cannot_run_is_a_row_with_the_engines_own_reason() -> None:
    asked = job(NET, "infer", **speed("cpu", backend="tensorrt", threads=2))
    refused = record(
        asked, status="unsupported", error={"type": "x", "message": "backend tensorrt: for cards."}
    )
    row = rows_of(timed("eager", 0.02), refused)["tensorrt fp32"]
    assert (row.status, row.reason, row.latency) == ("unsupported", "backend tensorrt: for cards.", None)
    assert row.sentence == "resnet18 by tensorrt fp32: unsupported: backend tensorrt: for cards."
    cells = [cell.text for cell in engines_view([row]).rows[0]]
    assert cells[3] == "unsupported"
    assert cells[-1] == "backend tensorrt: for cards."


def test_a_terminal_has_the_reasons_below_its_table_by_what_they_are_for() -> None:
    refused = [
        record(
            job(net, "infer", **speed("cpu", backend="openvino", threads=2)),
            status="unsupported",
            error={"type": "x", "message": "No rule for: aten::a"},
        )
        for net in by_name("resnet18", "vgg16")
    ]
    others = [record(job(NET, "infer", **speed("cpu", backend="onnx", threads=2)), measurements=[])]
    eager = [
        record(job(net, "infer", **speed("cpu", backend="eager", threads=2)), measurements=[])
        for net in by_name("resnet18", "vgg16")
    ]
    rows = [row for row in EngineRow.in_run(run_of(eager, refused, others)) if not row.is_eager]
    names = ", ".join(net.name for net in by_name("resnet18", "vgg16"))
    assert sorted(EngineRow.reasons(rows)) == [
        "onnx fp32, of resnet18: it was not timed with one image.",
        f"openvino fp32, of {names}: unsupported: No rule for: aten::a.",
    ]
    narrow = [cells[-1].text for cells in engines_view(rows, narrow=True).rows]
    assert not any(narrow)


def test_what_is_missing_is_told_once_and_how_to_install_it_at_the_end() -> None:
    refused = [
        record(
            job(NET, "infer", **speed("cpu", backend=name, threads=2)),
            status="unsupported",
            error={"type": "x", "message": f"backend {name}: json missing; pip install x"},
        )
        for name in ("onnx", "onnx:dynamic")
    ]
    rows = EngineRow.in_run(run_of(timed("eager", 0.02), *refused))
    reasons = [view_row[-1] for view_row in engines_view(rows).rows[1:]]
    assert [cell.text for cell in reasons] == [f"backend {row.backend}: json missing" for row in rows[1:]]
    told = [note for note in EngineRow.notes(rows) if "onnx" in note or "json" in note]
    assert told == ["To have onnx, onnx:dynamic: pip install x"]


def test_a_run_of_eager_alone_has_no_engines() -> None:
    assert EngineRow.in_run(run_of(timed("eager", 0.02))) == []
    assert EngineRow.in_run(run_of(timed("onnx", 0.02))) == []
    assert EngineRow.notes([]) == []


def test_rows_are_plain_json(tmp_path: Path) -> None:
    right = np.ones(100, dtype=bool)
    evaluations = [evaluated(tmp_path, "eager", right), evaluated(tmp_path, "onnx", right)]
    for row in rows_of(timed("eager", 0.02), timed("onnx", 0.01), evaluations, path=tmp_path).values():
        plain: dict[str, Any] = json.loads(json.dumps(row.to_json(), allow_nan=False))
        assert plain["network"] == "resnet18"


def test_the_figure_is_drawn_of_a_run_with_engines() -> None:
    check_figure("engines", run_of(timed("eager", 0.02), timed("onnx", 0.01), timed("onnx", 0.005, "int8")))


def test_no_share_of_answers_is_drawn_above_all_of_them() -> None:
    run = run_of(timed("eager", 0.02), timed("onnx", 0.01), timed("onnx", 0.005, "int8"))
    drawing = drawn_each(["engines"], run)["engines"]
    assert drawing is not None
    (axes,) = drawing.axes
    highest = max(y for line in axes.lines for y in np.asarray(line.get_ydata()))
    assert highest <= axes.get_ylim()[1] <= 102
    assert axes.get_ylabel().endswith("(%)")


def test_the_figure_sets_accuracies_on_the_same_plain_images_side_by_side(tmp_path: Path) -> None:
    labels = np.repeat(np.arange(10), 40)

    def share(right: float, **settings: Any) -> Record:
        return of_images(tmp_path, NET.name, right_so_often(labels, right, 10), labels, **settings)

    evaluations = [
        share(0.5, data="imagefolder:others", backend="onnx"),
        share(0.9),
        share(0.8, backend="onnx"),
        share(0.3, transform={"colour": "bgr"}),
        share(0.2, corruption="fog:5"),
    ]
    run = run_of(*timed("eager", 0.02), *timed("onnx", 0.01, flags=("noisy", "stolen")), *evaluations)
    (panel,) = _panels(to_frame([run]))
    assert {point.name: point.left for point in panel.points} == {"eager fp32": 0.9, "onnx fp32": 0.8}
    assert [point.is_doubted for point in panel.points] == [False, True]


def test_a_report_has_a_section_of_engines(tmp_path: Path) -> None:
    run = run_of(timed("eager", 0.02), timed("onnx", 0.01))
    write_report([run], tmp_path, formats=("md", "html"), figures=["engines"])
    text = (tmp_path / "report.md").read_text()
    assert "## Engines" in text
    assert "resnet18 by onnx fp32 is 2.00 times as fast as eager" in text
    assert 'id="engines"' in (tmp_path / "index.html").read_text()


TRIED = {"eager": ("fp32",), "onnx": ("fp32", "int8"), "cuda_graph": (), "openvino": ("fp32", "bf16", "int8")}


@pytest.mark.parametrize(
    ("engines", "precisions", "expected"),
    [
        ([], [], ["eager fp32", "onnx fp32", "onnx int8", "openvino fp32", "openvino bf16", "openvino int8"]),
        (["onnx"], [], ["eager fp32", "onnx fp32", "onnx int8"]),
        (["cuda_graph"], [], ["eager fp32", "cuda_graph fp32"]),
        ([], ["int8"], ["eager fp32", "onnx int8", "openvino int8"]),
        (["onnx"], ["bf16"], ["eager fp32", "onnx bf16"]),  # so that its reason is a row
    ],
)
def test_which_engines_are_tried(engines: list[str], precisions: list[str], expected: list[str]) -> None:
    assert [" ".join(way) for way in _chosen(TRIED, engines, precisions)] == expected


def test_an_engine_that_there_is_none_of_is_told() -> None:
    with pytest.raises(UnknownNameError) as raised:
        _chosen(TRIED, ["openvin"], [])
    assert "openvino" in str(raised.value.tip)


def test_a_precision_that_no_engine_is_tried_in_is_told() -> None:
    with pytest.raises(UnknownNameError, match="unknown precision 'int4'") as raised:
        _chosen(TRIED, [], ["int4"])
    assert "int8" in str(raised.value.tip)


def test_the_command_holds_an_engine_against_eager(tmp_path: Path) -> None:
    net = tmp_path / "net.py"
    net.write_text(
        "from torch import nn\nclass Net(nn.Sequential):\n    input_size = 8\n    def __init__(self):\n"
        "        super().__init__(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 10))\n"
    )
    words = [
        "engines",
        f"{net}:Net",
        "-e",
        "tensorrt",
        "-p",
        "fp32",
        "--batch",
        "1",
        "--processes",
        "1",
        "--json",
        "--no-report",
    ]
    result = CliRunner().invoke(app, [*words, "--results", str(tmp_path / "r"), "--set", "device=cpu"])
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)["engines"]
    assert [(row["backend"], row["status"]) for row in rows] == [("eager", "ok"), ("tensorrt", "unsupported")]
    assert "NVIDIA" in rows[1]["reason"]


def test_measurements_of_older_runs_are_read_as_they_are() -> None:
    bare = [measured("latency", [0.01] * 6)]
    records: list[Record] = [
        record(job(NET, "infer", **speed("cpu", backend=name, threads=2)), measurements=bare)
        for name in ("eager", "onnx")
    ]
    row = rows_of(records)["onnx fp32"]
    assert (row.values, row.versions, row.speedup.verdict) == ({}, {}, "undecided")
    assert isinstance(bare[0], Measurement)


def test_what_no_backend_can_do_is_known_before_a_process_begins(tmp_path: Path) -> None:
    """One row for each network and batch, whatever the number of processes; the backend's own words; resumed as it is."""
    executor = StandIn()
    engines = partial(
        bench.engines, ["lenet5", "mlp"], engines=["cuda_graph"], results=tmp_path, executor=executor
    )
    first, again = engines().summary, engines().summary
    refused = [r for r in first.records if r.job.settings.backend == "cuda_graph"]
    batches = Counter((r.job.arch, r.job.settings.batch_size) for r in refused)
    assert batches == Counter(itertools.product(["lenet5", "mlp"], [1, 4]))
    assert {(r.status, r.stage) for r in refused} == {("unsupported", "plan")}
    (reason,) = {r.error["message"] for r in refused}
    assert (
        reason == "backend cuda_graph: there are no CUDA graphs on the CPU; use device=cuda or backend=eager"
    )
    assert {job.settings.backend for job in executor.jobs} == {"eager"}
    assert again.reused == len(again.records) == len(first.records)


def test_what_no_backend_can_do_is_neither_compared_nor_raced_for(tmp_path: Path) -> None:
    asked = {"overrides": ["infer.backend=cuda_graph"], "results": tmp_path}
    executor = StandIn()
    with pytest.raises(ConfigError, match="lenet5 cannot be compared: backend cuda_graph: there are no CUDA"):
        bench.compare(["lenet5", "mlp"], executor=executor, **asked)
    chosen = bench.choose(
        ["torchvision:resnet18", "torchvision:vgg11"], latency="20ms", executor=executor, **asked
    )
    assert not executor.jobs
    assert set(chosen.raced.choice.candidates["state"]) == {"failed"}
    assert all(
        "there are no CUDA graphs on the CPU" in reason for reason in chosen.raced.choice.candidates["reason"]
    )


def test_what_other_machines_have_they_tell_by_themselves() -> None:
    class Elsewhere(StandIn):
        places = survey = collect = stored = len

    planned = make_planned(task="infer", settings=speed("cpu", backend="cuda_graph"))
    assert without_refused([planned], StandIn())[0].status == "unsupported"
    assert without_refused([planned], Elsewhere()) == (planned,)
