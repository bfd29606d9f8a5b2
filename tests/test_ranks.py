"""The ranks that bound a median or another quantile, against a published table and the binomial distribution."""

from __future__ import annotations

import pytest
from scipy.stats import binom

from bench.stats.intervals import _least_samples, _quantile_ranks, median_ranks


@pytest.mark.parametrize("n", [-1, *range(6)])
def test_fewer_than_six_samples_have_no_interval(n: int) -> None:
    assert median_ranks(n) is None


@pytest.mark.parametrize(
    ("n", "ranks"), [(6, (1, 6)), (8, (1, 8)), (9, (2, 8)), (20, (6, 15)), (100, (40, 61))]
)
def test_ranks_of_the_published_table(n: int, ranks: tuple[int, int]) -> None:
    # Conover, Practical Nonparametric Statistics, counts from 1; n = 6: 1 - 2 / 2**6 = 0.969
    assert median_ranks(n) == (ranks[0] - 1, ranks[1] - 1)


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("n", [*range(8, 60), 101, 500, 4001, 100_000])
def test_ranks_are_the_narrowest_that_hold(n: int, confidence: float) -> None:
    first, last = median_ranks(n, confidence) or (-1, -1)
    k = first + 1
    assert last == n - k
    assert 2 * binom.cdf(k - 1, n, 0.5) <= 1 - confidence
    assert 2 * binom.cdf(k, n, 0.5) > 1 - confidence or 2 * (k + 1) > n + 1


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_ranks_of_a_quantile_hold_it_and_no_narrower_do(share: float) -> None:
    least = _least_samples(share)
    assert _quantile_ranks(least - 1, share) is None
    for n in (least, 2 * least, 1000):
        first, last = _quantile_ranks(n, share) or (-1, -1)
        # The k-th smallest lies above the quantile where fewer than k samples lie below it.
        assert binom.cdf(first, n, share) <= 0.025 < binom.cdf(first + 1, n, share)
        assert binom.sf(last, n, share) <= 0.025 < binom.sf(last - 1, n, share)


def test_the_least_count_is_that_of_the_largest_sample() -> None:
    assert [_least_samples(share) for share in (0.5, 0.9, 0.99)] == [6, 36, 368]
    assert 0.99**368 <= 0.025 < 0.99**367
