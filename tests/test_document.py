"""Documents: one thing in each form in which a command prints it."""

from __future__ import annotations

import json

import pytest
from rich.console import Console

from bench.cli._streams import print_document
from bench.report.document import Document
from bench.report.tables.cells import Cell, Head, View

HEADS = [Head("Layer"), Head("MACs", numeric=True)]


def document(**changed: object) -> Document:
    rows = [[Cell("a_b"), Cell("1,000")], [Cell("Total"), Cell("1,000")]]
    parts = {"title": "net_1", "above": ["First."], "remarks": ["Of *all*."], "notes": ["Last."], **changed}
    return Document(**{"table": View(HEADS, rows), **parts})  # type: ignore[arg-type]


def printed(one: Document, width: int = 80) -> str:
    console = Console(width=width, force_terminal=False)
    with console.capture() as capture:
        console.print(one)
    return capture.get()


@pytest.mark.parametrize("form", ["rich", "md"])
def test_everything_is_there_and_in_order(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_document(document(headed=True), form)
    text = capsys.readouterr().out.replace("\\", "")
    order = ["First.", "net_1"] if form == "rich" else ["# net_1", "First."]
    places = [text.index(part) for part in (*order, "Layer", "a_b", "Total", "Of *all*.", "Last.")]
    assert places == sorted(places)


def test_without_rows_there_is_no_table_and_the_sentences_stay() -> None:
    empty = document(table=View(HEADS, []))
    assert printed(empty).split("\n") == ["First.", "Of *all*.", "Last.", ""]
    assert empty.markdown() == "- First.\n\n- Of \\*all\\*.\n- Last.\n"


def test_without_a_title_a_blank_line_is_between_sentences_and_table() -> None:
    lines = printed(document(title="")).split("\n")
    assert lines[1].strip() == ""
    assert "# " not in document(title="").markdown()


def test_a_long_sentence_is_whole_in_markdown() -> None:
    sentence = " ".join(["word"] * 200)
    assert sentence in document(notes=[sentence]).markdown()


def test_the_other_forms(capsys: pytest.CaptureFixture[str]) -> None:
    one = document(values={"macs": 1000}, csv="layer,macs\na_b,1000\n")
    print_document(one, "json")
    assert json.loads(capsys.readouterr().out) == {"macs": 1000}
    print_document(one, "csv")
    assert capsys.readouterr().out == "layer,macs\na_b,1000\n"
    print_document(one, "latex")
    assert r"\caption{net\_1}" in capsys.readouterr().out
