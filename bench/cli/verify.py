"""`bench verify`: what lectures and papers claim, against what is counted here."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli._common import JsonOption, ResultsOption, handled, print_json, run_path, stderr, stdout, write

if TYPE_CHECKING:
    from bench.analysis.claims import Finding
    from bench.analysis.studies import StudyVerdict
    from bench.records.store import Run


class Format(StrEnum):
    """How the findings are printed."""

    rich = "rich"
    md = "md"
    json = "json"


@handled
def verify(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN...]", help="Runs whose studies and trainings bear on claims."),
    ] = None,
    form: Annotated[Format, typer.Option("--format", "-f", help="What is printed.")] = Format.rich,
    claims: Annotated[
        Path | None,
        typer.Option("--claims", help="A CSV file of claims; by default the one that is shipped."),
    ] = None,
    results: ResultsOption = Path("results"),
    as_json: JsonOption = False,
) -> None:
    """Hold published claims against this harness.

    Each is confirmed, right by rounding or by another convention, an erratum, or left to trainings: then the tests of
    the runs that are named decide it where they were made as claimed, and else only indicate something of it.
    """
    from bench.analysis.claims import claims_of, measured, networks_of
    from bench.analysis.claims import verify as decide

    book = claims_of(claims)
    stored = _runs(runs or [], results)
    seen = measured(book, {name: run.records for name, run in stored.items()})
    studies = _studies(stored)
    _note_unknown(studies, {claim.id for claim in book})
    if runs and not seen and not studies:
        stderr().print(f"no training in {', '.join(runs)} is one that a claim is about", markup=False)
    found = decide(book, _ask(networks_of(book)), seen, studies)
    _print(found, Format.json if as_json else form)


def _runs(runs: Sequence[str], results: Path) -> dict[str, Run]:
    """Return the runs by name; a name in the results folder comes before a path."""
    from bench.records.store import read_run

    stored = [read_run(run_path(r, results)) for r in runs]
    return {run.name: run for run in stored}


def _studies(runs: Mapping[str, Run]) -> dict[str, list[StudyVerdict]]:
    """Return the verdict of each run that has a study."""
    from bench.analysis.studies import judge_study

    verdicts = {name: judge_study(run) for name, run in runs.items()}
    return {name: [verdict] for name, verdict in verdicts.items() if verdict is not None}


def _note_unknown(studies: Mapping[str, Sequence[StudyVerdict]], known: Collection[str]) -> None:
    """Say which claims a study names that the file does not have."""
    for run, some in studies.items():
        for name in [c for study in some for c in study.all_claims if c not in known]:
            stderr().print(
                f"the study of run {run} names {name}, which is no claim of the file", markup=False
            )


def _ask(networks: Sequence[str]) -> dict[str, Any]:
    """Return the facts of networks, counted in a process of its own: the networks may be anyone's."""
    from bench.execution import EXECUTORS
    from bench.execution.catalog import ask

    if not networks:
        return {}
    executor = EXECUTORS.get("process").make()
    try:
        with stderr().status(f"counting {len(networks)} networks"):
            facts: dict[str, Any] = ask(executor, "bench.execution.probe:probe_facts", networks)
    finally:
        executor.close()
    return facts


def _print(found: Sequence[Finding], form: Format) -> None:
    if form is Format.json:
        print_json([finding.to_json() for finding in found])
        return
    from bench.report.claims import ClaimsReport, claims_markdown

    if form is Format.md:
        write(claims_markdown(found))
    else:
        stdout().print(ClaimsReport(found))
