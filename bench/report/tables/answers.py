"""A comparison in a terminal, and the answers that stand above it."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from rich.console import Group
from rich.text import Text

from bench.analysis.answers import Answer, answers
from bench.report._short_names import shortened
from bench.report.tables._answers import picks_note, picks_title, picks_view, sentences
from bench.report.tables._columns import comparison_view
from bench.report.tables.formats import Terminal


def rich_table(table: pd.DataFrame) -> Terminal:
    """Return the comparison, without the columns that only the page has room for."""
    return Terminal(comparison_view(table, narrow=True))


def opening(table: pd.DataFrame, frame: pd.DataFrame) -> Group:
    """Return what stands above the comparison in a terminal."""
    return answers_report(answers(*shortened(table, frame)))


def answers_report(every: Sequence[Answer]) -> Group:
    """Return the sentences, and the tables of budgets below, for rich to print."""
    tables = [
        Terminal(picks_view(answer), picks_title(answer), [picks_note(answer)])
        for answer in every
        if answer.picks
    ]
    return Group(*map(Text, sentences(every)), *tables)
