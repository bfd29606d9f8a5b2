"""Claims of lectures and papers, and what this harness finds of each: counted, never written by hand.

    claims.csv   what is claimed, by whom, as printed, and of what only trainings decide the conditions
    CHECKS       one check a quantity: the facts of networks in, a finding out
    verdict.py   what the verdicts mean, and by how much a number may differ
    studied.py   which tests of studies decide a claim, and which only indicate something of it

A new claim is one line of the file; a new quantity is one function in `CHECKS`. Facts of networks come from
`bench.execution.probe.probe_facts`, in a process that may import torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.analysis.claims import counted, parameters, published, structure, worked
from bench.analysis.claims.book import SHIPPED, Claim, read_claims
from bench.analysis.claims.facts import Book, Facts
from bench.analysis.claims.published import measured
from bench.analysis.claims.studied import studied
from bench.analysis.claims.verdict import VERDICTS, Finding, Verdict
from bench.analysis.studies import StudyVerdict

__all__ = [
    "CHECKS",
    "SHIPPED",
    "VERDICTS",
    "Book",
    "Check",
    "Claim",
    "Finding",
    "Verdict",
    "claims_of",
    "measured",
    "networks_of",
    "verify",
]


def _network(claim: Claim) -> list[str]:
    return structure.of_networks([claim.network])


def _nothing(_claim: Claim) -> list[str]:
    return []


def _stock(_claim: Claim) -> list[str]:
    return list(structure.STOCK)


def _formula(claim: Claim) -> list[str]:
    compared = "<" in claim.claimed
    return [n for w in structure.STACK_WIDTHS for n in structure.stacks(w)] if compared else _stock(claim)


@dataclass(frozen=True, slots=True)
class Check:
    """How the claims of a quantity are decided.

    Attributes:
        decide: a pure function of the claim and all facts.
        units: that such a claim comes in; none: any.
        needs: the networks whose facts it looks at; ``NAME_*`` are the variants of one.
    """

    decide: Callable[[Claim, Book], Finding]
    units: tuple[str, ...]
    needs: Callable[[Claim], list[str]] = _network


_TRAINED = Check(published.training, (), _nothing)
_ERROR = Check(published.training, ("1",), _nothing)

# By quantity; where the unit chooses among several, by ``quantity:unit``.
CHECKS: dict[str, Check] = {
    "params": Check(parameters.params, ("1",)),
    "params:formula": Check(structure.params_formula, ("formula",), _formula),
    "params_ratio": Check(structure.params_ratio, ("1",), structure.pair),
    "weights": Check(counted.weights_alone, ("1",)),
    "weights:list": Check(counted.weight_list, ("list",)),
    "connections": Check(counted.connections, ("1",)),
    "params_without_sharing": Check(parameters.params_without_sharing, ("1",)),
    "macs": Check(counted.macs, ("MAC",)),
    "operations": Check(counted.operations, ("op",)),
    "activations": Check(counted.activations, ("1",)),
    "activations:list": Check(counted.activation_list, ("list",)),
    "activation_bytes": Check(counted.activation_bytes, ("B",)),
    "activation_and_gradient_bytes": Check(counted.activation_and_gradient_bytes, ("B",)),
    "receptive_field": Check(counted.receptive_field, ("px",)),
    "weight_layers": Check(counted.weight_layers, ("1",)),
    "fc_layers": Check(counted.fc_layers, ("1",)),
    "discarded": Check(counted.discarded, ("1",)),
    "typical": Check(structure.typical, ("range",), structure.several),
    "output": Check(structure.output, ("shape", "px")),
    "output:formula": Check(structure.output_formula, ("formula",), _stock),
    "output:split": Check(structure.split_output, ("split",)),
    "padding": Check(structure.padding_formula, ("formula",), _stock),
    "fits": Check(structure.fits, ("bool",)),
    "shapes": Check(structure.shapes, ("shape",)),
    "sequence": Check(structure.sequence, ("layers",)),
    "conv+fc": Check(structure.conv_fc, ("layers",)),
    "structure": Check(structure.structure, ("shape",)),
    "structure:filters": Check(structure.filters, ("filters",)),
    "structure:windows": Check(structure.windows, ("windows",)),
    "structure:recipe": Check(worked.recipe, ("recipe",), _nothing),
    "where": Check(structure.where, ("trend",)),
    "pattern": Check(structure.grammar, ("grammar",), structure.instances),
    "convolution": Check(worked.convolution, ("numbers",), _nothing),
    "max_pooling": Check(worked.max_pooling, ("numbers",), _nothing),
    "momentum_forms": Check(worked.momentum_forms, ("formula",), _nothing),
    "unit": Check(worked.unit, ("unit",)),
    "custom": Check(worked.custom, ("words",), _nothing),
    "published_top5": Check(published.top5, ("1",), _nothing),
    "published_top5_error": Check(published.top5_error, ("1",), _nothing),
    "published_top5_error_val": _ERROR,
    "published_top5_error_test": Check(published.hidden, ("1",), _nothing),
    "published_top1_error_val": _ERROR,
    "published_test_error_cifar10": _ERROR,
    "accuracy": _ERROR,
    "seconds_to_94": Check(published.training, ("s",), _nothing),
    "relation": _TRAINED,
}


def check_of(claim: Claim) -> Check:
    """Return the check that decides a claim."""
    return CHECKS.get(f"{claim.quantity}:{claim.unit}") or CHECKS[claim.quantity]


def claims_of(path: Path | None = None) -> list[Claim]:
    """Return the claims of a file, by default of the one that ships with the package.

    Raises:
        ConfigError: naming file and line, if the file cannot be read or a line is wrong.
    """
    units: dict[str, tuple[str, ...]] = {}
    for key, check in CHECKS.items():
        quantity = key.partition(":")[0]
        units[quantity] = (*units.get(quantity, ()), *check.units)
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
        networks: facts by name, see `bench.analysis.claims.facts`.
        measured: by claim id, what the runs at hand have of it.
        studies: by the name of a run, its studies: what only a training decides has their verdict.

    Raises:
        ConfigError: if a claim names a network or a layer that there is not.
    """
    book = Book(claims, networks, measured or {})
    found = [check_of(claim).decide(claim, book) for claim in claims]
    return [studied(finding, studies or {}) for finding in found]
