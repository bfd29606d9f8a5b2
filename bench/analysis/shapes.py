"""Shapes of images: which rows of the comparison are of the one that they were trained in, or published for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bench.plan.task import INPUT

TRAINED = ("trained_size", "trained_channels", "trained_classes")
"""Columns of the shape that a network was trained in, in the order of `INPUT`."""

_PUBLISHED = ("published_size", "published_channels", "published_classes")
_NEAR = 9 / 8  # of sides: of weights published at two sizes that near, the accuracies are 0.6 points apart


def as_trained(table: pd.DataFrame) -> pd.Series[bool]:
    """Return which rows were counted and timed in the shape of their short training; none of int8, as below."""
    return _same(table, INPUT, TRAINED) & _unquantised(table)


def as_published(table: pd.DataFrame, shape: Sequence[str] = INPUT) -> pd.Series[bool]:
    """Return in which rows such a shape is the one that the network's accuracy is published for, its size nearly.

    In none of int8: what an engine that quantises has left of a network's accuracy is known by evaluating it alone.
    """
    near: pd.Series[bool] = near_published(table, shape[0])
    return near & _same(table, shape[1:], _PUBLISHED[1:]) & _unquantised(table)


def near_published(table: pd.DataFrame | Mapping[str, Any], size: str = INPUT[0]) -> Any:
    """Return whether a column of sizes has nearly the size that accuracies are published for, of a row or of all."""
    ratio = table[size] / table[_PUBLISHED[0]]
    return (ratio <= _NEAR) & (ratio >= 1 / _NEAR)


def _unquantised(table: pd.DataFrame) -> pd.Series[bool]:
    return ~table["precision"].isin(["int8"])


def _same(table: pd.DataFrame, shape: Sequence[str], other: Sequence[str]) -> pd.Series[bool]:
    pairs = [table[one] == table[another] for one, another in zip(shape, other, strict=True)]
    return pd.concat(pairs, axis=1).all(axis=1)
