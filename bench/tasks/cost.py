"""The task `cost`: counted, no clock: parameters, multiply-accumulates, activations, the receptive field."""

from __future__ import annotations

from collections.abc import Iterator

from bench.plan.job import Job
from bench.plan.settings import Settings, ShapeKeys
from bench.plan.task import TASKS, Hooks, Quantity, Task
from bench.records.record import Measurement

_GUESS_S = 0.5

_QUANTITIES = (
    Quantity(
        "parameters",
        "1",
        "lower",
        "Parameters",
        "shape",
        about="trained numbers of the network; shared ones count once, buffers not",
    ),
    Quantity(
        "macs",
        "MAC",
        "lower",
        "MACs",
        "shape",
        about="multiply-accumulates of convolutions, linear layers and attention for one image",
    ),
    Quantity(
        "macs_second", "MAC", "lower", summary="shape", beside="macs", about="the same by torch's own counter"
    ),
    Quantity(
        "macs_gap",
        "1",
        "lower",
        summary="shape",
        beside="macs",
        cell="share",
        about="by how much the two counters differ, as a share of the larger",
    ),
    Quantity(
        "uncounted_share",
        "1",
        "lower",
        summary="shape",
        beside="macs",
        cell="share",
        about="share of operations that may multiply and have no rule",
    ),
    Quantity(
        "operations",
        "op",
        "lower",
        summary="shape",
        beside="macs",
        about="element-wise work, norms and pooling for one image, apart from MACs",
    ),
    Quantity(
        "activations",
        "1",
        "lower",
        "Activations",
        "shape",
        narrow=False,
        about="numbers that layers, and functions between them, write for one image",
    ),
    Quantity(
        "matrix_activations",
        "1",
        "lower",
        summary="shape",
        beside="activations",
        about="those of convolutions and matrix products",
    ),
    Quantity(
        "parameter_bytes",
        "B",
        "lower",
        "Memory of the parameters",
        "shape",
        beside="activations",
        about="what the parameters take in memory",
    ),
    Quantity(
        "activation_bytes",
        "B",
        "lower",
        "Memory of the activations",
        "shape",
        beside="activations",
        about="what the outputs of layers take together for one image",
    ),
    Quantity(
        "receptive_field",
        "px",
        "neither",
        "Receptive field",
        "shape",
        cell="whole",
        narrow=False,
        about="pixels of one side that the last local unit can see",
    ),
    Quantity("layers", "1", "neither", about="the layer table, in the detail"),
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
        about="counts, without a clock: parameters, multiply-accumulates, activations, the receptive field",
        keys=ShapeKeys,
        settings=Settings,
        run=_run,
        estimate=lambda *_: _GUESS_S,
        quantities=_QUANTITIES,
        at_once=lambda _job, cores: cores,
        alone=False,
    ),
)
