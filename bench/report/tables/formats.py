"""A view as a table in each form: for a terminal, in Markdown, HTML and LaTeX.

Whatever a name holds, it stays text: it is no markup, and the LaTeX compiles.
"""

from __future__ import annotations

import html
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderResult
from rich.table import Table
from rich.text import Text

from bench.report.tables._view import Cell, Head, View
from bench.report.text import markdown, plain


def to_markdown(view: View) -> str:
    """Return a Markdown table: the best values bold, notes in brackets, what is common and doubts about cells below."""
    letters = view.footnotes
    lines = [
        _markdown_line(markdown(head) for head in view.heads),
        _markdown_line("---:" if head.numeric else "---" for head in view.heads),
        *(_markdown_line(_markdown_cell(cell, letters) for cell in row) for row in view.rows),
    ]
    for letter, text in view.remarks:
        lines += ["", (f"<sup>{letter}</sup> " if letter else "") + markdown(text)]
    return "\n".join(lines) + "\n"


def _markdown_cell(cell: Cell, letters: Mapping[str, str]) -> str:
    text, marks = markdown(cell.text), cell.marks(letters)
    return (
        (f"**{text}**" if cell.best else text)
        + (f" {markdown(cell.aside)}" if cell.note else "")
        + (f"<sup>{marks}</sup>" if marks else "")
    )


def _markdown_line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def to_html(view: View) -> str:
    """Return a plain table of HTML, as a notebook shows it: the best values bold, and doubts about cells below it."""
    letters = view.footnotes
    heads = "".join(f"<th>{html.escape(str(head))}</th>" for head in view.heads)
    rows = "".join(f"<tr>{''.join(_html_cell(cell, letters) for cell in row)}</tr>" for row in view.rows)
    below = [
        f"<p>{f'<sup>{letter}</sup> ' if letter else ''}{html.escape(text)}</p>"
        for letter, text in view.remarks
    ]
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>{''.join(below)}"


def _html_cell(cell: Cell, letters: Mapping[str, str]) -> str:
    text, marks = html.escape(cell.text), cell.marks(letters)
    bold = f"<b>{text}</b>" if cell.best else text
    return f"<td>{bold}{html.escape(cell.aside)}{f'<sup>{marks}</sup>' if marks else ''}</td>"


@dataclass(frozen=True, slots=True)
class Terminal:
    """A view for rich to print: where the terminal is too narrow, the table goes on below; no number is cut."""

    view: View  # the table
    title: str | None = None  # above it
    notes: Sequence[str] = ()  # sentences below it

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield a table for each block of columns that fits; each begins with the first column."""
        view, letters = self.view, self.view.footnotes
        first, *others = _widths(view, letters)
        if first + max(others, default=0) + 7 > options.max_width:  # no room for notes beside numbers
            view = replace(view, rows=[[replace(cell, note="") for cell in row] for row in view.rows])
        blocks = _blocks(_widths(view, letters), options.max_width)
        for block in blocks:
            part = View([view.heads[i] for i in block], [[row[i] for i in block] for row in view.rows])
            yield _rich_table(part, self.title if block is blocks[0] else None, letters)
        for note in (*(f"{letter} {text}".strip() for letter, text in self.view.remarks), *self.notes):
            yield Text(note, style="dim")


def _widths(view: View, letters: Mapping[str, str]) -> list[int]:
    """Return how wide each column must be: its longest cell, or the longest word of its head."""
    heads = [
        max(cell_len(word) for word in [*head.title.split(), head.unit, *head.note.split()])
        for head in view.heads
    ]
    cells = zip(*([cell_len(cell.full_text(letters)) for cell in row] for row in view.rows), strict=True)
    return [max(head, *column) for head, column in zip(heads, cells, strict=True)] if view.rows else heads


def _blocks(widths: Sequence[int], room: int) -> list[list[int]]:
    """Return which columns stand beside each other; a column takes three more for the space around it."""
    blocks: list[list[int]] = [[0]]
    for i in range(1, len(widths)):
        if sum(widths[k] + 3 for k in [*blocks[-1], i]) + 1 > room and len(blocks[-1]) > 1:
            blocks.append([0])
        blocks[-1].append(i)
    return blocks


def _rich_table(view: View, title: str | None, letters: Mapping[str, str]) -> Table:
    """Return a table of rich; names are text, never markup, and numbers are never wrapped."""
    table = Table(title=Text(title) if title else None, box=box.SIMPLE_HEAD, title_justify="left")
    for head, width in zip(view.heads, _widths(view, letters), strict=True):
        lines = [
            *textwrap.wrap(head.title, width, break_long_words=False),
            *([head.unit] if head.unit else []),
            *textwrap.wrap(head.note, width, break_long_words=False),
        ]
        align: JustifyMethod = "right" if head.numeric else "left"
        table.add_column(Text("\n".join(lines)), justify=align, no_wrap=head.numeric)
    for row in view.rows:
        table.add_row(*(Text(cell.full_text(letters), "bold" if cell.best else "") for cell in row))
    return table


_HEAD_WIDTH = 12  # characters of a line of a head in LaTeX


def to_latex(view: View, caption: str, label: str = "tab:bench") -> str:
    """Return a floating table for the package booktabs.

    The best values are bold, notes in brackets, and what is common and doubts about cells stand below.
    """
    letters = view.footnotes
    lines = [
        r"% \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        f"\\caption{{{_latex(caption)}}}",
        f"\\label{{{label}}}",
        r"\small",
        r"\setlength{\tabcolsep}{4pt}",
        f"\\begin{{tabular}}{{{_alignment(view.heads)}}}",
        r"\toprule",
        _latex_line(_latex_head(head) for head in view.heads),
        r"\midrule",
        *(_latex_line(_latex_cell(cell, letters) for cell in row) for row in view.rows),
        r"\bottomrule",
        r"\end{tabular}",
        *map(_latex_remark, view.remarks),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def to_longtable(view: View, caption: str) -> str:
    """Return a table that goes on over several pages, its last row the total, for booktabs and longtable."""
    *rows, total = view.rows
    lines = [
        f"\\begin{{longtable}}{{{_alignment(view.heads)}}}",
        f"\\caption{{{_latex(caption)}}}\\\\",
        r"\toprule",
        _latex_line(_latex_text(str(head)) for head in view.heads),
        r"\midrule",
        r"\endhead",
        *(_latex_line(_latex_text(cell.text) for cell in row) for row in rows),
        r"\midrule",
        _latex_line(_latex_text(cell.text) for cell in total),
        r"\bottomrule",
        r"\end{longtable}",
    ]
    return "\n".join(lines) + "\n"


def _alignment(heads: Sequence[Head]) -> str:
    """Return the alignment of columns: numbers to the right."""
    return "".join("r" if head.numeric else "l" for head in heads)


_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "×": r"$\times$", "→": r"$\to$", "–": "--", "<": r"$<$",
    ">": r"$>$", "|": r"$|$", "±": r"$\pm$", "µ": r"$\mu$", "…": r"\ldots{}", "·": r"$\cdot$",
}  # fmt: skip


def _latex(text: object) -> str:
    """Return text for a cell of a LaTeX table; what pdfLaTeX has no letter for becomes a question mark."""
    return "".join(_LATEX.get(c, c if c.isascii() else "?") for c in plain(text))


def _latex_line(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def _latex_text(words: str) -> str:
    """Return a cell; one that begins with a bracket or a star would be an argument of the line end before it."""
    escaped = _latex(words)
    return f"{{{escaped[0]}}}{escaped[1:]}" if escaped[:1] in ("[", "*") else escaped


def _latex_cell(cell: Cell, letters: Mapping[str, str]) -> str:
    marks = cell.marks(letters)
    text = f"\\textbf{{{_latex(cell.text)}}}" if cell.best else _latex_text(cell.text)
    note = f" {{\\scriptsize {_latex(cell.aside.strip())}}}" if cell.note else ""
    return text + note + (f"\\textsuperscript{{{marks}}}" if marks else "")


def _latex_head(head: Head) -> str:
    """Return a head in short lines, the unit on its own."""
    lines = [
        *textwrap.wrap(head.title, _HEAD_WIDTH, break_long_words=False),
        *([f"({head.unit})"] if head.unit else []),
        *([head.note] if head.note else []),
    ]
    if len(lines) < 2:
        return _latex_text("".join(lines))
    side = "[r]" if head.numeric else "[l]"
    return f"\\shortstack{side}{{" + r"\\".join(map(_latex_text, lines)) + "}"


def _latex_remark(remark: tuple[str, str]) -> str:
    """Return what stands below a table as a paragraph."""
    letter, text = remark
    mark = f"\\textsuperscript{{{letter}}} " if letter else ""
    return f"\\par\\smallskip{{\\footnotesize\\raggedright {mark}{_latex(text)}.\\par}}"
