"""The page: one HTML file that fetches nothing, with its own style and script inside."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Collection
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from bench.analysis.comparison import STATUS_WORDS
from bench.records.flags import explain
from bench.report.figures._drawing import LARGEST_SVG, Picture
from bench.report.figures._style import KINDS
from bench.report.page._content import Content
from bench.report.page._data import packed, to_script
from bench.report.page._help import columns_of, words_of
from bench.report.tables._studies import NOTE, study_sentences, study_view
from bench.report.tables.answers import picks_tables, sentences
from bench.report.text import plain
from bench.units import bound

_TEMPLATES = Path(__file__).parent / "templates"
# In this order: what a later one uses, an earlier one has.
_SCRIPTS = ("base", "format", "tables", "axes", "plot", "charts", "race", "layers", "compare", "start")
_STYLES = ("base", "tables", "charts", "print")


def to_html(content: Content, beside: Collection[str] = ()) -> str:
    """Return the page; whatever stands in a record is escaped, and no script but its own may run in it.

    `beside` are the files that lie beside it, by their paths from its folder, such as ``table.csv``.
    """
    script, style = _own_script(), _joined("style", _STYLES, "css")
    names = (*content.__slots__, "sections", "of_evaluations")
    shown: dict[str, object] = {name: getattr(content, name) for name in names}
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = _templates().get_template("page.html.j2")
    return page.render(
        shown,
        status_words=STATUS_WORDS,
        markup=_figure_markup,
        script=script,
        style=style,
        script_hash=f"sha256-{digest}",
        json=to_script({**content.data, "rows": packed(content.data["rows"])}),
        beside=beside,
        kinds=[kind for kind in KINDS if any(name.endswith(f".{kind}") for name in beside)],
    )


@cache
def _templates() -> Environment:
    """Return the page's templates, which are compiled once a process."""
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=False
    )
    told = (explain, sentences, picks_tables, study_sentences, study_view, columns_of, words_of)
    environment.globals |= {function.__name__: function for function in told}
    environment.globals["study_note"] = NOTE
    environment.filters |= {"plain": plain, "bound": bound, "study_view": study_view}
    environment.filters |= {"stored": _stored, "breakable": _breakable}
    return environment


def _own_script() -> str:
    """Return the script of the page, the same in every report; its names stay within a block."""
    return '"use strict";\n{\n' + _joined("script", _SCRIPTS, "js") + "}\n"


def _stored(value: object) -> object:
    """Return what a cell sorts by and CSV has: a whole number without a point."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


# Behind a mark within a word, but not within a number or cuda:0; behind a hyphen every browser breaks by itself.
_BREAKS = re.compile(r"(?<=\w[_:.,(/·])(?<!\d[.,/](?=\d))(?<!:(?=\d))(?=\w)")


def _breakable(text: str) -> Markup:
    """Return a text whose names may go on in the next line, so that a narrow cell breaks no word."""
    return Markup("<wbr>").join(escape(part) for part in _BREAKS.split(text))


def _figure_markup(figure: Picture) -> str:
    """Return a figure as an element: SVG, or of a large one the PNG."""
    if len(figure.files["svg"]) <= LARGEST_SVG or "png" not in figure.files:
        return figure.svg
    return f'<img alt="" src="data:image/png;base64,{base64.b64encode(figure.files["png"]).decode()}">'


def _joined(folder: str, names: tuple[str, ...], ending: str) -> str:
    files = (_TEMPLATES / folder / f"{name}.{ending}" for name in names)
    return "".join(file.read_text(encoding="utf-8") for file in files)
