"""Claims of lectures and papers, and what this harness finds of each: counted, never written by hand.

    claims.csv   what is claimed, by whom, as printed, and of what only trainings decide the conditions
    claim.py     one line of such a file; `Claim`
    CHECKS       one check a quantity: a claim and its `Context` in, a `Finding` out
    finding.py   what the verdicts mean, and by how much a number may differ
    studied.py   which tests of studies decide a claim, and which only indicate something of it
    table.py     what the counts of records say of published counts, and of claims on whole networks

A new claim is one line of the file; a new quantity is one function in `CHECKS`. Facts of networks come from
`bench.execution.probe.probe_facts`, in a process that may import torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.analysis.studies import StudyVerdict
from bench.claims import counted, formulas, published, structure, worked
from bench.claims.claim import SHIPPED, Claim, read_claims
from bench.claims.context import Context, Facts
from bench.claims.finding import VERDICTS, Finding, Verdict
from bench.claims.published import measured
from bench.claims.studied import studied

__all__ = [
    "CHECKS",
    "SHIPPED",
    "VERDICTS",
    "Check",
    "Claim",
    "Context",
    "Finding",
    "Verdict",
    "claims_of",
    "measured",
    "networks_of",
    "verify",
]


def _network(claim: Claim) -> list[str]:
    """Return the network and, if it is one of the package's own, its variants."""
    return [claim.network] if ":" in claim.network else [claim.network, f"{claim.network}_*"]


def _nothing(_claim: Claim) -> list[str]:
    return []


def _stock(_claim: Claim) -> list[str]:
    return list(formulas.STOCK)


def _stacks(claim: Claim) -> list[str]:
    compared = "<" in claim.claimed
    return [n for w in formulas.STACK_WIDTHS for n in formulas.stacks(w)] if compared else _stock(claim)


@dataclass(frozen=True, slots=True)
class Check:
    """How the claims of a quantity are decided.

    Attributes:
        decide: a pure function of the claim and all that it may look at.
        units: that such a claim comes in; none: any.
        needs: the networks whose facts it looks at; ``NAME_*`` are the variants of one.
    """

    decide: Callable[[Claim, Context], Finding]
    units: tuple[str, ...]
    needs: Callable[[Claim], list[str]] = _network


_TRAINED = Check(published.training, (), _nothing)
_ERROR = Check(published.training, ("1",), _nothing)

# By quantity; where the unit chooses among several, by ``quantity:unit``.
CHECKS: dict[str, Check] = {
    "params": Check(counted.params, ("1",)),
    "params:formula": Check(formulas.params, ("formula",), _stacks),
    "params_ratio": Check(counted.params_ratio, ("1",), lambda claim: claim.pair),
    "params_without_sharing": Check(counted.params_without_sharing, ("1",)),
    "weights": Check(counted.weights_alone, ("1",)),
    "weights:list": Check(counted.weight_list, ("list",)),
    "connections": Check(counted.connections, ("1",)),
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
    "typical": Check(structure.typical, ("range",), lambda claim: claim.listed),
    "output": Check(structure.output, ("shape", "px")),
    "output:formula": Check(formulas.output, ("formula",), _stock),
    "output:split": Check(structure.split_output, ("split",)),
    "padding": Check(formulas.padding, ("formula",), _stock),
    "fits": Check(structure.fits, ("bool",)),
    "shapes": Check(structure.shapes, ("shape",)),
    "sequence": Check(structure.sequence, ("layers",)),
    "conv+fc": Check(structure.conv_fc, ("layers",)),
    "structure": Check(structure.structure, ("shape",)),
    "structure:filters": Check(structure.filters, ("filters",)),
    "structure:windows": Check(structure.windows, ("windows",)),
    "structure:recipe": Check(worked.recipe, ("recipe",), _nothing),
    "where": Check(structure.distribution, ("trend",)),
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


def _check_of(claim: Claim) -> Check:
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
    return list(dict.fromkeys(name for claim in claims for name in _check_of(claim).needs(claim)))


def verify(
    claims: Sequence[Claim],
    networks: Mapping[str, Facts],
    measured: Mapping[str, str] | None = None,
    studies: Mapping[str, Sequence[StudyVerdict]] | None = None,
) -> list[Finding]:
    """Return the finding of each claim, in the order of the claims.

    Args:
        claims: of one file.
        networks: facts by name, see `bench.claims.context`.
        measured: by claim id, what the runs at hand have of it.
        studies: by the name of a run, its studies: what only a training decides has their verdict.

    Raises:
        ConfigError: if a claim names a network or a layer that there is not.
    """
    context = Context(claims, networks, measured or {})
    findings = [_check_of(claim).decide(claim, context) for claim in claims]
    return [studied(finding, studies or {}) for finding in findings]
