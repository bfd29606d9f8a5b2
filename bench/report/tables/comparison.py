"""The comparison in a terminal."""

from __future__ import annotations

import pandas as pd

from bench.report.tables._columns import comparison_view
from bench.report.tables.formats import Terminal


def rich_table(table: pd.DataFrame, title: str | None = None) -> Terminal:
    """Return the comparison for a terminal, without the columns that only the page has room for."""
    return Terminal(comparison_view(table, narrow=True), title)
