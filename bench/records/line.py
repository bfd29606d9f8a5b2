"""The line of a record in the store: its JSON, with a last key `checksum`.

The checksum is the first 16 hex digits of the SHA-256 of the line without that key. What many records have alike (card,
environment, settings) is decoded once; the detail of a measurement, when something of it is first asked for.
"""

from __future__ import annotations

import hashlib
import json
import math
from abc import ABCMeta
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

import msgspec
from msgspec.structs import asdict

from bench.errors import StoreError
from bench.io import JsonObject, ascii_json, finite_json
from bench.plan.card import ArchCard
from bench.plan.job import Job, Role
from bench.plan.settings import Settings
from bench.records.record import SCHEMA, Measurement, Record, Status
from bench.units import Better

_MARK = b',"checksum":"'
_CHECKSUM_LENGTH = 16
_TAIL = len(_MARK) + _CHECKSUM_LENGTH + len('"}')


def encode(record: Record) -> bytes:
    """Return the line of a record, with its checksum and line end."""
    body = record_text(record)
    return body[:-1] + _MARK + _checksum(body[:-1]) + b'"}\n'


def record_text(record: Record) -> bytes:
    """Return a record as JSON, without blanks, as its `to_json` has it; of what was read, the text as it is."""
    values = {
        **asdict(record),
        "job": record.job.to_json(),
        "environment": _raw(record.environment),
        "error": None if record.error is None else dict(record.error),
        "measurements": [{**asdict(m), "detail": _raw(m.detail)} for m in record.measurements],
    }
    try:
        return ascii_json(msgspec.json.encode(values))  # a fiftieth of the time
    except (TypeError, OverflowError, UnicodeEncodeError):  # a name that is not UTF-8, values of other kinds
        return json.dumps(record.to_json(), separators=(",", ":"), allow_nan=False).encode()


def _raw(values: JsonObject) -> object:
    if isinstance(values, Unread):
        return msgspec.Raw(values.text.encode())
    return values.raw() if isinstance(values, _Environment) else values


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
        return Record(  # field by field, as there are many: by a mapping a run took a tenth longer to read
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


Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
"""A whole number that any reader of JSON has as it was written."""


class _JobText(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A job with exactly the fields of this version, whose settings are still text."""

    id: str
    task: str
    arch: str
    input_size: Count
    in_channels: Count
    num_classes: Count | None
    seed: int
    settings: msgspec.Raw
    source_sha256: str | None

    def fields(self) -> dict[str, Any]:
        """Return the fields as a job has them, its id among them."""
        return {**asdict(self), "settings": _settings(self.task, bytes(self.settings))}


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
            for m in self.measurements  # of which there are many
        ]
        environment = _environment_of(bytes(self.environment))
        job = Job.stored(self.job.fields())
        return self.made_of(job, _card(bytes(self.card)), environment, tuple(measurements))


_decode = msgspec.json.Decoder(_Text).decode
_decode_jobs = msgspec.json.Decoder(list[_JobText]).decode


def jobs_of(text: msgspec.Raw | bytes) -> tuple[Job, ...]:
    """Return the jobs of a list of them, as this version writes it; their ids are computed anew.

    Raises:
        ValueError: if it is none.
    """
    try:
        jobs = [job.fields() for job in _decode_jobs(text)]
        for fields in jobs:
            del fields["id"]
        return tuple(map(Job.stored, jobs))
    except (TypeError, OverflowError) as error:  # of settings, which are their task's to check
        raise ValueError(str(error)) from error


@lru_cache(maxsize=1024)
def _settings(task: str, text: bytes) -> Settings:
    return Job.read_settings(task, _decode_object(text))


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


# --- objects that are decoded when something of them is first asked for ---
#
# Of an environment, what is of the machine stands first, and many records have it alike: it is decoded once for all.

_decode_object = msgspec.json.Decoder(dict[str, Any]).decode


class _ObjectMeta(type(msgspec.Struct), ABCMeta):  # type: ignore[misc]
    """Lets a struct, made by compiled code in half the time, be a mapping too."""


def decode_text(text: msgspec.Raw | bytes) -> Any:
    """Return the values of JSON.

    Raises:
        ValueError: if it is none.
    """
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:  # a name that is not UTF-8
        return json.loads(bytes(text))


def json_text(value: object) -> str:
    """Return plain values as JSON, without blanks; numbers that JSON lacks become null."""
    if isinstance(value, Unread):
        return value.text
    try:
        return msgspec.json.encode(value).decode()  # a tenth of the time
    except (TypeError, OverflowError, UnicodeEncodeError):  # values of other kinds, a name that is not UTF-8
        return json.dumps(finite_json(value), separators=(",", ":"))


def json_document(value: object) -> bytes:
    """Return plain values as JSON for people to read, see `json_text`."""
    text = json_text(value).encode()
    try:
        return msgspec.json.format(text, indent=1)
    except msgspec.DecodeError:  # a name that is not UTF-8
        return json.dumps(json.loads(text), indent=1).encode()


class Unread(Mapping[str, Any], msgspec.Struct, eq=False, gc=False, metaclass=_ObjectMeta):
    """An object as its text, until it is read."""

    value: msgspec.Raw | bytes | JsonObject

    def _whole(self) -> JsonObject:
        if isinstance(self.value, (msgspec.Raw, bytes)):
            value = decode_text(self.value)
            self.value = value if isinstance(value, dict) else {"not an object": value}
        return self.value

    @property
    def text(self) -> str:
        """The object as JSON."""
        value = self.value
        return bytes(value).decode() if isinstance(value, (msgspec.Raw, bytes)) else json_text(value)

    def __getitem__(self, key: str) -> Any:
        return self._whole()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._whole())

    def __len__(self) -> int:
        return len(self._whole())

    def __repr__(self) -> str:
        return repr(self._whole())


class _Environment(Mapping[str, Any], msgspec.Struct, eq=False, gc=False, metaclass=_ObjectMeta):
    """An environment of a record.

    Attributes:
        machine: what is of the machine; one object for all records that have it alike.
        job: what was added by the job.
        begin: the text of the machine, and what stands before the first key of the job.
    """

    machine: JsonObject
    job: Unread
    begin: bytes

    def raw(self) -> msgspec.Raw:
        return msgspec.Raw(self.begin[:-1] + self.job.text.encode()[1:])

    def __getitem__(self, key: str) -> Any:
        machine = self.machine
        return machine[key] if key in machine else self.job[key]

    def __iter__(self) -> Iterator[str]:
        return iter({**self.machine, **self.job})

    def __len__(self) -> int:
        return len({**self.machine, **self.job})

    def __repr__(self) -> str:
        return repr({**self.machine, **self.job})


_OF_JOB = (b',"flags":', b',"stages_s":')  # what a job adds begins with one of them


@dataclass(slots=True)
class _Reader:
    """Reads environments: mostly the machine is the same again, and need be neither hashed nor looked for."""

    last: tuple[bytes, JsonObject] = (b"{}", {})  # the text that it begins with, and what that says

    def __call__(self, text: bytes) -> JsonObject:
        begin, machine = self.last
        if not text.startswith(begin):
            cut = next((place for key in _OF_JOB if (place := text.find(key)) > 0), 0)
            if not cut or (known := _object(text[:cut] + b"}")) is None:
                return _decode_object(text)  # that key is one of a part, and not of the environment
            begin, machine = self.last = text[: cut + len(b',"')], known
        return _Environment(machine, Unread(b"{" + text[len(begin) - 1 :]), begin)


_environment_of = _Reader()
"""Return the environment of its text, or raise a ValueError if it is no object."""


@lru_cache(maxsize=256)
def _object(text: bytes) -> JsonObject | None:
    try:
        return _decode_object(text)
    except msgspec.DecodeError:
        return None


def shared(environment: JsonObject) -> JsonObject:
    """Return what of an environment is of its machine, as one object for all records that have it alike."""
    return environment.machine if isinstance(environment, _Environment) else environment
