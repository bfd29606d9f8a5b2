"""Claims of lectures and papers, and what this harness finds of each: counted, never written by hand.

    claims.csv   what is claimed, by whom, as printed, and of what only trainings decide the conditions
    _claim.py    one line of such a file; `Claim`
    _finding.py  what the verdicts mean, and by how much a number may differ
    _context.py  what a check may look at; `check` registers one
    counted.py, structure.py, formulas.py, _published.py: the checks, a claim and its `Context` in, a `Finding` out
    _studied.py  which tests of studies decide a claim, and which only indicate something of it
    table.py     what the counts of records say of published counts, and of claims on whole networks

A new claim is one line of the file; a new quantity is one function under `check`. Facts of networks come from
`bench.execution._probe.probe_facts`, in a process that may import torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.analysis.studies import StudyVerdict
from bench.claims import _published, counted, formulas, structure  # noqa: F401 (they register their checks)
from bench.claims._claim import NUMBERS, SHIPPED, Claim, read_claims
from bench.claims._context import CHECKS, Context, Facts, check_of
from bench.claims._finding import VERDICTS, Finding, Verdict
from bench.claims._published import measured
from bench.claims._studied import studied

__all__ = [
    "NUMBERS",
    "SHIPPED",
    "VERDICTS",
    "Claim",
    "Context",
    "Finding",
    "Verdict",
    "claims_of",
    "measured",
    "networks_of",
    "verify",
]


def claims_of(path: Path | None = None) -> list[Claim]:
    """Return the claims of a file, by default of the one that ships with the package.

    Raises:
        ConfigError: naming file and line, if the file cannot be read or a line is wrong.
    """
    units = {quantity: [unit for one in some for unit in one.units] for quantity, some in CHECKS.items()}
    return read_claims(path or SHIPPED, units)


def networks_of(claims: Sequence[Claim]) -> list[str]:
    """Return the networks, each once, whose facts the checks of these claims look at."""
    return list(dict.fromkeys(name for claim in claims for name in check_of(claim).needs(claim)))


def verify(
    claims: Sequence[Claim],
    networks: Mapping[str, Facts],
    measured: Mapping[str, str] | None = None,
    studies: Mapping[str, Sequence[StudyVerdict]] | None = None,
) -> list[Finding]:
    """Return the finding of each claim, in the order of the claims.

    Args:
        claims: of one file.
        networks: facts by name, see `bench.claims._context`.
        measured: by claim id, what the runs at hand have of it.
        studies: by the name of a run, its studies: what only a training decides has their verdict.

    Raises:
        ConfigError: if a claim names a network or a layer that there is not.
    """
    context = Context(claims, networks, measured or {})
    findings = [check_of(claim).decide(claim, context) for claim in claims]
    return [studied(finding, studies or {}) for finding in findings]
