"""Markdown in a terminal, with tables in which no word is cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.markdown import Markdown, MarkdownElement, TableElement
from rich.table import Table

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult


class _Table(TableElement):
    """A table whose columns have room for their words; where there is too little, words are folded and none is cut."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for table in super().__rich_console__(console, options):
            if isinstance(table, Table):
                cells = [[str(cell) for cell in column.cells] for column in table.columns]
                frame = table.__rich_measure__(console, options.update_width(9999)).maximum
                whole = sum(
                    max(map(len, [str(c.header), *of])) for c, of in zip(table.columns, cells, strict=True)
                )
                heads = [str(column.header) for column in table.columns]
                widths = column_widths(heads, cells, options.max_width - (frame - whole))
                for column, width in zip(table.columns, widths, strict=True):
                    column.width, column.overflow = width, "fold"
            yield table


def column_widths(heads: Sequence[str], cells: Sequence[Sequence[str]], room: int) -> list[int]:
    """Return how wide columns are to be that share some room.

    Each has room for its longest word, or for that below its head; what is left goes to those with longer cells.

    Args:
        heads: of the columns.
        cells: of each column.
        room: characters of all together.
    """
    least = [_longest_word([head, *of]) for head, of in zip(heads, cells, strict=True)]
    if sum(least) > room:
        least = [_longest_word(of) for of in cells]
    while sum(least) > max(room, len(least)):
        least[least.index(max(least))] -= 1
    wishes = [
        max(max(map(len, [head, *of])) - has, 0) for head, of, has in zip(heads, cells, least, strict=True)
    ]
    share = min(1.0, (room - sum(least)) / max(sum(wishes), 1))
    return [has + int(wish * share) for has, wish in zip(least, wishes, strict=True)]


def _longest_word(texts: Sequence[str]) -> int:
    return max((len(word) for text in texts for word in text.split()), default=1)


class Guide(Markdown):
    """A text in Markdown for a terminal."""

    elements: ClassVar[dict[str, type[MarkdownElement]]] = {**Markdown.elements, "table_open": _Table}
