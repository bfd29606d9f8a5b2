"""What a cost of a network is expected to be, before it is measured.

A Gaussian process on the logarithms of counts and of speeds that others have published, and on the likeness of names,
says between which numbers the cost of each network lies; what was measured corrects it, and families left out say how
far it is off. Costs are logarithms.

Source: Rasmussen & Williams, Gaussian Processes for Machine Learning, 2006, 2.2 and 5.4, whose equation 5.12 gives, in
blocks, the residuals of families left out.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize
from scipy.sparse import csr_array
from scipy.special import gammaln, stdtr, stdtrit

_Floats = npt.NDArray[np.float64]
_Ints = npt.NDArray[np.intp]
_Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Entrants:
    """The networks of a race, in one order.

    Attributes:
        names: of networks, without their source and the tags of weights: the like of them is like in cost.
        accuracy: a share each.
        counts: MACs, activations, parameters, px and the like, [networks, counts]; positive, NaN where not known.
        times: what others have published, s, [networks, machines]; NaN where not known.
    """

    names: tuple[str, ...]
    accuracy: _Floats
    counts: _Floats
    times: _Floats

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, slots=True)
class Posterior:
    """What is expected of the costs of all entrants: Student's t around `mean`.

    Attributes:
        mean: logarithms, one an entrant.
        sd: their scale, likewise.
        df: degrees of freedom, of the tail that the errors of families left out have.
        error: the median of those errors, as a factor above one; NaN where there are none.
        coverage: how many of those costs lie in their 95 % interval, a share.
        odd: of entrants whose costs are far above what all others make of them, that.
    """

    mean: _Floats
    sd: _Floats
    df: float
    error: float
    coverage: float
    odd: dict[int, float]

    def interval(self, confidence: float = 0.95) -> tuple[_Floats, _Floats]:
        """Return between which logarithms the costs are expected."""
        half = np.asarray(self.sd * float(stdtrit(self.df, (1 + confidence) / 2)))
        return np.asarray(self.mean - half), np.asarray(self.mean + half)

    def below(self, limits: _Floats) -> _Floats:
        """Return the chance of each cost to be below its limit; one below infinity."""
        return np.where(np.isinf(limits), 1.0, stdtr(self.df, (limits - self.mean) / self.sd))


# Scales of the kernel: logarithm of the usual value, and of how far it may be from it.
_SCALES = {
    "linear": (math.log(1.0), 1.0),
    "smooth": (math.log(0.05), 1.0),
    "smooth_reach": (math.log(1.5), 0.7),
    "alike": (math.log(0.05), 1.0),
    "alike_reach": (math.log(1.5), 0.7),
    "family": (math.log(0.01), 1.0),
    "network": (math.log(0.01), 1.0),
    "noise": (math.log(0.003), 1.0),
    "unknown": (math.log(0.03), 1.0),
}
_USUAL = np.array([usual for usual, _ in _SCALES.values()])
_FAR = np.array([far for _, far in _SCALES.values()])
JITTER = 1e-8
_FAR_OFF, _BOUNDED = 2.0, 3  # standard deviations, and how often it is looked again
_ODD = 4.0  # standard deviations above what is expected of a network by all others


class CostModel:
    """A Gaussian process over the entrants of a race, on the logarithm of one of their costs.

    Written out, since its kernel is of several kinds of likeness, which scikit-learn's know nothing of: features
    (linear, smooth), names (character n-grams, families, the same network at another size), and a noise of its own for
    networks of which no speed is published.
    """

    def __init__(self, entrants: Entrants) -> None:
        features, self._unknown = _features(entrants)
        names = [
            re.sub(r"_\d{3}$", "", name) for name in entrants.names
        ]  # without a size of images at the end
        self._linear = features @ features.T / features.shape[1] + 1.0
        squares = (features**2).sum(1)
        apart = squares[:, None] + squares[None, :] - 2 * features @ features.T
        self._apart = np.maximum(apart, 0.0) / features.shape[1]
        self._alike = _likeness(names)
        families = np.array([_family_of(name) for name in entrants.names])
        self._family = np.equal.outer(families, families)
        self._network = np.equal.outer(np.array(names), np.array(names))
        self._families = families
        self._scales, self._fitted = _USUAL.copy(), 0
        self._rough = np.zeros(len(self._unknown))  # what is added to the variance of costs that are far off

    def posterior(self, measured: _Ints, costs: _Floats, few: _Mask | None = None) -> Posterior:
        """Return what is expected of the costs of all E entrants, once some are known.

        Args:
            measured: [M] which entrants these are, at least one.
            costs: [M] the logarithms of their costs.
            few: [M] which of them are of so few processes that one which was slow as a whole is the cost. What others
                make of these bounds how far they draw what is expected; none where it is not given.
        """
        centre = float(np.median(costs))
        few = np.zeros(len(measured), dtype=bool) if few is None else few
        self._bound(measured, costs - centre, few)
        if len(measured) >= 1.2 * self._fitted:
            self._fit(measured, costs - centre)
            self._bound(measured, costs - centre, few)
        scale, every = self._exp(), np.arange(len(self._unknown))
        root = cholesky(self._noisy(measured), lower=True)
        across = solve_triangular(root, self._kernel(measured, every), lower=True)
        mean = centre + across.T @ solve_triangular(root, costs - centre, lower=True)
        own = self._diagonal() - (across**2).sum(0) + scale["noise"] + self._unknown * scale["unknown"]
        inverse = cho_solve((root, True), np.eye(len(measured)))
        weights = inverse @ (costs - centre)
        alone = weights / np.diag(inverse)  # by how much each is missed where it alone is left out
        far = np.flatnonzero(alone > _ODD * np.sqrt(1 / np.diag(inverse) - self._rough[measured]))
        errors, deviations = self._left_out(measured, inverse, weights)
        df, wider = _tail(deviations)
        bound = wider * float(stdtrit(df, 0.975))
        return Posterior(
            mean=mean,
            sd=wider * np.sqrt(np.maximum(own, JITTER)),
            df=df,
            error=float(np.exp(np.median(np.abs(errors)))) if len(errors) else math.nan,
            coverage=float(np.mean(np.abs(deviations) <= bound)) if len(errors) else math.nan,
            odd={int(measured[i]): float(costs[i] - alone[i]) for i in far},
        )

    def covariance(self, measured: _Ints, some: _Ints) -> tuple[_Floats, _Floats]:
        """Return what is left of the covariance of some entrants [S, S], and the variance of the noise of each [S].

        Both are of logarithms.

        Args:
            measured: [M] which entrants' costs are known.
            some: [S] of which entrants.
        """
        root = cholesky(self._noisy(measured), lower=True)
        across = solve_triangular(root, self._kernel(measured, some), lower=True)
        scale = self._exp()
        noise = scale["noise"] + self._unknown[some] * scale["unknown"]
        return self._kernel(some, some) - across.T @ across, noise

    def _exp(self) -> dict[str, float]:
        return dict(zip(_SCALES, np.exp(self._scales).tolist(), strict=True))

    def _kernel(self, rows: _Ints, columns: _Ints) -> _Floats:
        scale, at = self._exp(), np.ix_(rows, columns)
        smooth = scale["smooth"] * np.exp(-self._apart[at] / (2 * scale["smooth_reach"] ** 2))
        alike = scale["alike"] * np.exp(-self._apart[at] / (2 * scale["alike_reach"] ** 2)) * self._alike[at]
        named = scale["family"] * self._family[at] + scale["network"] * self._network[at]
        return np.asarray(scale["linear"] * self._linear[at] + smooth + alike + named)

    def _diagonal(self) -> _Floats:
        scale = self._exp()
        same = scale["smooth"] + scale["alike"] + scale["family"] + scale["network"]
        return scale["linear"] * np.diag(self._linear) + same

    def _noisy(self, rows: _Ints) -> _Floats:
        return self._kernel(rows, rows) + self._noise(rows)

    def _noise(self, rows: _Ints) -> _Floats:
        scale = self._exp()
        return np.diag(scale["noise"] + self._unknown[rows] * scale["unknown"] + self._rough[rows] + JITTER)

    def _bound(self, measured: _Ints, costs: _Floats, few: _Mask) -> None:
        """Add so much to the variance of costs of few processes that none is further off than `_FAR_OFF` deviations.

        That is by what all others make of each, as in Huber's estimator; those of more processes are taken as they are.
        """
        self._rough[:] = 0.0
        if not few.any():
            return
        kernel = self._kernel(measured, measured)
        for _ in range(_BOUNDED):
            inverse = np.linalg.inv(kernel + self._noise(measured))
            alone, rough = (inverse @ costs) / np.diag(inverse), self._rough[measured]
            variance = 1 / np.diag(inverse) - rough
            self._rough[measured] = np.where(few, np.maximum(0.0, (alone / _FAR_OFF) ** 2 - variance), 0.0)

    def _fit(self, measured: _Ints, costs: _Floats) -> None:
        """Take the most likely scales, by what was measured and by how far they are from the usual ones."""
        at = np.ix_(measured, measured)
        apart, eye = self._apart[at], np.eye(len(measured))
        rough = np.diag(self._rough[measured] + JITTER)

        def loss(scales: _Floats) -> tuple[float, _Floats]:
            s = dict(zip(_SCALES, np.exp(scales), strict=True))
            smooth = s["smooth"] * np.exp(-apart / (2 * s["smooth_reach"] ** 2))
            alike = s["alike"] * np.exp(-apart / (2 * s["alike_reach"] ** 2)) * self._alike[at]
            parts = [s["linear"] * self._linear[at], smooth, alike, s["family"] * self._family[at]]
            parts += [s["network"] * self._network[at], s["noise"] * eye]
            parts.append(np.diag(s["unknown"] * self._unknown[measured]))
            root = cholesky(sum(parts) + rough, lower=True)
            inverse = cho_solve((root, True), eye)
            weights = inverse @ costs
            away = (scales - _USUAL) / _FAR
            value = 0.5 * costs @ weights + np.log(np.diag(root)).sum() + 0.5 * away @ away
            linear, smooth, alike, *others = parts
            reaches = smooth * apart / s["smooth_reach"] ** 2, alike * apart / s["alike_reach"] ** 2
            slopes = inverse - np.outer(weights, weights)
            derivatives = [linear, smooth, reaches[0], alike, reaches[1], *others]
            return float(value), np.array([0.5 * (slopes * d).sum() for d in derivatives]) + away / _FAR

        self._scales = minimize(loss, self._scales, jac=True, method="L-BFGS-B", options={"maxiter": 30}).x
        self._fitted = len(measured)

    def _left_out(self, measured: _Ints, inverse: _Floats, weights: _Floats) -> tuple[_Floats, _Floats]:
        """Return by how much each cost is missed where its whole family is left out, and that over its deviation.

        Args:
            measured: [M] which entrants' costs are known.
            inverse: [M, M] of their covariance.
            weights: [M] that, times the costs around their mean.
        """
        errors, deviations = np.empty(len(measured)), np.empty(len(measured))
        for family in np.unique(self._families[measured]):
            own = np.flatnonzero(self._families[measured] == family)
            spread = np.linalg.inv(inverse[np.ix_(own, own)])
            errors[own] = spread @ weights[own]
            deviations[own] = errors[own] / np.sqrt(np.diag(spread))
        return errors, deviations


def _family_of(name: str) -> str:
    """Return the letters that a name begins with: ``efficientnet`` of `tf_efficientnet_b0`."""
    letters = re.match(r"[^\W\d_]+", name.removeprefix("tf_"))
    return letters[0] if letters else name


def _likeness(names: Sequence[str]) -> _Floats:
    """Return how alike names are, from 0 to 1: the cosine of their character n-grams, the rarer the weightier.

    Source: Salton & Buckley, Term-weighting approaches in automatic text retrieval, Information Processing & Management
    24, 1988; the same numbers as scikit-learn's `TfidfVectorizer`, which takes a second to import.
    """
    grams = [Counter(_grams(name)) for name in names]
    within = Counter(gram for own in grams for gram in own)
    place = {gram: i for i, gram in enumerate(within)}
    rare = np.array([math.log((1 + len(names)) / (1 + count)) + 1 for count in within.values()])
    rows = np.repeat(np.arange(len(names)), [len(own) for own in grams])
    columns = np.array([place[gram] for own in grams for gram in own])
    weights = np.array([1 + math.log(count) for own in grams for count in own.values()]) * rare[columns]
    lengths = np.sqrt(np.bincount(rows, weights**2))
    vectors = csr_array((weights / lengths[rows], (rows, columns)), shape=(len(names), len(within)))
    return np.asarray((vectors @ vectors.T).todense(), dtype=np.float64)


def _grams(name: str) -> Iterator[str]:
    """Yield the runs of two to five letters of a name's words, which begin and end with a space."""
    for word in re.sub(r"[\d_\W]+", " ", name.removeprefix("tf_")).split() or ["none"]:
        spaced = f" {word} "
        for length in range(2, min(5, len(spaced)) + 1):
            yield from (spaced[i : i + length] for i in range(len(spaced) - length + 1))


def _features(entrants: Entrants) -> tuple[_Floats, _Floats]:
    """Return logarithms of counts and of published times, of mean 0 and deviation 1, and 1 where one is not known.

    A count that is not known has the value that a linear fit to those gives it which are known of all networks; a time,
    that of a fit to the counts.
    """
    ones = np.ones((len(entrants), 1))
    counts = np.log(entrants.counts)
    missing = np.isnan(counts)
    counts = _scaled(_filled(counts, np.column_stack([counts[:, ~missing.any(0)], ones])))
    times = np.log(entrants.times)
    known = ~np.isnan(times)
    times = _scaled(_filled(times[:, known.any(0)], np.column_stack([counts, ones])))
    uncounted = (missing & ~missing.all(0)).any(1)
    unknown = ((~known).all(1) & known.any()) | uncounted
    return np.column_stack([counts, times]), np.asarray(unknown, dtype=np.float64)


def _filled(columns: _Floats, by: _Floats) -> _Floats:
    """Return columns with a linear fit to others, [rows, others], where they are NaN; 0 where nothing is known."""
    filled = columns.copy()
    for column in filled.T:
        missing = np.isnan(column)
        if missing.all():
            column[:] = 0.0
        elif missing.any():
            column[missing] = by[missing] @ np.linalg.lstsq(by[~missing], column[~missing], rcond=None)[0]
    return filled


def _scaled(columns: _Floats) -> _Floats:
    spread = columns.std(0)
    return np.asarray((columns - columns.mean(0)) / np.where(spread > 0, spread, 1.0))


_TAILS = (3.0, 4.0, 5.0, 7.0, 10.0, 20.0, 50.0)
_WIDER = (0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4, 1.7, 2.0, 2.5)


def _tail(deviations: _Floats) -> tuple[float, float]:
    """Return the degrees of freedom and the scale of Student's t under which deviations are the most likely.

    Few say little of it: they are taken together with ten of a normal distribution of the scale expected.
    """
    usual = np.array([-1.64, -1.04, -0.67, -0.39, -0.13, 0.13, 0.39, 0.67, 1.04, 1.64])
    every = np.concatenate([deviations, usual])
    df, scale = np.array(_TAILS)[:, None], np.array(_WIDER)
    norm = gammaln((df + 1) / 2) - gammaln(df / 2) - 0.5 * np.log(df * math.pi) - np.log(scale)
    squares = (every / scale[:, None]) ** 2
    likelihoods = len(every) * norm - (df + 1) / 2 * np.log1p(squares / df[..., None]).sum(axis=-1)
    row, column = divmod(int(np.argmax(likelihoods)), len(_WIDER))
    return _TAILS[row], _WIDER[column]
