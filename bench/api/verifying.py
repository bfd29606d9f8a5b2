"""What lectures and papers claim, against what is counted here and what runs have decided."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.api.inspecting import counts
from bench.api.runs import stored_runs
from bench.io import JsonObject
from bench.records.machines import by_machine
from bench.records.store import Run

if TYPE_CHECKING:
    from bench.claims import Finding


def verify(*runs: Path | str, claims: Path | str | None = None) -> list[Finding]:
    """Return what this harness finds of published claims, one finding each, in the order of their file.

    Args:
        runs: folders of runs whose studies and trainings may decide claims.
        claims: a CSV file of claims; None is the one that is shipped.

    Raises:
        ConfigError: for a file of claims that cannot be read.
        StoreError: for a folder that is no run.

    Example:
        >>> findings = bench.verify()
        >>> [one.verdict for one in findings if one.claim.id == "alexnet.table.total_params"]
        ['confirmed']
    """
    return verified(stored_runs(runs), claims, warnings.warn)


def verified(
    stored: Sequence[Run],
    claims: Path | str | None,
    remark: Callable[[str], object],
    count: Callable[[Sequence[str]], JsonObject] = counts,
) -> list[Finding]:
    """Return what `verify` returns, of runs that were read; `remark` is told what to know, `count` counts networks."""
    from bench.analysis.frame import named
    from bench.analysis.studies import StudyVerdict
    from bench.claims import claims_of, measured, networks_of
    from bench.claims import verify as decide

    book = claims_of(None if claims is None else Path(claims))
    by_name = dict(named(by_machine(*stored)))
    trainings = measured(book, {name: run.records for name, run in by_name.items()})
    verdicts = {name: StudyVerdict.of(run) for name, run in by_name.items()}
    studies = {name: [verdict] for name, verdict in verdicts.items() if verdict is not None}
    known = {claim.id for claim in book}
    for run, (study,) in studies.items():
        for name in study.all_claims:
            if name not in known:
                remark(f"the study of run {run} names {name}, which is no claim of the file")
    if stored and not trainings and not studies:
        remark(f"no training in {', '.join(run.name for run in stored)} is one that a claim is about")
    networks = networks_of(book)
    return decide(book, count(networks) if networks else {}, trainings, studies)
