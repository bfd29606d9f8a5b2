"""Studies as evidence: a claim that only a training decides has the verdict of the studies, or their tests, on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bench.analysis.claims.verdict import Finding
from bench.analysis.studies import Decision, StudyVerdict


def studied(finding: Finding, studies: Mapping[str, Sequence[StudyVerdict]]) -> Finding:
    """Return the finding with what the studies of some runs say of its claim.

    What is counted keeps its verdict, with the studies beside it.

    Args:
        finding: as it is without them.
        studies: by the name of a run.
    """
    named = [(run, s) for run, some in studies.items() for one in some if (s := one.on(finding.claim.id))]
    if not named:
        return finding
    texts = [*([finding.measured] if finding.measured else []), *(_text(run, study) for run, study in named)]
    found = tuple(study for _, study in named)
    finding = replace(finding, studies=found, measured="; ".join(texts))
    if finding.verdict != "needs_run":
        return finding
    verdict = together([study.verdict for study in found])
    why = finding.arithmetic
    if verdict == "undecided" and len({"supported", "refuted"} & {s.verdict for s in found}) == 2:
        why = f"{why}; the studies disagree"
    return replace(finding, verdict=verdict, arithmetic=why)


def together(verdicts: Sequence[Decision]) -> Decision:
    """Return what studies say together: what all that decide say; nothing where they disagree or none decides."""
    decided = {v for v in verdicts if v != "undecided"}
    return decided.pop() if len(decided) == 1 else "undecided"


def _text(run: str, study: StudyVerdict) -> str:
    tests = "; ".join(str(test) for test in study.tests)
    return f"run {run}, study {study.name}: {study.verdict} ({tests})"
