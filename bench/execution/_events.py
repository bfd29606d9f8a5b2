"""Events on their way between processes: MessagePack of plain values, each checked for its type where it arrives.

The process that sends runs somebody's network, which may write anything into the same pipe. So nothing that arrives
is unpickled, as that would run code; nothing is larger than its bound; and what is no event is a `ValueError`.

("stage", name)               how far a job has come
("measurement", Measurement)  as soon as it is there
("progress", (done, total))   of a training, in epochs
("environment", dict)         switches and state as they stood
("outcome", (status, error))  a job's last event
("answer", value)             of a probe, see `bench.execution.catalog.ask`
("error", BenchError)         instead of an answer

A frame is the length of an event in four bytes, the most significant first, and the event.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import msgspec

from bench.errors import BenchError, encodable
from bench.execution import Event
from bench.records.record import Measurement, Status

LAST = ("outcome", "answer", "error")  # the kinds after which no other event comes

_FRAME_BYTES = 32 << 20  # of one event
_CALL_BYTES = 256 << 20  # of all events of a call
_DEPTH = 40  # of values in values
_HEADER = 4


class _Error(msgspec.Struct, array_like=True):
    """An error of bench's own."""

    kind: str
    message: str
    tip: str | None


_Word = Annotated[str, msgspec.Meta(max_length=200)]
_Epochs = Annotated[int, msgspec.Meta(ge=1, le=1 << 53)]
_TYPES: Mapping[str, Any] = {
    "stage": _Word,
    "progress": tuple[_Epochs, _Epochs],
    "measurement": Measurement,
    "environment": dict[str, Any],
    "outcome": tuple[Status, dict[str, Any] | None],
    "error": _Error,
}
_KINDS: list[type[BenchError]] = [BenchError, *BenchError.__subclasses__()]
_ERRORS = {kind.__name__: kind for kind in _KINDS}


def encode(event: Event) -> bytes:
    """Return an event as bytes.

    Raises:
        TypeError: for a value that is no plain one.
        OverflowError: for an integer of more than 64 bits.
    """
    kind, value = event
    if isinstance(value, BenchError):
        value = _Error(type(value).__name__, value.message, value.tip)
    try:
        return _encode((kind, value))
    except UnicodeEncodeError:  # as of a layer that has half a character for a name
        return _encode((kind, _with_sound_texts(msgspec.to_builtins(value, enc_hook=_plain))))


def _with_sound_texts(value: object) -> object:
    """Return plain values with all texts as UTF-8 can hold them."""
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, dict):
        return {_with_sound_texts(key): _with_sound_texts(one) for key, one in value.items()}
    return [_with_sound_texts(one) for one in value] if isinstance(value, list | tuple) else value


def decode(content: bytes) -> Event:
    """Return the event of bytes from anywhere.

    Tuples and mappings have become lists and dicts where their event has no type of its own.

    Raises:
        ValueError: where they are none.
    """
    try:
        kind, text = _decode(content)
        value = msgspec.msgpack.decode(text, type=_TYPES.get(kind, Any))
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise ValueError(f"no event: {error}") from error
    if isinstance(value, _Error):
        return kind, _ERRORS.get(value.kind, BenchError)(value.message, value.tip)
    _check_plain(value.detail if isinstance(value, Measurement) else value)
    return kind, value


def _plain(value: object) -> object:
    """Return what is a kind of mapping, text or number as such; NumPy's float is a float."""
    if isinstance(value, Mapping):
        return dict(value)
    for kind in (str, float, int):
        if isinstance(value, kind):
            return kind(value)
    raise TypeError(f"an event is of plain values, not of {type(value).__name__}")


_encode = msgspec.msgpack.Encoder(enc_hook=_plain).encode
_decode = msgspec.msgpack.Decoder(tuple[_Word, msgspec.Raw]).decode
_PLAIN = (str, int, float, bool, type(None))


def _check_plain(value: object, depth: int = _DEPTH) -> None:
    """Refuse what JSON has not, and what is too deep for those who walk through it."""
    if isinstance(value, _PLAIN):
        return
    if depth == 0 or not isinstance(value, dict | list | tuple):
        raise ValueError("no event: it is deeper than any" if depth == 0 else f"no event: {type(value)}")
    if isinstance(value, dict):
        if not all(isinstance(key, _PLAIN) for key in value):
            raise ValueError("no event: a key that is no word")
        value = value.values()
    for one in value:
        _check_plain(one, depth - 1)


def send(descriptor: int, event: Event) -> None:
    """Write the frame of an event, however long that takes."""
    content = encode(event)
    rest = memoryview(len(content).to_bytes(_HEADER, "big") + content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


class Inbox:
    """The end of a pipe where events arrive; it never waits for what has not come yet.

    Args:
        descriptor: of the pipe.
    """

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self.descriptor = descriptor
        self.ended = False
        self._buffer = bytearray()
        self._left = _CALL_BYTES

    def read(self) -> Iterator[Event]:
        """Yield the events that have arrived whole; at the end of the pipe, `ended` is set.

        Raises:
            ValueError: for what is no event, or too much.
        """
        try:
            content = os.read(self.descriptor, 1 << 20)
        except BlockingIOError:
            return
        self.ended = not content
        self._left -= len(content)
        if self._left < 0:
            raise ValueError(f"more than {_CALL_BYTES} bytes of events")
        self._buffer += content
        yield from self._frames()

    def _frames(self) -> Iterator[Event]:
        start = 0
        try:
            while len(self._buffer) >= start + _HEADER:
                body = start + _HEADER
                length = int.from_bytes(self._buffer[start:body], "big")
                if length > _FRAME_BYTES:
                    raise ValueError(f"an event of {length} bytes")
                if len(self._buffer) < body + length:
                    break
                start = body + length
                yield decode(bytes(self._buffer[body:start]))
        finally:
            del self._buffer[:start]
        if self.ended and self._buffer:
            raise ValueError("the last event is torn")
