"""A view as a table in each form: for a terminal, in Markdown, HTML and LaTeX.

Whatever a name holds, it stays text: it is no markup, and the LaTeX compiles.
"""

from __future__ import annotations

import html
import re
import textwrap
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderResult
from rich.table import Table
from rich.text import Text

from bench.report.tables.cells import Cell, Head, View
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
    """A view for rich to print, no wider than the terminal: a line names the columns that have no room there.

    No number is cut. In a file, which has no width, nothing is left out, and a row is a line.
    """

    view: View  # the table
    title: str | None = None  # above it
    notes: Sequence[str] = ()  # sentences below it

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the title, the table, which columns are missing, and what stands below."""
        view, letters = self.view, self.view.footnotes
        if not view.heads:
            return
        room = _ENDLESS if console.soft_wrap else options.max_width
        first, *others = _least(view, letters, room // 2)
        if first + max(others, default=0) + 7 > room:  # no room for notes beside numbers
            view = replace(view, rows=[[replace(cell, note="") for cell in row] for row in view.rows])
        for word in (*(int(room / part) for part in (2, 2.5, 3, 4)), _WORD):
            least = _least(view, letters, word)
            shown = _with_room(view.heads, least, room)
            if all(i in shown for i, head in enumerate(view.heads) if head.keep > 1):
                break
        heads = [view.heads[i] for i in shown]
        part = View(heads, [[row[i] for i in shown] for row in view.rows], view.common)
        if self.title:
            yield Text(self.title, style="bold")
        widths = _grown(part, letters, [least[i] for i in shown], room)
        yield _rich_table(part, widths, part.footnotes)
        notes = [f"{letter} {text}".strip() for letter, text in part.remarks]
        for note in (*_left_out(view.heads, shown, room), *notes, *self.notes):
            yield Text(note, style="dim")


_ENDLESS = 100_000  # characters: a row is a line
_WORD = 18  # characters after which a word is broken at last, where columns that matter have no room else
_WORDS = 24  # characters that several words have beside each other, where there are so many


def _least(view: View, letters: Mapping[str, str], most: int) -> list[int]:
    """Return how wide each column must be: for its longest number, or so that words of `most` characters stay whole."""
    longest = _longest(view, letters)
    least: list[int] = []
    for i, (head, width) in enumerate(zip(view.heads, longest, strict=True)):
        words = [word for row in view.rows for word in row[i].full_text(letters).split()]
        whole = max(min(_WORDS, most), min(max(map(cell_len, words), default=0), most))
        in_head = max(cell_len(word) for word in [*head.title.split(), head.unit, *head.note.split()])
        least.append(max(in_head, width if head.numeric else min(width, whole)))
    return least


def _longest(view: View, letters: Mapping[str, str]) -> list[int]:
    columns = zip(*view.rows, strict=True) if view.rows else ([] for _ in view.heads)
    return [max((cell_len(cell.full_text(letters)) for cell in column), default=0) for column in columns]


def _taken(widths: Iterable[int]) -> int:
    """Return what columns take; each three more than its width, for the space around it."""
    return sum(width + 3 for width in widths) + 1


def _with_room(heads: Sequence[Head], least: Sequence[int], room: int) -> list[int]:
    """Return which columns have room beside each other: the first one, and those that are kept longest."""
    shown = [0]
    for i in sorted(range(1, len(heads)), key=lambda i: (-heads[i].keep, i)):
        if _taken(least[k] for k in [*shown, i]) <= room:
            shown.append(i)
    return sorted(shown)


def _grown(view: View, letters: Mapping[str, str], least: Sequence[int], room: int) -> list[int]:
    """Return the widths of columns: those of words take what room is left, the short ones first."""
    widths, spare = list(least), room - _taken(least)
    wanted = [max(0, width - own) for width, own in zip(_longest(view, letters), least, strict=True)]
    for i in sorted(range(len(widths)), key=lambda i: wanted[i]):
        more = min(wanted[i], max(0, spare))
        widths[i], spare = widths[i] + more, spare - more
    return widths


def _left_out(heads: Sequence[Head], shown: Sequence[int], room: int) -> list[str]:
    """Return a line that names the columns which are not shown; none where all are."""
    names = [head.title for i, head in enumerate(heads) if i not in shown]
    return [f"Not at {room} characters: {'; '.join(names)}. A wider terminal has them."] if names else []


def _rich_table(view: View, widths: Sequence[int], letters: Mapping[str, str]) -> Table:
    """Return a table of rich; names are text, never markup, and numbers are never wrapped."""
    table = Table(box=box.SIMPLE_HEAD)
    for head, width in zip(view.heads, widths, strict=True):
        lines = [
            *textwrap.wrap(head.title, width, break_long_words=False),
            *([head.unit] if head.unit else []),
            *textwrap.wrap(head.note, width, break_long_words=False),
        ]
        align: JustifyMethod = "right" if head.numeric else "left"
        table.add_column(
            Text("\n".join(lines)), justify=align, width=width, no_wrap=head.numeric, overflow="fold"
        )
    for row in view.rows:
        texts = (_folded(cell.full_text(letters), width) for cell, width in zip(row, widths, strict=True))
        table.add_row(*(Text(text, _style(cell)) for cell, text in zip(row, texts, strict=True)))
    return table


def _folded(text: str, width: int) -> str:
    """Return a text whose words fit in so many characters: a name is broken after a mark where a line has one."""
    return " ".join("\n".join(_pieces(word, width)) for word in text.split(" "))


def _pieces(word: str, width: int) -> Iterator[str]:
    while cell_len(word) > width > 0:
        line = word[:width]
        end = max((mark.end() for mark in _MARKS.finditer(line)), default=0)
        end = end if end > width // 2 else width
        yield word[:end]
        word = word[end:]
    yield word


_MARKS = re.compile(r"[-_./:,(=]")  # after which the name of a network may go on in the next line


# Colours by meaning, of verdicts and statuses; the words say all that the colours do.
_GOOD, _BAD, _OPEN, _NONE = "green", "bold red", "yellow", "dim"

_COLOURS: Mapping[str, str] = {
    **dict.fromkeys(("ok", "faster", "supported", "confirmed", "rounding", "reproduced"), _GOOD),
    **dict.fromkeys(("worth it", "take it", "on the front", "compatible"), _GOOD),
    **dict.fromkeys(("slower", "refuted", "erratum", "not reproduced", "differs"), _BAD),
    **dict.fromkeys(("crashed", "killed", "out of memory", "timed out", "oom", "timeout", "diverged"), _BAD),
    **dict.fromkeys(("invalid model", "invalid_model"), _BAD),
    **dict.fromkeys(("undecided", "suspected", "open", "indicated for", "indicated against"), _OPEN),
    **dict.fromkeys(("other convention", "may hold", "on the front, not for certain", "unsupported"), _OPEN),
    **dict.fromkeys(("cancelled", "not worth it", "beyond the budget"), _OPEN),
    **dict.fromkeys(("needs a run", "not decided here", "skipped", "not comparable"), _NONE),
}
"""The style of rich for a word; one that is not here has none."""


def _style(cell: Cell) -> str:
    """Return how a cell is shown: the best bold, and a verdict or a status in the colour of what it means."""
    return "bold" if cell.best else _COLOURS.get(cell.text, "")


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
    "≤": r"$\le$",
}  # fmt: skip


_ACCENTS = dict(zip("\u0300\u0301\u0302\u0303\u0304\u0308\u030a\u030c\u0327", "`'^~=\"rvc", strict=True))


def _latex(text: object) -> str:
    """Return text for a cell of a LaTeX table; what pdfLaTeX has no letter for becomes a question mark."""
    return "".join(_LATEX.get(c) or _letter(c) for c in unicodedata.normalize("NFC", plain(text)))


def _letter(character: str) -> str:
    """Return a character that means nothing to LaTeX, with its accent as a command."""
    letter, *accents = list(unicodedata.normalize("NFD", character))
    known = letter.isascii() and all(accent in _ACCENTS for accent in accents)
    return "".join(rf"\{_ACCENTS[a]}{{" for a in accents) + letter + "}" * len(accents) if known else "?"


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
