"""`bench diff`: what changed between two runs, and how sure that is; from stored results alone."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli._common import (
    JsonOption,
    ResultsOption,
    handled,
    print_json,
    run_path,
    show_error,
    stdout,
    write,
)

if TYPE_CHECKING:
    from bench.analysis.diff import Diff

EXIT_REGRESSION = 3


class Format(StrEnum):
    """How a diff is printed."""

    rich = "rich"
    md = "md"
    json = "json"


@handled
def diff(
    a: Annotated[str, typer.Argument(metavar="RUN", help="The earlier run: its name or path.")],
    b: Annotated[str, typer.Argument(metavar="RUN", help="The later run: its name or path.")],
    fail_above: Annotated[
        str | None,
        typer.Option(metavar="SHARE", help="Exit with 3 if a time is certainly more than this slower: 5%."),
    ] = None,
    floor: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help="What is noise where processes are too few to test; by default 5%, or more where the ratios"
            " scatter or this machine's self-test found more.",
        ),
    ] = None,
    quantity: Annotated[
        str | None, typer.Option("--quantity", "-q", help="Only these, such as latency,macs; with commas.")
    ] = None,
    across: Annotated[
        bool,
        typer.Option("--across", help="Compare across devices, precisions, threads and definitions too."),
    ] = False,
    form: Annotated[Format, typer.Option("--format", "-f", help="What is printed.")] = Format.rich,
    results: ResultsOption = Path("results"),
    as_json: JsonOption = False,
) -> None:
    """Compare two stored runs: ratios with their intervals, and a verdict where it is certain.

    Certain is what a test says of at least four processes in each run, held for all rows together; with fewer, a
    change is suspected at most, and the row says what to run to know.

    Exit codes: 0, also for a suspicion; 2 where the runs may not be compared; 3 for a certain slowdown beyond
    --fail-above.
    """
    limits = [
        None if t is None else share(t, o) for t, o in ((fail_above, "--fail-above"), (floor, "--floor"))
    ]
    found = _compare(results, a, b, across=across, floor=limits[1], quantities=_names(quantity))
    slow = found.slowdowns(limits[0]) if limits[0] is not None else []
    _print(found, Format.json if as_json else form)
    for row in slow:
        least = f"at least {row.effect.low if row.better == 'lower' else 1 / row.effect.high:.3f} times"
        show_error(f"slower: {row.quantity} of {row.label}, {least}", None)
    if slow:
        raise typer.Exit(EXIT_REGRESSION)


def share(text: str, option: str) -> float:
    """Return the fraction that ``5%`` or ``0.05`` means.

    Raises:
        ConfigError: for anything else, a bare 5 included, which would be 500 %.
    """
    from bench.errors import ConfigError

    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise ConfigError(f"{option}: {text!r} is no share", "write 5% or 0.05")
    return value


def _names(text: str | None) -> list[str]:
    return [t.strip() for t in (text or "").split(",") if t.strip()]


def _compare(results: Path, a: str, b: str, **asked: Any) -> Diff:
    from bench.analysis.diff import diff as compare
    from bench.analysis.noise import band_of
    from bench.records.store import read_run

    one, other = (read_run(run_path(run, results)) for run in (a, b))
    return compare(one, other, noise=band_of(results, other, 0.0), **asked)


def _print(found: Diff, form: Format) -> None:
    if form is Format.json:
        print_json(document(found))
        return
    from bench.report.diff import DiffReport, diff_markdown

    if form is Format.md:
        write(diff_markdown(found))
    else:
        stdout().print(DiffReport(found))


def document(found: Diff) -> dict[str, Any]:
    """Return a diff as plain JSON values."""
    from bench.records.record import finite

    value: dict[str, Any] = finite(
        {
            "a": found.a,
            "b": found.b,
            "floor": found.floor,
            "changes": [dict(zip(("what", "a", "b"), c, strict=True)) for c in found.changes],
            "rows": [row.to_json() for row in found.rows],
            "only": [dict(zip(("job", "run", "why"), o, strict=True)) for o in found.only],
            "tested": found.tested,
            "sure_after_holm": found.sure,
        }
    )
    return value
