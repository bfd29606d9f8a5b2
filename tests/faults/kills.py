"""Kills at random moments: of the command, its server, a job's keeper, the job; by all signals that end."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from functools import partial

import psutil

from . import JOBS, Place, ended, fault, wait_for

SLOW = {"LIGHT_S": "0.4"}  # so that a job is under way when it is hit


def begin(place: Place, rng: random.Random, **options: object) -> subprocess.Popen[bytes]:
    """Start a run, and wait for a moment of it; of a fresh interpreter, also one in the midst of imports."""
    process = place.start(*place.measuring(), environment=SLOW, **options)
    if isinstance(process, subprocess.Popen):
        time.sleep(rng.uniform(0.3, 3.0))
    else:
        stored = rng.choice([1, 0, 2])
        wait_for(
            lambda: process.poll() is not None or (place.run.exists() and len(place.lines()) >= stored),
            "a record",
        )
        time.sleep(rng.uniform(0, 0.4))
    return process


def child_of(pid: int, depth: int) -> int | None:
    """Return a process below another: its server at depth 1, a keeper at 2, a job at 3."""
    below = [pid]
    with contextlib.suppress(psutil.Error):
        for _ in range(depth):
            children = [c for parent in below for c in psutil.Process(parent).children()]
            below = [c.pid for c in children if depth == 0 or "resource_tracker" not in " ".join(c.cmdline())]
    return below[0] if below else None


def interrupted(place: Place, rng: random.Random, *numbers: int, **options: object) -> None:
    process = begin(place, rng, **options)
    stored = place.lines()
    for number in numbers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)
        time.sleep(rng.uniform(0, 0.3))
    code, _, err = ended(process)
    if numbers == (signal.SIGKILL,):
        assert code in (0, -signal.SIGKILL)
    else:
        assert code in (0, 130), err
        assert code == 0 or "cancelled" in err or "stopped at once" in err
    place.check(stored)


@fault(8)
def kill_the_command(place: Place, rng: random.Random) -> None:
    interrupted(place, rng, signal.SIGKILL)


@fault(6)
def terminate_the_command(place: Place, rng: random.Random) -> None:
    interrupted(place, rng, signal.SIGTERM)


@fault(6)
def interrupt_the_command(place: Place, rng: random.Random) -> None:
    """As a shell begins it in the background, with the signal ignored."""
    interrupted(place, rng, signal.SIGINT, preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_IGN))


@fault(2)
def interrupt_its_imports(place: Place, rng: random.Random) -> None:
    interrupted(place, rng, rng.choice([signal.SIGINT, signal.SIGTERM]), fresh=True)


@fault(6)
def interrupt_twice(place: Place, rng: random.Random) -> None:
    interrupted(place, rng, signal.SIGINT, rng.choice([signal.SIGINT, signal.SIGTERM]))


@fault(3)
def other_signals(place: Place, rng: random.Random) -> None:
    """Of those that bench does not heed the kernel ends the command at once, as by SIGKILL."""
    number = rng.choice([signal.SIGUSR1, signal.SIGALRM, signal.SIGPROF, signal.SIGIO, signal.SIGRTMIN + 1])
    process = begin(place, rng)
    stored = place.lines()
    process.send_signal(number)
    assert ended(process)[0] in (0, -number)
    place.check(stored)


@fault(3)
def close_the_terminal(place: Place, rng: random.Random) -> None:
    interrupted(place, rng, signal.SIGHUP)


def kill_below(place: Place, rng: random.Random, depth: int, number: int = signal.SIGKILL) -> None:
    """Kill a process below the command while it runs; the run goes on and measures all else."""
    process = place.start(*place.measuring(), environment=SLOW)
    wait_for(lambda: process.poll() is not None or child_of(process.pid, 3), "a job")
    time.sleep(rng.uniform(0, 0.8))
    victim = child_of(process.pid, depth)
    if victim is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, number)
    code, out, err = ended(process)
    assert code in (0, 1), err
    assert '"pending": 0' in out
    place.check(place.lines())


@fault(6)
def kill_the_server(place: Place, rng: random.Random) -> None:
    kill_below(place, rng, 1)


@fault(6)
def kill_a_keeper(place: Place, rng: random.Random) -> None:
    kill_below(place, rng, 2)


@fault(6)
def kill_a_job(place: Place, rng: random.Random) -> None:
    kill_below(place, rng, 3, rng.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGINT]))


@fault(3)
def kill_all_at_once(place: Place, rng: random.Random) -> None:
    process = begin(place, rng)
    stored = place.lines()
    pids = [pid for depth in (0, 1, 2, 3) if (pid := child_of(process.pid, depth))]
    for pid in rng.sample(pids, len(pids)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    ended(process)
    place.check(stored)


@fault(3)
def two_runs_at_once(place: Place, rng: random.Random) -> None:
    """The second is refused, or begins when the first has ended; nothing is measured into one store by both."""
    first = place.start(*place.measuring(), environment=SLOW)
    time.sleep(rng.uniform(0, 1.5))
    second = place.start(*place.measuring(), environment=SLOW)
    for process in (first, second):
        code, _, err = ended(process)
        assert code in (0, 1), err
        assert code == 0 or "another bench is writing to" in err
    assert len(place.lines()) in (JOBS, JOBS + 1)
    place.check(place.lines())
