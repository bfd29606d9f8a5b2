"""Studies: each kind of evidence can support, refute and leave open what a study expects."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import make_job, make_record, seconds
from scipy.stats import ttest_1samp, ttest_ind
from trainings import diverged, run_of, told, trained, training, with_outputs

from bench.analysis.studies import StudyVerdict
from bench.errors import ConfigError
from bench.plan.config import Experiment
from bench.plan.job import Job
from bench.plan.recipe import Recipe
from bench.plan.study import Study, matches
from bench.records.record import Measurement, Record, count
from bench.report.tables._studies import study_markdown
from bench.stats.verdicts import Expectation

DIGITS = Path(__file__).parent / "studies" / "digits.yaml"


def judge(
    records: Sequence[Record], *tests: dict[str, Any], path: Path = Path("r/s"), planned: Sequence[Job] = ()
) -> StudyVerdict:
    """Return the verdict of a study of these tests."""
    usual = {"says": "what is expected", "expect": "higher"}
    study = {"hypothesis": "h", "tests": [{**usual, **test} for test in tests]}
    info = {"experiment": {"name": "mine", "study": study}}
    found = StudyVerdict.of(run_of(*records, path=path, planned=planned, info=info))
    assert found is not None
    return found


def errors(arch: str, *values: float) -> list[Record]:
    """Return trainings that ended with these training errors."""
    return [trained(arch, s, 0.9, told("train_error", v)) for s, v in enumerate(values)]


def in_family(record: Record, family: str) -> Record:
    """Return the record of a network of a family."""
    return record.changed(card=replace(record.card, family=family))


AB = {"quantity": "train_error", "of": {"arch": "a"}, "against": {"arch": "b"}}
HIGH, LOW = (0.30, 0.31, 0.32), (0.10, 0.11, 0.12)


class TestMeans:
    @pytest.mark.parametrize(
        ("a", "b", "asked", "verdict"),
        [
            (HIGH, LOW, {"expect": "higher"}, "supported"),
            (HIGH, LOW, {"expect": "lower"}, "refuted"),
            (LOW, HIGH, {"expect": "lower"}, "supported"),
            (HIGH, LOW, {"expect": "higher", "margin": 0.1}, "supported"),
            (HIGH, LOW, {"expect": "higher", "margin": 0.4}, "refuted"),
            (HIGH, LOW, {"expect": "higher", "margin": 0.2}, "undecided"),
            (HIGH, (0.1, 0.3, 0.5), {"expect": "higher"}, "undecided"),
            (HIGH, LOW, {"expect": "lower", "margin": -0.4}, "supported"),  # at most 0.4 higher
            (HIGH, LOW, {"expect": "lower", "margin": -0.1}, "refuted"),
            (HIGH, HIGH, {"expect": "same", "margin": 0.1}, "supported"),
            (HIGH, LOW, {"expect": "same", "margin": 0.1}, "refuted"),
            (HIGH, HIGH, {"expect": "same", "margin": 0.01}, "undecided"),
            (HIGH, LOW, {"as": "ratio", "margin": 1.0}, "supported"),
            (HIGH, LOW, {"as": "ratio", "margin": 9.0}, "refuted"),
            ((0.3,), LOW, {}, "undecided"),
        ],
    )
    def test_an_interval_wholly_on_one_side_of_the_margin_decides(
        self, a: tuple[float, ...], b: tuple[float, ...], asked: dict[str, Any], verdict: str
    ) -> None:
        found = judge([*errors("a", *a), *errors("b", *b)], {**AB, **asked})
        assert found.verdict == found.tests[0].verdict == verdict

    @pytest.mark.parametrize(
        ("expect", "unit", "margin", "words"),
        [
            ("lower", "ratio", 0.0, "lower"),
            ("lower", "ratio", 1.0, "below × 0.5"),
            ("higher", "ratio", 0.25, "above × 1.25"),
            ("same", "ratio", 0.25, "× 0.8 … × 1.25"),
            ("lower", "1", -0.05, "below +5.00 points"),
            ("higher", "1", 0.05, "above +5.00 points"),
            ("same", "1", 0.02, "-2.00 … +2.00 points"),
        ],
    )
    def test_a_margin_is_part_of_what_is_expected(
        self, expect: Expectation, unit: str, margin: float, words: str
    ) -> None:
        (test,) = judge([*errors("a", *HIGH), *errors("b", *LOW)], AB).tests
        assert replace(test, expect=expect, unit=unit, margin=margin).expected == words

    def test_the_numbers_are_welchs(self) -> None:
        [test] = judge([*errors("a", *HIGH), *errors("b", *LOW)], AB).tests
        other = ttest_ind(HIGH, LOW, equal_var=False)
        assert test.effect == pytest.approx(0.2)
        assert test.p == pytest.approx(other.pvalue)
        assert (test.low, test.high) == pytest.approx(tuple(other.confidence_interval(0.95)))
        assert (test.n_of, test.n_against, test.unit) == (3, 3, "1")
        assert (test.of, test.against) == ("arch a", "arch b")

    def test_a_ratio_is_of_geometric_means(self) -> None:
        [test] = judge([*errors("a", 0.2, 0.8), *errors("b", 0.1, 0.1)], {**AB, "as": "ratio"}).tests
        logs = [math.log(0.2) - math.log(0.1), math.log(0.8) - math.log(0.1)]
        assert (test.effect, test.unit) == (pytest.approx(4.0), "ratio")  # sqrt(0.2 * 0.8) / 0.1
        assert test.p == pytest.approx(ttest_1samp(logs, 0).pvalue)

    def test_tests_are_corrected_for_their_number(self) -> None:
        records = [*errors("a", 0.30, 0.32, 0.34), *errors("b", 0.25, 0.27, 0.29)]
        [alone] = judge(records, AB).tests
        together = judge(records, *[AB] * 3).tests
        assert alone.p <= 0.05
        assert [t.p for t in together] == pytest.approx([3 * alone.p] * 3)
        assert {t.verdict for t in together} == {"undecided"}
        assert "corrected for 3 tests" in together[0].note

    def test_all_must_be_supported_and_one_refutes(self) -> None:
        records = [*errors("a", *HIGH), *errors("b", *LOW), *errors("c", 0.1)]
        open_ = {**AB, "against": {"arch": "c"}}
        assert judge(records, AB, AB).verdict == "supported"
        assert judge(records, AB, open_).verdict == "undecided"
        assert judge(records, AB, open_, {**AB, "expect": "lower"}).verdict == "refuted"

    def test_a_side_question_refutes_nothing_but_itself(self) -> None:
        records = [*errors("a", *HIGH), *errors("b", *LOW)]
        side = {**AB, "expect": "lower", "role": "side"}
        found = judge(records, AB, side)
        assert [t.verdict for t in found.tests] == ["supported", "refuted"]
        assert [t.role for t in found.tests] == ["hypothesis", "side"]
        assert found.verdict == "supported"
        assert "what is expected (side question)" in study_markdown(found)

    @pytest.mark.parametrize(
        ("asked", "relation"),
        [
            ({}, "train_error higher"),
            ({"margin": 0.1}, "train_error higher by 0.1"),
            ({"as": "ratio", "margin": 1.0, "expect": "lower"}, "train_error lower by × 2"),
        ],
    )
    def test_a_test_says_its_relation_and_its_conditions(self, asked: dict[str, Any], relation: str) -> None:
        (test,) = judge([*errors("a", *HIGH), *errors("b", *LOW)], {**AB, **asked}).tests
        assert test.relation == relation
        job = training("a")
        assert test.conditions == {
            "networks": "a against b",
            "dataset": job.settings.dataset,
            "train_images": "all",
            "input_size": str(job.input_size),
            "epochs": str(job.settings.epochs),
        }
        assert test.to_json()["conditions"] == test.conditions


class TestWhatIsMissing:
    def test_diverged_is_the_worst_and_stays_in_n(self) -> None:
        records = [*errors("a", 0.3, 0.31, 0.32), diverged("a", 3), *errors("b", 0.1, 0.2, 0.11, 0.12)]
        found = judge(records, AB)
        assert found.verdict == "supported"
        assert found.tests[0].p == pytest.approx(2 / math.comb(8, 4))
        assert "1 of 4 diverged" in found.tests[0].note
        assert found.tests[0].to_json()["high"] is None
        assert "∞" in study_markdown(found)

    def test_failed_and_pending_are_said(self) -> None:
        records = [*errors("a", *HIGH), *errors("b", *LOW)]
        failed = make_record(job=training("a", 7), status="oom", measurements=())
        planned = [*(r.job for r in records), failed.job, training("b", 9)]
        [test] = judge([*records, failed], AB, planned=planned).tests
        assert "of: 1 of 4 out of memory" in test.note
        assert "against: 1 of 4 pending" in test.note
        assert (test.n_of, test.verdict) == (3, "supported")

    def test_nothing_measured_is_undecided(self) -> None:
        [test] = judge(errors("a", *HIGH), AB).tests
        assert (test.verdict, test.n_against) == ("undecided", 0)
        assert "no train_error of arch b is stored" in test.note

    def test_jobs_that_differ_are_not_pooled(self) -> None:
        more = [trained("a", s, 0.9, told("train_error", 0.2), epochs=8) for s in range(3)]
        [test] = judge([*errors("a", *HIGH), *more, *errors("b", *LOW)], AB).tests
        assert test.verdict == "undecided"
        assert "differ in epochs" in test.note

    def test_only_what_was_last_asked_for_counts(self) -> None:
        records = [*errors("a", *HIGH), *errors("b", *LOW)]
        older = [trained("a", s, 0.9, told("train_error", 0.0), epochs=8) for s in range(3)]
        assert judge([*older, *records], AB, planned=[r.job for r in records]).verdict == "supported"

    def test_a_run_without_a_study_has_no_verdict(self) -> None:
        assert StudyVerdict.of(run_of(*errors("a", 0.1), info={"experiment": {"name": "x"}})) is None


def curve(arch: str, seed: int, *errors: float) -> Record:
    return trained(arch, seed, 0.9, told("train_error", errors[-1], by_epoch=list(errors)))


ASKED = {**AB, "quantity": "epochs_to(train_error, 0.25)", "expect": "lower"}


class TestCensored:
    def test_the_first_epoch_at_the_goal_counts(self) -> None:
        fast = [curve("a", s, 0.5, 0.2, 0.3) for s in range(4)]
        slow = [curve("b", s, 0.5, 0.4, 0.25) for s in range(4)]
        [test] = judge([*fast, *slow], ASKED).tests
        assert (test.effect, test.unit, test.verdict) == (-1.0, "epochs", "supported")

    def test_never_is_later_than_any_epoch(self) -> None:
        fast = [curve("a", s, 0.5, 0.2) for s in range(4)]
        never = [curve("b", s, 0.5, 0.4) for s in range(4)]
        found = judge([*fast, *never], ASKED, {**ASKED, "as": "ratio"})
        assert [t.effect for t in found.tests] == [-math.inf, 0.0]
        assert [t.p for t in found.tests] == pytest.approx([2 * 2 / math.comb(8, 4)] * 2)  # two tests
        assert found.verdict == "undecided"
        assert "against: reached by 0 of 4" in found.tests[0].note

    def test_three_trainings_cannot_decide_by_ranks(self) -> None:
        records = [curve(a, s, v, v) for a, v in (("a", 0.1), ("b", 0.9)) for s in range(3)]
        [test] = judge(records, ASKED).tests
        assert (test.verdict, test.effect) == ("undecided", -math.inf)
        assert "at least 4 on each side" in test.note

    def test_a_missed_target_is_a_miss(self) -> None:
        def timed(arch: str, seed: int, value: float) -> Record:
            flags = ("missed",) if math.isnan(value) else ()
            time = Measurement(
                name="time_to_accuracy", unit="s", better="lower", samples=(value,), flags=flags
            )
            return trained(arch, seed, 0.9, time)

        records = [timed(a, s, v) for a, v in (("a", 2.0), ("b", math.nan)) for s in range(4)]
        [test] = judge(records, {**AB, "quantity": "time_to_accuracy", "expect": "lower"}).tests
        assert (test.verdict, test.effect, test.unit) == ("supported", -math.inf, "s")


class TestOtherEvidence:
    def test_counts_are_beyond_doubt(self) -> None:
        def counted(arch: str, operations: int) -> Record:
            return make_record(job=make_job(arch=arch), measurements=(count("operations", operations, "op"),))

        records = [counted("a", 854), counted("b", 358)]
        asked = {**AB, "quantity": "operations"}
        assert judge(records, {**asked, "as": "ratio", "margin": 1.0}).verdict == "supported"
        assert judge(records, {**asked, "as": "ratio", "margin": 1.5}).verdict == "refuted"
        [test] = judge(records, asked).tests
        assert (test.effect, test.low, test.high) == (496, 496, 496)
        assert math.isnan(test.p)

    @pytest.mark.parametrize(
        ("factor", "verdict"), [(2.0, "supported"), (0.5, "refuted"), (1.01, "undecided")]
    )
    def test_speed_goes_by_processes(self, factor: float, verdict: str) -> None:
        def timed(arch: str, replicate: int, time: float) -> Record:
            job = make_job(task="infer", arch=arch, settings={"batch_size": 8, "replicate": replicate})
            return make_record(job=job, measurements=(seconds("step_time", time),))

        times = (1.0, 1.02, 0.99, 1.01, 1.03)
        records = [timed("a", i, t / factor) for i, t in enumerate(times)]
        records += [timed("b", i, t) for i, t in enumerate(times)]
        [test] = judge(records, {**AB, "quantity": "throughput", "as": "ratio"}).tests
        assert test.verdict == verdict
        assert test.effect == pytest.approx(factor)
        assert "5 and 5 processes" in test.note

    def test_gradients_by_layer(self) -> None:
        def gradients(arch: str, seed: int, first: float) -> Record:
            layers = [["conv1", first], ["conv2", 0.5], ["fc", 2.0]]
            return trained(arch, seed, 0.9, told("gradient_norm_start", 3.0, "neither", by_layer=layers))

        records = [gradients("a", s, 1e-6 * (1 + s)) for s in range(3)]
        records += [gradients("b", s, 1.0 + s) for s in range(3)]
        asked = {**AB, "expect": "lower", "as": "ratio", "margin": 99.0}
        found = judge(records, *({**asked, "quantity": q} for q in ("gradient_ratio", "gradient_first")))
        assert found.verdict == "supported"
        assert [t.effect for t in found.tests] == pytest.approx([1e-6, 1e-6])

    @pytest.mark.parametrize(("sign", "verdict"), [(1, "supported"), (-1, "refuted")])
    def test_a_trend_over_networks(self, sign: int, verdict: str) -> None:
        records = [
            trained(f"n{i}", s, 0.5 + sign * 0.05 * i + 0.001 * s, count("receptive_field", 10 * i, "px"))
            for i in range(7)
            for s in range(2)
        ]
        [test] = judge(records, {"quantity": "top1", "trend": "receptive_field"}).tests
        assert (test.verdict, test.n_of, test.n_against, test.unit) == (verdict, 7, 0, "rho")
        assert test.effect == pytest.approx(sign)

    def test_a_family_is_one_point_of_a_trend(self) -> None:
        """Within each family accuracy falls, and between their means it rises; a pattern or a file is no family."""
        rising = [
            in_family(
                trained(f"n{i}{k}", 0, 0.5 + 0.05 * i - 0.02 * k, count("macs", 10 * i + k)), f"family{i}"
            )
            for i in range(6)
            for k in range(3)
        ]
        asked = {"quantity": "top1", "trend": "macs"}
        [test] = judge(rising, asked).tests
        assert (test.verdict, test.n_of, test.effect) == ("supported", 6, pytest.approx(1.0))
        assert (
            "rho over 6 families; of 18 networks those of one family count once, by their means" in test.note
        )
        [few] = judge(rising[3:], asked).tests
        assert (few.verdict, few.n_of) == ("undecided", 5)
        assert "5 families cannot decide a trend: at least 6" in few.note
        own = [trained(f"my.py:Net({i})", 0, 0.2 + 0.01 * i, count("macs", i)) for i in range(2)]
        alone = [in_family(r, "pattern") for r in rising[:6]]
        [test] = judge([*alone, *own], asked).tests
        assert test.n_of == 8
        assert "8 networks" in test.note
        assert "famil" not in test.note

    def test_networks_of_a_single_family_are_points_of_its_trend(self) -> None:
        records = [
            in_family(trained(f"n{i}", 0, 0.5 + 0.05 * i, count("macs", i)), "resnet") for i in range(7)
        ]
        [test] = judge(records, {"quantity": "top1", "trend": "macs"}).tests
        assert (test.verdict, test.n_of) == ("supported", 7)
        assert "rho over 7 networks; all of one family" in test.note

    @pytest.mark.parametrize("families", [6, 12])
    def test_what_families_have_of_their_own_is_no_trend(self, families: int) -> None:
        """Of both quantities 80 % of the variance are between families of four to six, and they have nothing in common."""
        rng, trials = np.random.default_rng(families), 150
        names = [(f"n{i}{k}", f"family{i}") for i in range(families) for k in range(4 + i % 3)]
        of = np.array([int(family.removeprefix("family")) for _, family in names])
        p = []
        for _ in range(trials):
            own = rng.normal(size=(2, families))[:, of] * math.sqrt(0.8)
            x, y = own + rng.normal(size=(2, len(names))) * math.sqrt(0.2)
            records = [
                in_family(trained(name, 0, b, count("macs", a)), family)
                for (name, family), a, b in zip(names, x.tolist(), y.tolist(), strict=True)
            ]
            p.append(judge(records, {"quantity": "top1", "trend": "macs"}).tests[0].p)
        assert np.mean(np.array(p) <= 0.05) <= 0.08

    def test_a_trend_may_take_its_scale_from_another_record(self) -> None:
        records = [trained(f"n{i}", 0, 0.5 + 0.05 * i) for i in range(7)]
        fields = [
            make_record(job=make_job(arch=f"n{i}"), measurements=(count("receptive_field", 10 * i, "px"),))
            for i in range(6)
        ]
        [test] = judge([*records, *fields], {"quantity": "top1", "trend": "receptive_field"}).tests
        assert (test.verdict, test.n_of) == ("supported", 6)
        assert "1 networks without receptive_field" in test.note

    def test_the_gain_of_an_ensemble(self, tmp_path: Path) -> None:
        labels = [0, 1, 2] * 20
        records = [
            with_outputs(tmp_path, "a", s, [(k + (i % 3 == s)) % 3 for i, k in enumerate(labels)], labels)
            for s in range(3)
        ]
        asked = {"quantity": "ensemble_gain", "of": {"arch": "a"}, "margin": 0.1}
        [test] = judge(records, asked, path=tmp_path).tests
        assert (test.verdict, test.n_of) == ("supported", 3)
        assert test.effect == pytest.approx(1 / 3)
        assert judge(records, {**asked, "margin": 0.5}, path=tmp_path).verdict == "refuted"
        [none] = judge([trained("a", 0, 0.9)], asked).tests
        assert none.verdict == "undecided"


GOOD = {"hypothesis": "h", "tests": [{"says": "s", **AB, "expect": "higher"}]}


class TestSchema:
    @pytest.mark.parametrize(
        ("change", "message", "tip"),
        [
            ({"hypothesys": "x"}, "unknown key study.hypothesys", "hypothesis"),
            ({"tests": []}, "study.tests: ", None),
            ({"tests": [{**GOOD["tests"][0], "role": "side"}]}, "all tests are side questions", None),  # type: ignore[index]
            ({"tests": [{"says": "s", "quantity": "top1", "expect": "higher"}]}, "either against or trend", None),
            ({"tests": [{**GOOD["tests"][0], "expect": "bigger"}]}, "study.tests[0].expect", None),  # type: ignore[index]
            ({"tests": [{**GOOD["tests"][0], "expect": "same"}]}, "needs a margin", None),  # type: ignore[index]
            ({"tests": [{**GOOD["tests"][0], "of": {"arhc": "a"}}]}, "study.tests[0].of.arhc", "arch"),  # type: ignore[index]
            ({"tests": [{**GOOD["tests"][0], "margins": 1}]}, "study.tests[0].margins", "margin"),  # type: ignore[index]
            ({"tests": [{**GOOD["tests"][0], "quantity": "epochs_to(x)"}]}, "epochs_to(train_error, 0.25)", None),  # type: ignore[index]
            ({"tests": [{**GOOD["tests"][0], "quantity": "epochs_to(top1, 0.2.5)"}]}, "epochs_to(train_error, 0.25)", None),  # type: ignore[index]
            ({"tests": [{**GOOD["tests"][0], "quantity": "top1(3)"}]}, "write top1", None),  # type: ignore[index]
            ({"tests": [{"says": "s"}]}, "is missing", None),
        ],
    )  # fmt: skip
    def test_what_is_wrong_is_named(self, change: dict[str, Any], message: str, tip: str | None) -> None:
        Study.parse(GOOD)
        with pytest.raises(ConfigError) as caught:
            Study.parse({**GOOD, **change})
        assert message in caught.value.message
        assert tip is None or tip in (caught.value.tip or "")

    def test_it_goes_through_the_experiment_and_its_json(self) -> None:
        data = {"blocks": [{"task": "accuracy", "grid": {"arch": ["a", "b"]}}], "study": GOOD}
        experiment = Experiment.parse(data)
        stored = json.loads(json.dumps(experiment.to_json()))["study"]
        assert Study.parse(stored) == experiment.study
        assert experiment.study is not None
        assert experiment.study.claims == ()

    def test_a_selector_matches_fields_and_settings(self) -> None:
        job = training("pattern:INPUT -> FC", 3, batch_size=8)
        good: list[dict[str, Any]] = [
            {}, {"arch": "pattern:INPUT->FC"}, {"recipe": "std"}, {"seed": [1, 3]}, {"batch_size": 8, "epochs": 4},
        ]  # fmt: skip
        assert all(matches(selector, job) for selector in good)
        assert not any(
            matches(s, job) for s in ({"arch": "pattern:*"}, {"recipe": "adamw"}, {"batch_size": 9})
        )

    def test_a_precision_is_matched_by_either_of_its_names(self) -> None:
        job = training("a", precision="bf16")
        assert all(matches({"precision": name}, job) for name in ("bf16", "amp_bf16"))
        assert not matches({"precision": "fp16"}, job)

    def test_a_recipe_is_matched_however_its_numbers_are_written(self) -> None:
        job = training("a", recipe={"name": Recipe.load("std(momentum=0.0,nesterov=false)").name})
        assert matches({"recipe": "std(nesterov=false, momentum=0)"}, job)
        assert not matches({"recipe": "std"}, job)

    def test_a_test_about_no_job_is_refused_before_anything_runs(self) -> None:
        study = Study.parse(GOOD)
        study.check([training("a"), training("b")])
        with pytest.raises(ConfigError, match=r"tests\[0\]\.against: no job of the plan has arch: b"):
            study.check([training("a")])


def test_the_small_study_on_digits_reads(tmp_path: Path) -> None:
    experiment = Experiment.load(str(DIGITS))
    assert experiment.study is not None
    assert yaml.safe_load(DIGITS.read_text())["study"]["hypothesis"] == experiment.study.hypothesis
