"""Views, tables and texts: what cells show."""

from __future__ import annotations

import io
import math
import re
import unicodedata
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make_records import NETS, job, make_run, record, records
from rich.console import Console

from bench.analysis.comparison import compare_table
from bench.analysis.frame import to_frame
from bench.plan.card import ArchCard
from bench.report.figures._svg import compact, inline
from bench.report.tables._columns import comparison_view
from bench.report.tables._csv import csv_text
from bench.report.tables._view import Column, number, view
from bench.report.tables.answers import rich_table
from bench.report.text import markdown, plain
from bench.units import DASH, digits_for
from reports import SMALL


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
    console.print(rich_table(table))
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(map(len, printed.splitlines())) <= width
    assert "…" not in printed
    for row in comparison_view(table).rows:
        assert row[0].text in printed
    left_out = " ".join(printed.split()).partition("characters: ")[2].partition(". A wider")[0].split("; ")
    numbers = {"Parameters": "138", "MACs": "15.5", "Throughput": "410,000"}
    assert numbers.keys() <= {head.title for head in comparison_view(table).heads}
    assert [title for title, text in numbers.items() if text not in printed] == [
        title for title in numbers if title in left_out
    ]


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
    assert {
        "Precision": "fp32",
        "Batch of all but latency": "64",
        "Epochs": "8",
    }.items() <= shown.common.items()
    assert "Precision" not in {head.title for head in shown.heads}


def test_training_cell_has_mean_spread_and_seeds() -> None:
    frame = to_frame([make_run()])
    shown = comparison_view(compare_table(frame))
    titles = [head.title for head in shown.heads]
    row = next(r for r in shown.rows if r[0].text == "googlenet")
    assert re.fullmatch(r"\d\d\.\d ± \d\.\d", row[titles.index("Top-1, short training")].text)
    seeds = row[titles.index("Seeds")]
    assert (seeds.text, seeds.note) == ("3 of 4", "1 diverged")


def test_a_network_without_a_card_has_dashes_and_no_column_where_none_has_one() -> None:
    without = record(job(SMALL[0])).changed(card=ArchCard(name="x"))
    alone = comparison_view(compare_table(to_frame([make_run([without])])))
    assert [cell.text for cell in alone.rows[0]] == ["alexnet"]
    beside = comparison_view(compare_table(to_frame([make_run([without, *records(NETS[3:5])])])))
    (row,) = [row for row in beside.rows if row[0].text == "alexnet"]
    assert row[[head.title for head in beside.heads].index("Year")].text == DASH


def test_csv_keeps_whole_numbers_whole() -> None:
    assert csv_text(pd.DataFrame({"year": [2015.0, math.nan], "x": [0.5, 2.0]})) == "year,x\n2015,0.5\n,2.0\n"


def test_inline_svg_has_prefixed_ids_and_page_colours() -> None:
    svg = (
        b'<?xml version="1.0"?>\n<!DOCTYPE svg>\n<svg xmlns:xlink="x" width="72pt" height="36pt" viewBox="0 0 72 36">'
        b"<metadata>m</metadata><!-- text --><defs>\n"
        b'<path id="p1"/></defs><use xlink:href="#p1" style="fill: #1c2128"/><g clip-path="url(#p1)"/></svg>'
    )
    shown = inline(svg, "mine")
    assert shown.startswith('<svg xmlns:xlink="x" style="max-width:72pt;min-width:min(72pt,620px)"')
    assert 'id="mine-p1"' in shown
    assert 'href="#mine-p1" style="fill: var(--ink)"' in shown
    assert "url(#mine-p1)" in shown
    assert "<!--" not in shown
    assert "metadata" not in shown


def test_svg_is_made_small_and_looks_the_same() -> None:
    svg = (
        b'<svg>\n <!-- 2 -->\n <path id="DejaVuSans-Bold-32" d="M 1228 531 \nL 3431 531"/>\n'
        b'  <path d="M 10.123456 0.5 \nL -2.999999 7"/>\n <g transform="translate(1.239 2) scale(0.078125 -0.09)">\n'
        b'   <use xlink:href="#DejaVuSans-Bold-32" transform="translate(68.6 0)"/>\n </g>\n</svg>'
    )
    assert compact(svg).decode() == (
        '<svg>\n<path id="b32" d="M 1228 531 L 3431 531"/>\n<path d="M 10.12 0.5 L -3 7"/>\n'
        '<g transform="translate(1.24 2) scale(0.0781 -0.09)">\n<use xlink:href="#b32" x="69"/>\n</g>\n</svg>'
    )


def test_ids_that_are_hashes_are_numbered() -> None:
    """Two figures whose clips differ in the last bit of a place are equal."""
    one, other = (
        f'<svg><defs><path id="m7e3b2ff67c"/><clipPath id="{clip}"/></defs><use xlink:href="#m7e3b2ff67c"/>'
        f'<g clip-path="url(#{clip})"/><g clip-path="url(#pffffffffff)"/></svg>'
        for clip in ("p2475e77ff8", "pb167149341")
    )
    assert compact(one.encode()) == compact(other.encode())
    assert 'id="m0"' in compact(one.encode()).decode()
    assert compact(one.encode()).decode().count("p1") == 2
    assert compact(one.encode()).decode().count("p2") == 1
