"""`bench report` with its options, and whatever a store may hold; `bench.load` and figures in a notebook."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import pandas as pd
import pytest
from conftest import Bench
from make_records import (
    ENVIRONMENT,
    NETS,
    by_name,
    counted,
    failed,
    job,
    record,
    records,
    speed,
    training,
)

import bench
from bench.errors import BenchError, UnknownNameError
from bench.records.line import encode
from bench.records.record import Measurement, Record, count
from bench.records.store import RECORDS, Store
from bench.report.figures._style import styled
from bench.report.style_sheet import read_style_sheet
from bench.report.write import _FORMATS, _USUAL, _saved_kinds, read_formats
from reports import unrendered

SMALL = by_name("alexnet", "vgg16", "resnet18", "resnet50")
TEXTS = ("--format", "csv,md,latex", "--figure", "macs_accuracy")
# Tests that look at pictures, or of numbers that not every picture can hold; for the others figures become a few bytes.
RENDERED = frozenset(
    {
        "test_a_style_sheet_changes_the_figures",
        "test_equal_stores_give_equal_bytes_in_every_format",
        "test_values_that_are_no_numbers",
    }
)


@pytest.fixture(autouse=True)
def rendered_where_it_matters(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.node.name not in RENDERED:
        unrendered(monkeypatch)


def store(seen: list[Record], name: str = "some") -> Path:
    """Write records into the store of a run."""
    with Store(Path("results") / name) as opened:
        for one in seen:
            opened.append(one)
    return Path("results") / name


def table(name: str = "some") -> pd.DataFrame:
    return pd.read_csv(Path("reports") / name / "table.csv")


def files(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


# Filters.


def test_conditions_choose_what_all_of_the_report_speaks_of(run: Bench) -> None:
    store([*records(SMALL), *failed(SMALL)])
    result = run("report", "some", *TEXTS, "--where", "family == 'resnet'", "-w", "macs < 2e9")
    assert result.exit_code == 0, result.stderr
    assert table()["network"].tolist() == ["resnet18"]
    document = Path("reports/some/report.md").read_text()
    assert "vgg16" not in document
    assert "alexnet" not in document
    assert document.startswith("# some where family == 'resnet' and macs &lt; 2e9")


@pytest.mark.parametrize(
    ("condition", "code", "message"),
    [
        ("famly == 'resnet'", 2, "did you mean family"),
        ("family == resnet", 2, "text in quotes"),
        ("year == '2015'", 2, "column year has numbers"),
        ("family == 'nobody'", 2, "no job of some fits family == 'nobody'"),
        ("__import__('os').getcwd()", 2, "expected"),
        ("(" * 1200, 2, "1200 characters"),
    ],
)
def test_conditions_that_cannot_be(run: Bench, condition: str, code: int, message: str) -> None:
    store(list(records(SMALL)))
    result = run("report", "some", "--where", condition)
    assert result.exit_code == code
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.output
    assert not Path("reports").exists()


# Formats, figures and style.


def test_formats_are_words_with_commas_each_once() -> None:
    assert read_formats(["html, md", "pdf,md"]) == ("html", "md", "pdf")
    assert read_formats([]) == _USUAL
    with pytest.raises(UnknownNameError) as caught:
        read_formats(["htm"])
    assert "html" in str(caught.value.tip)


@pytest.mark.parametrize(
    ("formats", "kinds"),
    [
        (("csv", "latex"), ()),
        (("html",), ()),
        (("md",), ("svg",)),
        (("pdf",), ("pdf",)),
        (_FORMATS, ("svg", "png", "pdf")),
    ],
)
def test_only_what_is_asked_for_is_saved(formats: tuple[str, ...], kinds: tuple[str, ...]) -> None:
    assert _saved_kinds(formats) == kinds


@pytest.mark.parametrize(
    ("formats", "written"),
    [
        ("csv", {"table.csv", "measurements.csv"}),
        ("latex", {"table.tex", "trainings.tex"}),
        ("pdf,png", {"figures/macs_accuracy.pdf", "figures/macs_accuracy.png"}),
        ("md", {"report.md", "figures/macs_accuracy.svg"}),
        ("html", {"index.html"}),
    ],
)
def test_only_what_is_asked_for_is_written(run: Bench, formats: str, written: set[str]) -> None:
    store(list(records(SMALL)))
    result = run("report", "some", "--figure", "macs_acc*", "-f", formats, "--json")
    assert result.exit_code == 0, result.stderr
    assert set(files(Path("reports/some"))) == written
    place = "reports/some/index.html" if formats == "html" else "reports/some"
    assert json.loads(result.stdout)["report"] == place


def test_files_of_other_formats_and_figures_stay(run: Bench) -> None:
    store(list(records(SMALL)))
    run("report", "some", "--figure", "macs_accuracy", "--format", "png")
    run("report", "some", "--figure", "throughput_bars", "--format", "svg")
    assert set(files(Path("reports/some/figures"))) == {"macs_accuracy.png", "throughput_bars.svg"}


def test_a_figure_that_is_not_there_names_the_nearest(run: Bench) -> None:
    store(list(records(SMALL)))
    result = run("report", "some", "--figure", "mac_accuracy")
    assert result.exit_code == 2
    assert "macs_accuracy" in result.stderr


def test_a_style_sheet_changes_the_figures(run: Bench) -> None:
    store(list(records(SMALL)))
    Path("my.mplstyle").write_text('# mine\nfont.size: 14  # large\n\naxes.facecolor: "#abcdef"\n')
    asked = ("report", "some", "--figure", "macs_accuracy", "--format", "svg")
    run(*asked, "--out", "usual")
    run(*asked, "--out", "mine", "--style", "my.mplstyle")
    assert b"#abcdef" not in Path("usual/figures/macs_accuracy.svg").read_bytes()
    assert b"#abcdef" in Path("mine/figures/macs_accuracy.svg").read_bytes()


@pytest.mark.parametrize(
    ("sheet", "message"),
    [
        ("font.size", "line 1: 'font.size' is no setting"),
        ("\nfont.sise: 8", "line 2: 'font.sise' is no setting of matplotlib"),
        ("font.size: large-ish", "line 1: font.size:"),
        ("lines.linewidth: ", "line 1: lines.linewidth:"),
        ("text.usetex: True", "may not be set by a sheet"),
        ("text.latex.preamble: \\input{/etc/passwd}", "may not be set by a sheet"),
        ("backend: TkAgg", "may not be set by a sheet"),
        ("savefig.directory: /", "may not be set by a sheet"),
        ("axes.prop_cycle: cycler('color', ['r'])", "may not be set by a sheet"),
        ("svg.hashsalt: x", "may not be set by a sheet"),
        (": 3", "is no setting"),
        ("figure.hooks: os:abort", "may not be set by a sheet"),
    ],
)
def test_style_sheets_that_are_wrong(run: Bench, sheet: str, message: str) -> None:
    store(list(records(SMALL[:1])))
    Path("my.mplstyle").write_text(sheet)
    result = run("report", "some", "--style", "my.mplstyle")
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_style_sheet_that_cannot_be_read(run: Bench, content: bytes | None) -> None:
    if content:
        Path("my.mplstyle").write_bytes(content)
    with pytest.raises(BenchError, match="cannot read the style sheet") as caught:
        read_style_sheet(Path("my.mplstyle"))
    assert caught.value.tip


def test_all_that_a_sheet_may_set_is_read_back_as_matplotlib_has_it(tmp_path: Path) -> None:
    with styled():
        usual = {
            k: mpl.rcParams[k]
            for k in ("font.size", "axes.grid", "lines.linestyle", "grid.color", "font.family")
        }
    sheet = tmp_path / "sheet"
    sheet.write_text(
        "\n".join(
            f"{k}: {v if isinstance(v, str) else ', '.join(map(str, [v] if not isinstance(v, list) else v))}".replace(
                "#", ""
            )
            for k, v in usual.items()
        )
    )
    again = read_style_sheet(sheet)
    assert {k: again[k] for k in ("font.size", "axes.grid", "lines.linestyle", "font.family")} == {
        k: usual[k] for k in ("font.size", "axes.grid", "lines.linestyle", "font.family")
    }


def test_equal_stores_give_equal_bytes_in_every_format(run: Bench) -> None:
    """In this process, and in one that hashes by another seed, and needs neither torch nor pyplot."""
    folder = store(list(records(SMALL)))
    words = ["report", "some", "--figure", "macs_accuracy", "--format", ",".join(_FORMATS)]
    assert run(*words, "--out", "out1").exit_code == 0
    seed = "1" if os.environ.get("PYTHONHASHSEED") == "2" else "2"
    code = (
        f"import bench, sys\nrepr(bench.load({str(folder)!r})); print('loaded', *sys.modules)\n"
        "from bench.cli.app import app\n"
        f"app({[*words, '--out', 'out2']!r}, standalone_mode=False); print('written', *sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        check=True,
        text=True,
    )
    imported = {words[0]: words for line in done.stdout.splitlines() if (words := line.split())}
    assert not {"torch", "matplotlib"} & set(imported["loaded"])
    assert not {"torch", "torchvision", "matplotlib.pyplot"} & set(imported["written"])
    assert files(Path("out1")) == files(Path("out2"))
    assert {f.rpartition(".")[2] for f in files(Path("out1"))} == {
        "html",
        "md",
        "csv",
        "tex",
        "svg",
        "png",
        "pdf",
    }


# What a store may hold.


def test_empty_store(run: Bench) -> None:
    store([])
    result = run("report", "some", *TEXTS)
    assert result.exit_code == 0, result.stderr
    assert len(table()) == 0
    assert "There is no record yet" in Path("reports/some/report.md").read_text()


def test_failed_jobs_alone(run: Bench) -> None:
    store(list(failed(SMALL)))
    result = run("report", "some", *TEXTS)
    assert result.exit_code == 0, result.stderr
    document = Path("reports/some/report.md").read_text()
    assert all(f"| {word} |" in document for word in ("out of memory", "crashed", "diverged", "timed out"))
    assert table()["latency_s"].isna().all()


def test_one_row(run: Bench) -> None:
    store([record(job(NETS[0]), NETS[0], counted(NETS[0]))])
    assert run("report", "some", *TEXTS).exit_code == 0
    assert table()["parameters"].tolist() == [NETS[0].parameters]
    assert (
        "**"
        not in Path("reports/some/report.md").read_text().partition("## Comparison")[2].partition("##")[0]
    )


def test_values_that_are_no_numbers(run: Bench) -> None:
    net = SMALL[0]
    odd = [math.nan, math.inf, -math.inf]
    latency = Measurement(name="latency", unit="s", better="lower", samples=tuple(odd))
    step = Measurement(name="step_time", unit="s", better="lower", samples=(math.nan,))
    top1 = Measurement(name="top1", unit="1", better="higher", samples=(math.inf,), detail={"by_epoch": odd})
    store(
        [
            record(job(net, "infer", **speed()), net, [latency, step]),
            record(job(net, "accuracy", size=32, **training()), net, [top1]),
            record(job(net), net, [count("parameters", math.inf), count("macs", math.nan, "MAC")]),
        ]
    )
    result = run("report", "some")
    assert result.exit_code == 0, result.stderr
    assert table()[["latency_s", "parameters", "macs_MAC", "accuracy"]].isna().all(axis=None)


def test_a_step_of_no_time_is_no_throughput(run: Bench) -> None:
    zero = Measurement(name="step_time", unit="s", better="lower", samples=(0.0,) * 8)
    store([record(job(SMALL[0], "infer", **speed()), SMALL[0], [zero]), *records(SMALL[1:2])])
    result = run("report", "some", *TEXTS)
    assert result.exit_code == 0, result.stderr
    assert (
        "inf"
        not in Path("reports/some/table.tex").read_text().partition("midrule")[2].partition("bottomrule")[0]
    )


def test_runs_of_two_machines_stand_side_by_side(run: Bench) -> None:
    other = {**ENVIRONMENT, "gpu": [{"name": "NVIDIA A100"}]}
    store(list(records(SMALL)), "one")
    store([r.changed(environment=other) for r in records(SMALL)], "two")
    result = run("report", "one", "two", *TEXTS)
    assert result.exit_code == 0, result.stderr
    both = table("one+two")
    assert len(both) == 2 * len(SMALL)
    assert set(both["device_name"]) == {"NVIDIA H100 80GB HBM3", "NVIDIA A100"}
    assert run("report", "one", "two", "--format", "csv", "-w", "device_name ~ '*A100'").exit_code == 0
    assert set(table("one+two")["run"]) == {"two"}


def test_cards_without_published_values_and_records_of_fewer_fields(run: Bench) -> None:
    plain = record(job(SMALL[0]), SMALL[0], counted(SMALL[0])).changed(environment={}, bench_version="")
    store([plain.changed(card=replace(plain.card, published={}, year=None, family=""))], "old")
    store(list(records(SMALL[1:2])), "new")
    result = run("report", "old", "new", *TEXTS)
    assert result.exit_code == 0, result.stderr
    rows = table("old+new").set_index("network")
    assert math.isnan(rows.loc["alexnet", "published_top5"])
    assert math.isnan(rows.loc["alexnet", "year"])


def test_a_newer_schema_is_refused_with_its_line(run: Bench) -> None:
    folder = store(list(records(SMALL[:1])))
    line = encode(record(job(SMALL[0]), SMALL[0]).changed(schema=99))
    with (folder / RECORDS).open("ab") as stream:
        stream.write(line)
    result = run("report", "some")
    assert result.exit_code == 1
    assert "schema 99" in result.stderr
    assert "update bench" in result.stderr


def test_a_corrupt_line_is_set_aside_and_named(run: Bench) -> None:
    folder = store(list(records(SMALL[:1])))
    content = (folder / RECORDS).read_bytes()
    (folder / RECORDS).write_bytes(content.replace(b'"alexnet"', b'"alexnot"', 1))
    result = run("report", "some", *TEXTS)
    assert result.exit_code == 0
    assert "line 1 of results/some/records.jsonl set aside: checksum does not match" in result.stderr
    assert table()["network"].tolist() == ["alexnet"]


def test_a_folder_that_cannot_be_written(run: Bench) -> None:
    store(list(records(SMALL[:1])))
    Path("reports").write_text("a file stands where the folder should be")
    result = run("report", "some", "--format", "csv")
    assert result.exit_code == 1
    assert "cannot write a report" in result.stderr


# In a notebook.


def test_a_loaded_frame_is_shown_as_the_comparison(run: Bench) -> None:
    folder = store(list(records(SMALL)))
    frame = bench.load(folder)
    assert len(frame) == len(frame[["run"]])
    assert list(frame.comparison["network"]) == ["alexnet", "vgg16", "resnet18", "resnet50"]
    text = repr(frame)
    assert all(net.name in text for net in SMALL)
    assert text.endswith(f"{len(frame)} rows of the frame: 28 of 28 jobs measured")
    assert type(frame[frame["task"] == "cost"]) is type(frame)


def test_a_loaded_frame_as_html_has_text_for_text(run: Bench) -> None:
    folder = store(list(records([replace(SMALL[0], name="<script>alert(1)</script>"), SMALL[1]])))
    shown = bench.load(folder)._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    assert "<b>" in shown
    assert shown.count("<tr>") == 3


def test_loading_can_be_narrowed_and_nothing_is_shown_as_nothing(run: Bench) -> None:
    folder = store(list(records(SMALL)))
    chosen = bench.load(folder, folder, where=["family == 'resnet'", "run == 'some'"])
    assert set(chosen["arch"]) == {"resnet18", "resnet50"}
    assert "0 of 0 jobs" in repr(bench.load(folder, where="arch == 'nobody'"))


@pytest.fixture(scope="module")
def two_networks(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    folder = tmp_path_factory.mktemp("results") / "some"
    with Store(folder) as opened:
        for one in records(SMALL[:2]):
            opened.append(one)
    return bench.load(folder)


@pytest.mark.parametrize("name", ["latency_forest", "field_accuracy", "learning_curves"])
def test_a_figure_is_a_function_of_a_frame(name: str, two_networks: pd.DataFrame) -> None:
    drawing = bench.figure(name, two_networks)
    assert drawing is not None
    assert drawing.axes
    assert bench.figure(name, two_networks.iloc[:0]) is None
