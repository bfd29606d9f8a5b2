"""Throughput by batch size."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.comparison import row_labels
from bench.analysis.keys import VARIANT, WAY
from bench.analysis.replicates import pooled
from bench.report.figures import figure
from bench.report.figures._lines import Curve, Group, draw_lines
from bench.report.figures._rows import by_machine, conditions, failed
from bench.report.figures.style import family_name, log_axis, looks, ticks_at


@figure(
    "throughput_batch",
    title="Throughput by batch size",
    caption="Forward passes without synchronisation between them; bands are the 95 % interval, over processes where "
    "there are several. Where a curve is flat, a larger batch buys nothing. Where there are many networks, each family "
    "has a panel, with the others grey behind it.",
    needs="infer jobs of one network at two batch sizes or more",
    place=50,
    charted=True,
)
def draw(table: pd.DataFrame, frame: pd.DataFrame) -> Figure | None:
    """Draw the networks of each machine apart."""
    steps = pooled(frame[(frame["task"] == "infer") & (frame["measurement"] == "step_time")])
    rows = steps[(steps["median"] > 0) & steps["batch_size"].notna()]
    groups = []
    for name, part in by_machine(rows):
        title, shown = name, _with_batches(part)
        if len(shown[WAY].drop_duplicates()) > _MOST:
            title, shown = _commonest(name, shown)
        curves = [_curve(one) for _, one in shown.groupby(WAY, dropna=False, sort=False)]
        if curves:
            groups.append(Group(title, curves, _axes(curves)))
    return draw_lines(groups, looks(table["family"]), _failed(frame, rows))


_APART = 1.4  # times the tick before, so that their texts are apart
_MOST = 40  # curves of a machine, above which one way of running is shown


def _failed(frame: pd.DataFrame, measured: pd.DataFrame) -> list[tuple[str, str]]:
    """Return (status, network and batch) of each that failed in all processes, a batch of several ways once."""
    jobs, keys = failed(frame, ["infer"]).dropna(subset=["batch_size"]), [*WAY, "batch_size"]
    known = pd.MultiIndex.from_frame(measured[keys].astype(object))
    jobs = jobs[~pd.MultiIndex.from_frame(jobs[keys].astype(object)).isin(known)]
    rows = zip(jobs["status"], jobs["network"], jobs["batch_size"], strict=True)
    return list(dict.fromkeys((status, f"{network} at {batch:.0f}") for status, network, batch in rows))


def _with_batches(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of networks and ways of running that were timed at two batch sizes or more, labelled."""
    rows = rows.drop_duplicates([*WAY, "batch_size"], keep="last")
    rows = rows[rows.groupby(WAY, dropna=False)["batch_size"].transform("size") > 1]
    rows = rows.sort_values(["year", "network", "batch_size"], kind="stable")
    return rows.assign(label=row_labels(rows))


def _commonest(name: str, rows: pd.DataFrame) -> tuple[str, pd.DataFrame]:
    """Return the rows of the way of running that most networks share, and a title that says so."""
    ways = [way for _, way in rows.groupby(VARIANT, dropna=False, sort=False)]
    most = max(ways, key=lambda way: way["network"].nunique())
    title = ", ".join(word for word in (name, conditions(most)) if word)
    one_of = f" (1 of {len(ways)} ways)" if len(ways) > 1 else ""
    return title + one_of, most.assign(label=row_labels(most))


def _curve(rows: pd.DataFrame) -> Curve:
    batches = rows["batch_size"]
    middle, low, high = ((batches / rows[key]).tolist() for key in ("median", "high", "low"))
    band = (low, high) if rows["low"].notna().all() else ((), ())
    return Curve(rows["label"].iloc[0], family_name(rows["family"].iloc[0]), batches.tolist(), middle, *band)


def _axes(curves: Sequence[Curve]) -> Callable[[Axes], None]:
    """Return what sets up the axes of all panels of a group."""
    ticks: list[float] = []
    for batch in sorted({x for curve in curves for x in curve.x}):
        if not ticks or batch >= _APART * ticks[-1]:
            ticks.append(batch)
    rates = [y for curve in curves for y in curve.y]

    def setup(axes: Axes) -> None:
        axes.set_xscale("log", base=2)
        ticks_at(axes.xaxis, ticks, [f"{batch:.0f}" for batch in ticks])
        axes.set_xlabel("Batch size")
        log_axis(axes.yaxis, rates, "Images per second", "1")

    return setup
