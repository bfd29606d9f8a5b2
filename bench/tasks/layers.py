"""The task `layers`: where the time of a network goes, module call by module call, beside what each call does.

The whole is timed in passes of its own, in turn with those of the layers; see `bench.timing.layers` for the method.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated

from pydantic import AfterValidator

from bench.plan.card import ArchCard
from bench.plan.estimate import called_s
from bench.plan.expand import Catalog
from bench.plan.job import Job
from bench.plan.settings import Timed, TimedKeys, Timing
from bench.plan.task import TASKS, Hooks, Outline, Quantity, Task, own_shape
from bench.records.record import Measurement

_GUESS_S = {"cpu": 5.0, "cuda": 5.0}
_FORWARDS = 20

_QUANTITIES = (
    Quantity("network_time", "s", "lower", about="time of the whole network, in passes without any stamp"),
    Quantity("layers_time", "s", "lower", about="time of all layers together, in passes of their own"),
    Quantity("explained_share", "1", "neither", about="time of the layers as a share of the network's"),
    Quantity("peak_memory", "B", "lower", about="most bytes in a training step, libraries' memory included"),
)


class LayersSettings(Timed):
    """Settings of this task.

    Attributes:
        training: whether a training step is timed, its backward pass by layer as well.
        timing: of whole and layers together. Samples of all layers are stored, so that there are not too many of them.
    """

    training: Annotated[bool | None, AfterValidator(lambda on: on or None)] = None
    timing: Timing = Timing(warmup_s=0.3, min_s=0.3, limit_s=4.0, max_samples=50)


class _LayersKeys(LayersSettings, TimedKeys, extra="forbid", frozen=True):
    """What a block of this task may give."""


def _outline(keys: _LayersKeys, card: ArchCard, catalog: Catalog) -> Outline:
    """Return the outline of a job in the shape that is asked for, refused for what has no training."""
    return replace(own_shape(keys, card, catalog), refusal=card.untrained if keys.training else None)


def _run(job: Job[LayersSettings], hooks: Hooks) -> Iterator[Measurement]:
    """Time the network and its layers in turn."""
    from bench.tasks._layers import measure

    yield from measure(job, hooks)


TASKS.add(
    "layers",
    Task(
        place=8,
        about="times a network layer by layer, beside the whole",
        keys=_LayersKeys,
        settings=LayersSettings,
        run=_run,
        estimate=lambda job, work: called_s(job, _GUESS_S, work, _FORWARDS),
        quantities=_QUANTITIES,
        outline=_outline,
        matched=False,
    ),
)
