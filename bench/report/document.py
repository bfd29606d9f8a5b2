"""A document: what a command prints of one thing, in whatever form it is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from bench.report.tables.cells import View
from bench.report.tables.formats import Terminal, to_longtable, to_markdown
from bench.report.text import markdown


@dataclass(frozen=True, slots=True)
class Document:
    """Sentences, a table, and sentences below it: for a terminal as it is, and in each other form.

    Attributes:
        table: what it is about; one without rows is left out on a terminal.
        title: of the table.
        above: sentences that stand first.
        remarks: what is to be known of the table, right below it.
        notes: sentences at the end.
        values: the same as plain values, for JSON.
        csv: the table with raw numbers, where it is to be had as CSV.
        headed: whether Markdown begins with the title.
    """

    table: View
    title: str = ""
    above: Sequence[str] = ()
    remarks: Sequence[str] = ()
    notes: Sequence[str] = ()
    values: object = None
    csv: str = ""
    headed: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield all of it for rich to print."""
        yield from map(Text, self.above)
        if self.above and not self.title:
            yield Text()
        if self.table.rows:
            yield Terminal(self.table, self.title or None, self.remarks)
        else:
            yield from (Text(line, style="dim") for line in self.remarks)
        yield from map(Text, self.notes)

    def markdown(self) -> str:
        """Return it in Markdown: the sentences as lists."""
        parts = [
            f"# {markdown(self.title)}" if self.headed else "",
            _listed(self.above),
            to_markdown(self.table).rstrip("\n") if self.table.rows else "",
            _listed((*self.remarks, *self.notes)),
        ]
        return "\n\n".join(filter(None, parts)) + "\n"

    def latex(self) -> str:
        """Return the table alone, over as many pages as it takes, for the packages booktabs and longtable."""
        return to_longtable(self.table, self.title)


_LONGEST = 2000  # letters of a sentence, whose names come from outside


def _listed(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {markdown(sentence, _LONGEST)}" for sentence in sentences)
