"""The report: tables and pages from records alone, safe with any text, the same bytes every time."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import math
import re
import subprocess
import sys
import unicodedata
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make_records import FAILURES, NETS, by_name, counted, failed, job, make_run, record, records, speed
from markdown_it import MarkdownIt
from rich.console import Console

from bench.analysis.accuracy import accuracy_table
from bench.analysis.comparison import compare_table, failures
from bench.analysis.frame import to_frame
from bench.errors import StoreError
from bench.plan.card import ArchCard
from bench.records.flags import explain
from bench.records.record import Record
from bench.records.store import Rejected, Run, Store
from bench.report import drawing, page
from bench.report.markdown import to_document
from bench.report.page import Content, ReportFiles, to_html, write_report
from bench.report.summary import sources, summarise
from bench.report.svg import inline
from bench.report.tables import (
    COMPARISON,
    comparison_view,
    csv_text,
    failures_view,
    rich_table,
    to_csv,
    to_markdown,
    trainings_view,
)
from bench.report.text import markdown, plain
from bench.report.versus import versus_view
from bench.report.view import Column, digits_for, number, view
from bench.units import DASH

SMALL = by_name("alexnet", "resnet18")
NASTY = "<script>alert(1)</script>|\"x'[bold]`_*\u202eevil 😀 $x$\n# no"


def content_of(*runs: Run, title: str = "title") -> Content:
    """Return all of a report but its figures, which take most of the time."""
    frame = to_frame(runs)
    table = compare_table(frame)
    return Content(
        title=plain(title),
        summary=summarise(runs, frame, table),
        comparison=comparison_view(table),
        verdicts=versus_view([]),
        verdict_notes=[],
        trainings=trainings_view(accuracy_table(frame)),
        failures=failures_view(failures(frame)),
        sources=sources(table),
        figures=(),
    )


def doubtful_run() -> Run:
    """A run of everything: measurements, failures, pending jobs, doubts, a line set aside, nasty texts."""
    nasty = replace(NETS[5], name=NASTY, family=NASTY)
    counts, fast, *rest = records(by_name("lenet5", "resnet18", "vgg16"))
    detail = {"uncounted": {"aten::fft_rfft2": 3}}
    uncounted = replace(counts.measurements[1], flags=("uncounted_ops",), detail=detail)
    noisy = tuple(replace(m, flags=("noisy",)) for m in fast.measurements)
    seen = [
        replace(counts, measurements=(counts.measurements[0], uncounted)),
        replace(fast, measurements=noisy),
        *rest,
        *records([nasty], backend=NASTY, dataset=NASTY),
        record(
            job(nasty, "infer", **speed(batch_size=512)),
            nasty,
            status="crashed",
            error={"type": NASTY, "message": NASTY, "tip": NASTY},
            environment={"host": {NASTY: NASTY}},
        ),
        *failed(by_name("vgg16", "googlenet")),
    ]
    run = make_run(seen, planned=[job(net, "infer", **speed(batch_size=256)) for net in NETS[:4]])
    rejected = (Rejected(17, "checksum does not match: the line was changed after it was written"),)
    return replace(
        run, rejected=rejected, info={"invocations": [{"argv": ["/somewhere/bin/bench", "run", NASTY]}]}
    )


class Page(HTMLParser):
    """Collects tags, attributes and texts of a page."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.scripts: list[str] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif not (self.open and self.open[-1] == "style"):
            self.text += data


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> ReportFiles:
    return write_report([doubtful_run()], tmp_path_factory.mktemp("reports") / "mine", title="Mine & yours")


@pytest.fixture(scope="module")
def html(written: ReportFiles) -> str:
    return written.index.read_text(encoding="utf-8")


def test_all_files_are_written(written: ReportFiles) -> None:
    folder = written.index.parent
    assert {p.name for p in folder.iterdir()} == {
        "index.html", "report.md", "table.csv", "measurements.csv", "figures",
    }  # fmt: skip
    assert {p.suffix for p in written.figures} == {".svg", ".png"}
    assert {p.relative_to(folder).as_posix() for p in written.figures} == {
        f"figures/{p.name}" for p in (folder / "figures").iterdir()
    }


def test_page_says_what_was_measured_where_and_how_far(html: str) -> None:
    text = Page(html).text
    assert "8 networks on NVIDIA H100 80GB HBM3, 2026-03-14, torch 2.11.0+cu128, bench 0.1.0." in text
    for words in ("28 of 42 jobs measured", "2 crashed", "1 out of memory", "4 pending"):
        assert words in " ".join(text.split())
    assert "Fastest, one image" in text


def test_page_opens_with_the_classic_table(html: str) -> None:
    heads = re.findall(r'<button type="button">([^<]*?)(?: <span|<)', html)
    assert heads[:5] == ["Network", "Year", "Top-5, published", "Parameters", "MACs"]
    assert heads.index("Latency, batch 1") < heads.index("Throughput") < heads.index("Peak memory")
    assert heads.index("Peak memory") < heads.index("Top-1, short training") < heads.index("Data set")


def test_page_explains_failures_doubts_and_lines_set_aside(html: str) -> None:
    text = Page(html).text
    for message in FAILURES.values():
        assert message in text
    assert explain("noisy") in text
    assert "macs of cost lenet5 32 px: aten::fft_rfft2 ×3" in text
    assert "line 17: checksum does not match" in text


def test_page_tells_how_to_reproduce_without_the_path_of_the_program(html: str) -> None:
    text = Page(html).text
    assert "bench run '<script>" in text
    assert "somewhere" not in text


def test_no_script_but_its_own_may_run_and_nothing_is_fetched(html: str) -> None:
    shown = Page(html)
    script = (Path(page.__file__).parent / "templates" / "report.js").read_text(encoding="utf-8")
    assert shown.scripts == [script]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in html
    assert not [name for name, _ in shown.attributes if name.startswith("on")]
    links = [value for name, value in shown.attributes if name in {"src", "href", "xlink:href", "action"}]
    assert {link for link in links if link and not link.startswith("#")} == {
        "table.csv", "measurements.csv", "report.md",
    }  # fmt: skip
    assert "<link" not in html
    assert "@import" not in html


def test_figures_are_inside_with_alternative_texts_and_ids_of_their_own(html: str) -> None:
    shown = Page(html)
    ids = [value for name, value in shown.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    pictures = re.findall(r'role="img" aria-label="([^"]+)"', html)
    assert len(pictures) == shown.tags.count("svg") == len(drawing.FIGURES.names())
    assert all(len(alt) > 80 for alt in pictures)


def test_nasty_text_is_shown_as_text(html: str) -> None:
    assert plain(NASTY) in Page(html).text
    assert "<script>alert" not in html
    assert "\u202e" not in html


def test_table_csv_has_raw_numbers_with_units_in_their_names(written: ReportFiles) -> None:
    run = doubtful_run()
    table = compare_table(to_frame([run]))
    rows = list(csv.DictReader(io.StringIO(written.table.read_text(encoding="utf-8"))))
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
    rows = list(csv.DictReader(io.StringIO(written.measurements.read_text(encoding="utf-8"))))
    assert [r["job_id"] for r in rows] == frame["job_id"].tolist()
    assert [r["median"] for r in rows if r["measurement"] == "latency"] == [
        repr(float(v)) for v in frame.loc[frame["measurement"] == "latency", "median"]
    ]
    assert {r["flags"] for r in rows} == {"", "noisy", "uncounted_ops"}


def test_every_column_of_the_comparison_is_in_the_csv() -> None:
    table = compare_table(to_frame([make_run()]))
    names = next(csv.reader(io.StringIO(to_csv(table))))
    assert len(names) == len(set(names))
    stems = {key for column in COMPARISON for key in (column.key, *column.raw)}
    assert set(table.columns) - stems == {"published_classes", "parameter_bytes"} - stems


def parsed(document: str) -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": True}).enable("table").parse(document)


def tokens(document: str) -> Iterable[str]:
    for token in parsed(document):
        yield token.type
        yield from (child.type for child in token.children or ())


def test_markdown_has_the_same_and_no_markup_from_records(written: ReportFiles) -> None:
    document = written.markdown.read_text(encoding="utf-8")
    assert not {"html_block", "html_inline", "code_inline", "link_open"} & set(tokens(document))
    assert document.startswith("# Mine &amp; yours\n")
    assert document.count("![") == len(drawing.FIGURES.names())
    for word in ("## Comparison", "## Short trainings", "## Failures", "## Doubts", "## Lines set aside"):
        assert word in document


def test_equal_records_give_equal_files(written: ReportFiles, tmp_path: Path) -> None:
    again = write_report([doubtful_run()], tmp_path / "elsewhere", title="Mine & yours")
    for old, new in zip(
        [written.index, written.markdown, written.table, written.measurements, *written.figures],
        [again.index, again.markdown, again.table, again.measurements, *again.figures],
        strict=True,
    ):
        assert old.read_bytes() == new.read_bytes(), old.name


def test_two_processes_draw_the_same_bytes(
    written: ReportFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawing, "_MANY_RECORDS", 1)
    monkeypatch.setattr(drawing, "usable_cores", lambda: 2)
    again = write_report([doubtful_run()], tmp_path / "elsewhere", title="Mine & yours")
    assert len(again.figures) == len(written.figures) > 0
    for old, new in zip(written.figures, again.figures, strict=True):
        assert old.read_bytes() == new.read_bytes(), old.name


def test_figures_that_are_no_longer_drawn_go(tmp_path: Path) -> None:
    out = tmp_path / "report"
    (out / "figures").mkdir(parents=True)
    for name in ("latency_bars.png", "mine.png"):
        (out / "figures" / name).write_bytes(b"old")
    files = write_report([make_run([record(job(n), n, counted(n)) for n in SMALL])], out)
    left = {p.name for p in (out / "figures").iterdir()}
    assert left == {p.name for p in files.figures} | {"mine.png"}
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
    assert "There is no record yet." in files.markdown.read_text(encoding="utf-8")
    assert files.figures == ()


def test_report_needs_neither_torch_nor_pyplot(tmp_path: Path) -> None:
    with Store(tmp_path / "results" / "mine") as store:
        for seen in records(SMALL):
            store.append(seen)
    code = (
        "import sys; from pathlib import Path; from bench.records.store import read_run\n"
        "from bench.report.page import write_report\n"
        f"root = Path({str(tmp_path)!r})\n"
        "write_report([read_run(root / 'results' / 'mine')], root / 'reports' / 'mine')\n"
        "print([m for m in ('torch', 'torchvision', 'matplotlib.pyplot') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout == "[]\n"
    assert (tmp_path / "reports" / "mine" / "index.html").is_file()


@cache
def usual_tags() -> set[str]:
    """All tags that the page of a run with everything in it has."""
    return set(Page(to_html(content_of(doubtful_run()))).tags)


names = st.text(min_size=1, max_size=40)


@settings(max_examples=15, deadline=None)
@given(names, names, names)
def test_any_text_stays_text(name: str, family: str, message: str) -> None:
    net = replace(SMALL[1], name=name, family=family)
    broken = record(job(net), net, status="crashed", error={"type": name, "message": message, "tip": message})
    content = content_of(make_run([*records([net]), broken], name=name), title=message)
    shown = Page(to_html(content))
    assert len(shown.scripts) == 1
    assert plain(name) in shown.text
    assert set(shown.tags) <= usual_tags()
    document = to_document(content)
    assert not {"html_block", "html_inline", "link_open", "image"} & set(tokens(document))
    assert len({row.count("<td") for row in rendered_rows(to_markdown(content.comparison))}) == 1


def rendered_rows(table: str) -> list[str]:
    html = MarkdownIt("commonmark").enable("table").render(table)
    return re.findall(r"<tr>.*?</tr>", html.split("<tbody>")[1], re.DOTALL)


@settings(deadline=None)
@given(st.text(max_size=60), st.integers(5, 50))
def test_plain_is_one_short_line_without_controls(text: str, limit: int) -> None:
    shown = plain(text, limit)
    assert len(shown) <= limit
    assert shown == " ".join(shown.split())
    assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cs", "Zl", "Zp"}
    shown.encode("utf-8")
    assert plain(shown, limit) == shown


def test_plain_and_markdown_by_hand() -> None:
    assert plain("  a\tb\n c\x1b[31m ") == "a b c\N{REPLACEMENT CHARACTER}[31m"
    assert plain("abcdef", 4) == "abc…"
    assert markdown("a|b_c <i>&") == r"a\|b\_c &lt;i&gt;&amp;"


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_terminal_table_fits_and_cuts_no_number(width: int) -> None:
    table = compare_table(to_frame([make_run()]))
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(rich_table(table, title="Comparison"))
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, printed.splitlines())) <= width
    assert "…" not in printed
    for row in comparison_view(table).rows:
        assert row[0].text in printed
    assert {"138", "15.5", "410,000", "93.7 ± 0.3"} - set(re.findall(r"[\d.,]+(?: ± [\d.]+)?", printed)) <= {"93.7 ± 0.3"}  # fmt: skip


def test_terminal_table_takes_names_for_text() -> None:
    net = replace(SMALL[0], name="[red]x[/red]\x1b[2J")
    console = Console(width=120, file=io.StringIO(), color_system=None)
    console.print(rich_table(compare_table(to_frame([make_run(records([net]))]))))
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert "[red]x[/red]" in printed
    assert "\x1b" not in printed


@pytest.mark.parametrize(
    ("value", "low", "high", "digits"),
    [
        (12.345, math.nan, math.nan, 3),  # one exact number
        (12.345, 12.33, 12.36, 3),  # half width 0.015: 12.35 would be allowed, three are enough
        (12.345, 11.5, 13.0, 3),  # 0.75: down to tenths
        (12.345, 9.0, 15.0, 2),  # 3: down to ones
        (12.345, 0.0, 50.0, 2),  # never fewer than two
        (12.345, 12.345, 12.345, 3),
        (0.0, 0.0, 0.0, 3),
    ],
)
def test_digits_as_the_interval_allows(value: float, low: float, high: float, digits: int) -> None:
    assert digits_for(value, low, high) == digits


def test_numbers_share_the_unit_of_their_column() -> None:
    table = pd.DataFrame(
        {"t": [0.0015, 0.0123, math.nan], "t_low": [0.0014, math.nan, 1], "t_high": [0.0016, math.nan, 1]}
    )
    shown = view(table, [Column("t", "Time", number, "s")])
    assert str(shown.heads[0]) == "Time (ms)"
    assert [(cell.text, cell.note, cell.sort) for (cell,) in shown.rows] == [
        ("1.5", "1.4 – 1.6", 0.0015),
        ("12.3", "", 0.0123),
        (DASH, "", None),
    ]


def test_what_is_the_same_everywhere_is_told_once() -> None:
    shown = comparison_view(compare_table(to_frame([make_run(records(SMALL))])))
    assert {"Precision": "fp32", "Batch": "64", "Epochs": "8"}.items() <= shown.common.items()
    assert "Precision" not in {head.title for head in shown.heads}


def test_training_cell_has_mean_spread_and_seeds() -> None:
    frame = to_frame([make_run()])
    shown = comparison_view(compare_table(frame))
    titles = [head.title for head in shown.heads]
    row = next(r for r in shown.rows if r[0].text == "googlenet")
    assert re.fullmatch(r"\d\d\.\d ± \d\.\d", row[titles.index("Top-1, short training")].text)
    seeds = row[titles.index("Seeds")]
    assert (seeds.text, seeds.note) == ("3 of 4", "1 diverged")


def test_a_network_without_a_card_has_dashes() -> None:
    run = make_run(
        [Record.from_json({**record(job(SMALL[0])).to_json(), "card": ArchCard(name="x").to_json()})]
    )
    row = comparison_view(compare_table(to_frame([run]))).rows[0]
    assert [cell.text for cell in row[:5]] == ["alexnet", DASH, DASH, DASH, DASH]


def test_csv_keeps_whole_numbers_whole() -> None:
    assert csv_text(pd.DataFrame({"year": [2015.0, math.nan], "x": [0.5, 2.0]})) == "year,x\n2015,0.5\n,2.0\n"


def test_summary_counts_one_network_in_the_singular() -> None:
    summary = content_of(make_run(records(SMALL[:1]))).summary
    assert summary.lead.startswith("1 network on NVIDIA")
    assert summary.facts == []


def test_commands_are_told_once_each() -> None:
    words = ["bench", "run", "all"]
    info = {
        "invocations": [{"argv": words}, {"argv": words}, {"argv": ["x/bench/__main__.py", "run", "a b"]}]
    }
    commands = content_of(replace(make_run(records(SMALL)), info=info)).summary.commands
    assert commands == {"synthetic": "bench run all\nbench run 'a b'"}


def test_environment_shows_what_records_agree_on() -> None:
    seen = [
        replace(r, environment={"cpu": {"model": "A"}, "state": {"load": i}})
        for i, r in enumerate(records(SMALL[:1]))
    ]
    shown = dict(content_of(make_run(seen)).summary.environments["synthetic"])
    assert shown == {"cpu.model": "A", "state.load": f"varied, {len(seen)} values"}


def test_inline_svg_has_prefixed_ids_and_page_colours() -> None:
    svg = (
        b'<?xml version="1.0"?>\n<!DOCTYPE svg>\n<svg xmlns:xlink="x" width="72pt" height="36pt" viewBox="0 0 72 36">'
        b"<metadata>m</metadata><!-- text --><defs>\n"
        b'<path id="p1"/></defs><use xlink:href="#p1" style="fill: #1c2128"/><g clip-path="url(#p1)"/></svg>'
    )
    shown = inline(svg, "mine")
    assert shown.startswith('<svg xmlns:xlink="x" style="max-width:72pt"')
    assert 'id="mine-p1"' in shown
    assert 'href="#mine-p1" style="fill: var(--ink)"' in shown
    assert "url(#mine-p1)" in shown
    assert "<!--" not in shown
    assert "metadata" not in shown
