"""The Ray executor: a run's jobs at all nodes of a Ray cluster, each in a process of its own as on one machine.

Ray starts an agent for each card and for each CPU, with the resources that it needs and no retries of its own; which
job goes where is this run's to say, see `bench.execution._cluster`. RAY_ADDRESS, or `--ray-address`, says which
cluster: ``host:port`` of its head, or ``auto`` for the one of this machine; without it, one of this machine alone is
begun. Nodes have the same version of bench, and of torch but for what it was built for; others are told, and not used.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.errors import BenchError, UnsupportedError, install_tip, typed_text
from bench.execution import EXECUTORS, ExecutorKind
from bench.execution._agent import Left, Message
from bench.execution._cluster import ClusterExecutor, Node
from bench.execution._copies import Copies
from bench.execution.executors._node import NodeAgent
from bench.execution.executors.process import ProcessExecutor
from bench.execution.places import PlaceLostError
from bench.io import JsonObject
from bench.plan.expand import Catalog, Planned

_ADDRESS = "RAY_ADDRESS"
_ANSWER_S = 10.0  # within which the head of a cluster, and then its nodes, answer
_START_S = 180.0  # within which an agent has begun; a card that others hold is not waited for any longer
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # an agent of a CPU need not see no cards
    "RAY_DISABLE_FAILURE_SIGNAL_HANDLER": "1",  # else SIGTERM prints what Ray's own code was at
}
# Of a cluster of this machine alone. Whatever Ray does while a job is timed takes a core away from it: idle, its
# processes took 2.8 % of one as they come, and about 1 % with a few more of these settings than stand here. Nor is its
# guard of the memory to end jobs: they have a status.
_IDLE = {
    "RAY_worker_niceness": "0",
    "RAY_enable_worker_prestart": "0",
    "RAY_prestart_worker_first_driver": "0",
    "RAY_enable_metrics_collection": "0",
    "RAY_event_stats": "0",
    "RAY_task_events_report_interval_ms": "0",
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_raylet_report_resources_period_milliseconds": "1000",
    "RAY_gcs_pull_resource_loads_period_milliseconds": "10000",
}
# Of Ray's node: who reads its logs, and who asks for more machines.
_UNUSED = ("start_log_monitor", "start_monitor")


class _NiceNode(NodeAgent):
    """The agent of a node at the priority of all others: Ray's workers step back, and what is timed would wait."""

    def __init__(self, names: Sequence[str], copies: Copies) -> None:
        with contextlib.suppress(OSError):  # only root may; RAY_worker_niceness=0 is for others, see README
            os.setpriority(os.PRIO_PROCESS, 0, 0)
        super().__init__(names, copies)


class _RayAgent:
    """An agent on a node, called by Ray."""

    def __init__(self, ray: Any, actor: Any) -> None:
        self.ray, self.actor = ray, actor

    def machine(self) -> Catalog:
        machine: Catalog = self._get(self.actor.machine.remote(), _START_S)
        return machine

    def work(self, run: str, name: str, planned: Planned, files: Mapping[str, bytes]) -> Iterator[Message]:
        return self._each(self.actor.work.options(num_returns="streaming").remote(run, name, planned, files))

    def lying(self, run: str) -> Iterable[Left]:
        return self._each(self.actor.lying.options(num_returns="streaming").remote(run))

    def stored(self, run: str, jobs: Sequence[str]) -> None:
        # Waited for: a job that is tried again must not find it half gone.
        self._get(self.actor.stored.remote(run, jobs), _ANSWER_S)

    def cancel(self) -> None:
        self._get(self.actor.cancel.remote(), _ANSWER_S)

    def _each(self, stream: Iterator[Any]) -> Iterator[Any]:
        while True:
            try:
                reference = next(stream)
            except StopIteration:
                return
            except self.ray.exceptions.RayError as error:
                raise self._lost(_gone(error)) from error
            yield self._get(reference)

    def _get(self, reference: Any, timeout_s: float | None = None) -> Any:
        try:
            return self.ray.get(reference, timeout=timeout_s)
        except self.ray.exceptions.GetTimeoutError:
            why = f"no answer within {timeout_s:g} s: others hold what it needs, or it hangs"
        except self.ray.exceptions.RayTaskError as error:
            why = typed_text(error.cause)
        except self.ray.exceptions.RayError as error:
            why = _gone(error)
        raise self._lost(why)

    def _lost(self, why: str) -> PlaceLostError:
        return PlaceLostError(why, "look at the cluster with `ray status`, then run again")


def _gone(error: Exception) -> str:
    """Return in one line what Ray tells over many."""
    return f"the node, or the agent on it, is gone ({type(error).__name__})"


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


class _RayFleet:
    """Agents on the nodes of a Ray cluster.

    Args:
        address: of the cluster; None begins one of this machine.
        names: of networks that will be asked for, see `bench.execution.ExecutorKind`.

    Raises:
        UnsupportedError: if Ray is not installed.
        BenchError: if no cluster answers there, or one of another version.
    """

    def __init__(self, address: str | None, names: Sequence[str] = ()) -> None:
        os.environ.update({key: os.environ.get(key, value) for key, value in _QUIET.items()})
        try:
            import ray
        except ImportError as error:
            raise UnsupportedError("ray is not installed", install_tip("ray")) from error
        self.ray, self.names = ray, names
        self.actors: list[object] = []
        self._cores: dict[str, int] = {}
        self.is_ours = not ray.is_initialized()
        _keep_off_stdout()
        if self.is_ours:
            self._connect(address)

    def _connect(self, address: str | None) -> None:
        here = address in (None, "local")
        if not here and address != "auto":
            _check_answer(str(address))
        try:
            with _sigterm_as_before(), _quiet() if here else contextlib.nullcontext():
                self.ray.init(
                    address=address or "local",
                    namespace="bench",
                    log_to_driver=False,
                    logging_level=logging.CRITICAL,
                    **({"include_dashboard": False} if here else {}),
                )
        except Exception as error:  # of another version, say; Ray has no class of its own for most of it
            raise BenchError(
                f"no Ray cluster at {address or 'local'}: {_first_line(error)}", _START
            ) from error

    def nodes(self) -> Sequence[Node]:
        """Return the nodes that are there, with what of them cannot be used."""
        alive = [node for node in self.ray.nodes() if node["Alive"]]
        versions = self._versions([node["NodeID"] for node in alive])
        here = _version_probe()()
        hosts = [node["NodeManagerHostname"] for node in alive]
        named = []
        for node, host in zip(alive, hosts, strict=True):
            key, resources = node["NodeID"], node["Resources"]
            self._cores[key] = int(versions[key].get("cores") or 1)
            named.append(
                Node(
                    name=host if hosts.count(host) == 1 else f"{host}-{key[:4]}",
                    key=key,
                    has_cpu=resources.get("CPU", 0) >= 1,
                    cards=int(resources.get("GPU", 0)),
                    refusal=_refusal(here, versions[key]),
                )
            )
        return named

    def _versions(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return by node what is installed there; ``error`` where it does not say so."""
        probe = self.ray.remote(_version_probe())
        asked = {
            key: probe.options(num_cpus=0, max_retries=0, scheduling_strategy=self._on(key)).remote()
            for key in keys
        }
        self.ray.wait(list(asked.values()), num_returns=len(asked), timeout=_START_S)
        answers = {}
        for key, reference in asked.items():
            try:
                answers[key] = self.ray.get(reference, timeout=0)
            except self.ray.exceptions.RayError as error:
                answers[key] = {"error": _first_line(error)}
        return answers

    def _on(self, key: str) -> Any:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        return NodeAffinitySchedulingStrategy(key, soft=False)

    def start(self, node: Node, cards: int, copies: Copies) -> _RayAgent:
        """Start an agent on a node; Ray holds so many of its cards for it."""
        actor = (
            self.ray.remote(_NiceNode)
            .options(
                num_cpus=0,
                num_gpus=cards,
                max_restarts=0,
                max_task_retries=0,
                max_concurrency=self._cores[node.key] + 4,  # and as many again that cancel or let go
                scheduling_strategy=self._on(node.key),
            )
            .remote(self.names, copies)
        )
        self.actors.append(actor)
        return _RayAgent(self.ray, actor)

    def close(self) -> None:
        """End all agents, and the cluster where it was begun here."""
        for actor in self.actors:
            with contextlib.suppress(self.ray.exceptions.RayError):
                self.ray.kill(actor)
        if self.is_ours:
            self.ray.shutdown()


@contextlib.contextmanager
def _sigterm_as_before() -> Iterator[None]:
    """Leave SIGTERM to whoever heeds it; Ray lets it end the process."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Let a cluster that is begun meanwhile do nothing that is not needed here."""
    from ray._private.node import Node as RayNode

    before = {name: os.environ.get(name) for name in _IDLE}
    unused = {name: method for name in _UNUSED if (method := getattr(RayNode, name, None)) is not None}
    os.environ.update({name: own or _IDLE[name] for name, own in before.items()})
    for name in unused:
        setattr(RayNode, name, lambda _: None)
    try:
        yield
    finally:
        for name, method in unused.items():
            setattr(RayNode, name, method)
        for name, own in before.items():
            if own is None:
                del os.environ[name]


def _keep_off_stdout() -> None:
    """Keep Ray from printing on stdout what ends on its nodes: JSON may stand there, and lost nodes are told anyway."""
    from ray._private import worker

    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda *_, **__: None


_START = "start one with `ray start --head`, or leave --ray-address out to use this machine alone"


def _check_answer(address: str) -> None:
    """Raise an error at once where nobody answers; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if "://" in address or not host or not port.isdigit():
        message = f"--ray-address {address} is no address of the head of a cluster"
        raise BenchError(message, "such as 10.0.0.1:6379, as `ray start --head` prints it, or auto")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_ANSWER_S).close()
    except (OSError, OverflowError) as error:
        raise BenchError(f"no Ray cluster answers at {address}: {error}", _START) from error


def _refusal(here: JsonObject, there: JsonObject) -> str | None:
    """Return why a node cannot be used, from what is installed here and there; None where it can."""
    if error := there.get("error"):
        return f"it does not answer: {error}"
    if there.get("bench") is None:
        return f"it has no bench ({there.get('no_bench')}): install {here['bench']} there, as it is installed here"
    for name in ("bench", "torch"):
        own, other = (str(at.get(name)).partition("+")[0] for at in (here, there))
        if own != other:
            return f"it has {name} {other}, and here is {own}: install that there"
    if here.get("files") != there.get("files"):
        return f"its bench {here['bench']} has other files than that here: install the same there"
    return None


def _version_probe() -> Callable[[], dict[str, object]]:
    """Return a function that says what is installed; made here, as one of a module would need bench to be there."""

    def versions() -> dict[str, object]:
        import contextlib
        import hashlib
        import importlib.metadata
        import os

        known: dict[str, object] = {"bench": None, "torch": None, "cores": os.cpu_count()}
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            known["torch"] = importlib.metadata.version("torch")
        try:
            import bench
        except ImportError as error:
            return {**known, "no_bench": str(error)}
        files = hashlib.sha256()
        root = Path(bench.__file__).parent
        for file in sorted(root.rglob("*.py")):
            files.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
        return {**known, "bench": bench.__version__, "files": files.hexdigest()}

    return versions


def _make(names: Sequence[str] = ()) -> ClusterExecutor:
    """Return the executor; the cluster is connected to when it is first needed."""
    return ClusterExecutor(lambda: _RayFleet(os.environ.get(_ADDRESS) or None, names), ProcessExecutor(names))


EXECUTORS.add("ray", ExecutorKind("at every node of a Ray cluster; needs the extra `ray`", _make))
