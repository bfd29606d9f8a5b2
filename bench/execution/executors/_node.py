"""The agent of a node: it lays the user's files down, and starts processes there as a run on one machine does."""

from __future__ import annotations

from collections.abc import Sequence

from bench.execution._agent import Agent, jobs_folder
from bench.execution._copies import Copies
from bench.execution.executors.process import ProcessExecutor


class NodeAgent(Agent):
    """An agent that has its process to itself.

    Args:
        names: of networks that will be asked for, see `bench.execution.ExecutorKind`.
        copies: of the user's files.
    """

    def __init__(self, names: Sequence[str], copies: Copies) -> None:
        folder = jobs_folder()
        copies.enter(copies.lay_down(folder.with_name(f"{folder.name}-files")))
        super().__init__(ProcessExecutor(names), folder)
