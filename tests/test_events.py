"""Events arrive as they were sent; what is no event is told apart, and none of it runs code or fills the memory."""

from __future__ import annotations

import math
import os
import pickle
import struct
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from conftest import make_catalog
from fake_executor import FakeExecutor
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import BenchError, UnknownNameError, UnsupportedError
from bench.execution import Ended, Event
from bench.execution._events import _FRAME_BYTES, Inbox, decode, encode, send
from bench.execution.catalog import ask
from bench.plan.expand import Catalog
from bench.records.record import Measurement, count


@pytest.fixture
def pipe() -> Iterator[tuple[Inbox, int]]:
    read, write = os.pipe()
    yield Inbox(read), write
    os.close(read)
    os.close(write)


@pytest.mark.parametrize(
    "event",
    [
        ("stage", "build"),
        ("progress", (3, 5)),
        ("measurement", count("macs", 100, "MAC", of="all")),
        ("environment", {"flags": {"tf32": False}, "state": {"load": 0.5, "gpu": None}}),
        ("outcome", ("ok", None)),
        ("outcome", ("oom", {"type": "MemoryError", "message": "no", "tip": None})),
        ("answer", [1, "two", {"three": None}]),
    ],
)
def test_an_event_comes_back_as_it_was(event: Event) -> None:
    assert decode(encode(event)) == event


def test_samples_keep_their_kind_and_what_json_has_not() -> None:
    samples = (1, 1.0, math.inf, -math.inf, math.nan, 0.1 + 0.2, 2**63)
    sent = Measurement(name="a", unit="s", better="lower", samples=samples)
    _, back = decode(encode(("measurement", sent)))
    assert [(type(s), repr(s)) for s in back.samples] == [(type(s), repr(s)) for s in samples]


class Word(str):
    """Text of a class of its own."""


def test_kinds_of_plain_values_are_sent_as_such() -> None:
    value = OrderedDict(a=np.float64(1.5), b=Word("text"), c=True, d=(1, 2))
    assert decode(encode(("answer", value))) == ("answer", {"a": 1.5, "b": "text", "c": True, "d": [1, 2]})


def test_half_a_character_is_sent_as_its_escape() -> None:
    half = "a\ud800"
    sent = Measurement(
        name="a",
        unit="s",
        better="lower",
        samples=(1.0, math.inf),
        detail={half: [half, 3], "rest": "\U0001f600"},
        flags=(half,),
    )
    _, back = decode(encode(("measurement", sent)))
    escape = "a\\ud800"
    assert (back.samples, back.flags) == (sent.samples, (escape,))
    assert back.detail == {escape: [escape, 3], "rest": "\U0001f600"}
    assert decode(encode(("answer", (half,)))) == ("answer", [escape])
    _, error = decode(encode(("error", BenchError(half, half))))
    assert (error.message, error.tip) == (escape, escape)


@pytest.mark.parametrize("value", [object(), Path, np.zeros(3), 1j])
def test_what_is_not_plain_is_refused_where_it_is_sent(value: object) -> None:
    with pytest.raises(TypeError, match="an event is of plain values, not of"):
        encode(("answer", value))


@pytest.mark.parametrize("kind", [BenchError, UnknownNameError, UnsupportedError])
@pytest.mark.parametrize("tip", [None, "a tip"])
def test_errors_keep_their_class_and_tip(kind: type[BenchError], tip: str | None) -> None:
    _, error = decode(encode(("error", kind("what", tip))))
    assert (type(error), error.message, error.tip) == (kind, "what", tip)


def test_an_error_of_a_class_from_elsewhere_is_one_of_ours() -> None:
    class OwnError(BenchError):
        pass

    _, error = decode(encode(("error", OwnError("what"))))
    assert (type(error), error.message) == (BenchError, "what")


def packed(*event: object) -> bytes:
    return msgspec.msgpack.encode(event)


def nested(depth: int) -> object:
    value: object = 0
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"junk",
        pickle.dumps(("stage", "build")),
        b"\x91" * 100_000,  # a list in a list in a list ...
        packed("stage"),
        packed("stage", 3),
        packed("stage", "x" * 201),
        packed("stage", "build", "more"),
        packed("progress", [0, 5]),
        packed("progress", [3, "five"]),
        packed("progress", [3]),
        packed("measurement", {"name": "a"}),
        packed("measurement", {"name": "a", "unit": "s", "better": "lower", "samples": ["1"]}),
        packed("measurement", {"name": "a", "unit": "s", "better": "bigger", "samples": [1]}),
        packed(
            "measurement",
            {"name": "a", "unit": "s", "better": "lower", "samples": [1], "detail": {"a": b"b"}},
        ),
        packed("environment", [1]),
        packed("environment", {"deep": nested(100)}),
        packed("outcome", ["fine", None]),
        packed("outcome", ["ok", "text"]),
        packed("error", "text"),
        packed("answer", b"bytes"),
        packed("answer", {b"bytes": 1}),
        b"\x92\xa6answer\xdd\xff\xff\xff\xff",  # a list of four thousand million
        b"\x92\xa6answer\xc7\x01\x05a",  # a value of a kind of its own
    ],
)
def test_what_is_no_event_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="."):
        decode(content)


@given(st.binary(max_size=60))
def test_whatever_is_written_is_an_event_or_refused(content: bytes) -> None:
    try:
        kind, _ = decode(content)
    except ValueError:
        return
    assert isinstance(kind, str)


def test_frames_arrive_whole_however_they_are_cut(pipe: tuple[Inbox, int]) -> None:
    inbox, end = pipe
    assert list(inbox.read()) == []
    events = [("stage", "build"), ("answer", "x" * 300), ("outcome", ("ok", None))]
    frames = b"".join(struct.pack("!I", len(encode(e))) + encode(e) for e in events)
    arrived: list[Event] = []
    for start in range(0, len(frames), 7):
        os.write(end, frames[start : start + 7])
        arrived += inbox.read()
    assert arrived == events
    assert not inbox.ended


def test_what_is_sent_is_read(pipe: tuple[Inbox, int]) -> None:
    inbox, end = pipe
    send(end, ("stage", "build"))
    send(end, ("stage", "check"))
    assert list(inbox.read()) == [("stage", "build"), ("stage", "check")]


def test_an_event_before_junk_is_kept(pipe: tuple[Inbox, int]) -> None:
    inbox, end = pipe
    send(end, ("stage", "build"))
    os.write(end, b"\0\0\0\4junk")
    events = inbox.read()
    assert next(events) == ("stage", "build")
    with pytest.raises(ValueError, match="no event"):
        next(events)


def test_a_frame_beyond_the_bound_is_not_waited_for(pipe: tuple[Inbox, int]) -> None:
    inbox, end = pipe
    os.write(end, struct.pack("!I", _FRAME_BYTES + 1))
    with pytest.raises(ValueError, match=f"an event of {_FRAME_BYTES + 1} bytes"):
        list(inbox.read())


def test_of_all_events_together_there_is_a_bound(
    pipe: tuple[Inbox, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.execution._events._CALL_BYTES", 100)
    inbox = Inbox(pipe[0].descriptor)
    frame = encode(("stage", "build"))
    for _ in range(100 // (len(frame) + 4)):
        send(pipe[1], ("stage", "build"))
        assert list(inbox.read()) == [("stage", "build")]
    send(pipe[1], ("stage", "build"))
    with pytest.raises(ValueError, match="more than 100 bytes"):
        list(inbox.read())


def test_the_end_is_told_and_a_torn_event_at_it() -> None:
    for torn in (b"", b"\0\0", b"\0\0\0\4ab"):
        read, end = os.pipe()
        inbox = Inbox(read)
        os.write(end, torn)
        assert list(inbox.read()) == []
        os.close(end)
        if torn:
            with pytest.raises(ValueError, match="the last event is torn"):
                list(inbox.read())
        else:
            assert list(inbox.read()) == []
        assert inbox.ended
        os.close(read)


class TestAnswers:
    def probe(self, value: object) -> FakeExecutor:
        return FakeExecutor(lambda target, args: ([decode(encode(("answer", value)))], Ended()))

    def test_an_answer_is_of_the_type_that_it_should_be(self) -> None:
        catalog = make_catalog("net")
        assert ask(self.probe(catalog), Catalog, "x:y") == catalog

    @pytest.mark.parametrize("value", ["junk", {"devices": 3}, {"archs": {"a": [{"nam": "a"}]}}, None])
    def test_what_is_no_answer_is_an_error(self, value: object) -> None:
        with pytest.raises(BenchError, match="the probe's answer is none"):
            ask(self.probe(value), Catalog, "x:y")
