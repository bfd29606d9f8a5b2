"""Racing: its arithmetic by hand, its model against plain linear algebra, and whole races on published speeds."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from raced import published, run, true_front
from scipy.stats import norm as normal
from scipy.stats import t as student
from sklearn.feature_extraction.text import TfidfVectorizer

from bench.analysis.choosing import front_of
from bench.analysis.expected_cost import CostModel, Entrants, _family_of, _likeness
from bench.analysis.racing import (
    _SPREAD,
    _START,
    CONFIDENCE,
    MISSED,
    MOST,
    Race,
    RacedCost,
    _estimates,
)

_Draw = npt.NDArray[np.float64]


def entrants(
    accuracy: list[float], macs: list[float] | None = None, names: list[str] | None = None
) -> Entrants:
    n = len(accuracy)
    counts = np.array(macs or [10.0 ** (i % 5) for i in range(n)])[:, None]
    return Entrants(
        tuple(names or [f"net{'abcdefgh'[i % 8]}_{i}" for i in range(n)]),
        np.array(accuracy),
        counts,
        np.full((n, 1), math.nan),
    )


def raced(accuracy: list[float], *costs: tuple[list[list[float]], float | None]) -> Race:
    """Return a race of which the costs of each process are known, in seconds, with a limit."""
    own = entrants(accuracy)
    return Race(
        own,
        [
            RacedCost(
                CostModel(own),
                [[math.log(s) for s in some] for some in samples],
                limit and math.log(limit),
                exact=k > 0,
            )
            for k, (samples, limit) in enumerate(costs)
        ],
    )


def test_one_process_has_the_interval_of_what_is_usual() -> None:
    """Where no network has two processes, each has the spread of 5 %, and an interval of four degrees of freedom."""
    own = _estimates([[0.5], []])
    half = 0.05 * student.ppf((1 + CONFIDENCE) / 2, 4)
    assert own.value[0] == 0.5
    assert (own.low[0], own.high[0]) == (pytest.approx(0.5 - half), pytest.approx(0.5 + half))
    assert own.least[0] == pytest.approx(0.5 - half - math.log(1.5))
    assert np.isnan(own.value[1])
    assert own.processes.tolist() == [1, 0]


def test_the_spread_of_several_is_drawn_towards_that_of_all() -> None:
    """The upper quartile of the differences 0.1, 0.1 and 0.2 is the last; of the half normal one it is its 0.875."""
    own = _estimates([[0.0, 0.1, -0.1], [1.0]])
    quartile = 0.2 / (math.sqrt(2) * normal.ppf(0.875))
    pooled = (4 * 0.05**2 + 2 * quartile**2) / (4 + 2)
    assert own.spread == pytest.approx(math.sqrt(pooled))
    variance = (4 * pooled + 2 * 0.1**2) / (4 + 2)
    assert own.sd[0] == pytest.approx(math.sqrt(math.pi / 2 * variance / 3))
    assert own.sd[1] == pytest.approx(math.sqrt(pooled))
    assert own.least[0] == own.low[0]


def test_one_slow_process_widens_no_interval_of_others() -> None:
    """It took ten times as long: the interval of its network holds what the others say, as do those of all others."""
    rng = np.random.default_rng(2)
    calm = [list(rng.normal(0, 0.02, 4)) for _ in range(30)]
    rough = [[*calm[0][:3], math.log(10)], *calm[1:]]
    one, other = _estimates(calm), _estimates(rough)
    width, wider = ((some.high - some.low)[1:] for some in (one, other))
    assert (wider / width < 1.1).all()
    assert other.low[0] < np.median(calm[0][:3]) < other.high[0]
    assert other.high[0] < math.log(1.5)


def test_a_cost_far_above_what_is_expected_is_measured_again_first() -> None:
    """All networks cost what their counts are, but one that took a thousand times as long in its one process.

    It would be on the front at what is expected of it, and is dismissed at what it took.
    """
    accuracy = [0.5 + 0.1 * (i % 5) + 0.05 * (i == 7) for i in range(20)]
    race = raced(accuracy, ([[10.0 ** (i % 5)] for i in range(20)], None))
    race.costs[0].samples[7][0] += math.log(1000)
    assert race.further(race.standing(), 8)[0] == 7
    race.costs[0].samples[7] += [race.costs[0].samples[7][0]] * 2  # as it is in three processes, it is so
    assert 7 not in race._odd(race.standing())


def test_disturbed_processes_count_where_there_are_few_others() -> None:
    race = raced([0.9], ([[1.0, 1.0]], None))
    cost = race.costs[0]
    cost.disturbed[0] = [math.log(3.0)]
    assert cost.estimates().processes.tolist() == [3]
    cost.samples[0].append(0.0)
    assert cost.estimates().processes.tolist() == [3]
    assert cost.estimates().value.tolist() == [0.0]
    assert cost.tries(0) == 4


def test_what_is_exact_has_no_interval() -> None:
    own = _estimates([[1.0], [2.0, 2.0]], exact=True)
    assert own.low.tolist() == own.high.tolist() == [1.0, 2.0]


def _calm(rng: np.random.Generator, n: int) -> _Draw:
    return rng.normal(0, 0.03, n)


def _heavy_tailed(rng: np.random.Generator, n: int) -> _Draw:
    return 0.03 * rng.standard_t(3, n)


def _unequal(rng: np.random.Generator, n: int) -> _Draw:
    """Draw of networks of which some vary four times as much as others."""
    return rng.normal(0, 0.03 * math.exp(rng.normal(0, 0.7)), n)


def _often_slow(rng: np.random.Generator, n: int) -> _Draw:
    """Draw processes of which 15 % are slow as a whole, by a third in the mean."""
    return rng.normal(0, 0.03, n) + (rng.random(n) < 0.15) * rng.exponential(0.3, n)


def _at_times_very_slow(rng: np.random.Generator, n: int) -> _Draw:
    return rng.normal(0, 0.03, n) + 2.0 * (rng.random(n) < 0.05)


@pytest.mark.parametrize("draw", [_calm, _heavy_tailed, _unequal, _often_slow, _at_times_very_slow])
def test_intervals_hold_what_they_say(draw: Callable[[np.random.Generator, int], _Draw]) -> None:
    """Of 600 networks with three to eight processes 99 % of the medians lie inside, but for chance; and none is wide.

    Half the width of eight processes' interval is below 10 %, which by squares it is not where some are slow.
    """
    rng = np.random.default_rng(1)
    truth = np.median(draw(rng, 200_001)) if draw is not _unequal else 0.0
    n = np.repeat([3, 5, 8], 200)
    own = _estimates([draw(rng, int(k)).tolist() for k in n])
    inside = ((own.low <= truth) & (own.high >= truth)).sum()
    assert len(n) * CONFIDENCE - 3 * math.sqrt(len(n) * CONFIDENCE * (1 - CONFIDENCE)) <= inside
    assert np.median((own.high - own.low)[n == 8]) / 2 < 0.1


def test_families_left_out_are_as_if_they_had_not_been_measured() -> None:
    """The closed form of the errors against a model that never had the family."""
    own = entrants(
        [0.5] * 12, [float(i + 1) for i in range(12)], [f"{'abc'[i % 3] * 3}_{i}" for i in range(12)]
    )
    model, rng = CostModel(own), np.random.default_rng(0)
    costs = np.log(own.counts[:, 0]) + rng.normal(0, 0.2, 12)
    model._fitted = 10**9  # so that both have the same scales
    centre = costs.mean()
    inverse = np.linalg.inv(model._noisy(np.arange(12)))
    errors, _ = model._left_out(np.arange(12), inverse, inverse @ (costs - centre))
    for first in range(3):
        left, rest = np.arange(first, 12, 3), np.array([i for i in range(12) if i % 3 != first])
        across = model._kernel(rest, left)
        mean = across.T @ np.linalg.solve(model._noisy(rest), costs[rest] - centre)
        assert errors[left] == pytest.approx(costs[left] - centre - mean)


def test_the_posterior_is_that_of_linear_algebra() -> None:
    own = entrants([0.5] * 8)
    model = CostModel(own)
    model._fitted = 10**9
    at, costs = np.array([0, 2, 5]), np.array([1.0, 2.0, 0.5])
    posterior = model.posterior(at, costs)
    weights = np.linalg.solve(model._noisy(at), costs - np.median(costs))
    assert posterior.mean == pytest.approx(np.median(costs) + model._kernel(at, np.arange(8)).T @ weights)
    assert (posterior.below(np.full(8, math.inf)) == 1).all()
    assert posterior.below(posterior.mean) == pytest.approx(np.full(8, 0.5))


def test_names_are_alike_as_scikit_learn_has_it() -> None:
    names = [
        "vit_base_patch16_224",
        "vit_small_patch16_384",
        "tf_efficientnet_b0",
        "resnet50",
        "resnet18d",
        "x3",
        "7",
    ]
    words = [re.sub(r"[\d_\W]+", " ", name.removeprefix("tf_")).strip() or "none" for name in names]
    grams = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True).fit_transform(words)
    assert _likeness(names) == pytest.approx((grams @ grams.T).toarray())


@pytest.mark.parametrize(
    ("name", "family"), [("tf_efficientnet_b0", "efficientnet"), ("resnet50", "resnet"), ("123", "123")]
)
def test_families(name: str, family: str) -> None:
    assert _family_of(name) == family


def test_the_front_is_certain_where_intervals_are_apart() -> None:
    race = raced([0.7, 0.8, 0.75, 0.9], ([[0.01] * 3, [0.02] * 3, [0.04] * 3, [0.08] * 3], 0.05))
    standing = race.standing()
    assert standing.front.tolist() == standing.certain.tolist() == [True, True, False, True]
    assert standing.holds.tolist() == ["yes", "yes", "yes", "no"]
    assert standing.best == 1
    assert race.further(standing, 4) == []


def test_two_that_are_near_are_measured_again_until_most() -> None:
    for processes in (1, 3, MOST):
        race = raced([0.8, 0.7], ([[0.0100] * processes, [0.0101] * processes], None))
        standing = race.standing()
        assert standing.possible.tolist() == [True, True]
        assert race.further(standing, 4) == ([] if processes == MOST else [0, 1])


def test_one_process_decides_no_budget() -> None:
    race = raced([0.8, 0.7], ([[0.01], [0.005] * 3], 0.02))
    standing = race.standing()
    assert standing.holds.tolist() == ["open", "yes"]
    assert standing.best == 1
    assert race.further(standing, 4) == [0]


def test_what_is_over_another_budget_pushes_nobody_off_the_front() -> None:
    """The first is quicker and more accurate, and needs too much memory."""
    times, memory = [[0.01] * 3, [0.02] * 3], [[9.0], [1.0]]
    assert raced([0.9, 0.8], (times, 0.05)).standing().front.tolist() == [True, False]
    standing = raced([0.9, 0.8], (times, 0.05), (memory, 2.0)).standing()
    assert standing.front.tolist() == [False, True]
    assert standing.best == 1


def test_too_few_say_nothing_of_the_others() -> None:
    n = _START + 4
    race = raced([0.5 + i / 100 for i in range(n)], ([[0.01] * 3] * 3 + [[] for _ in range(n - 3)], 0.001))
    standing = race.standing()
    assert not standing.enough
    assert standing.expected == n - 3
    assert standing.budget_chance == 1.0
    race.failed = set(range(3, n))
    assert race.standing().enough  # there are no others


def test_the_first_measured_serve_the_budget_and_the_front() -> None:
    """After the spread ones, those come that may hold the budget and be better: no others, until chances are told."""
    whole, times = published("i9", ["3090"])
    entrants = Entrants(*(getattr(whole, name)[::13] for name in ("names", "accuracy", "counts", "times")))
    own = np.log(times[::13])
    race = raced([0.0] * len(own), ([[] for _ in own], float(np.exp(np.median(own)))))
    race.entrants, race.costs[0].model = entrants, CostModel(entrants)
    first = race.first()
    assert len(first) == _SPREAD < _START
    for i in first:
        race.costs[0].samples[i].append(float(own[i]))
    standing = race.standing()
    assert not standing.enough
    assert standing.budget_chance == 1.0  # nothing is told yet
    while not (standing := race.standing()).enough:
        for i in race.further(standing, 4):
            assert standing.budget_chances[i] > 0 or standing.measured[i]
            race.costs[0].samples[i].append(float(own[i]))
    assert standing.budget_chance < 1.0


def test_equal_networks_stand_side_by_side() -> None:
    assert front_of(np.array([1.0, 1.0, math.nan]), np.array([0.8, 0.8, 0.7])).tolist() == [True, True, False]


@pytest.mark.parametrize("slow", [0.0, 0.1])
@pytest.mark.parametrize(("truth", "known"), [("i9", ["3090"]), ("5090", ["i7"]), ("i7", [])])
def test_a_race_finds_the_front_of_published_speeds(truth: str, known: list[str], slow: float) -> None:
    """Every sixth network, some 190: a half is never measured, and at most one of some 20 members is missed.

    Where a tenth of the processes is slow as a whole more have to be measured, and a third of the front is certain still.
    """
    whole, times = published(truth, known)
    own = Entrants(whole.names[::6], whole.accuracy[::6], whole.counts[::6], whole.times[::6])
    times = times[::6]
    ended = run(own, times, seed=0, slow=slow)
    front, standing = true_front(own, times), ended.standing
    assert slow or ended.share < 0.55
    assert standing.certain.sum() >= front.sum() / 3
    assert (front & ~standing.possible).sum() <= 1
    assert not (standing.certain & ~front).any()
    assert standing.expected <= MISSED * standing.front.sum()
    assert 0.8 < standing.posteriors[0].coverage <= 1
    limit = float(np.sqrt(times[front].min() * times[front].max()))
    chosen = run(own, times, seed=1, limit=limit, slow=slow).standing
    assert chosen.best is not None
    assert times[chosen.best] <= limit
    open_ = (chosen.holds == "open") & chosen.measured & (own.accuracy > own.accuracy[chosen.best])
    assert own.accuracy[chosen.best] == own.accuracy[times <= limit].max() or open_.any()
    assert chosen.budget_chance <= MISSED
