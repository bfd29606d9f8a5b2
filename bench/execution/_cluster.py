"""The cluster: jobs at the nodes of several machines, as places of one run that is led from here.

Whatever starts processes on the nodes, such as Ray, is a `_Fleet`. On each node an agent has the CPU, and an agent each
card or group of cards; `bench.execution._agent` is what it does there. Networks are looked at here, and their files
travel. What is timed or trained goes to nodes of one kind, so that no network has the better machine, unless its
`device_type` names another one; what is counted goes to all of them. Nodes of two kinds are never mixed in one number.
"""

from __future__ import annotations

import contextlib
import re
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from bench.errors import BenchError
from bench.execution import Ended, Executor, Send
from bench.execution._agent import Left, Message
from bench.execution._copies import Copies, copies_of
from bench.execution._wants import wanted
from bench.execution.places import Place, PlaceLostError
from bench.io import write_file
from bench.plan.expand import Catalog, Planned, is_of_type
from bench.plan.task import TASKS
from bench.records import environment
from bench.records.job_files import JobFile
from bench.records.line import decode
from bench.records.record import Record
from bench.records.store import Store

_TOKEN = ".cluster"  # of a run's folder: tells the run from all others on the nodes
_TOKEN_TEXT = re.compile(rb"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Node:
    """A machine of a cluster.

    Attributes:
        name: for progress; no two nodes have the same.
        key: what the cluster tells it by.
        has_cpu: whether jobs may run on its CPU.
        cards: those that it gives.
        at_once: jobs that may run there at once; None leaves it to its cores.
        refusal: why it cannot be used, where that is so.
    """

    name: str
    key: str = ""
    has_cpu: bool = True
    cards: int = 0
    at_once: int | None = None
    refusal: str | None = None


class _RemoteAgent(Protocol):
    """An agent on a node, see `bench.execution._agent.Agent`; each method raises `PlaceLostError` where it is gone."""

    def machine(self) -> Catalog:
        """Return what its machine is."""

    def work(self, run: str, name: str, planned: Planned, files: Mapping[str, bytes]) -> Iterator[Message]:
        """Do a job."""

    def lying(self, run: str) -> Iterable[Left]:
        """Return what lies there of a run."""

    def stored(self, run: str, jobs: Sequence[str]) -> None:
        """Let it go."""

    def cancel(self) -> None:
        """End the jobs under way."""


class _Fleet(Protocol):
    """What starts agents on nodes."""

    def nodes(self) -> Sequence[Node]:
        """Return the nodes that are there."""

    def start(self, node: Node, cards: int, copies: Copies) -> _RemoteAgent:
        """Start an agent on a node for so many of its cards, or for its CPU; it need not have begun on return."""

    def close(self) -> None:
        """End all agents, and let go of the cluster."""


@dataclass(frozen=True, slots=True, eq=False)
class _Station:
    """An agent on a node, and what its machine is.

    Attributes:
        name: of its place.
        node: that it is on.
        agent: it.
        machine: what it counts as its own: a CPU, or cards from ``cuda:0`` on.
        kind: cpu or cuda.
    """

    name: str
    node: Node
    agent: _RemoteAgent
    machine: Catalog
    kind: str

    @property
    def key(self) -> str:
        """What must agree for two numbers to stand for one another, but for which card of a model it is."""
        devices = ("cuda:0",) if self.kind == "cuda" else ()
        return environment.key(self.machine.environment, devices, any_card=True)

    def suits(self, planned: Planned, usual: Mapping[str, str]) -> bool:
        """Return whether a job may run there; `usual` says by kind of device which machines all others go to."""
        job = planned.job
        if not TASKS.get(job.task).alone:
            return True
        if planned.status is not None or not set(job.devices) <= {*self.devices}:
            return False
        if device_type := job.settings.device_type:
            return is_of_type(self.machine.environment, job.device, device_type)
        return self.key == usual[self.kind]

    def work(self, run: str, name: str, planned: Planned, files: Mapping[str, bytes]) -> Iterator[Message]:
        """Yield what is told of a job.

        Raises:
            PlaceLostError: if the agent is gone, or its machine cannot keep records, as where its disk is full.
        """
        try:
            yield from self.agent.work(run, name, planned, files)
        except PlaceLostError:
            raise
        except BenchError as error:
            raise PlaceLostError(error.message, error.tip) from error

    @property
    def devices(self) -> tuple[str, ...]:
        """Those that jobs may run on there."""
        return ("cpu",) if self.kind == "cpu" else self.machine.devices[1:]


class ClusterExecutor:
    """Runs the jobs of a plan at the nodes of a cluster, and looks at networks on this machine.

    Args:
        connect: returns the cluster.
        local: looks at networks.
    """

    def __init__(self, connect: Callable[[], _Fleet], local: Executor) -> None:
        self._connect, self._local = connect, local
        self._fleet: _Fleet | None = None
        self._stations: list[_Station] = []
        self._unused: dict[str, str] = {}
        self._unstored: dict[str, tuple[_RemoteAgent, str]] = {}
        self._guard = threading.Lock()
        self.at_once = local.at_once

    def call(self, target: str, args: tuple[object, ...], *, timeout_s: float, on_event: Send) -> Ended:
        """Run a call on this machine: it is about a plan, and no job."""
        return self._local.call(target, args, timeout_s=timeout_s, on_event=on_event)

    def cancel(self) -> None:
        """End the jobs under way on all nodes."""
        self._local.cancel()
        for station in self._stations:
            with contextlib.suppress(PlaceLostError):
                station.agent.cancel()

    def close(self) -> None:
        """End all agents."""
        if self._fleet is not None:
            self._fleet.close()
        self._local.close()

    def survey(self, catalog: Catalog) -> Catalog:
        """Return the catalog with the machines of the cluster instead of this one; agents are started there.

        Raises:
            BenchError: if the cluster does not answer, or no node of it can be used.
        """
        cards = [card for cards in catalog.archs.values() for card in cards]
        if self._fleet is None:
            self._fleet = self._connect()
            self._start(self._fleet, copies_of(cards))
        if not self._stations:
            reasons = "; ".join(f"{name}: {why}" for name, why in self._unused.items()) or "it has none"
            raise BenchError(f"no node of the cluster can be used: {reasons}", "see --ray-address")
        return _of_cluster(catalog, self._stations, tuple(self._unused.items()))

    def _start(self, fleet: _Fleet, copies: Copies) -> None:
        """Start an agent for each place of all nodes at once; note which cannot be used."""
        wishes = []
        for node in fleet.nodes():
            if node.refusal is not None:
                self._unused[node.name] = node.refusal
                continue
            wishes += [(node, f"{node.name}/cpu", "cpu")] * node.has_cpu
            wishes += [(node, f"{node.name}/cuda:{card}", "cuda") for card in range(node.cards)]

        def station(wish: tuple[Node, str, str]) -> _Station | BenchError:
            node, name, kind = wish
            try:
                agent = fleet.start(node, int(kind == "cuda"), copies)
                return _Station(name, node, agent, agent.machine(), kind)
            except BenchError as error:
                return error

        pool = ThreadPoolExecutor(max(1, len(wishes)))
        try:
            for (_, name, _), made in zip(wishes, pool.map(station, wishes), strict=True):
                if isinstance(made, _Station):
                    self._stations.append(made)
                else:
                    self._unused[name] = made.message
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # Ctrl-C does not wait for nodes that are silent

    def places(self, plan: Sequence[Planned], catalog: Catalog) -> Sequence[Place]:  # noqa: ARG002
        """Return a place for each card and each CPU of the cluster, with what of the plan goes there."""
        usual = _usual(self._stations)
        return [
            Place(
                name=station.name,
                executor=self,
                environment=station.machine.environment,
                takes=frozenset(wanted(p) for p in plan if station.suits(p, usual)),
                host=station.node.key or station.node.name,
                cores=station.node.at_once or station.machine.threads,
                carry_out=self._at(station),
            )
            for station in self._stations
        ]

    def _at(self, station: _Station) -> Callable[[Planned, Path, Send], Record]:
        def carry_out(planned: Planned, run: Path, hear: Send) -> Record:
            with self._guard:  # the first jobs of a run may all find no token yet
                token = _token_of(run)
            checkpoint = JobFile.checkpoint.path(run, planned.job.id)
            name = checkpoint.relative_to(run).as_posix()
            files = {name: checkpoint.read_bytes()} if checkpoint.is_file() else {}
            for kind, value in station.work(token, run.resolve().name, planned, files):
                if kind == "record":
                    self._unstored[planned.job.id] = station.agent, token
                    return decode(value)
                if kind == "file":
                    name, content = value
                    write_file(run / name, content)
                else:
                    hear((kind, value))
            raise PlaceLostError(f"{station.name} sent no record", "look at its logs")

        return carry_out

    def stored(self, job_id: str) -> None:
        """Let a node know that the record of a job, which it keeps, is in the store."""
        agent, token = self._unstored.pop(job_id, (None, ""))
        if agent is not None:
            with contextlib.suppress(PlaceLostError):
                agent.stored(token, [job_id])

    def collect(self, run: Path) -> int:
        """Bring what lies on the nodes of an earlier run into its store, and return how many records that were."""
        token, count = _token_of(run), 0
        with Store(run) as store:
            known = {_identity(record) for record in store.run.records}
            for station in {s.node.name: s for s in self._stations}.values():
                with contextlib.suppress(PlaceLostError):
                    for left in list(station.agent.lying(token)):
                        count += _keep(left, store, known)
                        station.agent.stored(token, [left.job])
        return count


def _keep(left: Left, store: Store, known: set[tuple[object, ...]]) -> int:
    """Bring what has been left of a job into a store, and return how many records that were."""
    for name, content in left.files.items():
        path = store.path / name
        if not (path.parent.name == JobFile.checkpoint.value and path.exists()):
            write_file(path, content)
    records = [record for line in left.lines if _identity(record := decode(line)) not in known]
    for record in records:
        store.append(record.changed(attempt=store.attempts(record.job.id) + 1))
        known.add(_identity(record))
    return len(records)


def _identity(record: Record) -> tuple[object, ...]:
    """Return what tells a record from others of its job; it is the same on the node and in the store."""
    return record.job.id, record.started_at, record.duration_s


def _token_of(run: Path) -> str:
    """Return what tells a run from all others on the nodes; kept in its folder, with which it moves."""
    file = run / _TOKEN
    if not file.is_file() or not _TOKEN_TEXT.fullmatch(file.read_bytes()):
        write_file(file, uuid.uuid4().hex.encode())
    return file.read_text(encoding="ascii")


def _usual(stations: Sequence[_Station]) -> dict[str, str]:
    """Return by kind of device the key of most stations, of the first where several kinds have as many."""
    counts = {kind: Counter(s.key for s in stations if s.kind == kind) for kind in ("cpu", "cuda")}
    return {kind: max(of, key=lambda key: of[key]) for kind, of in counts.items() if of}


def _of_cluster(
    catalog: Catalog, stations: Sequence[_Station], unused: tuple[tuple[str, str], ...]
) -> Catalog:
    """Return a catalog of what the stations are; its environment is of those that most jobs go to."""
    usual = _usual(stations)
    first = {
        kind: next(s for s in stations if s.kind == kind and s.key == key) for kind, key in usual.items()
    }
    cards = first.get("cuda")
    cpus = [s.machine for s in stations if s.kind == "cpu" and s.key == usual["cpu"]]
    most = max((len(s.devices) for s in stations if s.kind == "cuda"), default=0)
    return replace(
        catalog,
        devices=(*["cpu"] * bool(cpus), *(f"cuda:{number}" for number in range(most))),
        threads=min((machine.threads for machine in cpus), default=catalog.threads),
        environment=(cards or first["cpu"]).machine.environment,
        machines={
            kind: tuple(s.machine.environment for s in stations if s.kind == kind) for kind in ("cpu", "cuda")
        },
        missing=(),  # what a node lacks it fetches itself
        no_cuda=None if cards else "no node of the cluster gives one",
        unused=unused,
    )
