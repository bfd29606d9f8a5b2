"""Claims that only trainings decide: what tests of studies decide of them, and what they only indicate."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from make_claims import SMALLER, claim, deeper, study

from bench.analysis.studies import StudyVerdict
from bench.claims import claims_of, verify
from bench.plan.config import Experiment
from bench.records.store import read_run

CLAIMS = claims_of()
STUDIES = Path(__file__).parent.parent / "configs" / "studies"
STORED = Path(__file__).parent.parent / "results"


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (["supported"], "supported"),
        (["refuted"], "refuted"),
        (["undecided"], "undecided"),
        (["supported", "undecided"], "supported"),
        (["supported", "refuted"], "undecided"),
    ],
)
@pytest.mark.parametrize("conditions", [{}, SMALLER])
def test_tests_decide_what_was_claimed_and_indicate_the_rest(
    verdicts: list[str], expected: str, conditions: dict[str, str]
) -> None:
    runs = {f"run{i}": [study(v, "degradation", **conditions)] for i, v in enumerate(verdicts)}
    [found] = verify([deeper()], {}, studies=runs)
    indicated = {"supported": "indicated_for", "refuted": "indicated_against"}
    assert found.verdict == (indicated.get(expected, expected) if conditions else expected)
    assert "run run0, study depth" in found.measured
    assert "+5.00 points (+3.00 … +7.00), p = 0.002, n = 5, 5" in found.measured
    assert [s["verdict"] for s in found.to_json()["studies"]] == verdicts
    if conditions:
        told = "the claim is of cifar10, all training images, 32 px; tested: fashion_mnist, 5,000 training images, 16 px"
        assert found.arithmetic.startswith(told)
        assert ("1 of the tests speak for it, 1 against" in found.arithmetic) == (
            {"supported", "refuted"} == set(verdicts)
        )


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"dataset": "imagenet"}, "is of imagenet; tested: cifar10"),
        (
            {"networks": "plain110 against plain20"},
            "is of plain110 against plain20; tested: plain56 against plain20",
        ),
        ({"relation": "top1 lower"}, "is of top1 lower; tested: train_error higher"),
        (
            {"relation": "train_error higher by 0.1"},
            "is of train_error higher by 0.1; tested: train_error higher",
        ),
        ({"relation": "train_error higher; top1 lower"}, "tested: "),  # of which one alone was tested
        ({"scale": "epochs=164"}, "is of 164 epochs; tested: "),
        ({"scale": "trainings=7"}, "is of 7 trainings; tested: "),
        ({"dataset": ""}, "names no data set; tested: cifar10"),
    ],
)
def test_each_condition_counts(fields: dict[str, str], told: str) -> None:
    [found] = verify([deeper(**fields)], {}, studies={"run": [study("supported", "degradation")]})
    assert found.verdict == "indicated_for"
    assert told in found.arithmetic


def test_all_relations_of_a_claim_must_be_tested() -> None:
    error = study("supported", "degradation")
    accuracy = replace(error.tests[0], quantity="top1", expect="lower", verdict="refuted")
    both = deeper(relation="train_error higher; top1 lower")
    [found] = verify([both], {}, studies={"run": [replace(error, tests=(*error.tests, accuracy))]})
    assert found.verdict == "refuted"
    assert found.to_json()["conditions"]["relation"] == both.relation


def test_studies_of_other_claims_decide_nothing() -> None:
    one = claim(id="relu.speed", quantity="relation", claimed="x", unit="trend")
    [found] = verify([one], {}, studies={"run": [study("supported", "degradation")]})
    assert (found.verdict, found.studies) == ("needs_run", ())


def test_tests_that_name_a_claim_bear_on_it_without_the_others() -> None:
    whole = study("supported", "degradation")
    (test,) = whole.tests
    told = replace(test, verdict="supported", claims=("plain.deeper", "both"))
    other = replace(test, says="shortcuts help", verdict="refuted", role="side", claims=("both",))
    mixed = replace(whole, tests=(told, other))
    named = ("degradation", "plain.deeper", "both")
    claims = [claim(id=c, quantity="relation", claimed="x", unit="trend") for c in named]
    found = verify(claims, {}, studies={"run": [mixed]})
    assert [f.verdict for f in found] == ["indicated_for", "indicated_for", "undecided"]
    assert ["shortcuts help" in f.measured for f in found] == [False, False, True]
    assert mixed.all_claims == named
    assert mixed.on("unheard.of") is None
    assert found[1].to_json()["studies"][0]["tests"][0]["claims"] == ["plain.deeper", "both"]


def test_the_stored_studies_indicate_and_say_how_they_differ() -> None:
    stored = {name: read_run(STORED / f"study-{name}") for name in ("depth", "momentum", "receptive_field")}
    studies = {name: [verdict] for name, run in stored.items() if (verdict := StudyVerdict.of(run))}
    names = ("degradation.cifar10", "momentum.speed", "receptive_field.accuracy")
    found = verify([c for c in CLAIMS if c.id in names], {}, studies=studies)
    told = {f.claim.id: (f.verdict, f.arithmetic) for f in found}
    assert told["degradation.cifar10"] == (
        "indicated_for",
        "the claim is of cifar10, all training images, 32 px, 164 epochs; "
        "tested: fashion_mnist, 5,000 training images, 16 px, 4 epochs",
    )
    assert told["momentum.speed"][0] == "undecided"
    assert "2 of the tests speak for it, 1 against" in told["momentum.speed"][1]
    assert told["receptive_field.accuracy"][0] == "indicated_for"
    assert "top1 logarithmic with receptive_field" in told["receptive_field.accuracy"][1]


def test_a_side_question_of_todays_momentum_study_is_not_held_against_the_claim() -> None:
    stored = read_run(STORED / "study-momentum")
    today = Experiment.load("studies/momentum").to_json()
    verdict = StudyVerdict.of(replace(stored, info={**stored.info, "experiment": today}))
    assert verdict is not None
    assert [t.verdict for t in verdict.tests] == ["supported", "supported", "refuted"]
    assert verdict.verdict == "supported"
    [found] = verify([c for c in CLAIMS if c.id == "momentum.speed"], {}, studies={"run": [verdict]})
    assert found.verdict == "indicated_for"


@pytest.mark.parametrize("file", sorted(STUDIES.glob("*.yaml")), ids=lambda f: f.stem)
def test_the_shipped_studies_name_claims_that_there_are(file: Path) -> None:
    study = Experiment.load(str(file)).study
    assert study is not None
    named = {*study.claims, *(c for test in study.tests for c in test.claims)}
    assert named <= {c.id for c in CLAIMS}
