"""Damage to what is stored: torn and foreign lines, links, folders in the place of files, `run.json` of any content."""

from __future__ import annotations

import atexit
import json
import os
import random
import shutil
import tempfile
from functools import cache
from pathlib import Path

from bench.records.store import _REJECTED, INFO, read_run

from . import JOBS, Place, fault, is_sound


@cache
def _whole() -> Path:
    """Return the folder of a run that is measured whole, once for all faults."""
    folder = tempfile.TemporaryDirectory(prefix="fault-whole-")
    atexit.register(folder.cleanup)
    place = Place(Path(folder.name) / "place", fresh=False)
    code, _, err = place.bench(*place.measuring())
    place.close()
    assert code == 0, err
    return place.run


def measured(place: Place) -> bytes:
    """Let all be measured, and return the store's content."""
    shutil.copytree(_whole(), place.run)
    return place.records.read_bytes()


def damaged(place: Place, content: bytes) -> None:
    """Store this content, read it, and go on; sound lines stay."""
    place.records.write_bytes(content)
    sound = [line for line in content.split(b"\n") if is_sound(line)]
    run = read_run(place.run)
    assert len(run.records) == len(sound)
    place.check(sound)


@fault(8)
def torn_anywhere(place: Place, rng: random.Random) -> None:
    content = measured(place)
    damaged(place, content[: rng.randrange(len(content))])


@fault(6)
def bits_flipped(place: Place, rng: random.Random) -> None:
    content = bytearray(measured(place))
    for _ in range(rng.randint(1, 5)):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    damaged(place, bytes(content))


JUNK = (
    b"\0" * 4096,
    b"{}",
    b"[" * 50_000,
    b"\xff\xfe",
    b"null",
    b'{"job":1,"checksum":"0123456789abcdef"}',
    b"\x1b[2J",
    b"\r",
)


@fault(6)
def junk_between_lines(place: Place, rng: random.Random) -> None:
    lines = measured(place).split(b"\n")
    for _ in range(rng.randint(1, 4)):
        lines.insert(rng.randrange(len(lines)), rng.choice(JUNK))
    damaged(place, b"\n".join(lines))


@fault(3)
def lines_of_another_editor(place: Place, rng: random.Random) -> None:
    """Line ends of another system, a mark at the beginning, blank lines: no record is lost to them."""
    content = measured(place)
    changed = rng.choice(
        [content.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + content, content.replace(b"\n", b"\n\n")]
    )
    place.records.write_bytes(changed)
    assert len(read_run(place.run).records) == JOBS
    place.lost_lines = True  # byte for byte they are others
    place.check([])


INFOS = (
    "", "{", "[]", "null", "3", "\0", "[" * 20_000, "9" * 5000, '{"jobs": 3}', '{"jobs": [3]}', '{"jobs": [{}]}',
    '{"invocations": 3}', '{"experiment": 3}', '{"experiment": {"study": {"tests": 3}}}', '{"band": []}',
    '{"schema": "x"}', '{"schema": 99}', '{"jobs": [{"task": "infer", "arch": "a", "input_size": 1, "settings": {"batch_size": []}}]}',
)  # fmt: skip


@fault(6)
def run_json_of_any_content(place: Place, rng: random.Random) -> None:
    measured(place)
    stored = place.lines()
    text = rng.choice([*INFOS, json.dumps({"jobs": rng.choice([1, [], {}, [[]], "x"])})])
    (place.run / INFO).write_text(text)
    code, _, err = place.bench(*place.measuring())
    assert code in (0, 1), err
    if code:
        assert INFO in err
        assert "tip:" in err
        (place.run / INFO).unlink()
    place.check(stored)


@fault(3)
def something_else_in_its_place(place: Place, rng: random.Random) -> None:
    """A file where a folder should be, and the other way round, and links to nothing or to themselves."""
    target = rng.choice(
        [place.folder / "results", place.run, place.records, place.run / INFO, place.run / ".lock"]
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    how = rng.random()
    if how < 0.4:
        target.symlink_to(
            rng.choice(["nowhere", target.name, "/dev/full", "/dev/null", "/dev/zero", "/proc/self/mem"])
        )
    elif how < 0.6:
        os.mkfifo(target)
    elif target in (place.folder / "results", place.run):
        target.write_text("a file")
    else:
        target.mkdir()
    code, _, err = place.bench(*place.measuring())
    assert code in (0, 1, 2), err
    assert code == 0 or "error: " in err
    if target.is_symlink() or not target.is_dir():
        target.unlink()
    elif not any(target.iterdir()):
        target.rmdir()
    place.check([])


@fault(2)
def a_store_that_is_a_link(place: Place, rng: random.Random) -> None:
    """Another run's file is not cut, and what is measured goes behind what is there."""
    content = measured(place)
    cut = content[: rng.randrange(1, len(content))]
    theirs = place.folder / "theirs.jsonl"
    theirs.write_bytes(cut)
    place.records.unlink()
    place.records.symlink_to(theirs)
    place.check([line for line in cut.split(b"\n") if is_sound(line)])
    assert theirs.read_bytes().startswith(cut)
    assert not (place.run / _REJECTED).exists()


@fault(2)
def drafts_of_the_killed(place: Place, rng: random.Random) -> None:
    (place.run / "checkpoints").mkdir(parents=True)
    for name in (f".{INFO}.999999999", "checkpoints/.0123456789ab.pt.999999998"):
        Path(place.run / name).write_bytes(rng.randbytes(100))
    place.check([])
