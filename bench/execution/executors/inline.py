"""The inline executor: jobs run in this process, one after the other; no limit of time, no isolation."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from bench.execution import EXECUTORS, Ended, ExecutorKind, Send
from bench.execution._targets import load_target


class _InlineExecutor:
    """Runs calls where it stands; for debugging a network, and the floor that the others are measured against."""

    at_once = 1

    def __init__(self, names: Sequence[str] = ()) -> None:
        """Take what the others take, and need none of it."""

    def call(
        self,
        target: str,
        args: tuple[object, ...],
        *,
        timeout_s: float,  # noqa: ARG002 (nothing here could enforce it)
        on_event: Send,
    ) -> Ended:
        """Run the call in this process."""
        with warnings.catch_warnings():
            # What torch announces to libraries that script functions where they are imported is not the job's.
            warnings.filterwarnings("ignore", ".*torch\\.jit", FutureWarning)
            load_target(target)(on_event, *args)
        return Ended()

    def cancel(self) -> None:
        """Do nothing: what runs here stops by itself."""

    def close(self) -> None:
        """Hold nothing."""


EXECUTORS.add("inline", ExecutorKind("in this process: no isolation, no time limit", _InlineExecutor))
