"""The page as text: what it says, and that any text stays text."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make_records import FAILURES, NETS, by_name, card, counted, job, make_run, record, records, speed
from markdown_it import MarkdownIt
from pages import KINDS, content_of_kind
from test_versus import TIMES
from test_versus import run_of as compared

from bench.analysis import studies
from bench.analysis.comparison import compare_table
from bench.analysis.frame import to_frame
from bench.analysis.studies import StudyVerdict, TestVerdict
from bench.claims.table import native_rows
from bench.io import JsonObject
from bench.records.flags import explain
from bench.records.record import Record, count
from bench.records.store import Run
from bench.report._summary import row_commands, summarise
from bench.report.figures._drawing import Picture
from bench.report.page import _html as html_module
from bench.report.page._data import packed, page_data, to_script
from bench.report.page._html import _breakable, _figure_markup, _own_script, to_html
from bench.report.page._markdown import to_document
from bench.report.tables._columns import page_view
from bench.report.tables._studies import study_view
from bench.report.tables.cells import View
from bench.report.tables.formats import to_markdown
from bench.report.text import markdown, plain
from bench.units import DASH, bound
from reports import NASTY, SMALL, Page, content_of, doubtful_run, tokens

PICTURE = b'<?xml version="1.0"?><svg width="72pt" height="36pt" viewBox="0 0 72 36"><path id="p"/></svg>'
DRAWN = Picture("mine", "Mine", "How to read it.", "infer jobs", {"svg": PICTURE, "png": b"png"})


@pytest.fixture(scope="module")
def html() -> str:
    content = content_of(doubtful_run(), title="Mine & yours")
    return to_html(replace(content, figures=[DRAWN, replace(DRAWN, name="not", files={})]))


def test_page_says_what_was_measured_where_and_how_far(html: str) -> None:
    text = Page(html).text
    assert "8 networks on NVIDIA H100 80GB HBM3, 2026-03-14, torch 2.11.0+cu128, bench 0.1.0." in text
    for words in ("28 of 42 jobs measured", "2 crashed", "1 out of memory", "4 pending"):
        assert words in " ".join(text.split())
    answer = "no network is the fastest for certain: "
    assert answer in text
    assert text.index(answer) < text.index("of 42 jobs measured")


def test_page_has_one_table_of_networks(html: str) -> None:
    table = html[html.index('<table id="table-comparison"') :].partition("</table>")[0]
    heads = re.findall(r'<button type="button">([^<]*?)(?: <span|<)', table)
    assert heads[:5] == ["Network", "Year", "Top-1, published", "Top-5, published", "Parameters"]
    folded = re.findall(r'<th scope="col"[^>]* hidden><button type="button">([^<]*?)(?: <span|<)', table)
    assert {"Activations", "Receptive field", "Top-5, published"} <= set(folded)
    assert not {"Network", "Top-1, published", "Latency, batch 1", "Published, tested on"} & set(folded)
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


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("torchvision:mobilenet_v3_large", ["torchvision:", "mobilenet_", "v3_", "large"]),
        ("my_net.py:Net(width=128)", ["my_", "net.", "py:", "Net(", "width=128)"]),
        ("x · cuda:0 · 1,000 of 1.5 (86 – 92)", ["x · cuda:0 · 1,000 of 1.5 (86 – 92)"]),
        ("<b>a_b</b>", ["&lt;b&gt;a_", "b&lt;/b&gt;"]),
    ],
)
def test_a_name_may_go_on_in_the_next_line_behind_its_marks(name: str, parts: list[str]) -> None:
    assert _breakable(name).split("<wbr>") == parts
    assert Page(_breakable(name)).text == name


@pytest.mark.parametrize("kind", KINDS)
def test_a_click_on_any_head_sorts_by_what_the_cells_show(kind: str, tmp_path: Path) -> None:
    for table in re.findall(
        r'<table id="[^"]*" class="sortable.*?</table>', to_html(content_of_kind(kind, tmp_path)), re.DOTALL
    ):
        for row in table.partition("<tbody>")[2].split("</tr>"):
            for key, cell in re.findall(r'data-sort="([^"]*)"[^>]*>(.*?)</t[dh]>', row, re.DOTALL):
                assert key or re.sub("<[^>]+>", "", cell).strip() in ("", DASH), table[:60]


def test_no_script_but_its_own_may_run_and_nothing_is_fetched(html: str) -> None:
    shown = Page(html)
    data, script = shown.scripts
    assert script == _own_script()
    assert json.loads(data)["rows"]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in html
    assert not [name for name, _ in shown.attributes if name.startswith("on")]
    links = [value for name, value in shown.attributes if name in {"src", "href", "xlink:href", "action"}]
    assert not [
        link for link in links if link and not link.startswith("#")
    ]  # nothing was said to lie beside it
    assert "<link" not in html
    assert "@import" not in html


def test_figures_are_inside_with_alternative_texts_and_ids_of_their_own(html: str) -> None:
    shown = Page(html)
    ids = [value for name, value in shown.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert re.findall(r'role="img" aria-label="([^"]+)"', html) == [DRAWN.alt]
    assert shown.tags.count("svg") == 1
    assert "<b>Mine</b> needs infer jobs" in html


def test_a_large_figure_is_a_picture_of_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html_module, "LARGEST_SVG", 10)
    assert _figure_markup(DRAWN) == '<img alt="" src="data:image/png;base64,cG5n">'
    assert _figure_markup(replace(DRAWN, files={"svg": PICTURE})).startswith("<svg")


def test_nasty_text_is_shown_as_text(html: str) -> None:
    assert plain(NASTY) in Page(html).text
    assert "<script>alert" not in html
    assert "\u202e" not in html


@cache
def usual_tags() -> set[str]:
    """All tags that the page of a run with everything in it has."""
    return set(Page(to_html(content_of(doubtful_run()))).tags)


names = st.lists(st.text(min_size=1, max_size=40), min_size=3, max_size=3, unique=True)


@settings(max_examples=3)
@given(names, names, names)
def test_any_text_stays_text(called: list[str], families: list[str], messages: list[str]) -> None:
    given = list(zip(NETS, called, families, messages, strict=False))
    nets = [replace(net, name=name, family=family) for net, name, family, _ in given]
    errors = [{"type": name, "message": text, "tip": text} for _, name, _, text in given]
    broken = [record(job(n), n, status="crashed", error=error) for n, error in zip(nets, errors, strict=True)]
    content = content_of(make_run([*records(nets), *broken], name=called[0]), title=messages[0])
    shown = Page(to_html(content))
    assert len(shown.scripts) == 2
    assert all(plain(name) in shown.text for name in called)
    assert set(shown.tags) <= usual_tags()
    document = to_document(content)
    assert not {"html_block", "html_inline", "link_open", "image"} & set(tokens(document))
    assert len({row.count("<td") for row in rendered_rows(to_markdown(content.comparison))}) == 1


def rendered_rows(table: str) -> list[str]:
    html = MarkdownIt("commonmark").enable("table").render(table)
    return re.findall(r"<tr>.*?</tr>", html.split("<tbody>")[1], re.DOTALL)


# --- published counts ---


def page_of_run(run: Run) -> View:
    table = compare_table(to_frame([run]))
    return page_view(table, [run], native_rows(table, [run]))


def published_cells(**published: float) -> list[str]:
    """Return the row of AlexNet, 62,378,344 parameters and 1,135.3 MMACs, with these published counts."""
    net = by_name("alexnet")[0]
    told = replace(card(net), published={"top5": 0.818, **published}, input_size=227)
    run = make_run([record(job(net), net, counted(net)).changed(card=told)])
    shown = page_of_run(run)
    cells = dict(zip((h.title for h in shown.heads), shown.rows[0], strict=True))
    return [cells[t].note if t in cells else DASH for t in ("Parameters, published", "MACs, published")]


def test_published_counts_stand_beside_ours_and_differences_are_marked() -> None:
    assert published_cells(parameters=62.4e6, macs=1.0e9 + 1) == ["", "counted: +13.5 %"]
    assert published_cells(parameters=62.3e6, macs=1.13e9) == ["", ""]  # 62.378344 M and 1.1353 G: cut off
    assert published_cells(parameters=62e6, macs=1.2e9) == ["", "counted: −5.4 %"]
    assert published_cells(parameters=124_756_688) == ["counted: −50.0 %", DASH]
    assert published_cells() == [DASH, DASH]


def test_counts_of_another_input_are_not_held_against_published_ones() -> None:
    net = by_name("alexnet")[0]
    told = replace(card(net), published={"macs": 1e9})
    run = make_run([record(job(net, size=64), net, counted(net)).changed(card=told)])
    shown = page_of_run(run)
    notes = {
        head.title: cell.note for head, cell in zip(shown.heads, shown.rows[0], strict=True) if cell.note
    }
    assert notes == {"MACs, published": f"at {net.input_size} px"}


def test_a_published_accuracy_beside_counts_of_another_size_says_of_which_it_is() -> None:
    net = next(net for net in SMALL if net.top5)
    for size, note in ((net.input_size, ""), (32, f"at {net.input_size} px")):
        shown = page_of_run(make_run([record(job(net, size=size), net, counted(net))]))
        titles = [head.title for head in shown.heads]
        assert shown.rows[0][titles.index("Top-5, published")].note == note


def test_what_is_published_alone_is_no_chart_of_one_against_another() -> None:
    nets = by_name("alexnet", "resnet18")
    failed = [record(job(net, "infer", **speed()), net, status="unsupported") for net in nets]
    content = content_of(make_run(failed))
    assert (content.data["axes"], "front" in dict(content.sections)) == ([], False)
    assert "front" in dict(content_of(make_run(records(nets))).sections)


def test_what_a_comparison_opens_with_is_not_said_again_below_its_table() -> None:
    content = content_of(compared(TIMES))
    (opening, *_) = content.leading
    assert opening not in content.verdict_notes
    assert content.verdict_notes[0].startswith("Ratios are over the baseline's.")
    assert to_document(content).count(markdown(opening)) == 1


def test_trainings_alone_are_weighed_by_what_they_came_to() -> None:
    nets = by_name("alexnet", "vgg16")
    content = content_of(make_run([r for r in records(nets) if r.job.task == "accuracy"]))
    leading = replace(DRAWN, name="accuracy_time")
    assert replace(content, figures=[DRAWN, leading]).front_figure == leading
    rows: Any = content.data["rows"]
    assert {row["shapes"] for row in rows} == {"oop"}  # trained at 32 px, published for 224
    shapes = {
        key: content.data["quantities"][key]["shape"]
        for key in ("macs", "accuracy", "published_top1", "year")
    }
    assert shapes == {"macs": 0, "accuracy": 1, "published_top1": 2, "year": None}
    every: Any = data_of(make_run(records(nets)))["rows"]
    assert {row["shapes"] for row in every} == {"ptp"}


# --- claims ---


def test_claims_are_held_against_the_counts_of_the_records() -> None:
    net = replace(by_name("alexnet")[0], input_size=227)
    rows = content_of(make_run([record(job(net), net, counted(net))])).findings.rows
    found = {(row[1].text, row[2].text): row[4].text for row in rows}
    assert found["parameters", "62.378344 M"] == "confirmed"  # 62,378,344
    assert found["parameters", "62 M"] == "rounding"
    assert found["operations", "1.5 Gop"] == "differs"  # neither 1.1353 nor 2.2706
    assert found["published top-5", "0.8470"] == "other convention"  # 1 − 0.153, of seven networks
    verdicts = [row[4].text for row in rows]
    assert verdicts == sorted(verdicts, key=lambda v: v not in ("differs", "erratum"))


# --- how to reproduce ---


def commands_of(argv: list[str], *seen: Record) -> list[str]:
    run = replace(make_run(seen or list(records(SMALL[:1]))), info={"invocations": [{"argv": argv}]})
    return row_commands(compare_table(to_frame([run])), [run])


def test_a_row_is_measured_again_by_its_run_narrowed_to_it() -> None:
    argv = [
        "x/bench",
        "run",
        "vgg*",
        "--set=epochs=3",
        "--task",
        "infer",
        "--name",
        "old",
        "-c",
        "my.yaml",
        "--json",
    ]
    assert commands_of(argv) == ["bench run alexnet --set=epochs=3 --task infer -c my.yaml --name again"]


def test_runs_of_one_name_have_commands_and_environments_of_their_own() -> None:
    seen = list(records(SMALL[:1]))
    runs = [
        replace(
            make_run(seen), info={"invocations": [{"argv": ["bench", "run", "all", "--set", f"seed={n}"]}]}
        )
        for n in (1, 2)
    ]
    frame = to_frame(runs)
    table = compare_table(frame)
    assert dict(zip(table["run"], row_commands(table, runs), strict=True)) == {
        "synthetic": "bench run alexnet --set seed=1 --name again",
        "synthetic #2": "bench run alexnet --set seed=2 --name again",
    }
    summary = summarise(runs, frame)
    assert list(summary.environments) == list(summary.commands) == ["synthetic", "synthetic #2"]


def test_what_rows_differ_in_is_part_of_their_commands() -> None:
    seen = [r for p in ("fp32", "bf16") for r in records(SMALL[:1], precision=p) if r.job.task == "infer"]
    assert sorted(commands_of(["bench", "run", "all"], *seen)) == [
        "bench run alexnet --set precision=bf16 --name again",
        "bench run alexnet --set precision=fp32 --name again",
    ]


def test_other_commands_are_told_as_they_were_and_names_are_quoted() -> None:
    assert commands_of(["bench", "compare", "a b", "c"]) == ["bench compare 'a b' c"]
    assert commands_of([]) == [""]
    net = replace(SMALL[0], name="$(rm x); y")
    assert commands_of(["bench", "run"], record(job(net), net, counted(net))) == [
        "bench run '$(rm x); y' --name again"
    ]


# --- data of the charts ---


def data_of(*runs: Run) -> dict[str, object]:
    frame = to_frame(runs)
    return page_data(compare_table(frame), frame)


def test_charts_have_the_numbers_of_the_table() -> None:
    run = make_run(records(SMALL))
    table = compare_table(to_frame([run]))
    rows = data_of(run)["rows"]
    assert [row["label"] for row in rows] == table["label"].tolist()
    for row, (latency, low, high) in zip(
        rows, table[["latency", "latency_low", "latency_high"]].to_numpy(), strict=True
    ):
        assert row["values"]["latency"] == pytest.approx(latency, rel=1e-6)
        assert row["ends"]["latency"] == pytest.approx([low, high], rel=1e-6)


def test_batches_are_images_a_second_in_order_of_size() -> None:
    lines = data_of(make_run(records(SMALL)))["batches"]
    assert [(line["row"], line["task"]) for line in lines] == [(0, "inference"), (1, "inference")]
    for line in lines:
        assert [batch for batch, *_ in line["points"]] == [1, 64]
        assert all(low <= rate <= high for _, rate, low, high in line["points"])


def test_curves_are_means_over_seeds() -> None:
    seen = list(records(SMALL[:1]))
    data = data_of(make_run(seen))
    curve = next(c for c in data["curves"] if c["metric"] == "Test top-1")
    ends = [m.samples[0] for r in seen for m in r.measurements if m.name == "top1"]
    epoch, mean, low, high = curve["points"][-1]
    assert (epoch, curve["seeds"]) == (8, 3)
    assert [mean, low, high] == pytest.approx([sum(ends) / 3, min(ends), max(ends)], rel=1e-6)


def test_networks_whose_layers_were_not_listed_are_named() -> None:
    """A race counts few of its networks, and a training counts the whole; it said that they are trained only."""
    counted_one, timed = by_name("vgg16", "resnet18")
    layers = count("layers", 1, better="neither", columns=["name"], rows=[["conv"]])
    seen = [record(job(counted_one), counted_one, [layers]), *list(records([timed]))[1:]]
    page = to_html(content_of(make_run(seen)))
    assert "Without their layers, which these runs have not listed: <bdi>resnet18</bdi>." in page


def test_layers_are_as_their_record_has_them_in_plain_text() -> None:
    row = [NASTY, "Conv2d", "64×112×112", 9408, 118013952.0, math.inf, [7, 11]]
    measured = count("layers", 1, better="neither", columns=["name", *"abcdef"], rows=[row])
    seen = record(job(SMALL[0]), SMALL[0], [*counted(SMALL[0]), measured])
    (layers,) = data_of(make_run([seen]))["layers"]
    assert layers["rows"] == [[plain(NASTY), "Conv2d", "64×112×112", 9408, 118013952, None, "7×11"]]


def test_rows_have_the_settings_in_words_that_they_are_compared_by() -> None:
    for row in data_of(make_run(records(SMALL)))["rows"]:
        settings = row["settings"]
        assert settings["batch_size"] == "batch 64"
        assert (settings["dataset"], settings["recipe"], settings["epochs"]) == (
            "cifar10",
            "std v1",
            "8 epochs",
        )
        assert settings["input_size"] in {"224 px", "227 px"}


def test_the_worst_detail_of_a_record_breaks_nothing() -> None:
    for detail in ({}, {"columns": 3, "rows": "x"}, {"by_epoch": "x"}, {"by_epoch": [None, None]}):
        broken = [count(name, 1.0).changed(detail=detail) for name in ("layers", "top1")]
        seen = [
            record(job(SMALL[0]), measurements=broken),
            record(job(SMALL[0], "accuracy"), measurements=broken),
        ]
        data = data_of(make_run(seen))
        assert (data["layers"], data["curves"]) == ([], [])


def test_only_quantities_that_rows_differ_in_can_be_chosen() -> None:
    assert data_of(make_run(records(SMALL[:1])))["quantities"] == {}
    chosen = data_of(make_run(records(SMALL)))["quantities"]
    machine = ["device_name", "device", "in_channels", "num_classes"]
    assert chosen["latency"] == {
        "title": "Latency, batch 1", "unit": "s", "better": "lower", "whole": False, "exact": False, "within": machine,
        "at": ["input_size"], "shape": 0,
    }  # fmt: skip
    assert chosen["accuracy"]["within"] == ["dataset", "recipe", "epochs"]
    assert (chosen["macs"]["exact"], chosen["macs"]["within"]) == (True, ["in_channels", "num_classes"])
    assert (chosen["accuracy"]["exact"], chosen["accuracy"]["at"]) == (False, [])
    other = replace(job(NETS[1]), num_classes=7)
    mixed = data_of(
        make_run([record(job(NETS[0]), NETS[0], counted(NETS[0])), record(other, NETS[1], counted(NETS[1]))])
    )
    assert "macs" in mixed["quantities"]
    assert "num_classes" not in mixed["quantities"]  # what it tells apart, not what it costs
    assert chosen["throughput"]["better"] == "higher"
    assert (chosen["year"]["better"], chosen["year"]["whole"]) == ("neither", True)


def unpacked(columns: JsonObject) -> list[JsonObject]:
    """Return the rows as the page's script has them."""
    rows: list[JsonObject] = [{} for _ in range(columns["count"])]

    def cells(column: Any) -> list[object]:
        known = isinstance(column, dict)
        return [None if i is None else column["words"][i] for i in column["at"]] if known else column

    for key, column in columns["plain"].items():
        for row, cell in zip(rows, cells(column), strict=True):
            row[key] = cell
    for name, each in columns["nested"].items():
        for i, row in enumerate(rows):
            row[name] = {
                key: cells(column)[i] for key, column in each.items() if cells(column)[i] is not None
            }
    return rows


def test_rows_of_the_page_lie_there_column_by_column() -> None:
    frame = to_frame([doubtful_run()])
    data = page_data(compare_table(frame), frame)
    assert unpacked(packed(data["rows"])) == data["rows"]
    assert packed([]) == {"count": 0, "plain": {}, "nested": {}}
    alike = packed([{"family": name, "values": {"macs": 1}} for name in ("a", "b", "a", "a")])
    assert alike["plain"]["family"] == {"words": ["a", "b"], "at": [0, 1, 0, 0]}
    assert alike["nested"]["values"]["macs"] == [1, 1, 1, 1]
    lacking = [{"label": "a", "doubts": {}}, {"label": "b", "doubts": {"latency": "noisy"}}]
    assert unpacked(packed(lacking)) == lacking


@given(st.dictionaries(st.text(), st.text() | st.floats(allow_nan=False, allow_infinity=False)))
def test_data_never_ends_its_element(data: dict[str, object]) -> None:
    data["x"] = "</script><!--"
    text = to_script({k.encode("utf-8", "replace").decode(): v for k, v in data.items()})
    assert not set("<>&\u2028\u2029") & set(text)
    assert json.loads(text)["x"] == "</script><!--"


# --- studies ---


def test_studies_stand_on_the_page_with_their_verdicts(monkeypatch: pytest.MonkeyPatch) -> None:
    test = TestVerdict(
        says="plain56 ends higher", quantity="train_error", unit="1", of="arch plain56", against="arch plain20",
        expect="higher", verdict="supported", effect=0.125, low=0.1, high=0.15, p=0.004, n_of=3, n_against=4,
        note=NASTY,
    )  # fmt: skip
    failed = replace(test, verdict="undecided", effect=math.nan, low=math.nan, p=math.nan, n_against=0)
    trend = replace(test, of="", against="macs", n_against=0)  # of all networks
    tests = (test, failed, trend)
    verdict = StudyVerdict("depth", "deeper is worse", "He et al.", ("a.b",), "undecided", tests)
    monkeypatch.setattr(studies.StudyVerdict, "of", lambda _run: verdict)
    content = content_of(make_run(records(SMALL)))
    (study,) = content.studies
    cells = [[cell.text for cell in row][1:9] for row in study_view(study).rows]
    asked = ["train_error", "arch plain56 against arch plain20"]
    assert cells == [
        ["supported", "+12.50 points", "+10.00 … +15.00 points", "higher", "0.004", "3, 4", *asked],
        ["undecided", DASH, DASH, "higher", DASH, "3", *asked],
        [
            "supported",
            "+12.50 points",
            "+10.00 … +15.00 points",
            "higher",
            "0.004",
            "3",
            "train_error",
            "against macs",
        ],
    ]
    page = Page(to_html(replace(content, first=["studies"])))
    opening = page.text.partition("jobs measured")[0]
    assert "undecided deeper is worse" in " ".join(opening.split())
    said = "supported: plain56 ends higher: +12.50 points (+10.00 … +15.00), p = 0.004, n = 3, 4."
    assert bound(said) in opening
    shown = Page(to_html(content))
    assert "deeper is worse" in shown.text
    assert plain(NASTY) in shown.text
    document = to_document(content)
    assert (
        "## Study depth\n\n**undecided**: deeper is worse\n\n- supported: plain56 ends higher: " in document
    )
    assert "\nSource: He et al.\n" in document
    assert document.index("## Study depth") < document.index("## Comparison")


def test_a_run_without_a_study_has_no_such_section() -> None:
    run = make_run(records(SMALL))
    assert studies.StudyVerdict.of(run) is None
    assert "studies" not in dict(content_of(run).sections)
