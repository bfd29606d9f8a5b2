"""Measurements and records: what was seen, raw and unrounded, with its unit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from bench.io import JsonObject, finite_json
from bench.plan.card import ArchCard
from bench.plan.job import Job, Role
from bench.plan.task import quantities
from bench.records.flags import OF_OTHERS
from bench.units import Better

SCHEMA = 1

Status = Literal[
    "ok",
    "unsupported",
    "oom",
    "timeout",
    "killed",
    "crashed",
    "invalid_model",
    "diverged",
    "skipped",
    "cancelled",
]
STATUSES: dict[Status, str] = {
    "ok": "all that was asked for was measured",
    "unsupported": "this machine, device or network cannot do it; nobody's failure",
    "oom": "out of memory, on the device or the host",
    "timeout": "the time limit ended it",
    "killed": "a signal from outside ended it",
    "crashed": "its process died, or an error that is not the network's",
    "invalid_model": "the network cannot be imported, built or called as asked",
    "diverged": "the loss was no longer finite",
    "skipped": "left out on purpose, as the experiment's `skip` says",
    "cancelled": "the user ended the run",
}
"""How a job may end, and what that means."""


class Measurement(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One named quantity with its unit and its raw samples.

    Attributes:
        name: `parameters`, `macs`, `activations`, `latency`, `step_time`, `peak_memory`, `top1` and so on.
        unit: SI base unit, or `MAC`, `B`, `1`.
        better: which direction is an improvement.
        samples: raw and unrounded, in the order taken; a count has one. NaN means: seen, but no number.
        detail: what the number includes and leaves out, and what it was computed from; plain JSON values.
        flags: codes of doubts, such as `noisy`; `bench.records.flags` explains them.
    """

    name: str
    unit: str
    better: Better
    samples: tuple[int | float, ...]
    detail: JsonObject = msgspec.field(default_factory=dict)
    flags: tuple[str, ...] = ()

    def changed(self, **fields: object) -> Measurement:
        """Return a copy with other values in some fields."""
        return msgspec.structs.replace(self, **fields)

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values; numbers that JSON lacks (NaN, infinities) become null."""
        return {
            **msgspec.structs.asdict(self),
            "samples": finite_json(self.samples),
            "detail": finite_json(dict(self.detail)),
            "flags": list(self.flags),
        }


def measured(
    name: str,
    samples: Iterable[int | float],
    detail: JsonObject | None = None,
    flags: tuple[str, ...] = (),
) -> Measurement:
    """Return a measurement of a quantity of `bench.tasks`, which says its unit and which direction is better."""
    unit, better = quantities()[name]
    return Measurement(
        name=name,
        unit=unit,
        better=better,
        samples=tuple(samples),
        detail=detail or {},
        flags=flags,
    )


def count(
    name: str, value: float, unit: str = "1", *, better: Better = "lower", **detail: object
) -> Measurement:
    """Return a measurement of one exact value; `unit` and `better` are for a quantity that no task has."""
    if name in quantities():
        return measured(name, (value,), detail)
    return Measurement(name=name, unit=unit, better=better, samples=(value,), detail=detail)


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A job, the environment it ran in, its measurements and its status; its fields are in the order of their JSON.

    Attributes:
        schema: raised when a field changes meaning.
        bench_version: of the harness.
        job: what was asked.
        card: declared facts of the network, as they were when it was measured.
        environment: see `bench.records.environment`.
        role: what it was measured for.
        attempt: 1 for the first try of this job in this store.
        started_at: UTC, ISO 8601.
        duration_s: wall time of the job with the start of its process.
        status: one of `STATUSES`.
        stage: how far it came: import, build, check, latency, ...; `done` where it ended well.
        error: None, or `type`, `message`, `tip`, `traceback` (of the user's own code) and `output`
            (its last lines).
        measurements: all that was measured before it ended, also where it did not end well.
    """

    schema: int = SCHEMA
    bench_version: str = ""
    job: Job
    card: ArchCard
    environment: JsonObject
    role: Role = "measured"
    attempt: int = 1
    started_at: str
    duration_s: float
    status: Status
    stage: str
    error: JsonObject | None = None
    measurements: tuple[Measurement, ...] = ()

    def changed(self, **fields: object) -> Record:
        """Return a copy with other values in some fields."""
        return msgspec.structs.replace(self, **fields)

    def __getitem__(self, key: str) -> Any:
        """Return a field of the JSON form: ``record["job"]["arch"]``."""
        return self.to_json()[key]

    def measurement(self, name: str) -> Measurement | None:
        """Return the measurement called `name`, or None."""
        return next((m for m in self.measurements if m.name == name), None)

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values."""
        return {
            **msgspec.structs.asdict(self),
            "job": self.job.to_json(),
            "card": self.card.to_json(),
            "environment": finite_json(dict(self.environment)),
            "error": None if self.error is None else finite_json(dict(self.error)),
            "measurements": [m.to_json() for m in self.measurements],
        }

    @property
    def is_disturbed(self) -> bool:
        """Return whether others' work disturbed what was measured whole."""
        return self.status == "ok" and any(flag in OF_OTHERS for m in self.measurements for flag in m.flags)
