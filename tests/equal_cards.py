"""Three equal cards that are made up, jobs for them, when they run on a fake clock; and a cluster of such nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from conftest import make_catalog, make_planned, ok_events, seconds
from fake_crew import FakeCrew, Span
from fake_executor import FakeExecutor

from bench.execution import Ended
from bench.execution._sharing import share_out
from bench.execution.places import Place, PlaceLostError, places_for
from bench.plan.expand import Catalog, Planned

CARDS = [{"name": "NVIDIA H100", "uuid": f"GPU-{c}", "memory_B": 80, "driver": "580"} for c in "abc"]


def host(*cards: dict[str, Any], **fields: Any) -> Catalog:
    """Return the catalog of a host with these cards."""
    env = {"cpu": {"model": "test", "cores": 8}, "packages": {"torch": "2.11"}, "gpu": list(cards)}
    devices = ("cpu", *(f"cuda:{i}" for i in range(len(cards))))
    return make_catalog("net", "other", devices=devices, environment=env, **fields)


def timed(count: int, **fields: Any) -> list[Planned]:
    """Return jobs that are timed on any card."""
    settings = {"device": "cuda:0", "batch_size": 1, **fields.pop("settings", {})}
    jobs = [make_planned(task="infer", seed=i, settings=settings) for i in range(count)]
    return [replace(job, any_card=True, **fields) for job in jobs]


def costs(count: int) -> list[Planned]:
    return [make_planned(seed=i) for i in range(count)]


def on_cpu(count: int, task: str = "infer", **settings: Any) -> list[Planned]:
    return [make_planned(task=task, seed=i, settings={"device": "cpu", **settings}) for i in range(count)]


def executor(cores: int = 8) -> FakeExecutor:
    made = FakeExecutor(lambda *_: (ok_events(seconds("latency", 1.0)), Ended()))
    made.at_once = cores
    return made


def places(cores: int = 8, *cards: dict[str, Any]) -> tuple[Place, ...]:
    return places_for(timed(1), executor(cores), host(*(cards or CARDS)))


def schedule(jobs: Sequence[Planned], where: Sequence[Place], **fields: Any) -> list[Span]:
    """Return when and where each job ran, on a fake clock."""
    crew = FakeCrew(**fields)
    for _ in share_out(jobs, where, crew, lambda *_: None):
        pass
    return crew.spans


def at_once(spans: Sequence[Span]) -> int:
    """Return how many ran at the same time at most."""
    return max(sum(s.begin_s <= one.begin_s < s.end_s for s in spans) for one in spans)


def overlap(one: Span, other: Span) -> bool:
    return one.begin_s < other.end_s and other.begin_s < one.end_s


class Cluster(FakeExecutor):
    """An executor with places of its own: so many nodes of one card each, some of which go away in their n-th call."""

    def __init__(self, nodes: int, dies: dict[str, int] | None = None, **cards: str) -> None:
        super().__init__(lambda *_: (ok_events(seconds("latency", 1.0)), Ended()))
        self.nodes, self.dies, self.cards = nodes, dies or {}, cards

    def places(self, plan: Sequence[Planned], catalog: Catalog) -> list[Place]:
        return [self.node(f"node-{i}", catalog) for i in range(self.nodes)]

    def node(self, name: str, catalog: Catalog) -> Place:
        env = {**catalog.environment, "gpu": [{**CARDS[0], "uuid": f"GPU-{name}"}]}
        takes = frozenset({"cpu", "cuda", "cuda:0"})
        return Place(name=name, executor=Node(self, name), environment=env, takes=takes, host=name, cores=1)


class Node(FakeExecutor):
    def __init__(self, cluster: Cluster, name: str) -> None:
        super().__init__(cluster.play)
        self.name, self.left = name, cluster.dies.get(name)

    def call(self, target: str, args: tuple[Any, ...], **kwargs: Any) -> Ended:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise PlaceLostError("the node is gone")
        return super().call(target, args, **kwargs)
