"""What a run has measured so far, as a table that changes while it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import mean, median

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from bench.cli._words import at_place
from bench.plan.job import unnumbered
from bench.records.record import Record
from bench.report.text import plain
from bench.units import percent, show


@dataclass(slots=True)
class _Series:
    """What jobs have given that differ in their seed or the number of their process alone.

    Attributes:
        label: of any of them, without that.
        values: what tables show of them, by the job; of one that was repeated, the later.
        unit: of the values: `s` of times, `1` of accuracies, an empty text of counts, which are words.
        words: what a job says that has neither.
    """

    label: str
    unit: str = ""
    values: dict[str, float] = field(default_factory=dict)
    words: str = ""

    def cells(self) -> tuple[str, str, str, str]:
        """Return the label, the middle, the range and the number of values."""
        if not self.values:
            return self.label, self.words, "", ""
        middle, form = (median, _seconds) if self.unit == "s" else (mean, percent)
        values = list(self.values.values())
        ends = f"{form(min(values))} – {form(max(values))}" if len(values) > 1 else ""
        return self.label, form(middle(values)), ends, str(len(values))


def _seconds(value: float) -> str:
    return show(value, "s")


class Measured:
    """The table of what has been measured, the latest rows where the terminal is too low for all."""

    def __init__(self) -> None:
        self._series: dict[str, _Series] = {}
        self._latest: list[str] = []

    def __bool__(self) -> bool:
        """Whether there is anything in it."""
        return bool(self._series)

    def add(self, record: Record, words: str) -> None:
        """Take a job that ended well, and what a line would say of it; a control of drift is no measurement more."""
        if record.role == "drift_control":
            return
        key = record.job.series()
        series = self._series.setdefault(key, _Series(plain(unnumbered(at_place(record.job)))))
        values = {m.name: m for m in record.measurements}
        series.words = plain(words)
        if "top1" in values:
            series.unit, series.values[record.job.id] = "1", values["top1"].samples[0]
        elif "step_time" in values and record.job.task != "versus":
            series.unit, series.values[record.job.id] = "s", median(values["step_time"].samples)
        self._latest = [*(each for each in self._latest if each != key), key]

    def rows(self, most: int) -> Sequence[tuple[str, str, str, str]]:
        """Return so many rows at most, in the order in which they began."""
        shown = set(self._latest[-most:])
        return [series.cells() for key, series in list(self._series.items()) if key in shown]

    def left_out(self, most: int) -> int:
        """Return how many have no row."""
        return max(0, len(self._series) - most)


@dataclass(frozen=True, slots=True)
class Below:
    """A table of what has been measured that leaves lines for others below it."""

    measured: Measured
    lines: int  # that others take

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table, and how many rows are not in it."""
        most = max(3, console.size.height - self.lines - 4)
        yield _table(self.measured.rows(most), options.max_width)
        if left_out := self.measured.left_out(most):
            yield Text(f"and {left_out} more, measured before these", style="dim")


def _table(rows: Sequence[tuple[str, str, str, str]], width: int) -> Table:
    """Return the table; where there is no room the range goes first, and then the end of a label."""
    label, value, ends, count = (max(map(cell_len, column)) for column in zip(*rows, strict=True))
    with_range = label + value + max(ends, len(_RANGE)) + count + 6 <= width
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(
        "measured so far", no_wrap=True, overflow="ellipsis", max_width=width - value - count - 4
    )
    table.add_column("", no_wrap=True, overflow="ellipsis", style="green")
    table.add_column("n", justify="right", no_wrap=True, style="dim")
    if with_range:
        table.add_column(_RANGE, no_wrap=True, style="dim")
    for name, middle, between, number in rows:
        table.add_row(*map(Text, (name, middle, number, *([between] if with_range else []))))
    return table


_RANGE = "from – to"
