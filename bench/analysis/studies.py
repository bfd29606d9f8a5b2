"""Studies: what a run says of the hypothesis that it was made for.

A test is decided by the estimate that suits its quantity (`bench.analysis.estimates`): counts are exact; accuracies,
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
from typing import Any, Literal

from bench.analysis.estimates import Estimate
from bench.analysis.evidence import Evidence, conditions, gather
from bench.analysis.rank_tests import ALPHA, holm
from bench.plan.study import Expect, Role, StudyTest, parse_study
from bench.records.store import Run
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
        high: upper end, alike.
        p: two-sided, that the effect lies at the margin, corrected for the study's tests (Holm); NaN where untested.
        n_of: numbers on this side (trainings, processes; networks of a trend).
        n_against: on the other side; 0 of a trend.
        note: how it was tested, why it is undecided, what is missing or diverged.
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
        if self.unit == "ratio":
            least = 1 + self.margin
            ends = {"higher": f"above × {least:.3g}", "lower": f"below × {1 / least:.3g}"}
            return ends.get(self.expect, f"× {1 / least:.3g} … × {least:.3g}")
        ends = {
            "higher": f"above {told(self.margin, self.unit)}",
            "lower": f"below {told(-self.margin, self.unit)}",
        }
        return ends.get(self.expect, f"{told(-self.margin, self.unit)} … {told(self.margin, self.unit)}")

    def __str__(self) -> str:
        """Return ``supported: plain56 ends worse: +0.05 (+0.03 … +0.07), p = 0.01, n = 5, 5``."""
        parts = [f"{self.says}: {told(self.effect, self.unit)}"]
        if math.isfinite(self.p):
            parts[0] += f" ({told(self.low, self.unit)} … {told(self.high, self.unit)})"
            parts.append(f"p = {self.p:.2g}")
        parts.append(f"n = {self.n_of}" + (f", {self.n_against}" if self.n_against else ""))
        return f"{self.verdict}: {', '.join(parts)}"

    def to_json(self) -> dict[str, Any]:
        """Return plain values; what is not a number is None."""
        values = {key: getattr(self, key) for key in self.__dataclass_fields__}
        plain = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}
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

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        asked: Mapping[str, Any] = {"name": self.name, "hypothesis": self.hypothesis, "source": self.source}
        return {
            **asked,
            "claims": list(self.claims),
            "verdict": self.verdict,
            "tests": [test.to_json() for test in self.tests],
        }


def judge_study(run: Run) -> StudyVerdict | None:
    """Return what the records of a run say of its study; None where its experiment has none.

    Only the jobs that the run last asked for count.

    Raises:
        ConfigError: if `run.json` holds no sound study.
        StoreError: for test outputs that cannot be read.
    """
    experiment = run.info.get("experiment") or {}
    if not experiment.get("study"):
        return None
    study = parse_study(experiment["study"], f"run {run.name}: study")
    found = [_raw(test, gather(run, test)) for test in study.tests]
    tests = tuple(_corrected(found))
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


def _raw(test: StudyTest, seen: Evidence) -> TestVerdict:
    """Return the verdict of a test on its own, with its p as it is."""
    log = test.measure == "ratio"
    estimate = seen.estimate
    verdict, p = decide(estimate, test.expect, math.log1p(test.margin) if log else test.margin)
    ends = (estimate.effect, estimate.low, estimate.high)
    effect, low, high = map(_exp, ends) if log else ends
    return TestVerdict(
        says=test.says,
        quantity=test.quantity,
        unit="ratio" if log else seen.unit,
        of=_told(test.of),
        against=test.trend or _told(test.against or {}),
        expect=test.expect,
        verdict=verdict,
        effect=effect,
        low=low,
        high=high,
        p=p,
        n_of=seen.n_of,
        n_against=seen.n_against,
        note="; ".join([estimate.how, *seen.notes]),
        margin=test.margin,
        role=test.role,
        claims=test.claims,
        conditions=conditions(seen.sides),
    )


def decide(estimate: Estimate, expect: Expect, margin: float) -> tuple[Decision, float]:
    """Return the verdict of one test, and its p, which is NaN of what is counted.

    Args:
        estimate: of the effect.
        expect: which side is expected.
        margin: see `bench.plan.study`; of logarithms where the estimate is.
    """
    low, high = estimate.low, estimate.high
    if expect == "same":
        p = max(estimate.p_at(margin), estimate.p_at(-margin))
        inside, outside = -margin <= low and high <= margin, low > margin or high < -margin
    elif expect == "higher":
        p = estimate.p_at(margin)
        inside, outside = low > margin, high < margin
    else:
        p = estimate.p_at(-margin)
        inside, outside = high < -margin, low > -margin
    if estimate.exact:
        return "supported" if inside else "refuted", math.nan
    if not p <= ALPHA:
        return "undecided", p
    return "supported" if inside else "refuted" if outside else "undecided", p


def _corrected(tests: Sequence[TestVerdict]) -> list[TestVerdict]:
    """Return the tests with p-values corrected for their number; what is not certain any more is undecided."""
    ps = holm([t.p for t in tests]).tolist()
    many = sum(not math.isnan(p) for p in ps)
    found = []
    for test, p in zip(tests, ps, strict=True):
        lost = p > ALPHA and test.verdict != "undecided"
        note = f"{test.note}; not certain once corrected for {many} tests" if lost else test.note
        found.append(replace(test, p=p, note=note, verdict="undecided" if lost else test.verdict))
    return found


def _exp(value: float) -> float:
    return math.exp(min(value, 700.0)) if not math.isinf(value) else (math.inf if value > 0 else 0.0)


def told(value: float, unit: str) -> str:
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


def _told(selector: Mapping[str, Any]) -> str:
    """Return ``arch plain56, epochs 20``."""
    return ", ".join(f"{key} {value}" for key, value in selector.items())
