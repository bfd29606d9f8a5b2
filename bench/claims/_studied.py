"""Studies as evidence: what the tests of runs say of a claim that only trainings decide.

A test that bears on a claim decides it where it states the claim's own relation of quantities and was made under the
claim's own conditions: data set, networks and scale. Any other test only indicates something of it, and the finding
spells out the difference. So a claim that names no data set is never decided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bench.analysis.studies import Decision, StudyVerdict, TestVerdict
from bench.claims._claim import Claim
from bench.claims._finding import Finding, Verdict

_INDICATED: Mapping[Decision, Verdict] = {
    "supported": "indicated_for",
    "refuted": "indicated_against",
    "undecided": "undecided",
}


def studied(finding: Finding, studies: Mapping[str, Sequence[StudyVerdict]]) -> Finding:
    """Return the finding with what the studies of some runs say of its claim.

    What is counted keeps its verdict, with the studies beside it.
    """
    claim = finding.claim
    bearing = [(run, s) for run, some in studies.items() for one in some if (s := one.on(claim.id))]
    if not bearing:
        return finding
    texts = [f"run {run}, study {study.name}: {'; '.join(map(str, study.tests))}" for run, study in bearing]
    texts = [finding.measured, *texts] if finding.measured else texts
    finding = replace(finding, studies=tuple(study for _, study in bearing), measured="; ".join(texts))
    if finding.verdict != "needs_run":
        return finding
    if decision := _decision(claim, [test for study in finding.studies for test in study.tests]):
        return replace(finding, verdict=decision, arithmetic=f"tested as claimed: {claim.relation}")
    return _indicated(finding)


def _indicated(finding: Finding) -> Finding:
    """Return the finding by those tests that are nearest to what is claimed."""
    claim, studies = finding.claim, finding.studies
    least = min(len(_differences(claim, test)) for study in studies for test in study.tests)
    nearest = [[t for t in study.tests if len(_differences(claim, t)) == least] for study in studies]
    tests = [test for some in nearest for test in some]
    votes = {word: sum(t.verdict == word for t in tests) for word in ("supported", "refuted")}
    why = _spelled_out(claim, tests)
    if all(votes.values()):
        why += f"; {votes['supported']} of the tests speak for it, {votes['refuted']} against"
    verdict = _INDICATED[_together([_tendency(some) for some in nearest if some])]
    return replace(finding, verdict=verdict, arithmetic=why)


def _together(verdicts: Sequence[Decision]) -> Decision:
    """Return what several say: what all that decide say; nothing where they disagree or none decides."""
    decided = {v for v in verdicts if v != "undecided"}
    return decided.pop() if len(decided) == 1 else "undecided"


def _tendency(tests: Sequence[TestVerdict]) -> Decision:
    """Return where the tests of a study tend: all for a claim, some against it and none for it, or neither."""
    verdicts = [test.verdict for test in tests]
    return "undecided" if {"supported", "refuted"} <= {*verdicts} else StudyVerdict.all_in_all(verdicts)


def _decision(claim: Claim, tests: Sequence[TestVerdict]) -> Decision | None:
    """Return the verdict of the tests that were made as claimed; None where a relation of the claim has none."""
    decisive = [test for test in tests if not _differences(claim, test)]
    verdicts = [
        _together([test.verdict for test in tests_of])
        for relation in claim.relations
        if (tests_of := [test for test in decisive if _same(test.relation, relation)])
    ]
    return StudyVerdict.all_in_all(verdicts) if verdicts and len(verdicts) == len(claim.relations) else None


def _differences(claim: Claim, test: TestVerdict) -> dict[str, tuple[str, str]]:
    """Return by condition what a claim and a test of it have, where these differ; empty: the test decides it."""
    claimed, tested = claim.conditions, _conditions(test)
    pairs = {key: (claimed[key], tested.get(key, "")) for key in claimed}
    if not any(_same(test.relation, relation) for relation in claim.relations):
        pairs["relation"] = (claim.relation, test.relation)
    return {key: (a, b) for key, (a, b) in pairs.items() if not a or not _same(a, b)}


def _conditions(test: TestVerdict) -> dict[str, str]:
    return {**test.conditions, "relation": test.relation, "trainings": str(test.n_of)}


def _same(a: str, b: str) -> bool:
    return "".join(a.split()) == "".join(b.split())


# By condition, in the order of the sentence; of a test its data set and scale always stand in it.
_WORDS: Mapping[str, str] = {
    "relation": "{}",
    "networks": "{}",
    "dataset": "{}",
    "train_images": "{} training images",
    "input_size": "{} px",
    "epochs": "{} epochs",
    "trainings": "{} trainings",
}
_ALWAYS = ("dataset", "train_images", "input_size", "epochs")


def _spelled_out(claim: Claim, tests: Sequence[TestVerdict]) -> str:
    """Return what a claim is of and what tests of it were made of, where these differ, in words."""
    gaps = [_differences(claim, test) for test in tests]
    stated = {key: gap[key][0] for key in _WORDS for gap in reversed(gaps) if key in gap}
    of = ", ".join(_in_words(key, [text]) for key, text in stated.items() if text)
    names = {"dataset": "data set"}
    unnamed = ", ".join(f"no {names.get(key, key)}" for key, text in stated.items() if not text)
    words = " and ".join([*([f"is of {of}"] if of else []), *([f"names {unnamed}"] if unnamed else [])])
    conditions = [_conditions(test) for test in tests]
    tested = {
        key: [_short(one.get(key, "")) for one in conditions]
        for key in _WORDS
        if key in stated or key in _ALWAYS
    }
    made_of = ", ".join(_in_words(key, texts) for key, texts in tested.items() if any(texts))
    return f"the claim {words}; tested: {made_of}"


def _in_words(key: str, texts: Sequence[str]) -> str:
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
