"""Runs and pages for the tests of reports."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from make_records import NETS, by_name, failed, job, make_run, record, records, speed
from markdown_it import MarkdownIt
from matplotlib.figure import Figure as Drawing

from bench.analysis.comparison import compare_table
from bench.analysis.frame import to_frame
from bench.records.store import Run, _Rejected
from bench.report.figures import FIGURES, _drawing, _labels
from bench.report.figures._style import styled
from bench.report.page._content import Content, gather

SMALL = by_name("alexnet", "resnet18")
NASTY = "<script>alert(1)</script>|\"x'[bold]`_*\u202eevil 😀 $x$\n# no"


def content_of(*runs: Run, title: str | None = None) -> Content:
    """Return all of a report but its figures, which take most of the time."""
    frame = to_frame(runs)
    return gather(runs, frame, compare_table(frame), title, lambda *_: list)


def doubtful_run() -> Run:
    """A run of everything: measurements, failures, pending jobs, doubts, a line set aside, nasty texts."""
    nasty = replace(NETS[5], name=NASTY, family=NASTY)
    counts, fast, *rest = records(by_name("lenet5", "resnet18", "vgg16"))
    detail = {"uncounted": {"aten::fft_rfft2": 3}}
    uncounted = counts.measurements[1].changed(flags=("uncounted_ops",), detail=detail)
    noisy = tuple(m.changed(flags=("noisy",)) for m in fast.measurements)
    seen = [
        counts.changed(measurements=(counts.measurements[0], uncounted)),
        fast.changed(measurements=noisy),
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
    rejected = (_Rejected(17, "checksum does not match: the line was changed after it was written"),)
    return replace(
        run, rejected=rejected, info={"invocations": [{"argv": ["/somewhere/bin/bench", "run", NASTY]}]}
    )


def drawn_each(names: Iterable[str], *runs: Run, laid_out: bool = False) -> dict[str, Drawing | None]:
    """Return figures by name, all of one table: to make that takes as long as to draw some.

    They are not laid out where nothing is asked of places: that takes longer than to draw them.
    """
    frame = to_frame(runs)
    table = compare_table(frame)
    with styled(), pytest.MonkeyPatch.context() as patch:
        if not laid_out:
            patch.setattr(_labels, "freeze", lambda figure: figure.set_layout_engine(None))
        return {name: FIGURES.get(name).draw(table, frame) for name in names}


def unrendered(patch: pytest.MonkeyPatch) -> list[str]:
    """Let figures be drawn but not laid out, and become a few bytes; return the kinds of files that are asked for."""
    kinds: list[str] = []

    def to_bytes(_: Drawing, kind: str) -> bytes:
        kinds.append(kind)
        return b"<svg></svg>"

    patch.setattr(_labels, "freeze", lambda figure: figure.set_layout_engine(None))
    patch.setattr(_drawing, "to_bytes", to_bytes)
    patch.setattr(_drawing, "_MANY_RECORDS", 1_000_000)  # no second process
    return kinds


def drawing_only(*drawn: str) -> Callable[..., _drawing.Picture]:
    """Return what draws these figures, and has nothing to draw for others: to draw all takes longer than all else."""
    draw = _drawing._draw

    def some(name: str, *given: Any, **more: Any) -> _drawing.Picture:
        return draw(name, *given, **more) if name in drawn else _drawing.Picture(name, "", "", "", {})

    return some


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


def parsed(document: str) -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": True}).enable("table").parse(document)


def tokens(document: str) -> Iterable[str]:
    """Yield the kinds of markup in a document; the marks of footnotes, which are our own, are left out."""
    for token in parsed(document):
        yield token.type
        yield from (c.type for c in token.children or () if c.content not in ("<sup>", "</sup>"))
