"""`bench verify`: what lectures and papers claim, against what is counted here."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import _options as options
from bench.cli._common import handled, stored_run
from bench.cli._screen import Screen
from bench.cli._streams import note, print_json, stderr, stdout, write
from bench.io import JsonObject

if TYPE_CHECKING:
    from bench.claims import Finding


@handled
def _verify(
    runs: Annotated[
        list[str] | None, options.of_runs("Runs whose studies and trainings may decide claims.")
    ] = None,
    form: options.Form = options.Format.rich,
    claims: Annotated[
        Path | None, typer.Option(help="A CSV file of claims; by default the one that is shipped.")
    ] = None,
    results: options.Results = Path("results"),
    as_json: options.Json = False,
) -> None:
    """Check published claims with this harness.

    Each is confirmed, right by rounding or by another convention, an erratum, or left to trainings: then the tests of
    the runs that are named decide it where they were made as claimed, and else only indicate something of it.
    """
    from bench.api.verifying import verified

    findings = verified([stored_run(run, results) for run in runs or ()], claims, note, _counts)
    _print(findings, options.Format.json if as_json else form)


def _counts(networks: Sequence[str]) -> JsonObject:
    """Return what is counted of networks, with a word on stderr while that takes its time."""
    from bench.api.inspecting import counts

    screen = Screen(sys.stderr)
    drawn = screen.take()
    try:
        with stderr().status(f"counting {len(networks)} networks") if drawn else nullcontext():
            return counts(networks)
    finally:
        screen.leave()


def _print(findings: Sequence[Finding], form: options.Format) -> None:
    if form is options.Format.json:
        print_json([finding.to_json() for finding in findings])
        return
    from bench.report.tables.claims import claims_markdown, claims_report

    if form is options.Format.md:
        write(claims_markdown(findings))
    else:
        stdout().print(claims_report(findings))
