from __future__ import annotations

import errno
import gc
import hashlib
import json
import math
import multiprocessing
import os
import pickle
import re
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from conftest import make_job, make_record, seconds, sound_line
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import bench
from bench.analysis.comparison import Progress, failures
from bench.analysis.frame import PENDING, UNREADABLE, to_frame
from bench.errors import StoreError
from bench.plan.card import ArchCard
from bench.records.line import decode, encode, record_text
from bench.records.record import SCHEMA, Measurement, Record
from bench.records.store import (
    _BOM,
    _REJECTED,
    INFO,
    RECORDS,
    Store,
    latest,
    read_info,
    read_run,
    sound_lines,
)

numbers = st.floats(allow_nan=True, allow_infinity=False)
texts = st.text(max_size=30)


@st.composite
def records(draw: st.DrawFn) -> Record:
    measurement = Measurement(
        name=draw(texts),
        unit=draw(texts),
        better="lower",
        samples=tuple(draw(st.lists(numbers, max_size=5))),
        detail=draw(st.dictionaries(texts, st.one_of(texts, st.integers(), st.booleans()), max_size=3)),
        flags=tuple(draw(st.lists(texts, max_size=2))),
    )
    return make_record(
        job=make_job(arch=draw(texts), seed=draw(st.integers(0, 2**32))),
        card=ArchCard(name=draw(texts), note=draw(texts)),
        measurements=(measurement,),
        error=draw(st.one_of(st.none(), st.dictionaries(texts, texts, max_size=2))),
    )


@given(st.dictionaries(texts, st.one_of(texts, st.integers(), st.lists(texts, max_size=2)), max_size=4))
def test_details_are_mappings_of_plain_values_before_and_after_they_are_read(detail: dict[str, Any]) -> None:
    written = make_record().changed(measurements=(seconds("latency", 1.0).changed(detail=detail),))
    again = [decode(encode(written)) for _ in range(3)]
    assert again[0] == written
    assert pickle.loads(pickle.dumps(again[1])) == written
    (read,) = again[2].measurements
    assert isinstance(read.detail, Mapping)
    assert (repr(read.detail), len(read.detail), list(read.detail)) == (
        repr(detail),
        len(detail),
        list(detail),
    )
    assert read.to_json()["detail"] == detail


def test_a_detail_that_is_no_object_is_told_as_what_it_is() -> None:
    line = make_record().changed(measurements=(seconds("latency", 1.0),)).to_json()
    line["measurements"][0]["detail"] = [1, 2]
    (read,) = decode(sound_line(line)).measurements
    assert read.detail == {"not an object": [1, 2]}


@given(records())
def test_a_record_survives_the_round_trip(record: Record) -> None:
    back = decode(encode(record))
    assert repr(back.to_json()) == repr(record.to_json())
    assert back.job.id == record.job.id


def test_nan_is_null_in_the_file_and_nan_again() -> None:
    record = make_record(measurements=(seconds("latency", 1.0, math.nan, math.inf),))
    assert json.loads(encode(record))["measurements"][0]["samples"] == [1.0, None, None]
    assert math.isnan(decode(encode(record)).measurements[0].samples[1])


def test_a_line_is_plain_json_with_a_checksum() -> None:
    line = json.loads(encode(make_record()))
    assert line["job"]["arch"] == "net"
    assert line["job"]["task"] == "cost"
    assert len(line["checksum"]) == 16


@given(st.data())
def test_any_flipped_byte_is_found(data: st.DataObject) -> None:
    line = bytearray(encode(make_record())[:-1])
    place = data.draw(st.integers(0, len(line) - 1))
    line[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ValueError, match="checksum|torn|record"):
        decode(bytes(line))


def write(path: Path, count: int) -> list[Record]:
    made = [make_record(job=make_job(seed=i)) for i in range(count)]
    with Store(path) as store:
        for record in made:
            store.append(record)
    return made


def test_what_is_written_is_read(tmp_path: Path) -> None:
    made = write(tmp_path / "run", 3)
    run = read_run(tmp_path / "run")
    assert run.name == "run"
    assert [r.to_json() for r in run.records] == [r.to_json() for r in made]
    assert run.rejected == ()


def test_no_garbage_is_looked_for_while_a_run_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "run", 3)
    running = []
    monkeypatch.setattr(
        "bench.records.store.decode", lambda line: running.append(gc.isenabled()) or decode(line)
    )
    was = gc.isenabled()
    gc.enable()  # as in a program; the tests keep it off
    try:
        assert len(read_run(tmp_path / "run").records) == 3
        assert gc.isenabled()
    finally:
        (gc.enable if was else gc.disable)()
    assert running == [False] * 3


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 10_000))
def test_a_file_torn_anywhere_loses_at_most_its_last_line(tmp_path: Path, cut: int) -> None:
    path = tmp_path / f"cut{cut}"
    write(path, 2)
    file = path / RECORDS
    lines = file.read_bytes().splitlines(keepends=True)
    whole = b"".join(lines)
    kept = whole[: cut % (len(whole) + 1)]
    file.write_bytes(kept)
    write(path, 1)  # opening repairs, then a record is appended
    run = read_run(path)
    # A line that lacks nothing but its line end is whole.
    expected = sum(len(b"".join(lines[: i + 1])) - 1 <= len(kept) for i in range(2))
    assert len(run.records) == expected + 1
    assert run.rejected == ()
    torn = kept.rpartition(b"\n")[2]
    if torn and torn not in (line.rstrip(b"\n") for line in lines):
        assert (path / _REJECTED).read_bytes() == torn + b"\n"


def test_a_corrupt_line_is_set_aside_with_its_number(tmp_path: Path) -> None:
    write(tmp_path, 3)
    file = tmp_path / RECORDS
    lines = file.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b'"cost"', b'"cast"')
    file.write_bytes(b"".join(lines) + b"\xff\xfe nonsense\n")
    run = read_run(tmp_path)
    assert [r.job.seed for r in run.records] == [0, 2]
    assert [(r.line, r.reason[:8]) for r in run.rejected] == [(2, "checksum"), (4, "no check")]
    write(tmp_path, 1)  # appending leaves it where it is
    assert len(read_run(tmp_path).records) == 3


@pytest.mark.parametrize("end", [b"\r\n", b"\n", b" \r\n\r\n"])
@pytest.mark.parametrize("mark", [b"", _BOM])
def test_line_ends_and_an_editors_mark_are_no_content(tmp_path: Path, end: bytes, mark: bytes) -> None:
    written = write(tmp_path, 3)
    file = tmp_path / RECORDS
    file.write_bytes(mark + file.read_bytes().replace(b"\n", end))
    run = read_run(tmp_path)
    assert [r.to_json() for r in run.records] == [r.to_json() for r in written]
    assert run.rejected == ()
    write(tmp_path, 1)  # and it can be written on
    assert len(read_run(tmp_path).records) == 4


def test_a_job_whose_record_cannot_be_read_is_not_pending(tmp_path: Path) -> None:
    written = write(tmp_path, 2)
    with Store(tmp_path) as store:
        store.write_info({"jobs": [r.job.to_json() for r in written] + [make_job(seed=7).to_json()]})
    file = tmp_path / RECORDS
    first, second = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(first + second.replace(b'"status":"ok"', b'"status":"OK"'))
    run = read_run(tmp_path)
    assert [line.job_id for line in run.rejected] == [written[1].job.id]
    assert run.set_aside.startswith(f"line 2 of {file} set aside: checksum")
    frame = to_frame([run])
    assert dict(zip(frame["seed"], frame["status"], strict=True)) == {0: "ok", 1: UNREADABLE, 7: PENDING}
    assert str(Progress.of(frame)) == "1 of 3 measured, 1 pending, 1 that cannot be read"
    assert (
        failures(frame)["error"].tolist()[0].startswith("its record, line 2 of records.jsonl, is set aside")
    )
    for read in (bench.load, bench.export):  # which read at different depths
        with pytest.warns(UserWarning, match="line 2 of .* set aside") as caught:
            read(tmp_path)
        assert caught[0].filename == __file__


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.append(make_record(schema=SCHEMA + 1))
        with pytest.raises(StoreError, match="newer"):
            read_run(tmp_path)


def test_an_unknown_status_is_no_record() -> None:
    with pytest.raises(ValueError, match=r"Invalid enum value 'fine' - at `\$.status`"):
        decode(sound_line({**make_record().to_json(), "status": "fine"}))


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"attempt": "first"}, r"Expected `int`, got `str` - at `\$.attempt`"),
        ({"measurements": [{"name": "macs"}]}, "samples"),
        ({"job": {"arch": "vgg16"}}, "task"),
        ({"card": {"family": "vgg"}}, "name"),
        ({"error": "gone"}, r"at `\$.error`"),
        ({"environment": None}, "environment"),
    ],
)
def test_a_sound_line_that_is_no_record_is_set_aside_with_the_place(
    tmp_path: Path, change: dict[str, Any], where: str
) -> None:
    write(tmp_path, 1)
    with (tmp_path / RECORDS).open("ab") as file:
        file.write(sound_line({**make_record().to_json(), **change}))
    run = read_run(tmp_path)
    assert len(run.records) == 1
    assert [r.line for r in run.rejected] == [2]
    assert re.search(where, run.rejected[0].reason)


def test_null_samples_are_nan_and_whole_numbers_stay_whole() -> None:
    seen = Measurement(name="loss", unit="1", better="lower", samples=(1, math.nan, 0.5))
    read = decode(encode(make_record(measurements=(seen,)))).measurements[0].samples
    assert read[0] == 1
    assert isinstance(read[0], int)
    assert math.isnan(read[1])
    assert read[2] == 0.5


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    with Store(tmp_path), pytest.raises(StoreError, match="another bench is writing"), Store(tmp_path):
        pass
    with Store(tmp_path):  # free again
        pass


@pytest.mark.parametrize(
    "info",
    [
        *("{", "[]", "", "\0", "[" * 100_000, "1" * 5000),
        *('{"jobs": [1]}', '{"jobs": [{"task": "cost"}]}', '{"jobs": 3}', '{"jobs": [null]}'),
        '{"jobs": [{"task": "cost", "arch": 3, "input_size": 32}]}',
        '{"jobs": [{"task": "cost", "arch": "a", "input_size": 32, "settings": 3}]}',
        f'{{"jobs": [{{"task": "cost", "arch": "a", "input_size": 1{"0" * 400}}}]}}',
        '{"invocations": 3}',
        '{"invocations": ["bench"]}',
        '{"experiment": []}',
        '{"band": "wide"}',
        '{"schema": "one"}',
    ],
    ids=lambda text: text[:60],
)
def test_a_store_that_cannot_be_read_is_let_go_of(tmp_path: Path, info: str) -> None:
    (tmp_path / INFO).write_text(info)
    with pytest.raises(StoreError, match=INFO) as caught, Store(tmp_path):
        pass
    assert caught.value.tip == "delete it; the records do not depend on it"
    (tmp_path / INFO).unlink()
    write(tmp_path, 1)  # although the error, and with it the store, is still at hand
    assert len(read_run(tmp_path).records) == 1


def test_run_json_of_a_newer_version_is_told(tmp_path: Path) -> None:
    (tmp_path / INFO).write_text('{"schema": 9, "jobs": "of another kind"}')
    with pytest.raises(StoreError, match="of a newer version: its schema is 9, not 1") as caught:
        read_run(tmp_path)
    assert caught.value.tip == "update bench"


def test_the_file_of_a_link_is_not_cut(tmp_path: Path) -> None:
    """It may be another run's, whose writer is in the midst of that line."""
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    write(theirs, 1)
    whole = (theirs / RECORDS).read_bytes()
    (theirs / RECORDS).write_bytes(whole + whole[:50])
    ours.mkdir()
    (ours / RECORDS).symlink_to(theirs / RECORDS)
    write(ours, 1)
    assert (theirs / RECORDS).read_bytes().startswith(whole + whole[:50] + b"\n")
    assert not (ours / _REJECTED).exists()
    assert len(read_run(ours).records) == 2
    assert [r.line for r in read_run(ours).rejected] == [2]


def test_drafts_of_killed_processes_are_swept(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    (tmp_path / "checkpoints").mkdir()
    left = [tmp_path / f".{INFO}.{ended.pid}", tmp_path / "checkpoints" / f".0123.pt.{ended.pid}"]
    kept = [tmp_path / f".{INFO}.{os.getpid()}", tmp_path / ".hidden", tmp_path / f"{INFO}.{ended.pid}"]
    for file in (*left, *kept):
        file.touch()
    write(tmp_path, 1)
    assert [file.exists() for file in left] == [False, False]
    assert [file.exists() for file in kept] == [True, True, True]


def test_a_line_with_more_in_it_than_can_be_walked_is_set_aside(tmp_path: Path) -> None:
    write(tmp_path, 1)
    data = make_record().to_json()
    deep = sound_line({**data, "error": {"message": "DEEP"}}).replace(
        b'"DEEP"', b"[" * 100_000 + b"]" * 100_000
    )
    body = deep.rpartition(b',"checksum"')[0]
    checksum = hashlib.sha256(body + b"}").hexdigest()[:16].encode()
    with (tmp_path / RECORDS).open("ab") as file:
        file.write(body + b',"checksum":"' + checksum + b'"}\n')
    run = read_run(tmp_path)
    assert len(run.records) == 1
    assert [r.line for r in run.rejected] == [2]


def test_a_run_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, 1)

    def refuse(*_: object, **__: object) -> Any:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(StoreError, match="cannot read .*: Permission denied") as caught:
        read_run(tmp_path)
    assert caught.value.tip


def test_a_run_with_a_name_that_no_folder_can_have(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="File name too long|no run in"):
        read_run(tmp_path / ("x" * 300))


def test_the_last_record_of_a_job_stands_but_for_a_cancelled_try_after_one_that_is_ok() -> None:
    ok, killed, cancelled = (make_record(status=status) for status in ("ok", "killed", "cancelled"))
    for attempts, stands in (
        ([ok, killed], killed), ([killed, ok], ok), ([ok, cancelled], ok), ([killed, cancelled], cancelled),
    ):  # fmt: skip
        assert latest(attempts) == {ok.job.id: stands}


def test_attempts_are_counted(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        record = make_record()
        assert store.attempts(record.job.id) == 0
        store.append(record)
        assert store.attempts(record.job.id) == 1
    with Store(tmp_path) as store:
        assert store.attempts(record.job.id) == 1


def test_a_folder_that_is_no_run_names_its_neighbours(tmp_path: Path) -> None:
    write(tmp_path / "smoke", 1)
    with pytest.raises(StoreError) as caught:
        read_run(tmp_path / "smok")
    assert "smoke" in str(caught.value.tip)


@pytest.mark.parametrize("device", [None, "/dev/null", "/dev/full"])
def test_what_is_no_file_holds_no_records(device: str | None, tmp_path: Path) -> None:
    """A pipe would be waited for, and a device keeps nothing."""
    records = tmp_path / RECORDS
    if device is None:
        os.mkfifo(records)
    else:
        records.symlink_to(device)
    with (
        pytest.raises(StoreError, match=f"cannot write to .*: {RECORDS} is a pipe, a device or a socket"),
        Store(tmp_path),
    ):
        pass
    records.unlink()
    with Store(tmp_path) as store:
        store.append(make_record())
    assert len(read_run(tmp_path).records) == 1


@pytest.mark.parametrize("name", ["run.json", "rejected.jsonl", ".lock"])
def test_no_pipe_beside_the_records_is_waited_for(name: str, tmp_path: Path) -> None:
    write(tmp_path, 1)
    with (tmp_path / RECORDS).open("ab") as torn:
        torn.write(b"torn")
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    with pytest.raises(StoreError, match=f"{name} is a pipe, a device or a socket"), Store(tmp_path):
        pass


def test_of_a_long_file_the_last_records_are_read(tmp_path: Path) -> None:
    write(tmp_path, 5)
    lines = (tmp_path / RECORDS).read_bytes().splitlines()
    most = sum(len(line) + 1 for line in lines[-2:]) + 1  # and the end of the line before
    assert [line for line, _ in sound_lines(tmp_path / RECORDS, most)] == lines[-2:]


def test_a_record_is_written_as_its_values_say_whether_it_was_read_or_made(tmp_path: Path) -> None:
    made = make_record(environment={"flags": {"a": 1}, "name": "\u00d7 \x7f\x9b \U0001f600"})
    with Store(tmp_path) as store:
        store.append(made)
    (read,) = read_run(tmp_path).records
    for record in (made, read):
        text = record_text(record)
        assert text.isascii()
        assert b"\x7f" not in text
        assert json.loads(text) == made.to_json()


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(StoreError, match="cannot write"), Store(tmp_path / "run"):
        pass


def test_a_full_disk_is_a_store_error_and_loses_nothing_written(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.append(make_record())

        class Full:
            def __init__(self, stream: Any) -> None:
                self.stream = stream

            def write(self, data: Any) -> int:
                if len(data) > 100:
                    return int(
                        self.stream.write(bytes(data[:100]))
                    )  # a part goes through, then the disk is full
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            def __getattr__(self, name: str) -> Any:
                return getattr(self.stream, name)

        store._stream = Full(store._stream)  # type: ignore[assignment]
        with pytest.raises(StoreError, match="No space left"):
            store.append(make_record(job=make_job(seed=1, settings={"padding": "x" * 200})))
    write(tmp_path, 1)
    assert len(read_run(tmp_path).records) == 2


def test_run_json_is_replaced_at_once(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.write_info({"jobs": [make_job().to_json()], "value": math.nan})
    run = read_run(tmp_path)
    assert run.planned == (make_job(),)
    assert run.info["value"] is None
    (tmp_path / INFO).write_text("{")
    with pytest.raises(StoreError, match="not JSON"):
        read_run(tmp_path)


def test_jobs_of_run_json_are_known_by_what_they_say(tmp_path: Path) -> None:
    """Also where somebody has edited it, and whatever version has written it."""
    asked = make_job(seed=3, settings={"padding": "x", "replicate": 2})
    edited = {**asked.to_json(), "id": make_job().id}
    older = {key: edited[key] for key in ("task", "arch", "input_size", "num_classes", "seed", "settings")}
    for jobs in ([edited], [older], [edited, {**older, "later": 1}]):
        (tmp_path / INFO).write_text(json.dumps({"jobs": jobs}))
        planned = read_run(tmp_path).planned
        assert [job.id for job in planned] == [asked.id] * len(jobs)
        assert planned == (asked,) * len(jobs)


def test_a_run_that_was_read_a_moment_ago_is_not_read_again_unless_it_was_written_to(tmp_path: Path) -> None:
    write(tmp_path, 1)
    known = read_run(tmp_path)
    with Store(tmp_path, known) as store:
        assert store.run is known
        assert store.attempts(known.records[0].job.id) == 1
        store.append(make_record(job=make_job(seed=7)))
    with Store(tmp_path, known) as store:
        assert len(store.run.records) == 2
        store.write_info({"band": 0.02})
    with Store(tmp_path, read_run(tmp_path)) as store:
        assert store.run.info["band"] == 0.02


def test_a_command_with_a_name_that_is_not_utf_8_is_noted_as_it_was(tmp_path: Path) -> None:
    info = {"schema": 1, "invocations": [{"argv": ["bench", "run", "--reports", "\udcff", "é"]}]}
    with Store(tmp_path) as store:
        store.write_info(info)
    assert read_info(tmp_path) == info


def _append_until_killed(path: str) -> None:
    with Store(path) as store:
        for i in range(100_000):
            store.append(make_record(job=make_job(seed=i)))


def test_kill_9_while_writing_leaves_a_sound_prefix(tmp_path: Path) -> None:
    process = multiprocessing.get_context("fork").Process(target=_append_until_killed, args=(str(tmp_path),))
    process.start()
    while not (tmp_path / RECORDS).is_file() or (tmp_path / RECORDS).stat().st_size < 20_000:
        assert process.is_alive()
        time.sleep(0.001)
    process.kill()
    process.join()
    write(tmp_path, 1)  # the lock of a killed process is free
    run = read_run(tmp_path)
    assert [r.job.seed for r in run.records[:-1]] == list(range(len(run.records) - 1))
    assert run.rejected == ()


ROOT = Path(__file__).parents[1]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
def test_runs_of_a_reference_card_are_kept_with_the_sources_and_ones_own_are_not() -> None:
    runs = ["h100", "h200", "h100-again", "h200-accuracy", "mine", "h100x"]
    paths = [f"{folder}/{run}/file" for folder in ("results", "reports") for run in runs]
    words = ["git", "check-ignore", "--no-index", *paths]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    ignored = {line.split("/")[1] for line in done.stdout.splitlines()}
    assert ignored == {"mine", "h100x"}
