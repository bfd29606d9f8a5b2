"""A pass through a network, layer by layer, in Chrome's trace format."""

from __future__ import annotations

from bench.analysis.layers import LayerTable


def trace_events(table: LayerTable) -> list[dict[str, object]]:
    """Return a pass as events of Chrome's trace format, for Perfetto: each call a slice inside its caller's.

    Times are in µs from the beginning; the backward pass, in which calls do not nest, has a track of its own.
    """
    made: list[dict[str, object]] = []
    open_calls: list[tuple[int, float]] = []  # place and beginning
    now = 0.0

    def close(down_to: int) -> None:
        while len(open_calls) > down_to:
            place, began = open_calls.pop()
            made.append(_slice(table, place, began, now - began, track=1))

    for place, backward, seconds in table.segments:
        path = () if backward else _path_of(table, place)
        shared = 0
        while shared < min(len(path), len(open_calls)) and open_calls[shared][0] == path[shared]:
            shared += 1
        close(shared)
        open_calls += [(p, now) for p in path[shared:]]
        if backward:
            made.append(_slice(table, place, now, seconds, track=2))
        now += seconds
    close(0)
    names = {1: "forward", 2: "backward"} if table.training else {1: "forward"}
    head = {"name": "thread_name", "ph": "M", "pid": 1}
    heads = [{**head, "tid": track, "args": {"name": name}} for track, name in names.items()]
    return [*heads, *sorted(made, key=lambda event: (float(str(event["ts"])), -float(str(event["dur"]))))]


def _path_of(table: LayerTable, place: int) -> tuple[int, ...]:
    path = [place]
    while (above := table.calls[path[-1]][2]) is not None:
        path.append(above)
    return tuple(reversed(path))


def _slice(table: LayerTable, place: int, began: float, seconds: float, *, track: int) -> dict[str, object]:
    name, kind, _ = table.calls[place]
    shown = name.rpartition(".")[2] or kind
    head = {"name": f"{shown} ({kind})", "cat": "layer", "ph": "X", "pid": 1, "tid": track}
    times = {"ts": 1e6 * began, "dur": 1e6 * seconds}
    return {**head, **times, "args": {"module": name or table.arch, "class": kind}}
