"""Tables for papers: a view in LaTeX, with the package booktabs and nothing else.

Whatever a name holds, the table compiles: special characters are escaped, and a cell that begins with what a line end
of LaTeX would take for its argument stands in braces.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence

from bench.records.flags import explain
from bench.report.text import latex
from bench.report.view import Cell, Head, View

_WIDTH = 12  # characters of a line of a head


def to_latex(shown: View, caption: str, label: str = "tab:bench") -> str:
    """Return a floating table: best values bold, notes in brackets, what is common and doubts about cells below it."""
    letters = shown.footnotes
    lines = [
        r"% \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        f"\\caption{{{latex(caption)}}}",
        f"\\label{{{label}}}",
        r"\small",
        r"\setlength{\tabcolsep}{4pt}",
        f"\\begin{{tabular}}{{{columns(shown.heads)}}}",
        r"\toprule",
        line(_head(head) for head in shown.heads),
        r"\midrule",
        *(line(_cell(cell, letters) for cell in row) for row in shown.rows),
        r"\bottomrule",
        r"\end{tabular}",
        *_notes(shown, letters),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def to_longtable(shown: View, caption: str) -> str:
    """Return a table that goes on over several pages, with the last row as the total; it needs longtable as well."""
    *rows, total = shown.rows
    lines = [
        f"\\begin{{longtable}}{{{columns(shown.heads)}}}",
        f"\\caption{{{latex(caption)}}}\\\\",
        r"\toprule",
        line(text(str(head)) for head in shown.heads),
        r"\midrule",
        r"\endhead",
        *(line(text(cell.text) for cell in row) for row in rows),
        r"\midrule",
        line(text(cell.text) for cell in total),
        r"\bottomrule",
        r"\end{longtable}",
    ]
    return "\n".join(lines) + "\n"


def columns(heads: Sequence[Head]) -> str:
    """Return the alignment of columns: numbers to the right."""
    return "".join("r" if head.numeric else "l" for head in heads)


def line(cells: Iterable[str]) -> str:
    r"""Return a row, with `\\` behind it."""
    return " & ".join(cells) + r" \\"


def text(words: str) -> str:
    """Return a cell; one that begins with a bracket or a star would be an argument of the line end before it."""
    escaped = latex(words)
    return f"{{{escaped[0]}}}{escaped[1:]}" if escaped[:1] in ("[", "*") else escaped


def _cell(cell: Cell, letters: Mapping[str, str]) -> str:
    marks = cell.marks(letters)
    shown = f"\\textbf{{{latex(cell.text)}}}" if cell.best else text(cell.text)
    note = f" {{\\scriptsize {latex(cell.aside.strip())}}}" if cell.note else ""
    return shown + note + (f"\\textsuperscript{{{marks}}}" if marks else "")


def _head(head: Head) -> str:
    """Return a head in short lines, the unit on its own."""
    lines = [
        *textwrap.wrap(head.title, _WIDTH, break_long_words=False),
        *([f"({head.unit})"] if head.unit else []),
        *([head.note] if head.note else []),
    ]
    if len(lines) < 2:
        return text("".join(lines))
    side = "[r]" if head.numeric else "[l]"
    return f"\\shortstack{side}{{" + r"\\".join(text(part) for part in lines) + "}"


def _notes(shown: View, letters: Mapping[str, str]) -> list[str]:
    """Return what stands below a table, a paragraph each."""
    common = [f"The same in every row: {latex(shown.note)}."] if shown.common else []
    doubts = [
        f"\\textsuperscript{{{letter}}} {latex(f'{flag}: {explain(flag)}')}."
        for flag, letter in letters.items()
    ]
    return [f"\\par\\smallskip{{\\footnotesize\\raggedright {note}\\par}}" for note in [*common, *doubts]]
