"""The ranks that bound a median, against a published table and the binomial distribution."""

from __future__ import annotations

import pytest
from scipy.stats import binom

from bench.analysis.statistics import median_interval
from bench.ranks import median_ranks


@pytest.mark.parametrize("n", [-1, *range(6)])
def test_fewer_than_six_samples_have_no_interval(n: int) -> None:
    assert median_ranks(n) is None


@pytest.mark.parametrize(
    ("n", "ranks"), [(6, (1, 6)), (8, (1, 8)), (9, (2, 8)), (20, (6, 15)), (100, (40, 61))]
)
def test_ranks_of_the_published_table(n: int, ranks: tuple[int, int]) -> None:
    # Conover, Practical Nonparametric Statistics, counts from 1; n = 6: 1 - 2 / 2**6 = 0.969
    assert median_ranks(n) == (ranks[0] - 1, ranks[1] - 1)
    assert median_interval(range(1, n + 1)) == ranks


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("n", [*range(8, 60), 101, 500, 4001, 100_000])
def test_ranks_are_the_narrowest_that_hold(n: int, confidence: float) -> None:
    first, last = median_ranks(n, confidence) or (-1, -1)
    k = first + 1
    assert last == n - k
    assert 2 * binom.cdf(k - 1, n, 0.5) <= 1 - confidence
    assert 2 * binom.cdf(k, n, 0.5) > 1 - confidence or 2 * (k + 1) > n + 1
