"""Studies: what a run says of the hypothesis that it was made for.

A test is decided by the effect that suits its quantity (`bench.stats.effects`): counts are exact; accuracies,
errors and gradient norms are means over trainings, by Welch's t, of logarithms for a ratio; times of processes, and
what may never be reached, go by ranks; a trend over networks by Spearman's rho; the gain of an ensemble by the test
images. The p of each is that the effect lies at the margin, corrected for the number of tests of the study (Holm).

    supported   all of the interval lies beyond the margin on the expected side, and the corrected p is at most 0.05
    refuted     all of it lies on the other side of the margin, likewise
    undecided   else

The verdict of a study is that of all tests of its hypothesis together; a side question has a verdict of its own alone.
Of `same`, the sides are within the band and beyond it. A training that diverged is worse than any that ended, and stays
in n; what failed or is not measured yet does not, and the note says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from bench.analysis.evidence import Evidence, conditions, gather, selector_words
from bench.io import finite_json
from bench.plan.study import Expect, Role, StudyTest, parse_study
from bench.records.store import Run
from bench.stats.effects import Effect
from bench.stats.verdicts import corrected, decide_expectation, p_is
from bench.units import DASH, show

Decision = Literal["supported", "refuted", "undecided"]


@dataclass(frozen=True, slots=True)
class TestVerdict:
    """What became of one test of a study.

    Attributes:
        says: the expectation in words.
        quantity: as the study has it.
        unit: of `effect`, `low` and `high`: the quantity's; `ratio` of a ratio; `rho` of a rank correlation.
        of: which jobs, such as ``arch plain56``.
        against: which others; of a trend the quantity that orders the networks.
        expect: `higher`, `lower` or `same`.
        margin: least difference, or ratio less one, that counts; of `same` the band.
        role: `hypothesis`, or `side`, which the study's verdict leaves out.
        claims: ids of claims that it bears on, together with the other tests that name them.
        verdict: `supported`, `refuted` or `undecided`.
        effect: the difference, ratio or correlation; NaN where there is none.
        low: lower end of its 95 % interval, uncorrected; NaN where there is none.
        high: upper end; NaN likewise.
        p: two-sided, that the effect lies at the margin, corrected for the study's tests (Holm); NaN where untested.
        n_of: numbers on this side (trainings, processes; networks of a trend).
        n_against: on the other side; 0 of a trend.
        note: how it was tested, why it is undecided, what is missing or diverged.
        p_floor: the least p that an exact test of so many numbers gives; a smaller one is shown as a bound.
        conditions: the networks, data set and scale of its jobs, see `bench.analysis.evidence.conditions`.
    """

    __test__ = False  # no test of pytest

    says: str
    quantity: str
    unit: str
    of: str
    against: str
    expect: Expect
    verdict: Decision
    effect: float
    low: float
    high: float
    p: float
    n_of: int
    n_against: int
    note: str
    margin: float = 0.0
    role: Role = "hypothesis"
    claims: tuple[str, ...] = ()
    p_floor: float = 0.0
    conditions: Mapping[str, str] = field(default_factory=dict)

    @property
    def relation(self) -> str:
        """Return the quantity and what is expected of it: ``top1 lower by 0.05``, ``step_time lower by × 2``."""
        least = f"× {1 + self.margin:g}" if self.unit == "ratio" else f"{self.margin:g}"
        words = [self.quantity, self.expect, *(["by", least] if self.margin else [])]
        return " ".join([*words, *(["with", self.against] if self.unit == "rho" else [])])

    @property
    def expected(self) -> str:
        """Return ``higher``, and with a margin ``below × 0.5``, ``above -0.05`` or ``-0.02 … +0.02``."""
        if not self.margin:
            return self.expect
        ends = _margins(self.margin, as_ratio=self.unit == "ratio")
        least, most = (effect_text(end, self.unit) for end in ends)
        return {"higher": f"above {most}", "lower": f"below {least}"}.get(self.expect, f"{least} … {most}")

    def __str__(self) -> str:
        """Return ``supported: plain56 ends worse: +0.05 (+0.03 … +0.07), p = 0.01, n = 5, 5``."""
        parts = [f"{self.says}: {effect_text(self.effect, self.unit)}"]
        if math.isfinite(self.p):
            parts[0] += f" ({effect_text(self.low, self.unit)} … {effect_text(self.high, self.unit)})"
            parts.append(p_is(self.p, self.p_floor))
        parts.append(f"n = {self.n_of}" + (f", {self.n_against}" if self.n_against else ""))
        return f"{self.verdict}: {', '.join(parts)}"

    def to_json(self) -> dict[str, object]:
        """Return plain values; what is not a number is None."""
        values = {key: getattr(self, key) for key in self.__dataclass_fields__}
        plain = finite_json(values)
        return {**plain, "claims": list(self.claims), "conditions": dict(self.conditions)}


@dataclass(frozen=True, slots=True)
class StudyVerdict:
    """What a run says of its study.

    Of the tests of its hypothesis: `supported` where all are, `refuted` where any is, else `undecided`. Side questions
    do not count.
    """

    name: str
    hypothesis: str
    source: str
    claims: tuple[str, ...]
    verdict: Decision
    tests: tuple[TestVerdict, ...]

    @property
    def all_claims(self) -> tuple[str, ...]:
        """All claims that the study or a test of it names, each once."""
        return tuple(dict.fromkeys((*self.claims, *(c for test in self.tests for c in test.claims))))

    def on(self, claim: str) -> StudyVerdict | None:
        """Return it with the tests that bear on a claim alone; None where none does.

        Those are the tests that name it or, where the study alone does, the tests of the hypothesis.
        """
        tests = tuple(test for test in self.tests if claim in test.claims)
        if not tests and claim in self.claims:
            tests = tuple(test for test in self.tests if test.role == "hypothesis")
        return replace(self, tests=tests) if tests else None

    def to_json(self) -> dict[str, object]:
        """Return plain values."""
        return {
            "name": self.name,
            "hypothesis": self.hypothesis,
            "source": self.source,
            "claims": list(self.claims),
            "verdict": self.verdict,
            "tests": [test.to_json() for test in self.tests],
        }


def study_verdict(run: Run) -> StudyVerdict | None:
    """Return what the records of a run say of its study; None where its experiment has none.

    Only the jobs that the run last planned count.

    Raises:
        ConfigError: if `run.json` holds no sound study.
        StoreError: for test outputs that cannot be read.
    """
    experiment = run.info.get("experiment") or {}
    if not experiment.get("study"):
        return None
    study = parse_study(experiment["study"], f"run {run.name}: study")
    evidence = [gather(run, test) for test in study.tests]
    effects = corrected([_decided(e.effect, t) for t, e in zip(study.tests, evidence, strict=True)])
    tests = tuple(_verdict(*each) for each in zip(study.tests, evidence, effects, strict=True))
    return StudyVerdict(
        name=str(experiment.get("name") or run.name),
        hypothesis=study.hypothesis,
        source=study.source,
        claims=study.claims,
        verdict=all_in_all([t.verdict for t in tests if t.role == "hypothesis"]),
        tests=tests,
    )


def all_in_all(verdicts: Sequence[Decision]) -> Decision:
    """Return `refuted` where any is, `supported` where all are, else `undecided`."""
    if "refuted" in verdicts:
        return "refuted"
    return "undecided" if "undecided" in verdicts else "supported"


def _verdict(test: StudyTest, evidence: Evidence, effect: Effect) -> TestVerdict:
    return TestVerdict(
        says=test.says,
        quantity=test.quantity,
        unit="ratio" if test.measure == "ratio" else evidence.unit,
        of=selector_words(test.of),
        against=test.trend or selector_words(test.against or {}),
        expect=test.expect,
        verdict=_decision(effect),
        effect=effect.estimate,
        low=effect.low,
        high=effect.high,
        p=effect.p,
        n_of=evidence.n_of,
        n_against=evidence.n_against,
        note="; ".join([effect.reason, *evidence.notes]),
        margin=test.margin,
        role=test.role,
        claims=test.claims,
        p_floor=effect.p_floor,
        conditions=conditions(evidence.sides),
    )


def _decision(effect: Effect) -> Decision:
    return effect.verdict if effect.verdict in ("supported", "refuted") else "undecided"


def _decided(effect: Effect, test: StudyTest) -> Effect:
    """Return the effect with the verdict of one test on its own."""
    return decide_expectation(effect, test.expect, *_margins(test.margin, as_ratio=test.measure == "ratio"))


def _margins(margin: float, *, as_ratio: bool) -> tuple[float, float]:
    """Return between which effects nothing changes, as the test has it."""
    return (1 / (1 + margin), 1 + margin) if as_ratio else (-margin, margin)


def effect_text(value: float, unit: str) -> str:
    """Return a difference with its sign and unit, a ratio as ``× 1.2``, infinities as ``∞``, NaN as a dash."""
    if math.isnan(value):
        return DASH
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if unit == "ratio":
        return f"× {value:.3g}"
    if unit in ("1", "rho", "epochs"):
        return f"{value:+.4g}" + (f" {unit}" if unit == "epochs" else "")
    return show(value, unit) if value < 0 else f"+{show(value, unit)}"
