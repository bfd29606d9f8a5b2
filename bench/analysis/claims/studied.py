"""Studies as evidence: what the tests of runs say of a claim that only trainings decide.

A test that bears on a claim decides it where it states the claim's own relation of quantities and was made under the
claim's own conditions: data set, networks and scale. Any other test only indicates something of it, and the finding
spells out the difference. So a claim that names no data set is never decided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bench.analysis.claims.book import Claim
from bench.analysis.claims.verdict import Finding, Verdict
from bench.analysis.studies import Decision, StudyVerdict, TestVerdict, all_in_all

_INDICATED: Mapping[Decision, Verdict] = {
    "supported": "indicated_for",
    "refuted": "indicated_against",
    "undecided": "undecided",
}
Differences = Mapping[str, tuple[str, str]]


def studied(finding: Finding, studies: Mapping[str, Sequence[StudyVerdict]]) -> Finding:
    """Return the finding with what the studies of some runs say of its claim.

    What is counted keeps its verdict, with the studies beside it.

    Args:
        finding: as it is without them.
        studies: by the name of a run.
    """
    claim = finding.claim
    named = [(run, s) for run, some in studies.items() for one in some if (s := one.on(claim.id))]
    if not named:
        return finding
    texts = [*([finding.measured] if finding.measured else []), *(_text(run, study) for run, study in named)]
    finding = replace(finding, studies=tuple(study for _, study in named), measured="; ".join(texts))
    if finding.verdict != "needs_run":
        return finding
    tests = [test for study in finding.studies for test in study.tests]
    if decision := _decision(claim, tests):
        return replace(finding, verdict=decision, arithmetic=f"tested as claimed: {claim.relation}")
    least = min(len(differences(claim, test)) for test in tests)
    nearest = [[t for t in s.tests if len(differences(claim, t)) == least] for s in finding.studies]
    tests = [test for some in nearest for test in some]
    votes = {word: sum(t.verdict == word for t in tests) for word in ("supported", "refuted")}
    why = spelled_out(claim, tests)
    if all(votes.values()):
        why += f"; {votes['supported']} of the tests speak for it, {votes['refuted']} against"
    verdict = _INDICATED[together([_tendency(some) for some in nearest if some])]
    return replace(finding, verdict=verdict, arithmetic=why)


def together(verdicts: Sequence[Decision]) -> Decision:
    """Return what several say: what all that decide say; nothing where they disagree or none decides."""
    decided = {v for v in verdicts if v != "undecided"}
    return decided.pop() if len(decided) == 1 else "undecided"


def differences(claim: Claim, test: TestVerdict) -> Differences:
    """Return by condition what a claim and a test of it have, where these differ; empty: the test decides it."""
    claimed = claim.conditions
    tested = {**test.conditions, "trainings": str(test.n_of)}
    pairs = {key: (claimed[key], tested.get(key, "")) for key in claimed}
    if not any(_same(test.relation, relation) for relation in claim.relations):
        pairs["relation"] = (claim.relation, test.relation)
    return {key: (a, b) for key, (a, b) in pairs.items() if not a or not _same(a, b)}


def spelled_out(claim: Claim, tests: Sequence[TestVerdict]) -> str:
    """Return what a claim is of and what tests of it were made of, where these differ, in words."""
    gaps = [differences(claim, test) for test in tests]
    keys = [key for key in _WORDS if any(key in gap for gap in gaps)]
    stated = {key: next(gap[key][0] for gap in gaps if key in gap) for key in keys}
    tested: dict[str, list[str]] = {key: [] for key in _WORDS if key in keys or key in _SCALE}
    for test in tests:
        for key, texts in tested.items():
            more = {"relation": test.relation, "trainings": str(test.n_of)}
            texts.append(_short({**test.conditions, **more}.get(key, "")))
    of = ", ".join(_told(key, [text]) for key, text in stated.items() if text)
    unnamed = ", ".join(f"no {_NAMES.get(key, key)}" for key, text in stated.items() if not text)
    words = " and ".join([*([f"is of {of}"] if of else []), *([f"names {unnamed}"] if unnamed else [])])
    return f"the claim {words}; tested: {', '.join(_told(k, texts) for k, texts in tested.items() if any(texts))}"


# By condition, in the order in which they are told; of a test its data set and scale always are.
_WORDS: Mapping[str, str] = {
    "relation": "{}",
    "networks": "{}",
    "dataset": "{}",
    "train_images": "{} training images",
    "input_size": "{} px",
    "epochs": "{} epochs",
    "trainings": "{} trainings",
}
_SCALE = ("dataset", "train_images", "input_size", "epochs")
_NAMES = {"dataset": "data set"}


def _told(key: str, texts: Sequence[str]) -> str:
    numbers = (f"{int(text):,}" if text.isdigit() else text for text in dict.fromkeys(texts))
    words = _WORDS[key].format(" or ".join(numbers))
    return words.removesuffix("s") if words.startswith("1 ") else words


def _short(text: str) -> str:
    """Return conditions without the layers of patterns, and with no more than a few networks."""
    sides = [side.split(", ") for side in text.split(" against ")]
    if max(map(len, sides)) > 3:
        return f"{len(sides[0])} networks"
    return " against ".join(
        ", ".join("a pattern" if name.startswith("pattern:") else name for name in side) for side in sides
    )


def _same(a: str, b: str) -> bool:
    return "".join(a.split()) == "".join(b.split())


def _decision(claim: Claim, tests: Sequence[TestVerdict]) -> Decision | None:
    """Return the verdict of the tests that were made as claimed; None where a relation of the claim has none."""
    decisive = [test for test in tests if not differences(claim, test)]
    verdicts = [
        together([test.verdict for test in tests_of])
        for relation in claim.relations
        if (tests_of := [test for test in decisive if _same(test.relation, relation)])
    ]
    return all_in_all(verdicts) if verdicts and len(verdicts) == len(claim.relations) else None


def _tendency(tests: Sequence[TestVerdict]) -> Decision:
    """Return where the tests of a study tend: all for a claim, some against it and none for it, or neither."""
    verdict = all_in_all([test.verdict for test in tests])
    return (
        "undecided"
        if any(test.verdict == "supported" for test in tests) and verdict == "refuted"
        else verdict
    )


def _text(run: str, study: StudyVerdict) -> str:
    return f"run {run}, study {study.name}: {'; '.join(map(str, study.tests))}"
