"""Measurements and records: what was seen, raw and unrounded, with its unit."""

from __future__ import annotations

import json
import math
from abc import ABCMeta
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, get_args

import msgspec

from bench.errors import StoreError
from bench.plan.card import ArchCard
from bench.plan.job import Job, Task

SCHEMA = 1

Better = Literal["lower", "higher", "neither"]
Status = Literal[
    "ok",  # all that was asked for was measured
    "unsupported",  # this machine, device or network cannot do it; nobody's failure
    "oom",  # out of memory, on the device or the host
    "timeout",  # the time limit ended it
    "killed",  # a signal from outside ended it
    "crashed",  # its process died, or an error that is not the network's
    "invalid_model",  # the network cannot be imported, built or called as asked
    "diverged",  # the loss was no longer finite
    "skipped",  # left out on purpose
    "cancelled",  # the user ended the run
]
STATUSES: tuple[Status, ...] = get_args(Status)


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
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
    detail: Mapping[str, Any] = msgspec.field(default_factory=dict)
    flags: tuple[str, ...] = ()

    def changed(self, **fields: Any) -> Measurement:
        """Return a copy with other values in some fields."""
        return msgspec.structs.replace(self, **fields)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; numbers that JSON lacks (NaN, infinities) become null."""
        return {
            "name": self.name,
            "unit": self.unit,
            "better": self.better,
            "samples": finite(self.samples),
            "detail": finite(dict(self.detail)),
            "flags": list(self.flags),
        }


def count(
    name: str, value: float, unit: str = "1", *, better: Better = "lower", **detail: Any
) -> Measurement:
    """Return a measurement of one exact value."""
    return Measurement(name=name, unit=unit, better=better, samples=(value,), detail=detail)


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A job, the environment it ran in, its measurements and its status.

    Attributes:
        job: what was asked.
        card: declared facts of the network, as they were when it was measured.
        environment: see `bench.records.environment`.
        attempt: 1 for the first try of this job in this store.
        started_at: UTC, ISO 8601.
        duration_s: wall time of the job with the start of its process.
        status: one of `STATUSES`.
        stage: how far it came: import, build, check, latency, ...; `done` where it ended well.
        error: None, or `type`, `message`, `tip`, `traceback` (of the user's own code) and `output`
            (its last lines).
        measurements: all that was measured before it ended, also where it did not end well.
        bench_version: of the harness.
        schema: raised when a field changes meaning.
    """

    job: Job
    card: ArchCard
    environment: Mapping[str, Any]
    started_at: str
    duration_s: float
    status: Status
    stage: str
    measurements: tuple[Measurement, ...] = ()
    error: Mapping[str, Any] | None = None
    attempt: int = 1
    bench_version: str = ""
    schema: int = SCHEMA

    def changed(self, **fields: Any) -> Record:
        """Return a copy with other values in some fields."""
        return msgspec.structs.replace(self, **fields)

    def __getitem__(self, key: str) -> Any:
        """Return a field of the JSON form: ``record["job"]["arch"]``."""
        return self.to_json()[key]

    def measurement(self, name: str) -> Measurement | None:
        """Return the measurement called `name`, or None."""
        return next((m for m in self.measurements if m.name == name), None)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "schema": self.schema,
            "bench_version": self.bench_version,
            "job": self.job.to_json(),
            "card": self.card.to_json(),
            "environment": finite(dict(self.environment)),
            "attempt": self.attempt,
            "started_at": self.started_at,
            "duration_s": self.duration_s,
            "status": self.status,
            "stage": self.stage,
            "error": None if self.error is None else finite(dict(self.error)),
            "measurements": [m.to_json() for m in self.measurements],
        }

    @classmethod
    def from_text(cls, text: bytes) -> Record:
        """Read a record back from its JSON text; null samples become NaN.

        Raises:
            StoreError: if its schema is newer than this version knows.
            ValueError: if it is no record.
        """
        try:
            line = _decode(text)
            measurements = [
                Measurement(
                    name=m.name,
                    unit=m.unit,
                    better=m.better,
                    samples=m.samples,
                    detail=_Unread(m.detail),
                    flags=m.flags,
                )
                for m in line.measurements
            ]
            return line.record(
                line.job.job(),
                _card(bytes(line.card)),
                _environment(bytes(line.environment)),
                tuple(measurements),
            )
        except (msgspec.DecodeError, KeyError, TypeError):  # a null sample, a lone surrogate, or no record
            return cls.from_json(json.loads(text))

    @classmethod
    def from_json(cls, data: Any) -> Record:
        """Read a record back from the values of `to_json`; null samples become NaN.

        Raises:
            StoreError: if its schema is newer than this version knows.
            ValueError: if it is no record.
        """
        try:
            _refuse_newer(data["schema"])
            measurements = [{**m, "samples": _numbers(m["samples"])} for m in data["measurements"]]
            line = msgspec.convert({**data, "measurements": measurements}, _Values)
            return line.record(
                Job.from_json(line.job), ArchCard.from_json(line.card), line.environment, line.measurements
            )
        except msgspec.ValidationError as error:
            raise ValueError(f"not a record: {error}") from error
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a record: {error!r}") from error


class _Line(msgspec.Struct):
    """A record as it is stored; types are checked here, in one pass of compiled code."""

    schema: int
    bench_version: str
    job: Any
    card: Any
    environment: Any
    attempt: int
    started_at: str
    duration_s: float
    status: Status
    stage: str
    error: dict[str, Any] | None
    measurements: Any

    def record(
        self,
        job: Job,
        card: ArchCard,
        environment: Mapping[str, Any],
        measurements: tuple[Measurement, ...],
    ) -> Record:
        _refuse_newer(self.schema)
        return Record(
            job=job,
            card=card,
            environment=environment,
            started_at=self.started_at,
            duration_s=self.duration_s,
            status=self.status,
            stage=self.stage,
            measurements=measurements,
            error=self.error,
            attempt=self.attempt,
            bench_version=self.bench_version,
            schema=self.schema,
        )


class _Values(_Line):
    """A line of plain values."""

    job: dict[str, Any]
    environment: dict[str, Any]
    measurements: tuple[Measurement, ...]


class _Asked(msgspec.Struct, forbid_unknown_fields=True):
    """A job with exactly the fields of this version, whose settings are still text."""

    id: str
    task: Task
    arch: str
    input_size: int
    in_channels: int
    num_classes: int | None
    seed: int
    settings: msgspec.Raw
    source_sha256: str | None

    def job(self) -> Job:
        return Job.stored(
            {
                "id": self.id,
                "task": self.task,
                "arch": self.arch,
                "input_size": self.input_size,
                "in_channels": self.in_channels,
                "num_classes": self.num_classes,
                "seed": self.seed,
                "settings": _settings(bytes(self.settings)),
                "source_sha256": self.source_sha256,
            }
        )


class _Seen(msgspec.Struct):
    """A measurement whose detail is still text."""

    name: str
    unit: str
    better: Better
    samples: tuple[int | float, ...]
    detail: msgspec.Raw
    flags: tuple[str, ...]


class _Text(_Line):
    """A line of which text is what many records have alike, and details, which are half of it and seldom read."""

    job: _Asked
    card: msgspec.Raw
    environment: msgspec.Raw
    measurements: tuple[_Seen, ...]


_decode = msgspec.json.Decoder(_Text).decode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode
_decode_parts = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class _ObjectMeta(type(msgspec.Struct), ABCMeta):  # type: ignore[misc]
    """Lets a struct, made by compiled code in half the time, be a mapping too."""


class _Unread(Mapping[str, Any], msgspec.Struct, eq=False, metaclass=_ObjectMeta):
    """An object of a line, decoded when something of it is first asked for."""

    value: Any

    def _whole(self) -> Any:
        if isinstance(self.value, msgspec.Raw):
            value = msgspec.json.decode(self.value)
            self.value = value if isinstance(value, dict) else {"not an object": value}
        return self.value

    def __getitem__(self, key: str) -> Any:
        return self._whole()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._whole())

    def __len__(self) -> int:
        return len(self._whole())

    def __repr__(self) -> str:
        return repr(self._whole())


@lru_cache(maxsize=1024)
def _settings(text: bytes) -> dict[str, Any]:
    return _decode_object(text)


@lru_cache(maxsize=1024)
def _environment(text: bytes) -> dict[str, Any]:
    return {
        key: _value(bytes(value)) for key, value in _decode_parts(text).items()
    }  # they differ in few parts


@lru_cache(maxsize=1024)
def _value(text: bytes) -> Any:
    return msgspec.json.decode(text)


@lru_cache(maxsize=1024)
def _card(text: bytes) -> ArchCard:
    return ArchCard.from_json(msgspec.json.decode(text))


def _numbers(samples: Sequence[float | None]) -> list[float]:
    return [math.nan if s is None else s for s in samples]


def _refuse_newer(schema: int) -> None:
    if schema > SCHEMA:
        raise StoreError(
            f"schema {schema} of a record is newer than this version reads ({SCHEMA})", "update bench"
        )


def finite(value: Any) -> Any:
    """Return `value` with tuples as lists and every NaN or infinity as None, as JSON has no such numbers."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): finite(v) for k, v in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [finite(v) for v in value]
    return value
