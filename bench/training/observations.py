"""What is looked at beside a training: gradients at its start and its end, dead units, the step without its images.

All of it is done outside the timed parts, leaves the training as it is, and takes a few steps' time. Where a network
does not bear it, the measurement says so, and the training stands.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.datasets import Dataset, Images
from bench.plan.recipe import Recipe
from bench.records.record import Measurement
from bench.training.batches import Batches, Shape
from bench.training.dead_units import dead_units
from bench.training.fit import Fit
from bench.training.gradients import gradient_norms
from bench.training.learner import AUXILIARY_WEIGHT, outputs
from bench.training.synthetic import ENOUGH, synthetic_throughput
from bench.units import Better

GRADIENT_IMAGES = 32
DEAD_IMAGES = 64

Found = Mapping[str, Any]


def looks(
    train: Images, dataset: Dataset, recipe: Recipe, shape: Shape, device: torch.device
) -> dict[str, Callable[..., Any]]:
    """Return the arguments `before`, `after` and `last` of `bench.training.loop.fit`.

    The images are some of the training images as they are, the same ones for every network and seed.
    """

    def images(count: int) -> Batches:
        chance = torch.Generator().manual_seed(0)
        index = torch.randperm(len(train), generator=chance)[:count].sort().values
        return Batches(train.pick(index), dataset, shape, min(count, 2 * recipe.batch_size), device)

    def loss(result: Any, labels: Tensor) -> Tensor:
        logits, sides = outputs(result, dataset.card.num_classes)
        whole = partial(F.cross_entropy, target=labels, label_smoothing=recipe.label_smoothing)
        return whole(logits) + AUXILIARY_WEIGHT * sum(
            (whole(side) for side in sides), torch.zeros_like(logits[0, 0])
        )

    def gradients(model: nn.Module) -> Found:
        return gradient_norms(model, *next(images(GRADIENT_IMAGES).in_order()), loss)

    def dead(model: nn.Module) -> Found | None:
        return dead_units(model, (batch for batch, _ in images(DEAD_IMAGES).in_order()))

    return {
        "before": lambda model: _try(gradients, model),
        "after": lambda model: {"gradients": _try(gradients, model), "dead": _try(dead, model)},
        "last": partial(_try, synthetic_throughput),
    }


def _try(look: Callable[..., Any], *args: Any) -> Any:
    """Return what was seen, or in `error` why nothing was: no observation is worth a training."""
    try:
        return look(*args)
    except Exception as error:  # the network's, whatever it is
        return {"error": f"{type(error).__name__}: {error}"[:500]}


def observed(seen: Fit, throughput: tuple[float, ...]) -> Iterator[Measurement]:
    """Yield the measurements of what was looked at.

    `gradient_norm_start` and `gradient_norm_end`; `dead_units`, of networks with ReLU; `synthetic_share`, of trainings
    by one rank.

    Args:
        seen: of a training with `looks`.
        throughput: images/s of each epoch.
    """
    ended = seen.ended or {}
    for name, gradients in (
        ("gradient_norm_start", seen.started),
        ("gradient_norm_end", ended.get("gradients")),
    ):
        if gradients is not None:
            yield _measurement(name, "neither", gradients, "norm")
    if ended.get("dead") is not None:
        yield _measurement("dead_units", "lower", ended["dead"], "share")
    if seen.last is not None:
        found = dict(seen.last)
        if "error" not in found:
            found["share"] = median(throughput) / found["synthetic_throughput"]
        few = ("few_steps",) if found.get("steps", ENOUGH) < ENOUGH else ()
        yield _measurement("synthetic_share", "higher", found, "share", few)


def _measurement(
    name: str, better: Better, found: Found, key: str, flags: tuple[str, ...] = ()
) -> Measurement:
    return Measurement(
        name=name,
        unit="1",
        better=better,
        samples=(found.get(key, math.nan),),
        detail={k: v for k, v in found.items() if k != key},
        flags=("unobserved",) if "error" in found else flags,
    )
