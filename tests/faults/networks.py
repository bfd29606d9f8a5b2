"""Networks that misbehave: each ends as a row, the one beside it is measured, and nothing of it is left.

They run as jobs do, in processes that are forked from one server with torch, which serves the whole campaign.
"""

from __future__ import annotations

import hashlib
import os
import random
import textwrap
from dataclasses import dataclass
from functools import cache
from multiprocessing import forkserver, resource_tracker
from pathlib import Path

import psutil

from bench.execution.executors.process import ProcessExecutor
from bench.execution.runner import run_plan
from bench.plan.card import ArchCard
from bench.plan.expand import Catalog, Planned
from bench.plan.job import Job
from bench.plan.task import TASKS
from bench.records.record import Record
from bench.records.store import Store, read_run

from . import MARK, Place, fault, wait_for

OWN_MARK = f"networks {os.getpid()}"
ANYTHING = ("ok", "invalid_model", "crashed", "killed", "oom", "unsupported", "timeout")
FAILED = ANYTHING[1:]


@dataclass(frozen=True)
class Evil:
    """What a network does, at a stage that is drawn, and what may come of it."""

    code: str
    statuses: tuple[str, ...] = FAILED
    timeout_s: float = 120.0


EVILS = {
    "raises": Evil("raise RuntimeError('\\x1b[2J\\x00\\u202e')", ("invalid_model", "unsupported")),
    "raises without a text": Evil("class E(Exception):\n    def __str__(self): raise ValueError\nraise E", ("invalid_model",)),
    "raises with a tip": Evil("e = ValueError('x'); e.tip = object(); e.message = 3; raise e", ("invalid_model",)),
    "raises half a character": Evil("raise ValueError('\\ud800')", ("invalid_model",)),
    "raises what hides": Evil("class E(Exception):\n    def __getattribute__(self, n): raise ValueError(n)\nraise E", ("invalid_model",)),
    "raises a base": Evil("class B(BaseException): pass\nraise B", ("invalid_model",)),
    "raises a number": Evil("class E(Exception):\n    def __str__(self): return 3\nraise E", ("invalid_model",)),
    "interrupts": Evil("raise KeyboardInterrupt"),
    "leaves": Evil("sys.exit('\\x9b')"),
    "leaves at once": Evil("os._exit(7)", ("crashed",)),
    "faults": Evil("ctypes.string_at(0)", ("crashed",)),
    "recurses": Evil("f = lambda: f()\nf()", ("invalid_model",)),
    "kills its parent": Evil("os.kill(os.getppid(), 9)\ntime.sleep(60)", ("killed",)),
    "kills its group": Evil("os.killpg(0, 9)", ("killed",)),
    "kills the server": Evil("os.kill(psutil.Process(os.getppid()).ppid(), 9)", ANYTHING),
    "stops its parent": Evil("os.kill(os.getppid(), signal.SIGSTOP)", ANYTHING, 3.0),
    "writes everywhere": Evil("for fd in range(3, 256):\n    try: os.write(fd, os.urandom(50))\n    except OSError: pass", ANYTHING),
    "closes everything": Evil("os.closerange(0, 256)", ANYTHING),
    "leaves from a thread": Evil("import threading; threading.Thread(target=os._exit, args=(0,)).start(); time.sleep(60)", ("crashed",)),
    "becomes another program": Evil("os.execv('/bin/sleep', ['sleep', '600'])", ("timeout",), 2.0),
    "stops itself": Evil("os.kill(os.getpid(), signal.SIGSTOP)", ("timeout",), 2.0),
    "is called by an alarm": Evil("signal.alarm(1); time.sleep(60)", ("crashed",)),
    "starts forty sessions": Evil("for _ in range(40):\n    if os.fork() == 0:\n        os.setsid()\n        time.sleep(600)", ANYTHING),
    "replaces builtins": Evil("import builtins\nfor n in ('print', 'len', 'repr', 'isinstance'): setattr(builtins, n, lambda *a: 1 / 0)", ANYTHING),
    "clears the modules": Evil("sys.modules.clear()", ANYTHING),
    "ends its streams": Evil("sys.stdout.close(); sys.stderr.close(); os.closerange(0, 3)", ANYTHING),
    "leaves a busy thread": Evil("import threading\ndef busy():\n    while True: pass\nthreading.Thread(target=busy).start()", ANYTHING),
    "waits for itself": Evil("import threading; lock = threading.Lock(); lock.acquire(); lock.acquire()", ("timeout",), 2.0),
    "leaves a daemon": Evil("if os.fork() == 0:\n    os.setsid()\n    if os.fork(): os._exit(0)\n    time.sleep(600)", ANYTHING),
    "leaves a session and dies": Evil("subprocess.Popen(['sleep', '600'], start_new_session=True)\nos.abort()", ("crashed",)),
    "forks and goes on": Evil("os.fork()", ANYTHING),
    "forks and holds the pipe": Evil("if os.fork() == 0:\n    os.setsid()\n    time.sleep(600)", ANYTHING),
    "hangs": Evil("time.sleep(600)", ("timeout",), 2.0),
    "hangs deaf": Evil("signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: time.sleep(1)", ("timeout",), 2.0),
    "hangs with the lock": Evil("ctypes.PyDLL(None).sleep(600)", ("timeout",), 2.0),
    "prints much": Evil("for _ in range(3000): print('\\x1b[31m' * 400)", ANYTHING),
    "takes all memory": Evil("torch.empty(2**50, device='cpu')", ("oom",)),
    "goes elsewhere": Evil("os.chdir('/')\nos.environ.clear()\nsys.path.clear()", ANYTHING),
    "handles signals": Evil("for n in (2, 15, 17): signal.signal(n, lambda *_: None)", ANYTHING),
    "sends what is no event": Evil("[os.write(fd, b'\\0\\0\\0\\x05stuff') for fd in range(3, 40) if os.path.exists(f'/proc/self/fd/{fd}') and 'pipe' in os.readlink(f'/proc/self/fd/{fd}')]", ANYTHING),
    "limits itself": Evil("import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))", ANYTHING),
    "answers nothing": Evil("return None", ("invalid_model",)),
}  # fmt: skip

NETWORK = """
import ctypes, os, psutil, signal, subprocess, sys, time
import torch


def evil():
{code}


{at_import}


class Net(torch.nn.Module):
    def __init__(self, num_classes=10, in_channels=3):
        super().__init__()
        self.layer = torch.nn.Linear(in_channels * 32 * 32, num_classes)
        {at_build}

    def forward(self, images):
        {at_forward}
        return self.layer(images.flatten(1))
"""


def written(evil: Evil, stage: str) -> str:
    calls = {f"at_{s}": "evil()" if s == stage else "" for s in ("import", "build", "forward")}
    return NETWORK.format(code=textwrap.indent(evil.code, "    "), **calls)


@cache
def executor() -> ProcessExecutor:
    """Return the executor of all these faults; its processes bear a mark."""
    TASKS.load()
    os.environ[MARK] = OWN_MARK
    try:
        return ProcessExecutor()
    finally:
        del os.environ[MARK]


def planned(arch: str, timeout_s: float) -> Planned:
    file = Path(arch.rpartition(":")[0])
    own = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None
    job = Job(task="cost", arch=arch, input_size=32, num_classes=10, source_sha256=own)
    return Planned(job=job, card=ArchCard(name=arch, input_size=32, num_classes=10), timeout_s=timeout_s)


def measured(place: Place, evil: Evil, stage: str) -> Record:
    """Return the record of a network that misbehaves at a stage; those before and behind it are measured."""
    file = place.folder / "evil.py"
    file.write_text(written(evil, stage))
    plan = [planned("mlp", 120), planned(f"{file}:Net", evil.timeout_s), planned("linear", 120)]
    with Store(place.run) as store:
        run_plan(plan, executor(), store, Catalog(environment={"gpu": []}))
    statuses = {r.job.arch: r.status for r in read_run(place.run).records}
    assert (statuses["mlp"], statuses["linear"]) == ("ok", "ok")
    (record,) = [r for r in read_run(place.run).records if r.job.arch.endswith(":Net")]
    return record


def left() -> list[str]:
    """Return what runs of those that bear the mark, but for the server and Python's tracker of resources."""
    own = (forkserver._forkserver._forkserver_pid, resource_tracker._resource_tracker._pid)  # type: ignore[attr-defined]
    running = []
    for process in psutil.process_iter():
        try:
            if process.pid not in own and process.environ().get(MARK) == OWN_MARK:
                running += [str(process)] * (process.status() != psutil.STATUS_ZOMBIE)
        except psutil.Error:
            continue
    return running


@fault(20)
def a_network_that_misbehaves(place: Place, rng: random.Random) -> None:
    name = rng.choice(sorted(EVILS))
    check(place, name, rng.choice(["import", "build", "forward"]))


def check(place: Place, name: str, stage: str) -> None:
    evil = EVILS[name]
    record = measured(place, evil, stage)
    allowed = {*evil.statuses, *(("ok",) if evil.code == "return None" and stage != "forward" else ())}
    assert record.status in allowed or (name == "answers nothing"), (name, stage, record.status, record.error)
    assert record.status == "ok" or (record.error or {}).get("message"), (name, record.error)
    wait_for(lambda: not left(), f"the end of what is left by {name}, {stage}: {left()}")
    assert not list(place.temporary.iterdir())
