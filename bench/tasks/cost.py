"""The task `cost`: counted, no clock: parameters, multiply-accumulates, activations, the receptive field."""

from __future__ import annotations

from collections.abc import Iterator

from bench.plan.job import Job
from bench.plan.settings import Settings, ShapeKeys
from bench.plan.task import TASKS, Hooks, Quantity, Task
from bench.records.record import Measurement

_GUESS_S = 2.0

QUANTITIES = (
    Quantity("parameters", "1", "lower", "Parameters", "shape", show="always"),
    Quantity("macs", "MAC", "lower", "MACs", "shape", show="always"),
    Quantity("macs_second", "MAC", "lower", summary="shape", beside="macs"),
    Quantity("macs_gap", "1", "lower", summary="shape", beside="macs"),
    Quantity("uncounted_share", "1", "lower", summary="shape", beside="macs"),
    Quantity("operations", "op", "lower", summary="shape", beside="macs"),
    Quantity("activations", "1", "lower", "Activations", "shape", narrow=False),
    Quantity("matrix_activations", "1", "lower", summary="shape", beside="activations"),
    Quantity("parameter_bytes", "B", "lower", "Memory of the parameters", "shape", beside="activations"),
    Quantity("activation_bytes", "B", "lower", "Memory of the activations", "shape", beside="activations"),
    Quantity("receptive_field", "px", "neither", "Receptive field", "shape", cell="whole", narrow=False),
    Quantity("layers", "1", "neither"),
)


def _run(job: Job, hooks: Hooks) -> Iterator[Measurement]:
    """Count the network; what was counted before it failed is yielded before the failure is raised."""
    from bench.costs import COSTS
    from bench.tasks._networks import check, imported, subject_of, tell_of_other_form

    arch = imported(job, hooks)
    hooks.stage("build")
    subject = subject_of(arch, job)
    hooks.stage("check")
    tell_of_other_form(subject.model, hooks)
    failure = subject.trace.failure
    for name in COSTS:
        if failure is None:
            hooks.stage(name)
        yield from COSTS.get(name)(subject)
    if failure is not None:
        raise failure
    hooks.stage("check")
    check(subject.trace.result, job)


TASKS.add(
    "cost",
    Task(
        place=1,
        keys=ShapeKeys,
        settings=Settings,
        run=_run,
        estimate=lambda *_: _GUESS_S,
        quantities=QUANTITIES,
        at_once=lambda _job, cores: cores,
        alone=False,
    ),
)
