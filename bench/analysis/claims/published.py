"""Checks of what others measured: lectures against the papers in the same file; trainings wait for a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from statistics import fmean

from bench.analysis.claims.book import Claim
from bench.analysis.claims.facts import Book
from bench.analysis.claims.verdict import Finding, Reading, agreement, judge, undecidable, undecided
from bench.records.record import Record

_PAPERS = "published_top5_error_"  # the quantity of a paper's line; its end is the set of images


def top5_error(claim: Claim, book: Book) -> Finding:
    """Decide a published top-5 error: that of one network on the validation images is ours, others follow."""
    return _published(claim, book, accuracy=False)


def top5(claim: Claim, book: Book) -> Finding:
    """Decide a published top-5 accuracy, likewise."""
    return _published(claim, book, accuracy=True)


def _published(claim: Claim, book: Book, *, accuracy: bool) -> Finding:
    lines = [c for c in book.claims if c.network == claim.network and c.quantity.startswith(_PAPERS)]
    if not lines:
        return undecided(
            claim, f"no line of a paper on the top-5 error of {claim.network} to hold it against"
        )
    first, *others = lines
    ours = _reading(first, accuracy=accuracy)
    ours = Reading(ours.value, f"{first.source}: {ours.how}, {first.convention}")
    finding = judge(claim, [ours, *(_reading(line, first.source, accuracy=accuracy) for line in others)])
    mixed = _one_network(claim, book, accuracy=accuracy) if finding.convention else ""
    return replace(finding, arithmetic=f"{finding.arithmetic}{mixed}")


def _one_network(claim: Claim, book: Book, *, accuracy: bool) -> str:
    """Name the numbers of the same column that are of another protocol: the first line of their network."""
    told = []
    for other in book.alike(claim):
        lines = [c for c in book.claims if c.network == other.network and c.quantity.startswith(_PAPERS)]
        if other.network != claim.network and lines:
            value = _reading(lines[0], accuracy=accuracy).value
            if isinstance(value, Decimal) and agreement(other, value):
                told.append(f"{other.network} is {lines[0].convention}")
    return f"; the column mixes protocols: its {', '.join(told)}" if told else ""


def _reading(line: Claim, known: str = "", *, accuracy: bool) -> Reading:
    """Return what a paper's line gives; its source is named in the convention, unless it is the known one."""
    error = line.number
    value = 1 - error if accuracy else error
    sums = f"1 − {error} = {value}" if accuracy else f"{error}"
    source = "" if line.source == known else f"{line.source}: "
    return Reading(value, sums, f"{source}{line.convention}")


def training(claim: Claim, book: Book) -> Finding:
    """Leave a claim to a run; show what the runs at hand have of it."""
    what = claim.convention or claim.claimed
    if claim.relation:
        what = ", ".join(text for text in (claim.relation, *claim.conditions.values()) if text)
    return undecided(claim, f"a training decides it: {what}", book.measured.get(claim.id, ""))


def hidden(claim: Claim, _book: Book) -> Finding:
    """Leave an error on the test images of ILSVRC as it was published: their labels are not public."""
    return undecidable(claim, f"{claim.convention}: the labels of these images are not public")


def measured(claims: Iterable[Claim], records: Mapping[str, Sequence[Record]]) -> dict[str, str]:
    """Return by claim id what runs have of it: the test errors of short trainings on CIFAR-10.

    Args:
        claims: of a file.
        records: of each run, by its name.
    """
    found = {}
    for claim in claims:
        texts = [_errors(claim, name, rows) for name, rows in records.items()]
        if any(texts):
            found[claim.id] = "; ".join(t for t in texts if t)
    return found


def _errors(claim: Claim, run: str, records: Sequence[Record]) -> str:
    """Return ``run smoke: test error 0.0912, mean of 3 seeds, 20 epochs, recipe std``, for each way to train."""
    if claim.quantity != "published_test_error_cifar10":
        return ""
    ways: dict[tuple[str, str], list[float]] = {}
    for record in records:
        job, top1 = record.job, record.measurement("top1")
        if (job.task, job.arch, job.settings.content.get("dataset")) != (
            "accuracy",
            claim.network,
            "cifar10",
        ):
            continue
        if record.status == "ok" and top1 is not None:
            recipe = (job.settings.content.get("recipe") or {}).get("name", "?")
            ways.setdefault((str(job.settings.content.get("epochs")), str(recipe)), []).append(
                1 - top1.samples[0]
            )
    return "; ".join(
        f"run {run}: test error {Decimal(str(round(fmean(errors), 4)))}, mean of {len(errors)} seeds, "
        f"{epochs} epochs, recipe {recipe}"
        for (epochs, recipe), errors in ways.items()
    )
