"""The data dictionary as a page: a table for each frame that people get."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bench.analysis.entry import Entry

ABOUT = "what the columns of each frame hold"
_FROM = {
    "measurements": "of `bench.load`, of `bench export` and of the table of that name in SQL: one row a measurement",
    "comparison": "`bench.load(...).comparison`, the table `networks` in SQL: one row a network and way of running it",
    "ratios": "`bench.compare(...).ratios`, a report's `ratios.csv`: one row a baseline and quantity",
    "ensembles": "of `bench.ensembles`: one row an ensemble",
    "layers": "of `bench.show`: one row a layer",
}


def columns_page() -> str:
    """Return the page in Markdown."""
    from bench.analysis.dictionary import FRAMES

    return "\n".join([f"# Columns: {ABOUT}", "", _HEAD, "", *_sections(FRAMES)])


_HEAD = (
    "In Python `bench.columns()` is this table. Whole numbers are `Int64` and texts `string`, with `<NA>` where "
    "nothing is known; `float64` says NaN. `object` is a tuple in each row. Numbers are in stored units: s, B, MAC, J, "
    "px, or 1 for counts and fractions; a dash has none, and `unit` is the unit that the row says."
)


def _sections(frames: Mapping[str, tuple[Entry, ...]]) -> Iterator[str]:
    for name, entries in frames.items():
        yield f"## {name}\n\n{_FROM[name]}\n\n| column | dtype | unit | holds |\n| --- | --- | --- | --- |"
        for one in entries:
            dtype = f"{one.dtype} of {one.each}" if one.each else one.dtype
            yield f"| `{one.column}` | {dtype} | {one.unit} | {one.about} |"
        yield ""
