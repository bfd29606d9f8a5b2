"""What a report shows of evaluations: tables, verdicts, files and figures."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from evaluated import evaluated, read, right_so_often, run_of
from make_records import NETS, make_run, records
from test_reproduction import trained

from bench.analysis.answers import answers
from bench.analysis.comparison import compare_table
from bench.analysis.frame import to_frame
from bench.contracts import check_figure
from bench.plan.corruption import NAMES
from bench.records.store import Run
from bench.report.figures._style import renderer
from bench.report.figures.answers import _shares
from bench.report.page._html import to_html
from bench.report.page._markdown import to_document
from bench.report.tables._columns import comparison_view
from bench.report.tables.evaluations import EvaluationTables
from bench.stats.intervals import wilson_interval
from reports import NASTY, content_of, drawn_each, tokens

LABELS = np.repeat(np.arange(10), 30)
FIGURES = ("evaluated_accuracy", "reliability", "corruption_curves", "confusion")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two networks, of which one is not as published for its interpolation; corrupted, and in another precision."""
    path = tmp_path_factory.mktemp("run")
    sure = np.clip(np.random.default_rng(0).beta(8, 2, len(LABELS)), 0.1, 1).tolist()
    own = {"confidence": sure, "detail": trained(0.9, 300)}
    sound, wrong = (right_so_often(LABELS, share, 10) for share in (0.9, 0.7))
    return run_of(
        path,
        evaluated(path, "torchvision:resnet50(weights='V2')", sound, LABELS, **own),
        evaluated(path, "b", wrong, LABELS, left_out=1, **{**own, "detail": trained(0.9, 301)}),
        evaluated(
            path, "b", right_so_often(LABELS, 0.89, 10), LABELS, transform={"interpolation": "bicubic"}
        ),
        evaluated(path, "b", wrong, LABELS, transform={"colour": "bgr"}),
        evaluated(path, "b", wrong, LABELS, precision="bf16"),
        *(evaluated(path, "b", wrong, LABELS, corruption=f"{name}:3") for name in NAMES[:4]),
    )


def test_the_tables_say_all(run: Run) -> None:
    tables = EvaluationTables.of(to_frame([run]))
    assert [key for key, *_ in tables.titled] == [
        "accuracy",
        "left_out",
        "tries",
        "pairs",
        "agreement",
        "corruption",
        "classes",
    ]
    rows = {key: [[cell.text for cell in row] for row in view.rows] for key, _, view, _ in tables.titled}
    assert [row[0] for row in rows["accuracy"]] == ["torchvision:resnet50 V2", "b", "b · bf16"]
    assert [row[5:7] for row in rows["accuracy"]][:2] == [
        ["reproduced", "–"],
        ["not reproduced", "interpolation"],
    ]
    assert [row[1] for row in rows["tries"]] == ["interpolation", "colour order", "label order"]
    assert rows["agreement"][0][1:4] == ["fp32", "bf16", "100.0"]
    assert len(rows["classes"]) == 10
    assert {view.note for key, _, view, _ in tables.titled if key in ("accuracy", "pairs")} == {
        "Data: imagefolder:pictures val"  # of all rows, and so in no column
    }
    (reproduced, not_reproduced) = tables.verdicts
    assert "reproduced: 90.00 %" in reproduced
    assert "Explained by interpolation" in not_reproduced


def test_numbers_in_cells_have_their_intervals(run: Run) -> None:
    titled = {key: view for key, _, view, _ in EvaluationTables.of(to_frame([run])).titled}
    cell = titled["accuracy"].rows[0][2]
    low, high = wilson_interval(270, 300)
    assert (cell.text, cell.note) == ("90.0", f"{100 * low:.1f} – {100 * high:.1f}")
    assert "by chance" in titled["accuracy"].rows[0][7].note
    assert titled["accuracy"].rows[1][1].note == "1 left out"


def test_data_that_differ_have_a_column(tmp_path: Path) -> None:
    records = [
        evaluated(tmp_path, "a", LABELS, LABELS, data=f"imagefolder:{place}") for place in ("here", "there")
    ]
    titled = {
        key: view for key, _, view, _ in EvaluationTables.of(to_frame([run_of(tmp_path, *records)])).titled
    }
    assert [head.title for head in titled["accuracy"].heads][:2] == ["Network", "Data"]
    assert not titled["accuracy"].common


def test_images_that_were_left_out_are_named_once(tmp_path: Path) -> None:
    """Two networks on the same images; of many, the first are shown and all are in the CSV."""
    records = [evaluated(tmp_path, name, LABELS, LABELS, left_out=30) for name in "ab"]
    tables = EvaluationTables.of(to_frame([run_of(tmp_path, *records)]))
    (view,) = (view for key, _, view, _ in tables.titled if key == "left_out")
    assert view.common == {"Data": "imagefolder:pictures val"}
    assert [cell.text for cell in view.rows[0]] == ["0/cut 0.jpg", "cut"]
    assert (len(view.rows), len(tables.values["left_out"])) == (20, 30)


def test_a_part_of_the_classes_is_told_among_them_too(tmp_path: Path) -> None:
    among = {"among_its_classes": {"correct": 8, "images": 10, "top1": 0.8}}
    record = evaluated(tmp_path, "a", [0] * 10, [0] * 6 + [1] * 4, outputs=1000, detail=among)
    titled = {
        key: view for key, _, view, _ in EvaluationTables.of(to_frame([run_of(tmp_path, record)])).titled
    }
    heads = [head.title for head in titled["accuracy"].heads]
    cells = dict(zip(heads, titled["accuracy"].rows[0], strict=True))
    assert (cells["Top-1"].text, cells["Among its classes"].text) == ("60.0", "80.0")


def test_plain_values_have_every_class_and_try(run: Run) -> None:
    plain = EvaluationTables.of(to_frame([run])).values
    assert len(plain["classes"]) == 3 * 10
    assert {row["cause"] for row in plain["tries"]} == {
        "interpolation", "colour order", "label order",
    }  # fmt: skip
    first = plain["accuracy"][0]
    assert (first["verdict"], first["tries"]) == ("reproduced", 0)
    assert len(plain["corruption"]) == 4


def test_files_are_csv_without_rounding(run: Run) -> None:
    files = dict(EvaluationTables.of(to_frame([run])).files)
    rows = list(csv.DictReader(io.StringIO(files["evaluation_accuracy.csv"])))
    assert float(rows[0]["top1_low"]) == wilson_interval(270, 300)[0]
    assert set(files) == {
        f"evaluation_{name}.csv"
        for name in ("accuracy", "left_out", "tries", "pairs", "agreement", "corruption", "classes")
    }


def test_the_comparison_has_the_plain_accuracy(run: Run) -> None:
    table = compare_table(to_frame([run])).set_index("network")
    assert table.loc["b", "evaluated_top1"] == 0.7
    assert table.loc["b", ["evaluated_top1_low", "evaluated_top1_high"]].tolist() == list(
        wilson_interval(210, 300)
    )
    view = comparison_view(table.reset_index())
    assert "Top-1, evaluated" in [head.title for head in view.heads]


def test_the_page_and_the_document_show_it(run: Run) -> None:
    content = content_of(run)
    page, document = to_html(content), to_document(content)
    assert 'id="evaluations"' in page
    for text in ("What was tried", "Explained by interpolation", "Networks against each other"):
        assert text in page
        assert text in document


def test_a_report_of_evaluations_alone_leads_with_them_and_says_no_number_twice(
    tmp_path: Path,
) -> None:
    """Beside what was counted or timed the accuracies stand in the table of networks as well."""
    labels = LABELS[:200]
    shares = {"a": 0.9, "b": 0.7}
    seen = [evaluated(tmp_path, net, right_so_often(labels, s, 10), labels) for net, s in shares.items()]
    alone = content_of(run_of(tmp_path, *seen))
    assert [key for key, _ in alone.sections] == ["evaluations", "figures", "environment"]
    low, high = (f"{100 * end:.1f}" for end in wilson_interval(180, 200))
    assert to_html(alone).count(f">90.0<small>{low} – {high}") == 1
    beside = content_of(run_of(tmp_path, *seen), make_run(records(NETS[:2])))
    assert {"evaluations", "comparison", "compare"} <= {key for key, _ in beside.sections}
    assert beside.sections[0][0] != "evaluations"
    assert "## Comparison" in to_document(beside)
    document = to_document(alone)
    assert "## Comparison" not in document
    assert document.count(f"90.0 ({low} – {high})") == 1
    assert document.index("## Evaluations") < document.index("## Figures")


def test_evaluations_of_several_runs_name_their_run(tmp_path: Path) -> None:
    runs = [
        run_of(tmp_path / name, evaluated(tmp_path / name, "a", LABELS, LABELS)) for name in ("old", "new")
    ]
    (view,) = (view for key, _, view, _ in EvaluationTables.of(to_frame(runs)).titled if key == "accuracy")
    at = [head.title for head in view.heads].index("Run")
    assert [row[at].text for row in view.rows] == ["old", "new"]


def test_a_report_opens_with_who_tells_the_most_right(run: Run, tmp_path: Path) -> None:
    frame = to_frame([run])
    (said,) = [one.sentences[0] for one in answers(compare_table(frame), frame)]
    assert said.startswith("On imagefolder:pictures val, torchvision:resnet50 V2 tells the most, 90.0 %")
    assert "not certainly more than b · bf16" in said  # no pair, as it ran in another way
    labels = LABELS[:200]
    two = run_of(
        tmp_path,
        evaluated(tmp_path, "a", right_so_often(labels, 0.95, 10), labels),
        evaluated(tmp_path, "b", right_so_often(labels, 0.5, 10), labels),
    )
    frame = to_frame([two])
    (said,) = [one.sentences[0] for one in answers(compare_table(frame), frame)]
    assert said.endswith("of 200 images right, certainly more than the other one.")


def test_nobody_is_said_to_tell_the_most_by_an_accuracy_in_doubt(tmp_path: Path) -> None:
    seen = [
        evaluated(tmp_path, net, right_so_often(LABELS, share, 10), LABELS)
        for net, share in (("a", 0.9), ("b", 0.3))
    ]
    doubted = tuple(m.changed(flags=("random_weights",)) for m in seen[0].measurements)
    for kept, start in (
        (seen, "no network tells the most for certain: a is ahead, 90.0 %"),
        (seen[:1], "a tells"),
    ):
        frame = to_frame([run_of(tmp_path, seen[0].changed(measurements=doubted), *kept[1:])])
        (said,) = [one.sentences[0] for one in answers(compare_table(frame), frame)]
        assert said.startswith(f"On imagefolder:pictures val, {start}")
        assert "in doubt (random weights)" in said
        assert "certainly more" not in said


def test_of_runs_without_evaluations_nothing_is_shown(tmp_path: Path) -> None:
    tables = EvaluationTables.of(to_frame([run_of(tmp_path)]))
    assert (tables.verdicts, list(tables.titled), list(tables.files)) == ([], [], [])
    assert 'id="evaluations"' not in to_html(content_of(run_of(tmp_path)))


def test_names_from_outside_stay_text(tmp_path: Path) -> None:
    record = evaluated(
        tmp_path,
        NASTY,
        LABELS,
        LABELS,
        data=NASTY,
        detail={"trained_top1": {"top1": 0.5, "images": 2, "source": NASTY, "dataset": NASTY}},
    )
    content = content_of(run_of(tmp_path, record))
    assert "<script>alert" not in to_html(content)
    assert not {"html_inline", "html_block", "link_open"} & set(tokens(to_document(content)))


def test_every_figure_is_drawn_and_has_something_to_say(run: Run, tmp_path: Path) -> None:
    drawn = drawn_each(FIGURES, run)
    assert all(drawn.values())
    panels = {name: [axes for axes in one.axes if axes.has_data()] for name, one in drawn.items() if one}
    assert len(panels["corruption_curves"]) == 4
    assert len(panels["reliability"]) == 3
    texts = [text.get_text() for text in panels["evaluated_accuracy"][0].texts]
    assert texts == ["90.0 %  reproduced", "70.0 %  not reproduced: interpolation", "70.0 %"]
    assert drawn_each(FIGURES, run_of(tmp_path)) == dict.fromkeys(FIGURES)


def test_the_legend_of_accuracies_has_what_is_drawn(run: Run, tmp_path: Path) -> None:
    few = np.arange(4)
    alone = run_of(tmp_path, evaluated(tmp_path, "a", few, few))
    for of, expected in ((run, ["measured", "published"]), (alone, ["measured"])):
        drawing = drawn_each(FIGURES[:1], of)[FIGURES[0]]
        assert drawing is not None
        assert [text.get_text() for text in drawing.legends[0].get_texts()] == expected


def test_panels_in_two_rows_are_clear_of_each_other(tmp_path: Path) -> None:
    few, own = np.arange(4), {"confidence": [0.9, 0.8, 0.7, 0.6]}
    check_figure(
        "reliability", run_of(tmp_path, *(evaluated(tmp_path, f"net{i}", few, few, **own) for i in range(4)))
    )


def test_of_many_networks_the_figure_says_that_it_has_the_best(tmp_path: Path) -> None:
    few = np.arange(4)
    run = run_of(tmp_path, *(evaluated(tmp_path, f"net{i}", few, few) for i in range(41)))
    drawing = drawn_each(FIGURES[:1], run)[FIGURES[0]]
    assert drawing is not None
    (axes,) = drawing.axes
    assert len(axes.get_yticks()) == 40
    assert axes.get_title("left") == "imagefolder:pictures val · the 40 best of 41"


def test_classes_of_one_name_have_rows_of_their_own(tmp_path: Path) -> None:
    """A crane is a bird and a machine; of the first every image is right, of the last none."""
    names = ("crane", "heron", "crane")
    run = run_of(tmp_path, evaluated(tmp_path, "a", [0, 0, 1, 0], [0, 0, 1, 2], class_names=names))
    tables = EvaluationTables.of(to_frame([run]))
    assert [(row["class"], row["top1"], row["taken_for"]) for row in tables.values["classes"]] == [
        ("crane (0)", 1.0, ""),
        ("heron", 1.0, ""),
        ("crane (2)", 0.0, "crane (0)"),
    ]
    (view,) = [view for key, _, view, _ in tables.titled if key == "classes"]
    assert [row[0].text for row in view.rows] == ["crane (0)", "heron", "crane (2)"]


def test_data_sets_whose_confusion_is_not_drawn_are_told(tmp_path: Path) -> None:
    few = np.arange(4)
    for count, note in ((4, ""), (6, "2 more data sets not drawn")):
        records = [evaluated(tmp_path, "a", few, few, data=f"imagefolder:{i}") for i in range(count)]
        drawing = drawn_each(("confusion",), run_of(tmp_path, *records))["confusion"]
        assert drawing is not None
        assert len(drawing.axes) == 4
        assert [one.get_title().get_text() for one in drawing.legends] == [note] * bool(note)


def test_all_of_a_confusion_of_long_names_is_within_the_figure(tmp_path: Path) -> None:
    labels = np.repeat(np.arange(10), 5)
    record = evaluated(
        tmp_path, "nets.py:Big(num_classes=10, in_channels=3)", np.full(50, 2), labels,
        data="imagefolder:/pictures/of/all/imagenette-224-subset", class_names=[f"n0{k}440764" for k in range(10)],
    )  # fmt: skip
    drawing = drawn_each(["confusion"], run_of(tmp_path, record), laid_out=True)["confusion"]
    assert drawing is not None
    (axes,) = (axes for axes in drawing.axes if axes.has_data())
    for text in (axes.title, axes._left_title, axes.xaxis.label):  # type: ignore[attr-defined] # of matplotlib
        box = text.get_window_extent(renderer(drawing))
        assert drawing.bbox.x0 <= box.x0
        assert box.x1 <= drawing.bbox.x1


def test_confusion_of_answers_counts_those_of_other_classes_in_no_column(tmp_path: Path) -> None:
    record = evaluated(tmp_path, "a", [0, 1, -1, 1], [0, 0, 0, 1], classes=2)
    answers = read(tmp_path, record).plain[0].answers
    assert answers is not None
    assert _shares(answers.labels, answers.top5[:, 0], 2).tolist() == [[1 / 3, 1 / 3], [0, 1]]
