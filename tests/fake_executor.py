"""The fake executor: plays events back, so that the runner and the commands are tested without torch or time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any

from bench.execution import Ended, Event, Send

Play = Callable[[str, tuple[object, ...]], tuple[Sequence[Event], Ended]]


class FakeExecutor:
    """Answers each call from a script.

    Args:
        play: `(target, args)` to the events to send and the end; it may raise KeyboardInterrupt.
    """

    def __init__(self, play: Play) -> None:
        self.play = play
        self.calls: list[tuple[str, tuple[object, ...]]] = []
        self.closed = False
        self.at_once = 1

    def call(
        self,
        target: str,
        args: tuple[object, ...],
        *,
        timeout_s: float,
        on_event: Send,
    ) -> Ended:
        """Send the events that the script has for this call."""
        self.calls.append((target, args))
        events, ended = self.play(target, args)
        for event in events:
            on_event(event)
        return ended

    def cancel(self) -> None:
        """Nothing is ever under way."""

    def close(self) -> None:
        """Remember it."""
        self.closed = True


class Crowd(FakeExecutor):
    """Lets calls end once `together` are under way; cancelled, they end as if a signal had ended them."""

    def __init__(self, play: Play, together: int, at_once: int) -> None:
        super().__init__(play)
        self.at_once = at_once
        self.barrier = threading.Barrier(together, timeout=20)

    def call(self, target: str, args: tuple[object, ...], *, timeout_s: float, on_event: Send) -> Ended:
        """Wait for the others, then answer as the script has it."""
        try:
            self.barrier.wait()
        except threading.BrokenBarrierError:
            self.calls.append((target, args))
            return Ended(exitcode=-15)
        return super().call(target, args, timeout_s=timeout_s, on_event=on_event)

    def cancel(self) -> None:
        """End all that wait."""
        self.barrier.abort()


class Interrupted(SimpleQueue[Any]):
    """A queue of what jobs have to tell: waiting for it without a limit is where Ctrl-C comes."""

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Return the next item."""
        if timeout is None:
            raise KeyboardInterrupt
        return super().get(block, timeout)
