"""The comparison as JSON: one object a network and way of running it, and what failed."""

from __future__ import annotations

import json

from bench import __version__
from bench.analysis.comparison import failures
from bench.analysis.flags import Row
from bench.analysis.keys import PUBLISHED
from bench.io import finite_json
from bench.plan.task import Quantity
from bench.report.exports import Results, export
from bench.report.exports._numbers import Number, numbers_of, plain, rows_of, settings_of
from bench.report.tables._view import missing

_CARD = ("family", "year", *PUBLISHED, "published_source", "published_protocol")


@export(
    "json",
    about="the comparison: of each network every number with low, high, unit and doubts; and what failed",
)
def _json(results: Results) -> str:
    """Return the document; what is missing is null."""
    each = [(row, {n.quantity.name: n for n in numbers_of(row)}) for row in rows_of(results)]
    known = {n.quantity.name: n.quantity for _, numbers in each for n in numbers.values()}
    document = {
        "bench_version": __version__,
        "runs": [run.name for run in results.runs],
        "networks": [_network(row, numbers, known) for row, numbers in each],
        "failures": finite_json(failures(results.frame).to_dict("records")),
    }
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def _network(row: Row, numbers: dict[str, Number], known: dict[str, Quantity]) -> dict[str, object]:
    """Return a row: all that is measured of any network, in the same order in each."""
    return {
        **{key: row[key] for key in ("run", "network", "label")},
        **{key: None if missing(row[key]) else plain(row[key]) for key in _CARD},
        "settings": settings_of(row),
        "quantities": {name: _number(numbers.get(name)) for name in known},
    }


def _number(number: Number | None) -> dict[str, object] | None:
    if number is None:
        return None
    return {
        "value": None,
        "low": None,
        "high": None,
        **{name: plain(value) for name, value in number.ends.items()},
        "unit": number.quantity.unit,
        "better": number.quantity.better,
        "flags": number.flags,
        "doubts": number.doubts,
    }
