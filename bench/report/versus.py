"""A comparison as a table, for a terminal and in Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.analysis.versus import QUANTITIES, Row, standings
from bench.records.flags import doubts, explain
from bench.report.text import plain
from bench.report.view import Cell, Head, View
from bench.stats.verdicts import show_p
from bench.units import DASH

_HEADS = (
    Head("Baseline"),
    Head("Quantity"),
    Head("Ratio", numeric=True),
    Head("95 % interval", numeric=True),
    Head("p", numeric=True),
    Head("n", numeric=True),
    Head("Verdict"),
    Head("Why"),
)


def versus_view(rows: Sequence[Row]) -> View:
    """Return the table of `bench.analysis.versus.compare_run`; ratios are the network's over the baseline's."""
    return View(list(_HEADS), [[Cell(text) for text in _texts(row)] for row in rows])


def _texts(row: Row) -> list[str]:
    effect = row.effect
    interval = f"{effect.low:.3f} – {effect.high:.3f}" if math.isfinite(effect.low) else DASH
    return [
        plain(row.baseline),
        QUANTITIES[row.quantity],
        f"{effect.estimate:.3f}" if math.isfinite(effect.estimate) else DASH,
        interval,
        show_p(effect.p, effect.p_floor),
        str(effect.n),
        effect.verdict,
        plain(effect.reason),
    ]


def versus_notes(rows: Sequence[Row]) -> list[str]:
    """Return sentences on the lines of one run: how the networks stand, what is the same, and what is told of them."""
    if not rows:
        return []
    lines = [plain(one.sentence, 1000) + "." for one in standings(rows)]
    lines.append(f"Times within ±{100 * rows[0].band:.3g} % are the same.")
    told = dict.fromkeys(flag for row in rows for flag in row.flags)
    return lines + [f"{'Doubt' if doubts([flag]) else 'Told'}: {flag}: {explain(flag)}." for flag in told]
