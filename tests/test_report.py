"""Writing a report: all files, from records alone, the same bytes every time."""

from __future__ import annotations

import csv
import io
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from make_records import (
    by_name,
    card,
    counted,
    in_processes,
    job,
    make_run,
    record,
    records,
    scored,
    speed,
)

from bench.analysis.comparison import compare_table
from bench.analysis.frame import to_frame
from bench.analysis.machine import Drift
from bench.errors import StoreError
from bench.records.record import Measurement, Record
from bench.records.store import Run
from bench.report._summary import _drift, caption
from bench.report.figures import _drawing as drawing
from bench.report.tables._columns import COMPARISON, comparison_view
from bench.report.tables._csv import csv_text, with_units
from bench.report.write import ReportFiles, write_report
from reports import NASTY, SMALL, Page, content_of, doubtful_run, tokens, unrendered


def written_to(folder: Path) -> ReportFiles:
    return write_report([doubtful_run()], folder, title="Mine & yours", formats=("svg", "md", "csv", "html"))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> ReportFiles:
    """A report with all figures, drawn in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "_MANY_RECORDS", 1_000_000)
        return written_to(tmp_path_factory.mktemp("reports") / "mine")


def figures(files: ReportFiles) -> list[Path]:
    return [path for path in files.written if path.parent.name == "figures"]


def test_all_files_are_written(written: ReportFiles) -> None:
    folder = written.index.parent
    assert {p.name for p in folder.iterdir()} == {
        "index.html", "report.md", "table.csv", "measurements.csv", "figures",
    }  # fmt: skip
    assert {p.suffix for p in figures(written)} == {".svg"}
    assert {p.relative_to(folder).as_posix() for p in figures(written)} == {
        f"figures/{p.name}" for p in (folder / "figures").iterdir()
    }


def test_table_csv_has_raw_numbers_with_units_in_their_names(written: ReportFiles) -> None:
    run = doubtful_run()
    table = compare_table(to_frame([run]))
    rows = list(csv.DictReader(io.StringIO((written.folder / "table.csv").read_text(encoding="utf-8"))))
    assert [r["network"] for r in rows] == table["network"].tolist()
    assert NASTY in {r["network"] for r in rows}
    row = next(r for r in rows if r["network"] == "resnet18")
    stored = table[table["network"] == "resnet18"].iloc[0]
    assert row["year"] == "2015"
    assert row["macs_MAC"] == "1814100000"
    for name, key in (
        ("latency_s", "latency"),
        ("throughput_images_per_s", "throughput"),
        ("latency_low_s", "latency_low"),
    ):
        assert float(row[name]) == stored[key]
    assert (row["accuracy_sd"], row["n_ok"]) == (repr(float(stored["accuracy_sd"])), "3")
    assert next(r for r in rows if r["network"] == "lenet5")["published_top5"] == ""


def test_measurements_csv_has_every_row_of_the_frame(written: ReportFiles) -> None:
    frame = to_frame([doubtful_run()])
    rows = list(
        csv.DictReader(io.StringIO((written.folder / "measurements.csv").read_text(encoding="utf-8")))
    )
    assert [r["job_id"] for r in rows] == frame["job_id"].tolist()
    assert [r["median"] for r in rows if r["measurement"] == "latency"] == [
        repr(float(v)) for v in frame.loc[frame["measurement"] == "latency", "median"]
    ]
    assert {r["flags"] for r in rows} == {"", "noisy", "uncounted_ops"}


def marked(run: Run, title: str) -> set[str]:
    """Return the networks whose number in a column is bold."""
    shown = comparison_view(compare_table(to_frame([run])))
    place = [head.title for head in shown.heads].index(title)
    return {row[0].text for row in shown.rows if row[place].best}


def test_nothing_is_marked_that_does_not_compare() -> None:
    nets = by_name("vgg16", "resnet18", "resnet50")
    quick = [scored(net, s, 0.9 - i / 10 + s / 1000) for i, net in enumerate(nets[:2]) for s in range(3)]
    long = [scored(nets[2], s, 0.95 + s / 1000, epochs=80) for s in range(3)]
    assert marked(make_run([*quick, *long]), "Top-1, short training") == {"vgg16"}
    ways = ("1 crop", "10 crops", "10 crops")
    published = [
        record(job(net), net).changed(
            card=replace(card(net), published={"top5": 0.9 - i / 100, "protocol": way})
        )
        for i, (net, way) in enumerate(zip(nets, ways, strict=True))
    ]
    assert marked(make_run(published), "Top-5, published") == {"resnet18"}


def test_nothing_is_marked_across_input_sizes() -> None:
    timed = [r for r in in_processes(records(by_name("vgg16", "resnet18"))) if r.job.task == "infer"]
    assert marked(make_run(timed), "Latency, batch 1") == {"resnet18"}
    small = [
        r.changed(job=replace(r.job, arch="small", input_size=32)) for r in timed if r.job.arch == "resnet18"
    ]
    assert marked(make_run([*timed, *small]), "Latency, batch 1") == {
        "resnet18"
    }  # and not small, alone at 32 px


def test_a_grey_image_in_ten_classes_is_no_rival_of_a_coloured_one_in_a_thousand() -> None:
    nets = by_name("vgg16", "resnet18")
    small = replace(by_name("lenet5")[0], name="small", input_size=224)
    tiny = [
        r.changed(job=replace(r.job, in_channels=1, num_classes=10))
        for r in in_processes(records([small]))
        if r.job.task == "infer"
    ]
    timed = [r for r in in_processes(records(nets)) if r.job.task == "infer"]
    assert marked(make_run([*tiny, *timed]), "Latency, batch 1") == {"resnet18"}


def test_one_seed_is_no_winner() -> None:
    one, other = by_name("vgg16", "resnet18")
    three = [scored(other, s, 0.8 + s / 1000) for s in range(3)]
    assert marked(make_run([scored(one, 0, 0.9), *three]), "Top-1, short training") == set()


def test_doubts_are_those_of_the_numbers_over_all_processes() -> None:
    (net,) = by_name("vgg16")
    steps = [0.010, 0.011, 0.012, 0.014, 0.019]
    seen = [
        record(
            job(net, "infer", **speed(batch_size=8, replicate=number)),
            net,
            [Measurement(name="step_time", unit="s", better="lower", samples=(s,), flags=("few_samples",))],
        )
        for number, s in enumerate(steps)
    ]
    doubts = content_of(make_run(seen)).summary.doubts
    assert [(doubt.flag, list(doubt.where)) for doubt in doubts] == [
        ("noisy", ["step_time of infer vgg16 224 px batch 8 cuda"])
    ]


def test_every_column_of_the_comparison_is_in_the_csv() -> None:
    table = compare_table(to_frame([make_run()]))
    names = next(csv.reader(io.StringIO(csv_text(with_units(table, COMPARISON)))))
    assert len(names) == len(set(names))
    stems = {key for column in COMPARISON for key in (column.key, *column.raw)}
    assert (
        set(table.columns) - stems == {"published_channels", "published_classes", "parameter_bytes"} - stems
    )


def test_markdown_has_the_same_and_no_markup_from_records(written: ReportFiles) -> None:
    document = (written.folder / "report.md").read_text(encoding="utf-8")
    assert not {"html_block", "html_inline", "code_inline", "link_open"} & set(tokens(document))
    assert document.startswith("# Mine &amp; yours\n")
    assert document.count("![") == sum(path.suffix == ".svg" for path in figures(written))
    for word in ("## Comparison", "## Short trainings", "## Failures", "## Doubts", "## Lines set aside"):
        assert word in document


@pytest.mark.parametrize(
    ("formats", "files"),
    [
        (("html",), set()),
        (("html", "csv"), {"table.csv", "measurements.csv"}),
        (("html", "md", "latex"), {"report.md", "table.tex", "trainings.tex", "figures/macs_accuracy.svg"}),
        (("html", "png"), set()),
    ],
)
def test_the_page_links_what_was_written_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, formats: tuple[str, ...], files: set[str]
) -> None:
    unrendered(monkeypatch)
    written = write_report([make_run(records(SMALL))], tmp_path, formats=formats, figures=["macs_accuracy"])
    page = Page(written.index.read_text(encoding="utf-8"))
    links = {value for name, value in page.attributes if name == "href" and value and value[0] != "#"}
    assert links == files
    assert all((tmp_path / link).is_file() for link in links)
    kinds = sorted({path.suffix[1:].upper() for path in figures(written)})
    assert (f"as {' and '.join(kinds)} in the folder" in page.text) is bool(kinds)
    assert "macs_accuracy --format svg" in page.text or "SVG" in kinds


def test_pixels_are_drawn_only_for_what_the_page_shows_in_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = unrendered(monkeypatch)
    run = make_run(records(SMALL))
    names = ["macs_accuracy", "learning_curves", "gradient_depth"]  # but for the last, charts show the same
    for largest, drawn in ((10**9, ["svg"] * 3), (10, ["svg", "svg", "svg", "png"])):
        monkeypatch.setattr(drawing, "LARGEST_SVG", largest)
        kinds.clear()
        write_report([run], tmp_path, formats=("html",), figures=names)
        assert sorted(kinds, reverse=True) == drawn


def test_equal_records_give_equal_files_in_two_processes_as_in_one(
    written: ReportFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of all figures, with a name from outside; what is drawn in pixels is of the same objects."""
    monkeypatch.setattr(drawing, "_MANY_RECORDS", 1)
    monkeypatch.setattr(drawing, "usable_cores", lambda: 2)
    again = written_to(tmp_path / "mine")
    assert len(figures(written)) == len(figures(again)) > 0
    for old, new in zip(written.written, again.written, strict=True):
        assert old.read_bytes() == new.read_bytes(), old.name
    for figure in figures(written):
        ET.fromstring(figure.read_bytes())


def test_figures_that_are_no_longer_drawn_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unrendered(monkeypatch)
    out = tmp_path / "report"
    (out / "figures").mkdir(parents=True)
    for name in ("latency_forest.png", "mine.png"):
        (out / "figures" / name).write_bytes(b"old")
    files = write_report([make_run([record(job(n), n, counted(n)) for n in SMALL])], out)
    left = {p.name for p in (out / "figures").iterdir()}
    assert left == {p.name for p in figures(files)} | {"mine.png"}
    assert "Latency of a single image</b> needs infer jobs" in files.index.read_text(encoding="utf-8")


def test_folder_that_cannot_be_written_is_a_store_error(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(StoreError, match="cannot write a report to") as error:
        write_report([], file / "report")
    assert error.value.tip
    (tmp_path / "report" / "table.csv").mkdir(parents=True)
    with pytest.raises(StoreError, match="cannot write a report to"):
        write_report([], tmp_path / "report")
    assert not list((tmp_path / "report").glob(".*"))


@pytest.mark.parametrize("runs", [[], [make_run([])]], ids=["no run", "no record"])
def test_report_of_nothing_says_so(runs: list[Run], tmp_path: Path) -> None:
    files = write_report(runs, tmp_path / "report")
    assert "There is no record yet." in files.index.read_text(encoding="utf-8")
    assert "There is no record yet." in (files.folder / "report.md").read_text(encoding="utf-8")
    assert figures(files) == []


def test_summary_counts_one_network_in_the_singular() -> None:
    summary = content_of(make_run(records(SMALL[:1]))).summary
    assert summary.lead.startswith("1 network on NVIDIA")
    assert summary.drifts == []


@pytest.mark.parametrize(
    ("ratio", "took"),
    [
        (1.062, "took 6.2 % longer than"),
        (0.971, "took 2.9 % less time than"),
        (2.5, "took 2.5 times as long as"),
    ],
)
def test_drift_is_told_in_words(ratio: float, took: str) -> None:
    told = _drift(Drift("infer net", "latency", ratio))
    assert told == f"The machine: at the end of the run infer net {took} at its beginning."


def test_the_caption_in_a_paper_has_machine_versions_and_processes(tmp_path: Path) -> None:
    alone, three = list(records(SMALL[:1])), list(in_processes(records(SMALL[:1]), 3))
    write_report([make_run(three, name="mine")], tmp_path, formats=["latex"])
    words = (
        "mine: 1 network on NVIDIA H100 80GB HBM3, 2026-03-14, torch 2.11.0+cu128, bench 0.1.0. Times are of "
    )
    assert (
        f"\\caption{{{words}1 to 3 processes, with 95 \\% intervals.}}"
        in (tmp_path / "table.tex").read_text()
    )
    assert words in (tmp_path / "trainings.tex").read_text()

    def told(*seen: Record) -> str:
        run = make_run(seen)
        return caption("t", content_of(run).summary, to_frame([run])).partition(". ")[2]

    assert (
        told(*(one for one in three if one.job.task == "infer"))
        == "Times are of 3 processes, with 95 % intervals."
    )
    assert told(*alone) == "Times are of 1 process, with 95 % intervals."
    assert told(alone[0]) == ""  # counted alone


def test_commands_are_told_once_each() -> None:
    words = ["bench", "run", "all"]
    info = {
        "invocations": [{"argv": words}, {"argv": words}, {"argv": ["x/bench/__main__.py", "run", "a b"]}]
    }
    commands = content_of(replace(make_run(records(SMALL)), info=info)).summary.commands
    assert commands == {"synthetic": "bench run all\nbench run 'a b'"}


def test_environment_shows_what_records_agree_on() -> None:
    seen = [
        r.changed(environment={"cpu": {"model": "A"}, "state": {"load": i}})
        for i, r in enumerate(records(SMALL[:1]))
    ]
    shown = dict(content_of(make_run(seen)).summary.environments["synthetic"])
    assert shown == {"cpu.model": "A", "state.load": f"varied, {len(seen)} values"}
