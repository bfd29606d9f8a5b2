"""An executor that looks at networks and data as the real ones do, and comes to made numbers at once where they measure.

So a command is carried out as it is written, to its report, in the time that it takes to plan it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Iterator
from typing import Any

import pytest
from conftest import seconds
from figure_records import layer_records
from make_records import NETS, counted, trained

from bench.execution import EXECUTORS, Ended, ExecutorKind, Send
from bench.execution._targets import load_target
from bench.plan.job import Job
from bench.records.record import Measurement, count

TYPICAL_S = 0.012  # of one image, but for a share that depends on the network's name


class StandIn:
    """Calls what asks about networks, data and the machine; of a job it sends made measurements.

    Jobs of the tasks in `real` are run in this process.
    """

    at_once = 1

    def __init__(self, real: Collection[str] = ()) -> None:
        self.jobs: list[Job] = []
        self.real = real

    def call(self, target: str, args: tuple[Any, ...], *, timeout_s: float, on_event: Send) -> Ended:
        if not target.endswith(":work") or args[0].task in self.real:
            load_target(target)(on_event, *args)
            return Ended()
        self.jobs.append(args[0])
        for each in made(args[0]):
            on_event(("measurement", each))
        on_event(("outcome", ("ok", None)))
        return Ended()

    def cancel(self) -> None:
        """Nothing is ever under way."""

    def close(self) -> None:
        """Nothing is held."""


def instead_of_all(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """Put one in the place of every executor, and return it."""
    executor = StandIn()
    EXECUTORS.load()
    for name in EXECUTORS.names():
        monkeypatch.setitem(EXECUTORS._units, name, ExecutorKind("made numbers", lambda *_: executor))
    return executor


def time_of(network: str, process: int = 0) -> float:
    """Return the time of one image, s: the network's own, by its name without folders, and 1 % from process to process."""
    network = network.rpartition("/")[2]
    own = 1 + (sum(map(ord, network)) % 97) / 97
    return TYPICAL_S * own * (1 + 0.01 * math.sin(7 * process + len(network)))


def made(job: Job) -> Iterator[Measurement]:
    """Yield what a job might measure."""
    given, rng = job.settings.given, random.Random(job.seed)
    one = time_of(job.arch, given.get("replicate") or 0)
    batch = given.get("batch_size", 1)
    if job.task == "cost":
        yield from counted(NETS[0])
    elif job.task == "accuracy":
        yield from trained(NETS[0], given.get("epochs") or 3, rng)
    elif job.task == "ceiling":
        yield Measurement(name="matmul_rate", unit="MAC/s", better="higher", samples=(6e11,))
        yield Measurement(name="copy_bandwidth", unit="B/s", better="higher", samples=(2e10,))
    elif job.task == "layers":
        yield from next(layer_records(NETS[0], 1)).measurements
    elif job.task == "evaluate":
        for name, share in (("top1", 0.8), ("top5", 0.95)):
            yield Measurement(
                name=name,
                unit="1",
                better="higher",
                samples=(share,),
                detail={"correct": round(share * 20), "images": 20, "classes": 10, "network_outputs": 1000},
            )
    elif job.task == "versus":
        for label in given["labels"]:
            for name, size in (("latency", 1), ("step_time", batch)):
                took = [size * time_of(label, given["replicate"]) * (1 + i / 1000) for i in range(10)]
                yield Measurement(
                    name=name,
                    unit="s",
                    better="lower",
                    samples=tuple(took),
                    detail={"label": label, "batch_size": size},
                )
    else:
        for name in ("latency", "step_time")[batch != 1 :]:
            yield seconds(name, *(one * batch * (1 + i / 1000) for i in range(8)))
        yield count("tensor_memory", 50_000_000, "B")
        yield count("peak_memory", 90_000_000, "B")
