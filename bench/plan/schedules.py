"""Schedules of the learning rate, as recipes write them; `bench.training.optimiser` computes their values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from bench.plan.settings import Frozen

KINDS = ("triangle", "cosine", "steps", "plateau")


class Strict(Frozen, strict=True):
    """A part of a recipe: "1" is no number and 1.5 no count, it says what it means."""


class Triangle(Strict):
    """Up to the peak, then down, both linear.

    Attributes:
        warm_up: share of the steps before the peak, 0 to 1.
        final: the rate at the end, as a share of the peak.
        start: the rate at the start, likewise.
    """

    kind: Literal["triangle"] = "triangle"
    warm_up: float = Field(ge=0, lt=1)
    final: float = Field(ge=0, le=1)
    start: float = Field(default=0.0, ge=0, le=1)


class Cosine(Strict):
    """Up from zero to the peak, linear, then down along half a period of a cosine.

    Source: Loshchilov and Hutter, arXiv:1608.03983, without restarts.

    Attributes:
        warm_up: share of the steps before the peak, 0 to 1.
        final: the rate at the end, as a share of the peak.
    """

    kind: Literal["cosine"]
    warm_up: float = Field(ge=0, lt=1)
    final: float = Field(ge=0, le=1)


class Steps(Strict):
    """At the peak from the start, and multiplied by a factor at some moments.

    Attributes:
        at: these moments, as shares of the steps, increasing.
        factor: of each.
    """

    kind: Literal["steps"]
    at: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], Field(strict=False, min_length=1)]
    factor: float = Field(gt=0, lt=1)

    @model_validator(mode="after")
    def _increase(self) -> Steps:
        if list(self.at) != sorted(set(self.at)):
            raise ValueError("the shares in at must increase")
        return self


class Plateau(Strict):
    """At the peak from the start, and multiplied by a factor when the validation error stops falling.

    Attributes:
        factor: of each time.
        patience: epochs without a lower error that are waited through; the one after them lowers the rate.
    """

    kind: Literal["plateau"]
    factor: float = Field(gt=0, lt=1)
    patience: int = Field(ge=0)


def _triangle_unless_named(value: object) -> object:
    return {"kind": "triangle", **value} if isinstance(value, Mapping) else value


Schedule = Annotated[
    Triangle | Cosine | Steps | Plateau, Field(discriminator="kind"), BeforeValidator(_triangle_unless_named)
]
