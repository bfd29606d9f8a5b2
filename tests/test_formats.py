"""Tables for papers: what is marked, and that LaTeX takes whatever stands in a record.

Where pdflatex or tectonic is at hand the tables are compiled; a reader of LaTeX's own rules checks them anyway.
"""

from __future__ import annotations

import io
import math
import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from figure_records import with_energy
from hypothesis import given, settings
from hypothesis import strategies as st
from make_records import (
    NETS,
    by_name,
    counted,
    failed,
    in_processes,
    job,
    make_run,
    record,
    records,
    scored,
    speed,
    stepped,
    times,
)
from rich.console import Console

from bench.analysis.comparison import compare_table
from bench.analysis.flags import flags_of
from bench.analysis.frame import to_frame
from bench.records.record import Record, count
from bench.records.store import Run
from bench.report.tables._columns import comparison_view
from bench.report.tables._view import Column, number, view, whole
from bench.report.tables.cells import Cell, Head, View
from bench.report.tables.formats import Terminal, to_latex, to_longtable, to_markdown

NASTY = (
    *(
        "[h]_1",
        "*",
        r"\input{/etc/passwd}",
        r"\\",
        "100 % & more",
        "$x^2$ ~ #1 {",
        "}",
        "résumé 网络",
        "\n\n",
        '"',
        "a|b<c>",
    ),
)


class Tex:
    """Reads a table by the rules of LaTeX: escapes, groups, environments, cells and the arguments of line ends."""

    def __init__(self, text: str) -> None:
        self.rows: list[list[str]] = []
        self.opened: list[str] = []
        body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
        tokens = re.findall(r"\\[A-Za-z]+|\\.|\\\n|[^\\]", body, re.DOTALL)
        self.read(iter(tokens))
        assert self.opened == []

    def read(self, tokens: Iterator[str]) -> None:
        depth, cells, ended = 0, [""], False
        for token in tokens:
            if ended and not token.isspace():
                assert token not in ("[", "*"), "the argument of a line end"
                ended = False
            if token == "{":
                depth += 1
            elif token == "}":
                depth -= 1
                assert depth >= 0
            assert token not in ("%", "#", "_", "^", "~"), f"{token} is not escaped"
            assert token.isascii()
            if token in (r"\begin", r"\end"):
                name = self.argument(tokens)
                if token == r"\begin":
                    self.opened.append(name)
                else:
                    assert self.opened.pop() == name
                    assert depth == 0
                if name in ("tabular", "longtable") and token == r"\begin":
                    self.columns = len(self.argument(tokens))
                    cells, ended = [""], True
            elif token == "&":
                assert depth == 0
                cells.append("")
            elif token == r"\\" and depth == 0:
                self.rows.append(cells)
                cells, ended = [""], True
            elif token in (r"\toprule", r"\midrule", r"\bottomrule", r"\endhead"):
                assert cells[-1].strip() == ""
                ended = True
            else:
                cells[-1] += token
        assert depth == 0

    @staticmethod
    def argument(tokens: Iterator[str]) -> str:
        assert next(tokens) == "{"
        return "".join(iter(lambda: next(tokens), "}"))


def compiled(text: str, folder: Path) -> None:
    """Compile a table where a LaTeX is at hand."""
    program = shutil.which("tectonic") or shutil.which("pdflatex")
    if program is None:
        return
    file = folder / "paper.tex"
    file.write_text(
        "\\documentclass{article}\\usepackage{booktabs,longtable}\\begin{document}\n"
        + text
        + "\\end{document}\n"
    )
    options = ["-interaction=nonstopmode", "-halt-on-error"] if "pdflatex" in program else []
    done = subprocess.run(
        [program, *options, file.name], check=False, cwd=folder, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stdout[-2000:]


def comparison(runs: list[Run]) -> tuple[pd.DataFrame, View]:
    table = compare_table(to_frame(runs))
    return table, comparison_view(table, narrow=True)


def test_a_full_run_has_a_row_a_network_and_all_columns(tmp_path: Path) -> None:
    _, shown = comparison([make_run()])
    text = to_latex(shown, "All networks, p ≤ 0.05")
    assert "p $\\le$ 0.05" in text
    tex = Tex(text)
    assert tex.columns == len(shown.heads)
    assert {len(row) for row in tex.rows} == {len(shown.heads)}
    assert [row[0].strip() for row in tex.rows[1:]] == [net.name for net in sorted_by_year()]
    assert text.count(r"\toprule") == text.count(r"\midrule") == text.count(r"\bottomrule") == 1
    compiled(text, tmp_path)


def sorted_by_year() -> list[object]:
    return sorted(NETS, key=lambda net: (net.year, net.mmacs, net.name != "plain18"))


@pytest.mark.parametrize("text", NASTY)
def test_nasty_text_is_text_wherever_it_stands(text: str, tmp_path: Path) -> None:
    cells = [[Cell(text, best=best, flags=(text,) * flagged) for best in (False, True)] for flagged in (0, 1)]
    shown = View([Head(text), Head(text, text, numeric=True)], cells, {text: text})
    for made in (to_latex(shown, text), to_longtable(shown, text)):
        tex = Tex(made)
        assert {len(row) for row in tex.rows if "caption" not in row[0]} == {2}
        compiled(made, tmp_path)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=20), st.text(max_size=20))
def test_any_text_leaves_the_table_whole(one: str, other: str) -> None:
    tex = Tex(
        to_latex(View([Head(one), Head(other)], [[Cell(one), Cell(other)], [Cell(other), Cell(one)]]), one)
    )
    assert [len(row) for row in tex.rows] == [2, 2, 2]


@pytest.mark.parametrize(
    "broken",
    [
        "\\begin{tabular}{ll}\na & b \\\\\n[x] & d \\\\\n\\end{tabular}",
        "\\begin{tabular}{l}\na_b \\\\\n\\end{tabular}",
        "\\begin{tabular}{l}\n{a \\\\\n\\end{tabular}",
        "\\begin{table}\\begin{tabular}{l}\na \\\\\n\\end{table}\\end{tabular}",
    ],
)
def test_the_reader_can_fail(broken: str) -> None:
    with pytest.raises(AssertionError):
        Tex(broken)


def test_names_from_records_reach_the_table_escaped(tmp_path: Path) -> None:
    nets = [replace(NETS[i], name=name) for i, name in enumerate(NASTY)]
    _, shown = comparison([make_run([r for net in nets for r in records([net])])])
    text = to_latex(shown, "Nasty")
    assert "\\input" not in text
    assert len(Tex(text).rows) == 1 + len({net.name for net in nets})
    compiled(text, tmp_path)


def test_without_rows_there_is_still_a_table() -> None:
    _, shown = comparison([])
    assert len(Tex(to_latex(shown, "Nothing")).rows) == 1


def cells_of(shown: View, title: str) -> list[Cell]:
    place = [head.title for head in shown.heads].index(title)
    return [row[place] for row in shown.rows]


def test_best_values_are_marked_in_each_direction() -> None:
    table, shown = comparison([make_run([*in_processes(records()), *failed()])])
    names = [row[0].text for row in shown.rows]
    usual = table[table["input_size"] == 224].set_index("network")

    def best(title: str) -> list[str]:
        return [name for name, cell in zip(names, cells_of(shown, title), strict=True) if cell.best]

    # Of networks with images of one size: the others have too few.
    assert best("Latency, batch 1") == [usual["latency"].idxmin()]
    assert best("Throughput") == [usual["throughput"].idxmax()]
    assert best("Peak memory") == []  # of small networks it is the library's
    assert best("Top-1, published") == ["resnet152"]
    assert best("Parameters") == best("MACs") == []  # neither few nor many is better
    assert "\\textbf{78.6}" in to_latex(shown, "x")
    assert "**78.6**" in to_markdown(shown)


def test_a_time_of_one_process_is_told_as_such_and_not_the_best() -> None:
    _, shown = comparison([make_run()])
    head = next(head for head in shown.heads if head.title == "Throughput")
    assert str(head) == "Throughput (images/s), one process"
    cells = cells_of(shown, "Throughput")
    assert not any(cell.best for cell in cells)
    assert not any("one process" in cell.note for cell in cells)  # the head has it, of all
    assert "one_process" not in shown.footnotes
    text = to_markdown(shown)
    first = next(cell for cell in cells if cell.note)
    assert f"{first.text} ({first.note})" in text
    assert f"{first.text} {{\\scriptsize ({first.note.replace(' – ', ' -- ')})}}" in to_latex(shown, "x")


@pytest.mark.parametrize(
    ("flags", "best"),
    [
        (["", "", ""], [0]),
        (["noisy", "", ""], []),  # one that may be better is ahead
        (["", "noisy", ""], [0]),
        (["power_capped", "", ""], [0]),  # is no doubt
        (["noisy", "contended;one_process", ""], []),  # nothing to compare the last one with
        (["noisy", "noisy", "noisy"], []),
    ],
)
def test_what_is_in_doubt_is_not_the_best(flags: list[str], best: list[int]) -> None:
    table = pd.DataFrame({"v": [1.0, 2.0, 3.0], "v_flags": flags})
    shown = view(table, [Column("v", "V", number, "s", better="lower", exact=True, marked=True)])
    assert [i for i, (cell,) in enumerate(shown.rows) if cell.best] == best


NONE = (math.nan, math.nan)


@pytest.mark.parametrize(
    ("ends", "best"),
    [
        ([(0.9, 1.1), (1.9, 2.1), (2.9, 3.1)], [0]),
        ([(0.9, 1.1), (1.05, 2.1), (2.9, 3.1)], [0, 1]),  # not apart from the first
        ([(0.9, 3.1), (1.9, 2.1), (2.9, 3.1)], []),  # nothing is apart
        ([NONE, (1.9, 2.1), (2.9, 3.1)], []),  # the first may be ahead by luck
        ([(0.9, 1.1), NONE, (2.9, 3.1)], [0]),
        ([(0.9, 1.1), NONE, NONE], []),  # nothing to compare it with
        ([NONE] * 3, []),
    ],
)
def test_what_is_measured_without_an_interval_is_not_the_best(
    ends: list[tuple[float, float]], best: list[int]
) -> None:
    low, high = zip(*ends, strict=True)
    table = pd.DataFrame({"v": [1.0, 2.0, 3.0], "v_low": low, "v_high": high})
    shown = view(table, [Column("v", "V", number, "s", better="lower", marked=True)])
    assert [i for i, (cell,) in enumerate(shown.rows) if cell.best] == best


def test_an_accuracy_of_one_seed_and_an_energy_are_not_the_best() -> None:
    nets = by_name("resnet18", "resnet50")
    seen = [scored(net, seed, 0.9 - i / 10 + seed / 1000) for i, net in enumerate(nets) for seed in range(3)]
    energies = [with_energy(r, net) for net in nets for r in in_processes(records([net]))]
    for some, best in (([r for r in seen if r.job.seed == 0], 0), (seen, 1)):
        timed = [r for r in energies if r.job.task == "infer"]
        _, shown = comparison([make_run([*some, *timed])])
        assert sum(cell.best for cell in cells_of(shown, "Top-1, short training")) == best
        assert not any(cell.best for cell in cells_of(shown, "Energy of an image"))
        assert sum(cell.best for cell in cells_of(shown, "Throughput")) == 1


def test_throughputs_of_other_batches_are_no_rivals() -> None:
    nets = by_name("resnet18", "resnet50")
    batches = (64, 32)
    seen = [
        r.changed(job=r.job.with_settings(batch_size=batch))
        for net, batch in zip(nets, batches, strict=True)
        for r in in_processes(records([net]))
        if r.job.task == "infer" and r.job.settings.batch_size != 1
    ]
    _, shown = comparison([make_run(seen)])
    assert not any(cell.best for cell in cells_of(shown, "Throughput"))


def test_what_all_but_one_have_is_said_of_each() -> None:
    table = pd.DataFrame({"v": [1.0, 2.0, 3.0], "v_flags": ["launch_bound;noisy", "launch_bound", ""]})
    shown = view(table, [Column("v", "V", number, "s")])
    assert [cell.note for (cell,) in shown.rows] == ["launch bound", "launch bound", ""]
    assert shown.rows[0][0].full_text(shown.footnotes) == "1.00 (launch bound) a"


VALUE = Column("v", "Value", whole, better="higher", within=("group",), exact=True, marked=True)


@pytest.mark.parametrize(
    ("values", "groups", "best"),
    [
        ([1.0, 3.0, 2.0], "aaa", [1]),
        ([1.0, 3.0, 3.2], "aaa", [1, 2]),  # both are shown as 3
        ([3.0, 3.0], "aa", []),
        ([3.0], "a", []),
        ([1.0, 2.0, 4.0, 3.0], "aabb", [1, 2]),
        ([1.0, 2.0, 9.0], "aab", [1]),  # nothing to compare the last one with
        ([float("nan"), 2.0, 1.0, float("inf")], "aaaa", [1]),
        ([float("nan")] * 2, "aa", []),
    ],
)
def test_best_is_as_shown_and_among_what_may_be_compared(
    values: list[float], groups: str, best: list[int]
) -> None:
    table = pd.DataFrame({"v": values, "group": list(groups)})
    shown = view(table, [replace(VALUE, show="always")])
    assert [i for i, (cell,) in enumerate(shown.rows) if cell.best] == best


def test_least_is_best_where_less_is_better() -> None:
    table = pd.DataFrame({"v": [3.0, 1.0]})
    shown = view(table, [Column("v", "V", number, "s", better="lower", exact=True, marked=True)])
    assert [row[0].best for row in shown.rows] == [False, True]


def doubted() -> list[Record]:
    """Return the records of two networks, with doubts about the speed of the first and the count of the second."""
    rng = random.Random(0)
    one, two = by_name("vgg11", "vgg16")
    flagged = times("step_time", 0.01, rng=rng, flags=("noisy", "contended"))
    other = times("latency", 0.01, rng=rng, flags=("unsteady",))
    return [
        record(job(one), one, counted(one)),
        record(
            job(two),
            two,
            [count("parameters", 5), count("macs", 7, "MAC").changed(flags=("uncounted_ops",))],
        ),
        record(job(one, "infer", **speed(batch_size=8)), one, [other]),  # no column shows this
        record(job(one, "infer", **speed(batch_size=64)), one, [flagged]),
        record(job(one, "infer", **speed(batch_size=64, precision="fp16")), one, stepped(one, 64, rng)),
    ]


def test_flags_are_footnotes_of_the_cells_they_are_about() -> None:
    run = make_run(doubted())
    table, shown = comparison([run])
    at = {(row["network"], row["precision"]): i for i, row in enumerate(table.to_dict("records"))}
    second = next(i for i, name in enumerate(table["network"]) if name == "vgg16")
    rows = table.to_dict("records")
    told = {
        (i, c): flags
        for i, row in enumerate(rows)
        for c in ("throughput", "macs")
        if (flags := flags_of(row, c))
    }
    assert told == {
        (at["vgg11", "fp32"], "throughput"): ("noisy", "contended", "one_process"),
        (at["vgg11", "fp16"], "throughput"): ("one_process",),
        (second, "macs"): ("uncounted_ops",),
    }
    assert shown.footnotes == {"uncounted_ops": "a", "noisy": "b", "contended": "c"}
    text = to_latex(shown, "Doubts")
    assert "\\textsuperscript{b,c}" in text
    assert "uncounted\\_ops: operations that may multiply" in text
    assert len(Tex(text).rows) == 1 + len(table)
    assert "<sup>b,c</sup>" in to_markdown(shown)


def test_letters_go_on_after_z() -> None:
    shown = View([Head("x")], [[Cell("1", flags=tuple(f"f{i}" for i in range(53)))]])
    letters = list(shown.footnotes.values())
    assert (letters[0], letters[25], letters[26], letters[52]) == ("a", "z", "aa", "ba")


def test_footnotes_of_folded_columns_alone_come_last_and_are_told_apart() -> None:
    heads = [Head("Network"), Head("Folded", folded=True), Head("Shown")]
    row = [Cell("a"), Cell("1", flags=("beyond_image", "noisy")), Cell("2", flags=("noisy", "one_process"))]
    shown = View(heads, [row])
    assert shown.page_footnotes == {"noisy": "a", "beyond_image": "b"}
    assert shown.folded_footnotes == {"beyond_image"}


def test_letters_are_in_the_order_of_their_appearance_where_no_column_is_folded() -> None:
    heads = [Head("Network"), Head("Folded", folded=True), Head("Shown")]
    rows = [
        [Cell("a"), Cell("1", flags=("beyond_image",)), Cell("2", flags=("noisy",))],
        [Cell("b"), Cell("1"), Cell("2", flags=("contended",))],
    ]
    shown = View(heads, rows)
    assert re.findall(r"<sup>(\w)</sup>", to_markdown(shown)) == ["a", "b", "c", "a", "b", "c"]
    assert re.findall(r"superscript\{(\w)\}", to_latex(shown, "Doubts")) == ["a", "b", "c", "a", "b", "c"]


def test_a_terminal_has_the_letters_and_footnotes_of_the_columns_that_it_shows() -> None:
    heads = [Head("Network"), Head("Wide", keep=0), Head("Kept", keep=3)]
    shown = View(heads, [[Cell("a"), Cell("1 " * 12, flags=("contended",)), Cell("2", flags=("noisy",))]])
    console = Console(file=io.StringIO(), width=30)
    console.print(Terminal(shown))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "2 a" in text
    assert "contended" not in text
    assert "\na noisy" in text


@pytest.mark.parametrize(
    "name", ["timm:vit_base_patch16_clip_384.laion2b_ft_in12k_in1k", "x" * 70, "a.py:" + "N" * 60]
)
@pytest.mark.parametrize("width", [30, 45])
def test_a_long_name_is_broken_after_a_mark_where_it_has_one(name: str, width: int) -> None:
    shown = View([Head("Network"), Head("Time", numeric=True)], [[Cell(name), Cell("1.00")]])
    console = Console(file=io.StringIO(), width=width)
    console.print(Terminal(shown))
    assert isinstance(console.file, io.StringIO)
    body = console.file.getvalue().rpartition("─")[2]
    lines = [line.strip().partition("  ")[0] for line in body.splitlines() if line.strip()]
    assert "".join(lines) == name
    if name.startswith("timm"):
        assert {line[-1] for line in lines[:-1]} <= set("_.:")


def test_how_published_numbers_were_tested_is_said_only_beside_such_numbers() -> None:
    column = Column("protocol", "Tested on", show="differing", tells_of=("top1", "top5"))
    table = pd.DataFrame({"protocol": ["1 crop", "1 crop"], "top1": [None, None], "top5": [0.9, None]})
    assert view(table, [column]).note == "Tested on: 1 crop"
    assert view(table.assign(top5=None), [column]).note == ""
    other = view(table.assign(protocol=["1 crop", "dense"], top1=[None, 0.7]), [column])
    assert [row[0].text for row in other.rows] == ["1 crop", "dense"]
    beside = table.assign(protocol=["1 crop", "of other images"])
    assert view(beside, [column]).note == "Tested on: 1 crop"  # the second row has no such number
