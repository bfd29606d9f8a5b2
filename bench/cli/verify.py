"""`bench verify`: what lectures and papers claim, against what is counted here."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli._common import Format, FormatOption, JsonOption, ResultsOption, handled, stored_run
from bench.cli._complete import runs
from bench.cli._screen import Screen
from bench.cli._streams import note, print_json, stderr, stdout, write
from bench.io import JsonObject

if TYPE_CHECKING:
    from bench.analysis.studies import StudyVerdict
    from bench.claims import Finding
    from bench.records.store import Run


@handled
def verify(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN...]",
            autocompletion=runs,
            help="Runs whose studies and trainings may decide claims.",
        ),
    ] = None,
    form: FormatOption = Format.rich,
    claims: Annotated[
        Path | None,
        typer.Option("--claims", help="A CSV file of claims; by default the one that is shipped."),
    ] = None,
    results: ResultsOption = Path("results"),
    as_json: JsonOption = False,
) -> None:
    """Check published claims with this harness.

    Each is confirmed, right by rounding or by another convention, an erratum, or left to trainings: then the tests of
    the runs that are named decide it where they were made as claimed, and else only indicate something of it.
    """
    from bench.analysis.frame import named
    from bench.claims import claims_of, measured, networks_of
    from bench.claims import verify as decide
    from bench.records.machines import by_machine

    book = claims_of(claims)
    stored = dict(named(by_machine(*(stored_run(r, results) for r in runs or ()))))
    trainings = measured(book, {name: run.records for name, run in stored.items()})
    studies = _studies(stored)
    _note_unknown(studies, {claim.id for claim in book})
    if runs and not trainings and not studies:
        note(f"no training in {', '.join(runs)} is one that a claim is about")
    findings = decide(book, _counts(networks_of(book)), trainings, studies)
    _print(findings, Format.json if as_json else form)


def _studies(runs: Mapping[str, Run]) -> dict[str, list[StudyVerdict]]:
    """Return the verdict of each run that has a study."""
    from bench.analysis.studies import StudyVerdict

    verdicts = {name: StudyVerdict.of(run) for name, run in runs.items()}
    return {name: [verdict] for name, verdict in verdicts.items() if verdict is not None}


def _note_unknown(studies: Mapping[str, Sequence[StudyVerdict]], known: Collection[str]) -> None:
    """Say which claims a study names that the file does not have."""
    for run, some in studies.items():
        for name in [c for study in some for c in study.all_claims if c not in known]:
            note(f"the study of run {run} names {name}, which is no claim of the file")


def _counts(networks: Sequence[str]) -> JsonObject:
    """Return what is counted of networks, with a word on stderr while that takes its time."""
    from bench.api.inspecting import counts

    if not networks:
        return {}
    screen = Screen(sys.stderr)
    drawn = screen.take()
    try:
        with stderr().status(f"counting {len(networks)} networks") if drawn else nullcontext():
            return counts(networks)
    finally:
        screen.leave()


def _print(findings: Sequence[Finding], form: Format) -> None:
    if form is Format.json:
        print_json([finding.to_json() for finding in findings])
        return
    from bench.report.tables.claims import claims_markdown, claims_report

    if form is Format.md:
        write(claims_markdown(findings))
    else:
        stdout().print(claims_report(findings))
