"""The task `versus`: several networks timed in turn in one process, for `bench compare` and `bench selftest`.

Only these plan it: all networks in one process, and that in several processes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from pydantic import BaseModel

from bench.plan.expand import Planned
from bench.plan.job import Job
from bench.plan.settings import Timed, Timing
from bench.plan.task import TASKS, Hooks, Quantity, Task
from bench.records.record import Measurement

_GUESS_S = 10.0

_QUANTITIES = (
    Quantity(
        "latency",
        "s",
        "lower",
        about="time of a call that is waited for, interleaved with calls of the other networks",
    ),
    Quantity(
        "step_time",
        "s",
        "lower",
        about="time of a call of the batch, interleaved with calls of the other networks",
    ),
    Quantity("overhead", "1", "lower", about="time of the harness, as a ratio to a bare loop"),
    Quantity("timer_resolution", "s", "lower", about="the least time that the clock can tell"),
)


class Network(BaseModel, frozen=True, extra="allow"):
    """One of the networks of a process.

    Attributes:
        label: its name among the others.
        slowdown: share of its own time that is added to each call, for tests of the harness itself.
    """

    label: str
    arch: str = ""
    input_size: int | None = None
    in_channels: int | None = None
    num_classes: int | None = None
    source_sha256: str | None = None
    slowdown: float = 0.0


class VersusSettings(Timed):
    """Settings of this task: those of the network in question when it is timed alone, and here.

    Attributes:
        networks: in the order of this process, which is turned from process to process.
        labels: of all of them, the network in question first.
        group: number of the comparison, in a self-test.
        harness: whether what the harness adds to a call is measured as well.
    """

    networks: tuple[Network, ...] = ()
    labels: tuple[str, ...] = ()
    group: int | None = None
    harness: bool = False


# For all networks of a process together; the process is what counts, so each takes little time.
_TIMING = Timing(warmup_s=0.2, min_s=0.4, limit_s=2.0, precision=0.005, min_samples=10)

SLOWDOWNS = (0.02, 0.05, 0.1)  # shares of its time, in tests of the harness itself


def versus(
    networks: Mapping[str, Planned],
    processes: int,
    *,
    timing: Timing = _TIMING,
    slowdown: Mapping[str, float] | None = None,
    group: int | None = None,
    harness: bool | None = None,
) -> list[Planned]:
    """Return a job for each process, in which all networks run in turn, each beginning with another.

    The first network, by label, is the one that is compared, the others are its baselines. For tests of the harness
    itself some are made slower by a share of their time; for `group` and `harness` see `VersusSettings`: None is not
    part of the jobs.
    """
    of_all = [_network(label, one.job, (slowdown or {}).get(label)) for label, one in networks.items()]
    first = next(iter(networks.values()))
    jobs = []
    for process in range(processes):
        turned = process % len(of_all)
        settings = {
            **first.job.settings.content,
            "timing": timing.model_dump(mode="json"),
            "networks": [*of_all[turned:], *of_all[:turned]],
            "labels": list(networks),
            "replicate": process,
            **({} if group is None else {"group": group}),
            **({} if harness is None else {"harness": harness}),
        }
        job = Job.from_json({**first.job.content(), "task": "versus", "settings": settings})
        jobs.append(replace(first, job=job))
    return jobs


def _network(label: str, job: Job, slowdown: float | None) -> dict[str, object]:
    """Return what the settings say of a network, as plain JSON values."""
    content = job.content()
    own = {key: content[key] for key in ("arch", "input_size", "in_channels", "num_classes", "source_sha256")}
    return {"label": label, **own, **({} if slowdown is None else {"slowdown": slowdown})}


def _run(job: Job[VersusSettings], hooks: Hooks) -> Iterator[Measurement]:
    """Time the networks in turn."""
    from bench.tasks._versus import measure_versus

    yield from measure_versus(job, hooks)


def _subject(job: Job[VersusSettings]) -> str:
    return f" {' '.join(job.settings.labels)} process {(job.settings.replicate or 0) + 1}"


TASKS.add(
    "versus",
    Task(
        place=6,
        about="times several networks interleaved in one process, for `bench compare` and `bench selftest`",
        keys=None,
        settings=VersusSettings,
        run=_run,
        estimate=lambda *_: _GUESS_S,
        quantities=_QUANTITIES,
        subject=_subject,
        matched=False,
    ),
)
