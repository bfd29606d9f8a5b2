"""The fake fleet: agents on nodes that are folders, which may be lost in the midst of a job."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from conftest import make_catalog
from fake_executor import FakeExecutor, Play

from bench.errors import BenchError
from bench.execution import Ended, Event
from bench.execution._agent import Agent, Left, Message
from bench.execution._cluster import Node
from bench.execution._copies import Copies
from bench.execution.places import PlaceLostError
from bench.plan.expand import Catalog, Planned


class FakeNode:
    """A machine of a fake cluster.

    Args:
        folder: its disk.
        play: how calls end on it, but for the probe.
        cpu: the model of its CPU.
        cards: the names of its cards.
        dies_after: so many messages of its jobs; None never.
        refusal: why it cannot be used.
        has_cpu: whether jobs may run on its CPU.
    """

    def __init__(
        self,
        folder: Path,
        play: Play,
        *,
        cpu: str = "test",
        cards: Sequence[str] = (),
        dies_after: int | None = None,
        refusal: str | None = None,
        has_cpu: bool = True,
    ) -> None:
        self.folder, self.play, self.cpu, self.cards = folder, play, cpu, cards
        self.dies_after, self.refusal, self.has_cpu = dies_after, refusal, has_cpu
        self.executors: list[FakeExecutor] = []

    @property
    def is_gone(self) -> bool:
        return self.dies_after is not None and self.dies_after <= 0

    def agent(self, card: int | None) -> Agent:
        """Return an agent of its CPU, or of a card, which sees that one first."""
        shown = (
            [*self.cards] if card is None else [self.cards[card], *self.cards[:card], *self.cards[card + 1 :]]
        )
        gpus = [{"name": name, "uuid": f"GPU-{self.folder.name}-{name}"} for name in shown]
        env = {"cpu": {"model": self.cpu, "cores": 2}, "packages": {"torch": "2.11"}, "gpu": gpus}
        devices = ("cpu",) if card is None else ("cpu", "cuda:0")

        def play(target: str, args: tuple[Any, ...]) -> tuple[Sequence[Event], Ended]:
            if target.endswith(":probe_machine"):
                return [("answer", make_catalog(environment=env, devices=devices))], Ended()
            return self.play(target, args)

        executor = FakeExecutor(play)
        executor.at_once = 2
        self.executors.append(executor)
        return Agent(executor, self.folder)

    def calls(self, name: str) -> list[tuple[Any, ...]]:
        """Return the arguments of all calls of a function."""
        return [args for e in self.executors for target, args in e.calls if target.endswith(f":{name}")]


class FakeAgent:
    """An agent on a node that may be gone."""

    def __init__(self, node: FakeNode, agent: Agent) -> None:
        self.node, self.agent = node, agent

    def _alive(self) -> Agent:
        if self.node.is_gone:
            raise PlaceLostError(f"{self.node.folder.name} is gone")
        return self.agent

    def machine(self) -> Catalog:
        return self._alive().machine()

    def work(self, run: str, name: str, planned: Planned, files: Mapping[str, bytes]) -> Iterator[Message]:
        for message in self._alive().work(run, name, planned, files):
            self._alive()
            if self.node.dies_after is not None:
                self.node.dies_after -= 1
            yield message

    def lying(self, run: str) -> Iterable[Left]:
        return self._alive().lying(run)

    def stored(self, run: str, jobs: Sequence[str]) -> None:
        self._alive().stored(run, jobs)

    def cancel(self) -> None:
        self._alive().cancel()


class FakeFleet:
    """Starts agents on nodes that are made up."""

    def __init__(self, *nodes: FakeNode) -> None:
        self.made = {node.folder.name: node for node in nodes}
        self.started: dict[str, int] = {}
        self.copies: list[Copies] = []
        self.closed = False

    def nodes(self) -> Sequence[Node]:
        return [
            Node(name, name, has_cpu=node.has_cpu, cards=len(node.cards), refusal=node.refusal)
            for name, node in self.made.items()
        ]

    def start(self, node: Node, cards: int, copies: Copies) -> FakeAgent:
        fake = self.made[node.name]
        self.copies.append(copies)
        if not cards:
            return FakeAgent(fake, fake.agent(None))
        number = self.started.get(node.name, 0)
        if number >= len(fake.cards):
            raise BenchError("others hold its cards")
        self.started[node.name] = number + 1
        return FakeAgent(fake, fake.agent(number))

    def close(self) -> None:
        self.closed = True
