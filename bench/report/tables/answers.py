"""What a report opens with: the answer for each input size, in sentences, and the network to take for each budget."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from rich.console import Group
from rich.text import Text

from bench.analysis.answers import Answer, Pick, answers
from bench.report._short_names import shortened
from bench.report.tables._columns import comparison_view
from bench.report.tables.cells import Cell, Fields, Head, View, view_of
from bench.report.tables.formats import Terminal
from bench.report.text import plain
from bench.units import DASH, Scale, with_ends

_LONGEST = 1000  # letters of a sentence, whose names come from outside


def sentences(every: Sequence[Answer]) -> list[str]:
    """Return all sentences, safe to show."""
    return [plain(sentence, _LONGEST) for answer in every for sentence in answer.sentences]


def picks_tables(every: Sequence[Answer]) -> list[Terminal]:
    """Return the table of each answer that has budgets, with its title and what is to be known of the accuracies."""
    return [_picks_table(answer) for answer in every if answer.picks]


def _picks_table(answer: Answer) -> Terminal:
    title = f"For a budget: the most accurate, {answer.time}, at {answer.title}"
    left = f" Left out, without such an accuracy: {', '.join(answer.left_out)}." if answer.left_out else ""
    note = f"Accuracy: {answer.accuracy}. Bold is certain.{left}"
    return Terminal(_picks_view(answer), plain(title, _LONGEST), [plain(note, _LONGEST)])


def _picks_view(answer: Answer) -> View:
    """Return a row a budget: the network to take, bold where it is certain, its accuracy, its time, and the doubt."""
    scale = Scale.of(answer.picks[0].budget, "s")
    fields: Fields[Pick] = (
        (Head("Budget", scale.symbol, numeric=True), lambda pick: f"{pick.budget / scale.factor:,.12g}"),
        (Head("Take", keep=2), lambda pick: Cell(plain(pick.network), best=not pick.doubt)),
        (
            Head(answer.accuracy.partition(",")[0].capitalize(), "%", numeric=True),
            lambda pick: Cell(f"{100 * pick.accuracy:.1f}", plain(pick.way), pick.accuracy),
        ),
        (
            Head("Time", scale.symbol, numeric=True, keep=2),
            lambda pick: Cell(*with_ends(pick.time, pick.low, pick.high, scale.factor), pick.time),
        ),
        (Head("Doubt"), lambda pick: plain(pick.doubt, _LONGEST) or DASH),
    )
    return view_of(answer.picks, fields)


def rich_table(table: pd.DataFrame) -> Terminal:
    """Return the comparison, without the columns that only the page has room for."""
    return Terminal(comparison_view(table, narrow=True))


def opening(table: pd.DataFrame, frame: pd.DataFrame) -> Group:
    """Return what stands above the comparison in a terminal."""
    return answers_report(answers(*shortened(table, frame)))


def answers_report(every: Sequence[Answer]) -> Group:
    """Return the sentences, and the tables of budgets below, for rich to print."""
    return Group(*map(Text, sentences(every)), *picks_tables(every))
