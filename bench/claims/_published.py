"""Checks of what others measured: lectures against the papers in the same file; trainings wait for a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from statistics import fmean

from bench.claims._claim import Claim
from bench.claims._context import Context, check, nothing
from bench.claims._finding import Finding, Reading, agreement, decide_number, needs_run, undecidable
from bench.records.record import Record

_PAPERS = "published_top5_error_"  # the quantity of a paper's line; its end is the set of images


@check("published_top5_error", "1", needs=nothing)
@check("published_top5", "1", needs=nothing)
def _top5(claim: Claim, context: Context) -> Finding:
    """Decide a published top-5 error or accuracy: of one network on the validation images it is ours, others follow."""
    accuracy, papers = claim.quantity == "published_top5", _papers(claim, context)
    if not papers:
        why = f"no line of a paper on the top-5 error of {claim.network} to hold it against"
        return needs_run(claim, why)
    first, *others = papers
    ours = _reading(first, accuracy=accuracy)
    ours = replace(ours, how=f"{first.source}: {ours.how}, {first.convention}", convention="")
    readings = [ours, *(_reading(line, first.source, accuracy=accuracy) for line in others)]
    finding = decide_number(claim, readings)
    mixed = _one_network(claim, context, accuracy=accuracy) if finding.convention else ""
    return replace(finding, arithmetic=f"{finding.arithmetic}{mixed}")


def _papers(claim: Claim, context: Context) -> list[Claim]:
    """Return the lines of papers on the top-5 error of a claim's network."""
    return [c for c in context.claims if c.network == claim.network and c.quantity.startswith(_PAPERS)]


def _one_network(claim: Claim, context: Context, *, accuracy: bool) -> str:
    """Name the numbers of the same column that are of another protocol: the first line of their network."""
    firsts = [
        (other, papers[0])
        for other in context.column(claim)
        if other.network != claim.network and (papers := _papers(other, context))
    ]
    mixed = [
        f"{other.network} is {paper.convention}"
        for other, paper in firsts
        if agreement(other, _reading(paper, accuracy=accuracy).value)
    ]
    return f"; the column mixes protocols: its {', '.join(mixed)}" if mixed else ""


def _reading(paper: Claim, known: str = "", *, accuracy: bool) -> Reading:
    """Return what a paper's line gives; its source is named in the convention, unless it is the known one."""
    error = paper.number
    value = 1 - error if accuracy else error
    sums = f"1 − {error} = {value}" if accuracy else f"{error}"
    source = "" if paper.source == known else f"{paper.source}: "
    return Reading(value, sums, f"{source}{paper.convention}")


@check("published_top5_error_val", "1", needs=nothing)
@check("published_top1_error_val", "1", needs=nothing)
@check("published_test_error_cifar10", "1", needs=nothing)
@check("accuracy", "1", needs=nothing)
@check("seconds_to_94", "s", needs=nothing)
@check("relation", needs=nothing)
def _training(claim: Claim, context: Context) -> Finding:
    """Leave a claim to a run; show what the runs at hand have of it."""
    what = claim.convention or claim.claimed
    if claim.relation:
        what = ", ".join(text for text in (claim.relation, *claim.conditions.values()) if text)
    return needs_run(claim, f"a training decides it: {what}", context.measured.get(claim.id, ""))


@check("published_top5_error_test", "1", needs=nothing)
def _hidden(claim: Claim, _context: Context) -> Finding:
    """Leave an error on the test images of ILSVRC as it was published: their labels are not public."""
    return undecidable(claim, f"{claim.convention}: the labels of these images are not public")


def measured(claims: Iterable[Claim], records: Mapping[str, Sequence[Record]]) -> dict[str, str]:
    """Return by claim id what runs have of it: the test errors of short trainings on CIFAR-10."""
    texts = {
        claim.id: [text for run, some in records.items() if (text := _errors(claim, run, some))]
        for claim in claims
        if claim.quantity == "published_test_error_cifar10"
    }
    return {name: "; ".join(some) for name, some in texts.items() if some}


def _errors(claim: Claim, run: str, records: Sequence[Record]) -> str:
    """Return ``run smoke: test error 0.0912, mean of 3 seeds, 20 epochs, recipe std``, for each way to train."""
    ways: dict[tuple[str, str], list[float]] = {}
    for record in records:
        job, given, top1 = record.job, record.job.settings.content, record.measurement("top1")
        wanted = (job.task, job.arch, given.get("dataset")) == ("accuracy", claim.network, "cifar10")
        if wanted and record.status == "ok" and top1 is not None:
            recipe = (given.get("recipe") or {}).get("name", "?")
            ways.setdefault((str(given.get("epochs")), str(recipe)), []).append(1 - top1.samples[0])
    return "; ".join(
        f"run {run}: test error {Decimal(str(round(fmean(errors), 4)))}, mean of {len(errors)} seeds, "
        f"{epochs} epochs, recipe {recipe}"
        for (epochs, recipe), errors in ways.items()
    )
