"""The Slurm executor: each job of a run is a job of Slurm's, by submitit; homes and results are on shared storage.

BENCH_SLURM says how many of them there may be at once, and what each asks for in submitit's words, on equal nodes:
``slots=4,slurm_partition=gpu,gpus_per_node=1,cpus_per_task=8``. Without cards in it, they are of CPUs. What is told of
a job comes with its end, and its checkpoints with it.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from bench.errors import ConfigError, UnsupportedError, install_tip
from bench.execution import EXECUTORS, ExecutorKind
from bench.execution._agent import Agent, Left, Message, jobs_folder
from bench.execution._cluster import ClusterExecutor, Node
from bench.execution._copies import Copies
from bench.execution.executors._node import NodeAgent
from bench.execution.executors.process import ProcessExecutor
from bench.execution.places import PlaceLostError
from bench.plan.expand import Catalog, Planned

_REQUEST = "BENCH_SLURM"
_MARGIN_S = 600.0  # beyond a job's own limit: for its start, its files and its images


class _SlurmAgent:
    """Does each call in a job of Slurm's.

    Args:
        submit: `(function, arguments, limit in s)` to the job, as submitit has it.
        here: an agent of this machine, which sees the same disk.
        names: see `NodeAgent`.
        copies: see `NodeAgent`.
    """

    def __init__(self, submit: Callable[..., Any], here: Agent, names: Sequence[str], copies: Copies) -> None:
        self._submit, self._here, self._start = submit, here, (names, copies)
        self._running: set[Any] = set()
        self._guard = threading.Lock()

    def machine(self) -> Catalog:
        """Return what a machine of its kind is."""
        machine: Catalog = self._call(_machine, (), _MARGIN_S)
        return machine

    def work(self, run: str, name: str, planned: Planned, files: Mapping[str, bytes]) -> Iterator[Message]:
        return iter(self._call(_work, (run, name, planned, files), planned.timeout_s + _MARGIN_S))

    def _call(self, function: Callable[..., Any], arguments: tuple[object, ...], limit_s: float) -> Any:
        job = self._submit(function, (*self._start, *arguments), limit_s)
        with self._guard:
            self._running.add(job)
        try:
            return job.result()
        except Exception as error:  # of submitit, or what was raised there
            last = str(error).strip().splitlines()[-1:] or [type(error).__name__]
            raise PlaceLostError(
                f"Slurm's job {job.job_id} failed: {last[0]}", f"see {job.paths.stderr}"
            ) from error
        finally:
            with self._guard:
                self._running.discard(job)

    def lying(self, run: str) -> Iterable[Left]:
        return self._here.lying(run)

    def stored(self, run: str, jobs: Sequence[str]) -> None:
        self._here.stored(run, jobs)

    def cancel(self) -> None:
        with self._guard:
            for job in self._running:
                job.cancel()


def _machine(names: Sequence[str], copies: Copies) -> Catalog:
    return NodeAgent(names, copies).machine()


def _work(names: Sequence[str], copies: Copies, *arguments: Any) -> list[Message]:
    return list(NodeAgent(names, copies).work(*arguments))


class _SlurmFleet:
    """So many jobs of Slurm's at once.

    Args:
        request: see the module.
        names: see `NodeAgent`.

    Raises:
        UnsupportedError: if submitit is not installed.
        ConfigError: if the request is none.
    """

    def __init__(self, request: str, names: Sequence[str] = ()) -> None:
        try:
            import submitit
        except ImportError as error:
            raise UnsupportedError("submitit is not installed", install_tip("slurm")) from error
        self.names = names
        self._values = _read(request)
        self._slots = self._values.pop("slots", 1)
        self._cluster = self._values.pop("cluster", None)
        self._submitit = submitit
        self._agents: list[_SlurmAgent] = []

    def nodes(self) -> Sequence[Node]:
        """Return a node for each slot: with so many cards, or a CPU."""
        cards = int(bool(self._values.get("gpus_per_node", 0)))
        return [
            Node(name=f"slot-{slot}", key=f"slot-{slot}", has_cpu=not cards, cards=cards, at_once=1)
            for slot in range(self._slots)
        ]

    def start(self, node: Node, cards: int, copies: Copies) -> _SlurmAgent:  # noqa: ARG002 (all slots are alike)
        """Return an agent, which begins with its first job."""
        folder = jobs_folder()

        def submit(function: Callable[..., object], arguments: tuple[object, ...], limit_s: float) -> object:
            executor = self._submitit.AutoExecutor(folder.with_name("slurm"), cluster=self._cluster)
            executor.update_parameters(name="bench", timeout_min=math.ceil(limit_s / 60), **self._values)
            return executor.submit(function, *arguments)

        agent = _SlurmAgent(submit, Agent(ProcessExecutor(self.names), folder), self.names, copies)
        self._agents.append(agent)
        return agent

    def close(self) -> None:
        """Cancel what is still under way."""
        for agent in self._agents:
            with contextlib.suppress(PlaceLostError):
                agent.cancel()


def _read(request: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for word in filter(None, request.split(",")):
        key, equals, value = word.partition("=")
        if not equals or (key == "slots" and not (value.isdigit() and int(value))):
            message = f"{_REQUEST}: {word!r} is no key and value"
            raise ConfigError(message, "such as slots=4,slurm_partition=gpu,gpus_per_node=1")
        values[key.strip()] = int(value) if value.isdigit() else value
    return values


def _make(names: Sequence[str] = ()) -> ClusterExecutor:
    """Return the executor; Slurm is asked when it is first needed."""
    return ClusterExecutor(lambda: _SlurmFleet(os.environ.get(_REQUEST, ""), names), ProcessExecutor(names))


EXECUTORS.add("slurm", ExecutorKind("each job as one of Slurm's; needs the extra `slurm`", _make))
