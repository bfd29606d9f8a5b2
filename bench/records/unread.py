"""Objects of a line of the store, decoded when something of them is first asked for.

Of an environment, what is of the machine stands first, and many records have it alike: it is decoded once for all.
"""

from __future__ import annotations

import json
from abc import ABCMeta
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from bench.io import JsonObject, finite_json


class _ObjectMeta(type(msgspec.Struct), ABCMeta):  # type: ignore[misc]
    """Lets a struct, made by compiled code in half the time, be a mapping too."""


def _decode(text: msgspec.Raw | bytes) -> object:
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
    except UnicodeEncodeError:  # a name that is not UTF-8
        return json.dumps(finite_json(value), separators=(",", ":"))


class Unread(Mapping[str, Any], msgspec.Struct, eq=False, gc=False, metaclass=_ObjectMeta):
    """An object as its text, until it is read."""

    value: msgspec.Raw | bytes | JsonObject

    def _whole(self) -> JsonObject:
        if isinstance(self.value, (msgspec.Raw, bytes)):
            value = _decode(self.value)
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


class Environment(Mapping[str, Any], msgspec.Struct, eq=False, gc=False, metaclass=_ObjectMeta):
    """An environment of a record.

    Attributes:
        machine: what is of the machine; one object for all records that have it alike.
        job: what was added by the job.
    """

    machine: JsonObject
    job: Unread

    def __getitem__(self, key: str) -> Any:
        machine = self.machine
        return machine[key] if key in machine else self.job[key]

    def __iter__(self) -> Iterator[str]:
        return iter({**self.machine, **self.job})

    def __len__(self) -> int:
        return len({**self.machine, **self.job})

    def __repr__(self) -> str:
        return repr({**self.machine, **self.job})


_decode_object = msgspec.json.Decoder(dict[str, Any]).decode
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
        return Environment(machine, Unread(b"{" + text[len(begin) - 1 :]))


environment_of = _Reader()
"""Return the environment of its text, or raise a ValueError if it is no object."""


@lru_cache(maxsize=256)
def _object(text: bytes) -> JsonObject | None:
    try:
        return _decode_object(text)
    except msgspec.DecodeError:
        return None
