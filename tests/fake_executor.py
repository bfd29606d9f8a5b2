"""The fake executor: plays events back, so that the runner and the commands are tested without torch or time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
