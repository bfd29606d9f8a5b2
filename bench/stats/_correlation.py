"""Samples that depend on their neighbours: by how much, and how many independent ones they are worth.

Source: Geyer, Practical Markov chain Monte Carlo, Statistical Science 7, 1992.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bench.stats.samples import centred_ranks


def effective_size(samples: Sequence[float]) -> float:
    """Return how many independent samples the median of correlated ones is worth, from 1 to n.

    Their count over the sum of the autocorrelations of their ranks, as far as sums of two neighbours are positive
    (Geyer's initial positive sequence). Supposes a stationary series; a drift counts as correlation.
    """
    n = len(samples)
    ranks = centred_ranks(samples)
    if n < 2 or not ranks.any():
        return float(n)
    power = np.abs(np.fft.rfft(ranks, 2 * n)) ** 2
    correlations = np.fft.irfft(power)[: n - n % 2]
    pairs = (correlations[::2] + correlations[1::2]) / correlations[0]
    initial = pairs[np.minimum.accumulate(pairs > 0)]
    return n / max(1.0, 2 * float(initial.sum()) - 1)


def neighbour_correlation(samples: Sequence[float]) -> float:
    """Return the correlation of a sample's rank with the next one's; NaN of fewer than ten, or where all are equal.

    Of n independent ones it is about -1 / n, so that few of them seem less correlated than they are.
    """
    n = len(samples)
    ranks = centred_ranks(samples)
    return float(ranks[1:] @ ranks[:-1] / (ranks @ ranks)) if n >= 10 and ranks.any() else math.nan
