"""The task `train_step`: a step of forward, backward and optimiser, its phases, its peak memory and energy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bench.plan.card import ArchCard
from bench.plan.estimate import called_s
from bench.plan.expand import Catalog
from bench.plan.job import Job
from bench.plan.settings import Timed, TimedKeys
from bench.plan.task import TASKS, Hooks, Outline, Quantity, Task, own_shape
from bench.records.record import Measurement

_GUESS_S = {"cpu": 5.0, "cuda": 6.0}
_FORWARDS = 40  # a step is of three, and takes several passes: warming up, memory, sampling and its phases

_QUANTITIES = (
    Quantity("step_time", "s", "lower", about="time of a step of forward, backward and optimiser"),
    Quantity(
        "train_throughput",
        "1/s",
        "higher",
        "Training throughput",
        "rate",
        of="step_time",
        marked=True,
        about="images per second of such steps",
    ),
    Quantity(
        "train_tensor_memory",
        "B",
        "lower",
        "Training memory of tensors",
        "batch",
        of="tensor_memory",
        narrow=False,
        marked=True,
        exact=True,
        about="most bytes of tensors alive at once in a step, counted",
    ),
    Quantity(
        "train_peak_memory",
        "B",
        "lower",
        "Training peak memory",
        "batch",
        of="peak_memory",
        narrow=False,
        about="most bytes in a step, libraries' memory included",
    ),
    Quantity(
        "train_energy",
        "J",
        "lower",
        "Training energy of an image",
        "batch",
        of="energy",
        narrow=False,
        about="energy of one image of a step, idle power included",
    ),
    Quantity("forward", "s", "lower", about="time of the forward pass alone"),
    Quantity("backward", "s", "lower", about="time of the backward pass alone"),
    Quantity("optimizer", "s", "lower", about="time of the optimiser's step alone"),
    Quantity("forward_peak_memory", "B", "lower", about="most bytes within the forward pass"),
    Quantity("backward_peak_memory", "B", "lower", about="most bytes within the backward pass"),
    Quantity("optimizer_peak_memory", "B", "lower", about="most bytes within the optimiser's step"),
)


def _outline(keys: TimedKeys, card: ArchCard, catalog: Catalog) -> Outline:
    """Return the outline of a job in the shape that is asked for, refused for what has no training."""
    return replace(own_shape(keys, card, catalog), refusal=card.untrained)


def _run(job: Job[Timed], hooks: Hooks) -> Iterator[Measurement]:
    """Time the network's training steps as its backend runs them, then their energy and the tensors that they hold."""
    from bench.tasks._calls import EAGER, backend_of, doubts_of_memory, tensors, with_doubts, with_energy
    from bench.tasks._step import ready_step
    from bench.timing.steps import Instruments, measure_training

    backend = backend_of(job)
    tools = Instruments.of(job.device)
    phases, results = ready_step(backend, job, hooks, tools.latency)
    yield from results
    measured = measure_training(phases, job.settings.timing, tools, hooks.stage)
    for measurement in with_energy(measured, phases, job, hooks, tools):
        yield with_doubts(measurement, {"B": doubts_of_memory(backend, job)})
    if job.settings.backend == EAGER:
        yield from tensors(phases, phases.held, job, hooks)


TASKS.add(
    "train_step",
    Task(
        place=3,
        about="times a step of forward, backward and optimiser, and its phases; measures memory and energy",
        keys=TimedKeys,
        settings=Timed,
        run=_run,
        estimate=lambda job, work: called_s(job, _GUESS_S, work, _FORWARDS),
        quantities=_QUANTITIES,
        batch_column="train_batch_size",
        batch_title="Training batch",
        outline=_outline,
    ),
)
