"""The numbers of the comparison, each with its interval, unit and doubts, and what tells its row apart."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, count

import pandas as pd

from bench.analysis.flags import Row, flags_of
from bench.analysis.keys import VARIANT
from bench.plan.task import INPUT, TAUGHT, Quantity, tasks
from bench.records.flags import doubts, explain
from bench.report.exports import Results
from bench.report.exports.measurements import plain_measurements
from bench.report.tables._columns import COMPARISON
from bench.report.tables._csv import with_units
from bench.report.tables._view import missing

_LONGEST = 80  # characters of a folder's name
_BATCHES = tuple(task.batch_column for task in tasks().values() if task.batch_column)
SETTINGS = (*INPUT, "device_name", *VARIANT, *_BATCHES, *TAUGHT, "evaluated_on")
"""Columns of the comparison that say how a number of a row was got."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number of the comparison.

    Attributes:
        quantity: what it is of.
        value: in the unit of its quantity; shares are fractions.
        low: of its 95 % interval; None where it has none, and so is `high`.
        high: of its 95 % interval.
        flags: codes of remarks on it, see `bench.records.flags`.
    """

    quantity: Quantity
    value: float
    low: float | None
    high: float | None
    flags: tuple[str, ...]

    @property
    def doubts(self) -> tuple[str, ...]:
        """Those flags for which it is not called the best of others."""
        return doubts(self.flags)

    @property
    def ends(self) -> dict[str, float]:
        """The value, and where they are known `low` and `high`, by these names."""
        every = {"value": self.value, "low": self.low, "high": self.high}
        return {name: value for name, value in every.items() if value is not None}


def rows_of(results: Results) -> list[Row]:
    """Return the rows of the comparison."""
    return [{str(k): v for k, v in row.items()} for row in results.table.to_dict("records")]


def numbers_of(row: Row) -> list[Number]:
    """Return the numbers that a row of the comparison has, in the order of the tasks."""
    quantities = (q for task in tasks().values() for q in task.quantities if q.summary is not None)
    return [_number(row, q) for q in quantities if not missing(row.get(q.name))]


def _number(row: Row, quantity: Quantity) -> Number:
    ends = [row.get(f"{quantity.name}_{end}") for end in ("low", "high")]
    low, high = (None, None) if any(map(missing, ends)) else ends
    return Number(quantity, float(row[quantity.name]), low, high, flags_of(row, quantity.name))


def settings_of(row: Row) -> dict[str, str | int | float]:
    """Return how the numbers of a row were got; what is not known is left out, and whole numbers are whole."""
    return {key: plain(row[key]) for key in SETTINGS if not missing(row.get(key))}


def plain(value: object) -> str | int | float:
    """Return a setting as text or a number."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, str | int | float) else str(value)


def doubted(numbers: Iterable[Number]) -> dict[str, str]:
    """Return by quantity what is to be doubted of some numbers: ``noisy, throttled: `` and what these codes say."""
    return {
        n.quantity.name: f"{', '.join(n.doubts)}: {'; '.join(map(explain, n.doubts))}"
        for n in numbers
        if n.doubts
    }


def file_names(names: Iterable[str]) -> Mapping[str, str]:
    """Return a name of a folder for each of some names, no two alike: ``my_net.py-Net`` of ``my_net.py:Net``."""
    made: dict[str, str] = {}
    for name in dict.fromkeys(names):
        short = re.sub(r"[^\w.+-]+", "-", name).strip("-.")[:_LONGEST] or "network"
        numbered = chain([short], (f"{short}-{number}" for number in count(2)))
        taken = {other.lower() for other in made.values()}
        made[name] = next(each for each in numbered if each.lower() not in taken)
    return made


def started(results: Results) -> float:
    """Return when the last of the jobs began, see `seconds`."""
    return max(map(seconds, results.frame["started_at"]), default=0.0)


def seconds(time: object) -> float:
    """Return a time such as ``2026-01-01T00:00:00+00:00`` in seconds since 1970; 0 where it is none."""
    return datetime.fromisoformat(time).timestamp() if isinstance(time, str) else 0.0


# --- tables ---


def tables_of(results: Results) -> Iterator[tuple[str, dict[str, pd.DataFrame]]]:
    """Yield of each run its name and its tables: `networks` as in a report's CSV, and `measurements`."""
    every = {
        "networks": with_units(results.table, COMPARISON),
        "measurements": plain_measurements(results.frame),
    }
    for run in results.frame["run"].unique():
        yield run, {name: table[table["run"] == run] for name, table in every.items()}


def cells_of(table: pd.DataFrame) -> list[list[str | float | None]]:
    """Return the rows of a table as text and numbers; what is missing is None."""
    return [[None if missing(v) else plain(v) for v in row] for row in table.itertuples(index=False)]
