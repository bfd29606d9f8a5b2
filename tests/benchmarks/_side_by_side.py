"""Times things in turn, A B A B ..., and prints the median, the spread and the ratio pair by pair."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def in_turn(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each call; every second round goes backwards, so that drift favours nobody."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():  # one round that does not count
        call()
    for number in range(rounds):
        for name in list(calls) if number % 2 == 0 else reversed(list(calls)):
            taken[name].append(seconds(calls[name]))
    return taken


def show(name: str, values: list[float], unit: str = "s") -> None:
    print(f"{name:40} median {median(values):9.4f} {unit}   min {min(values):9.4f}   max {max(values):9.4f}")


def show_ratio(name: str, above: list[float], below: list[float]) -> None:
    ratios = [a / b for a, b in zip(above, below, strict=True)]
    show(name, ratios, "x")
