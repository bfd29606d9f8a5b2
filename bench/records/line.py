"""The line of a record in the store: its JSON, with a last key `checksum`.

The checksum is the first 16 hex digits of the SHA-256 of the line without that key. What many records have alike (card,
environment, settings) is decoded once; the detail of a measurement, when something of it is first asked for.
"""

from __future__ import annotations

import hashlib
import json
import math
from functools import lru_cache
from typing import Any

import msgspec

from bench.errors import StoreError
from bench.io import JsonObject
from bench.plan.card import ArchCard
from bench.plan.job import Job, Role, read_settings
from bench.plan.settings import Settings
from bench.records.record import SCHEMA, Measurement, Record, Status
from bench.records.unread import Environment, Unread, environment_of
from bench.units import Better

_MARK = b',"checksum":"'
_CHECKSUM_LENGTH = 16
_TAIL = len(_MARK) + _CHECKSUM_LENGTH + len('"}')


def encode(record: Record) -> bytes:
    """Return the line of a record, with its checksum and line end."""
    body = json.dumps(record.to_json(), separators=(",", ":"), allow_nan=False).encode()
    return body[:-1] + _MARK + _checksum(body[:-1]) + b'"}\n'


def decode(line: bytes) -> Record:
    """Return the record of a line; null samples become NaN.

    Raises:
        ValueError: with the reason, if the line is not sound or no record.
        StoreError: if its schema is newer than this version.
    """
    end = len(line) - line.endswith(b"\n")  # without a copy
    mark = end - _TAIL
    if line[mark : mark + len(_MARK)] != _MARK or not line.endswith(b'"}', mark, end):
        raise ValueError("no checksum: torn or not written by bench")
    if line[mark + len(_MARK) : end - 2] != _checksum(memoryview(line)[:mark]):
        raise ValueError("checksum does not match: the line was changed after it was written")
    try:
        return _decode(line).record()
    except (msgspec.DecodeError, KeyError, TypeError):
        return _decode_slowly(line)


def _checksum(head: bytes | memoryview) -> bytes:
    """Return the checksum of a line without its end, the brace that closes it."""
    digest = hashlib.sha256(head)
    digest.update(b"}")
    return digest.hexdigest()[:_CHECKSUM_LENGTH].encode()


def _decode_slowly(line: bytes) -> Record:
    """Return the record of a line with null samples, names that are not UTF-8, or an older version's fields.

    Raises:
        ValueError: if it is no record.
        StoreError: if its schema is newer than this version.
    """
    data = json.loads(line)
    try:
        _refuse_newer(data["schema"])
        measurements = [
            {**m, "samples": [math.nan if s is None else s for s in m["samples"]]}
            for m in data["measurements"]
        ]
        return msgspec.convert({**data, "measurements": measurements}, _Values).record()
    except msgspec.ValidationError as error:
        raise ValueError(f"not a record: {error}") from error
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a record: {error!r}") from error


class _Line(msgspec.Struct, kw_only=True):
    """What is plain in a line; types are checked here, in one pass of compiled code."""

    schema: int
    bench_version: str
    attempt: int
    started_at: str
    duration_s: float
    status: Status
    stage: str
    error: JsonObject | None
    role: Role | None = None

    def made_of(
        self, job: Job, card: ArchCard, environment: JsonObject, measurements: tuple[Measurement, ...]
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
            role=self.role or _old_role(environment),
            attempt=self.attempt,
            bench_version=self.bench_version,
            schema=self.schema,
        )


class _Values(_Line, kw_only=True):
    """A line of plain values."""

    job: JsonObject
    card: JsonObject
    environment: JsonObject
    measurements: tuple[Measurement, ...]

    def record(self) -> Record:
        card = ArchCard.from_json(self.card)
        return self.made_of(Job.from_json(self.job), card, self.environment, self.measurements)


class _JobText(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A job with exactly the fields of this version, whose settings are still text."""

    id: str
    task: str
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
                "settings": _settings(self.task, bytes(self.settings)),
                "source_sha256": self.source_sha256,
            }
        )


class _MeasurementText(msgspec.Struct, gc=False):
    """A measurement whose detail is still text."""

    name: str
    unit: str
    better: Better
    samples: tuple[int | float, ...]
    detail: msgspec.Raw
    flags: tuple[str, ...]


class _Text(_Line, kw_only=True):
    """A line of which text is what many records have alike, and details, which are half of it and seldom read."""

    job: _JobText
    card: msgspec.Raw
    environment: msgspec.Raw
    measurements: tuple[_MeasurementText, ...]

    def record(self) -> Record:
        measurements = [
            Measurement(
                name=m.name,
                unit=m.unit,
                better=m.better,
                samples=m.samples,
                detail=Unread(bytes(m.detail)),
                flags=m.flags,
            )
            for m in self.measurements
        ]
        environment = environment_of(bytes(self.environment))
        return self.made_of(self.job.job(), _card(bytes(self.card)), environment, tuple(measurements))


_decode = msgspec.json.Decoder(_Text).decode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode


@lru_cache(maxsize=1024)
def _settings(task: str, text: bytes) -> Settings:
    return read_settings(task, _decode_object(text))


@lru_cache(maxsize=1024)
def _card(text: bytes) -> ArchCard:
    return ArchCard.from_json(_decode_object(text))


def _old_role(environment: JsonObject) -> Role:
    """Return the role of a record whose version had it in the environment."""
    if "drift_control" in environment:
        return "drift_control"
    return "repeated" if "worse_again" in environment else "measured"


def _refuse_newer(schema: int) -> None:
    if schema > SCHEMA:
        raise StoreError(
            f"schema {schema} of a record is newer than this version reads ({SCHEMA})", "update bench"
        )


def shared(environment: JsonObject) -> JsonObject:
    """Return what of an environment is of its machine, as one object for all records that have it alike."""
    return environment.machine if isinstance(environment, Environment) else environment
