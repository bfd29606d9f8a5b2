"""Ends that nobody reads, that are closed, or that are full."""

from __future__ import annotations

import os
import random
import resource
import subprocess
from functools import partial
from pathlib import Path

from . import JOBS, Place, ended, fault
from .stores import measured


@fault()
def a_reader_that_leaves(place: Place, rng: random.Random) -> None:
    """As of ``bench run 2>&1 | head``: the run goes on to its end, with its exit code."""
    read, write = os.pipe()
    process = place.start(*place.measuring(), stdout=write, stderr=write)
    os.close(write)
    if rng.random() < 0.5:
        os.read(read, 10)
    os.close(read)
    assert ended(process)[0] == 0
    assert len(place.lines()) == JOBS
    place.check(place.lines())


@fault(2)
def closed_streams(place: Place, rng: random.Random) -> None:
    closed = rng.choice([(0,), (1,), (2,), (1, 2), (0, 1, 2)])

    def close() -> None:
        for descriptor in closed:
            os.close(descriptor)

    process = place.start(
        *place.measuring(), fresh=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=close
    )
    assert ended(process)[0] == 0
    assert len(place.lines()) == JOBS
    place.check(place.lines())


@fault(2)
def full_streams(place: Place, rng: random.Random) -> None:
    """Nothing can be printed: of results that is told, and of progress it does not matter."""
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        stream = rng.choice(["stdout", "stderr"])
        code, _, err = place.bench(*place.measuring(), fresh=False, **{stream: full})
    assert code == (1 if stream == "stdout" else 0), err
    assert code == 0 or "No space left on device" in err
    place.check(place.lines())


@fault(2)
def input_of_others(place: Place, rng: random.Random) -> None:
    """What stands on stdin, as in a shell's loop over a list, is neither the command's nor a job's: it stays."""
    read, write = os.pipe()
    os.write(write, b"the next network")
    process = place.start(*place.measuring(), fresh=False, stdin=read)
    os.close(write)
    assert ended(process)[0] == 0
    assert os.read(read, 100) == b"the next network"
    os.close(read)
    place.check(place.lines())


WRITTEN = ("merge light --name drawn", "export light -o drawn.csv", "report light -f csv -o drawn")


@fault(3)
def a_document_on_a_full_disk(place: Place, rng: random.Random) -> None:
    """It is refused with a message, and what is there is whole; it is written where there is room again."""
    measured(place)
    words = rng.choice(WRITTEN).split()
    limit = rng.randrange(1, 6_000)
    set_limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    code, _, err = place.bench(*words, fresh=False, preexec_fn=set_limit)
    assert code in (0, 1), err
    assert code == 0 or "error: " in err, err
    drawn = [path for path in place.folder.rglob("*") if "drawn" in str(path) and path.is_file()]
    assert all(path.read_bytes().endswith(b"\n") for path in drawn), drawn
    assert code == 0 or place.bench(*words, fresh=False)[0] == 0
    place.check(place.lines())


@fault(6)
def a_full_disk(place: Place, rng: random.Random) -> None:
    """No file may grow beyond a bound, as where the disk is full: a message, and what was stored is kept."""
    limit = rng.randrange(1, 12_000)
    set_limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    code, _, err = place.bench(*place.measuring(), preexec_fn=set_limit)
    assert code in (0, 1), err
    assert code == 0 or "error: " in err
    place.check(place.lines())


@fault(2)
def a_small_file_system(place: Place, rng: random.Random) -> None:
    """The results are on a file system of a few blocks, where this user may mount one."""
    results = place.folder / "results"
    results.mkdir()
    size = rng.choice([16, 24, 32, 48, 1024])
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}k", "none", results], check=False, capture_output=True
    )
    try:
        code, _, err = place.bench(*place.measuring())
        assert code in (0, 1), err
        assert code == 0 or "No space left on device" in err
        stored = place.lines()
        if mounted.returncode == 0:
            subprocess.run(["mount", "-o", "remount,size=1g", results], check=True)
        place.check(stored)
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", results], check=True)


@fault(1)
def nowhere_for_temporary_files(place: Place, rng: random.Random) -> None:
    missing = str(place.folder / "missing")
    code, _, err = place.bench(*place.measuring(), environment={"TMPDIR": missing})
    assert code in (0, 1, 2), err
    assert not Path(missing).exists()
    place.check(place.lines())
