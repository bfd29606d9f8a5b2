"""Times as they are: what a process has of its own, samples that hang together, heavy tails, drift."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr
from scipy.stats import exponnorm, t

from bench.stats.intervals import median_ranks

Tail = Literal["normal", "log-normal", "t3"]


def correlated(
    rng: np.random.Generator, shape: tuple[int, ...], rho: float, tail: Tail = "normal"
) -> np.ndarray:
    """Return stationary AR(1) series along the last axis, of the given distribution; all have the median 0 (or 1)."""
    fresh = rng.normal(size=shape)
    series = np.empty(shape)
    series[..., 0] = fresh[..., 0]
    for i in range(1, shape[-1]):
        series[..., i] = rho * series[..., i - 1] + math.sqrt(1 - rho**2) * fresh[..., i]
    if tail == "log-normal":
        return np.exp(series)
    return t(3).ppf(np.clip(ndtr(series), 1e-12, 1 - 1e-12)) if tail == "t3" else series


def scattered(
    rng: np.random.Generator, shape: tuple[int, ...], sd: float, tail: Tail = "normal"
) -> np.ndarray:
    """Return what processes have of their own, in logarithms, with a standard deviation."""
    return sd * (rng.standard_t(3, size=shape) / math.sqrt(3) if tail == "t3" else rng.normal(size=shape))


def disturbed(
    rng: np.random.Generator, shape: tuple[int, ...], sd: float, share: float, longer: float = 0.3
) -> np.ndarray:
    """Return what processes have of their own on a machine with neighbours, in logarithms.

    A share of them is slower by an exponential amount; see `disturbed_median` for the median of all.
    """
    slower = rng.random(shape) < share
    return sd * rng.normal(size=shape) + slower * rng.exponential(longer, size=shape)


def disturbed_median(sd: float, share: float, longer: float = 0.3) -> float:
    """Return the median of `disturbed`, by the distribution of a normal plus an exponential (exponnorm)."""
    both = exponnorm(longer / sd, scale=sd)
    return brentq(lambda x: (1 - share) * ndtr(x / sd) + share * both.cdf(x) - 0.5, -sd, 10 * sd + longer)


def median_interval(samples: Sequence[float]) -> tuple[float, float]:
    """Return the order statistics that bound the median of independent samples, six at least."""
    first, last = median_ranks(len(samples)) or (-1, -1)
    assert first >= 0, "too few samples"
    return sorted(samples)[first], sorted(samples)[last]


def times(
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    *,
    between: float,
    within: float,
    rho: float = 0.5,
    tail: Tail = "normal",
    drift: float = 0.0,
) -> np.ndarray:
    """Return times [runs, processes, samples] about 1; `between`, `within` and `drift` are of their logarithms.

    `drift` is the standard deviation of how far a process's last sample has moved from its first.
    """
    own = scattered(rng, (*shape[:2], 1), between, tail)
    moved = rng.normal(0, drift, (*shape[:2], 1)) * np.linspace(-0.5, 0.5, shape[2])
    return np.exp(own + moved + within * correlated(rng, shape, rho))
