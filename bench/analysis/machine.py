"""The machine behind a record, read from its environment, of which every key may be missing; and how it drifted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from bench.io import JsonObject
from bench.records.record import Record
from bench.records.store import Run
from bench.stats.samples import median

_MAPPING = (dict, Mapping)  # dict first: it is what JSON gives, and known at once


def dig(data: object, *path: str | int) -> Any:
    """Return the value at a path of keys and positions in nested mappings and lists, or None."""
    for step in path:
        if isinstance(data, _MAPPING):
            data = data.get(step)
        elif isinstance(data, list | tuple) and isinstance(step, int) and step < len(data):
            data = data[step]
        else:
            return None
    return data


def device_name(environment: JsonObject, device: str | None) -> str | None:
    """Return the model of the GPU or CPU that a device such as ``cuda:1`` or ``cpu`` means."""
    kind, index, name = _device_path(device)
    try:
        part = environment[kind]
        value = (part if index is None else part[index])[name]
    except (KeyError, IndexError, TypeError):  # not known of this machine
        return None
    return None if value is None else str(value)


@cache
def _device_path(device: str | None) -> tuple[str, int | None, str]:
    kind, _, index = (device or "cpu").partition(":")
    return ("gpu", int(index) if index.isdigit() else 0, "name") if kind == "cuda" else ("cpu", None, "model")


def torch_version(environment: JsonObject) -> str | None:
    """Return the version of torch that measured."""
    version = dig(environment, "torch", "version") or dig(environment, "packages", "torch")
    return None if version is None else str(version)


# --- how it changed while a run went on, by its first timed job, which is timed again at the end ---


@dataclass(frozen=True, slots=True)
class Drift:
    """A job at the end of a run against its beginning: `ratio` is of the medians of `quantity`, above 1 is slower."""

    label: str
    quantity: str
    ratio: float

    @classmethod
    def in_run(cls, run: Run) -> Iterator[Drift]:
        """Yield the drift of each invocation that timed enough jobs to have one."""
        first: dict[str, Record] = {}
        for record in run.records:
            if record.status != "ok":
                continue
            before = first.get(record.job.id)
            if record.role == "drift_control" and before is not None:
                yield from _between(before, record)
            else:
                first[record.job.id] = record


def _between(before: Record, after: Record) -> Iterator[Drift]:
    for name in ("step_time", "latency"):
        one, other = before.measurement(name), after.measurement(name)
        if one is not None and other is not None:
            yield Drift(after.job.label(), name, median(other.samples) / median(one.samples))
            return
