"""Places: where the jobs of a run go, to each as many at a time as it has room for.

Most runs have one place, the host as a whole. Where several equal cards are asked for, each of them is a place beside
the host; an executor of other machines has places of its own, see `_Spread`. What runs at a place:

- a job on a card has its card to itself, and a core of the host;
- a job without a clock takes a core, a training on the CPU the cores that it has threads for;
- a job that is timed on a CPU has the host to itself, its cards included;
- the processes of one time go to whichever equal card is free, in the drawn order of each round: so their interval
  holds what cards differ by, and no network has the better one. What is compared in turn is one process, on one card.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

from bench.errors import BenchError
from bench.execution import Ended, Executor, Send
from bench.execution._wants import NO_CLOCK, wanted
from bench.io import JsonObject
from bench.plan.expand import Catalog, Planned
from bench.plan.job import card_of
from bench.plan.task import TASKS
from bench.records.record import Record

HOST = "host"  # the place beside those of its cards
_VISIBLE = "CUDA_VISIBLE_DEVICES"


class PlaceLostError(BenchError):
    """A place is gone, such as a node that was switched off; raised by the `call` of its executor.

    The job that ran there is tried again elsewhere, and nothing more goes there.
    """


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Place:
    """Where a job runs.

    Attributes:
        name: for progress, such as ``cuda:1`` or ``node-2/cuda:0``; no two places of a run have the same.
        executor: runs calls there, several at once each from a thread of its own. Where the place is gone it raises
            `PlaceLostError`.
        environment: what a record made there carries, as `bench.records.environment.machine` has it; its cards are in
            the order in which a job there counts them.
        takes: what jobs want that go there, see `wanted`; of no matter where there is one place alone.
        host: whose cores it shares with other places; empty for this machine, whose devices this process locks. On
            others the executor does.
        cores: of the host.
        carry_out: `(planned, folder of the run, hear)` does a whole job on another machine, where its record is made;
            it raises as the executor does. None where calls go to the executor.
    """

    name: str
    executor: Executor
    environment: JsonObject
    takes: frozenset[str] = frozenset()
    host: str = ""
    cores: int = 1
    carry_out: Callable[[Planned, Path, Send], Record] | None = None

    @property
    def is_here(self) -> bool:
        """Whether it is on this machine."""
        return not self.host

    def devices(self, planned: Planned) -> dict[str, str]:
        """Return what a job holds there: each device as it calls it, by its name everywhere, such as a UUID."""
        if not TASKS.get(planned.job.task).alone:
            return {}
        called = {d: card_of(self.environment, d).get("uuid") or d for d in planned.job.devices if d != "cpu"}
        cpu = {"cpu": "cpu"} if "cpu" in planned.job.devices else {}
        return cpu | {str(uuid): device for device, uuid in sorted(called.items())}

    def cores_of(self, planned: Planned) -> int:
        """Return how many cores of the host a job takes there."""
        if planned.status is not None:
            return 0
        if planned.job.device_kind != "cpu":
            return 1
        beside = TASKS.get(planned.job.task).at_once(planned.job, self.cores)
        return max(1, self.cores // max(1, beside))


@runtime_checkable
class _Spread(Executor, Protocol):
    """An executor with places of its own."""

    def places(self, plan: Sequence[Planned], catalog: Catalog) -> Sequence[Place]:
        """Return the places for the jobs of a plan, those before others that jobs are to be given to first."""


@runtime_checkable
class Remote(_Spread, Protocol):
    """One whose places are on other machines, which keep the records that they make until they are stored."""

    def survey(self, catalog: Catalog) -> Catalog:
        """Return the catalog of a plan with the machines of the places instead of this one."""

    def collect(self, run: Path) -> int:
        """Bring what earlier invocations of a run have left at the places into its store; return how many records."""

    def stored(self, job_id: str) -> None:
        """Be told that the record of a job is in the store, and need not be kept elsewhere any more."""


def places_for(plan: Sequence[Planned], executor: Executor, catalog: Catalog) -> tuple[Place, ...]:
    """Return the places of a run: those of the executor, or the host, and each of several equal cards asked for.

    Where the executor runs one job at a time, the host is one place.
    """
    if isinstance(executor, _Spread):
        return tuple(executor.places(plan, catalog))
    cores = executor.at_once
    host = Place(name="", executor=executor, environment=catalog.environment, cores=cores)
    if cores < 2 or not any(p.any_card and p.status is None for p in plan):
        return (host,)
    spread = frozenset(wanted(p) for p in plan if p.any_card)
    cards = (
        Place(
            name=f"cuda:{index}",
            executor=_CardExecutor(executor, _visible(catalog.environment, index)),
            environment=_with_card_first(catalog.environment, index),
            takes=spread,
            cores=cores,
        )
        for index in catalog.equal_cards
    )
    others = frozenset(wanted(p) for p in plan if not p.any_card)
    return (*cards, replace(host, name=HOST, takes=others | {"cpu", NO_CLOCK}))


def _with_card_first(environment: JsonObject, index: int) -> dict[str, object]:
    """Return the environment of a process that is shown the card of this number alone, as its first."""
    cards = list(environment.get("gpu", ()))
    order = [index, *(i for i in range(len(cards)) if i != index)]
    reasons = {_renumbered(path, order): why for path, why in environment.get("unknown", {}).items()}
    variables = {**environment.get("variables", {}), _VISIBLE: _visible(environment, index)}
    return {
        **environment,
        "gpu": [cards[i] for i in order],
        "variables": dict(sorted(variables.items())),
        "unknown": reasons,
    }


def _renumbered(path: str, order: Sequence[int]) -> str:
    head, _, rest = path.partition(".")
    number, dot, field = rest.partition(".")
    if head != "gpu" or not number.isdigit() or int(number) not in order:
        return path
    return f"gpu.{order.index(int(number))}{dot}{field}"


def _visible(environment: JsonObject, index: int) -> str:
    """Return the CUDA_VISIBLE_DEVICES of a process that is to see one card alone: its UUID, or else its number."""
    cards: Sequence[Mapping[str, object]] = environment.get("gpu", ())
    uuid = str(cards[index].get("uuid") or "") if index < len(cards) else ""
    if uuid.startswith(("GPU-", "MIG-")):
        return uuid
    shown = [name for name in str(environment.get("variables", {}).get(_VISIBLE, "")).split(",") if name]
    return shown[index] if index < len(shown) else str(index)


@dataclass(slots=True)
class _CardExecutor:
    """An executor each of whose calls sees one card alone, as ``cuda:0``."""

    executor: Executor
    card: str
    at_once: int = 1

    def call(self, target: str, args: tuple[object, ...], *, timeout_s: float, on_event: Send) -> Ended:
        own = (self.card, target, args)
        return self.executor.call(
            "bench.execution._targets:with_card", own, timeout_s=timeout_s, on_event=on_event
        )

    def cancel(self) -> None:
        self.executor.cancel()  # of all cards: they are of one run

    def close(self) -> None:
        self.executor.close()
