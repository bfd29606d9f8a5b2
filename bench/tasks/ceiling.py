"""The task `ceiling`: of the machine alone, the rate of matrix products in a precision, and the copy bandwidth.

A process may be slow as a whole, by a third or by seven times, and most networks would then be faster than the machine.
So there are three, and of each quantity the best counts, as a ceiling is what can be reached: see
`bench.analysis.roofline`.
"""

from __future__ import annotations

from collections.abc import Iterator

from bench.errors import UnsupportedError
from bench.plan.job import Job
from bench.plan.settings import Device, Keys, OnDevice, Processes, Replicate, Timing
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
        replicate: number of a process among those in which it is measured, three where none is named.
    """

    timing: Timing = Timing(warmup_s=0.1, min_s=0.1, limit_s=0.4)
    replicate: Replicate | None = None


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
        processes=Processes(least=3, most=3),
    ),
)
