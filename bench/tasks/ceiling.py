"""The task `ceiling`: of the machine alone, the rate of matrix products in a precision, and the copy bandwidth."""

from __future__ import annotations

from collections.abc import Iterator

from bench.errors import UnsupportedError
from bench.plan.job import Job
from bench.plan.settings import Device, Keys, OnDevice, Timing
from bench.plan.task import TASKS, Hooks, Quantity, Task
from bench.records.record import Measurement

_GUESS_S = {"cpu": 3.0, "cuda": 5.0}

_QUANTITIES = (
    Quantity("matmul_rate", "MAC/s", "higher", about="what matrix products reach on this machine"),
    Quantity("copy_bandwidth", "B/s", "higher", about="what copies reach, reading and writing counted"),
)


class _CeilingSettings(OnDevice):
    """Settings of this task.

    Attributes:
        timing: of each of the few measurements; all of them together take two seconds.
    """

    timing: Timing = Timing(warmup_s=0.1, min_s=0.1, limit_s=0.4)


class _CeilingKeys(_CeilingSettings, Keys, extra="forbid", frozen=True):
    """What a block of this task may give."""

    device: Device = "auto"


def _run(job: Job[_CeilingSettings], hooks: Hooks) -> Iterator[Measurement]:
    """Measure what the device can do at most."""
    import torch

    from bench.tasks._placing import DTYPES
    from bench.timing.ceilings import measure_ceilings
    from bench.timing.steps import Instruments
    from bench.training.config import AUTOCAST

    precision = job.settings.precision
    if precision == "int8":
        raise UnsupportedError(
            "torch has no ceiling of int8 here", "name the precision that eager multiplies in"
        )
    dtype = AUTOCAST.get(precision, DTYPES[precision])
    tools = Instruments.of(job.device)
    with torch.inference_mode():
        yield from measure_ceilings(job.device, dtype, job.settings.timing, tools, hooks.stage)


TASKS.add(
    "ceiling",
    Task(
        place=5,
        about="measures the machine alone: matrix products in a precision, and copies",
        keys=_CeilingKeys,
        settings=_CeilingSettings,
        run=_run,
        estimate=lambda job, _: _GUESS_S[job.device_kind],
        quantities=_QUANTITIES,
        subject=lambda _: "",
        matched=False,
    ),
)
