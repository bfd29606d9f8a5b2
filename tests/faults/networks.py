"""Networks that misbehave: each ends as a row, the one beside it is measured, and nothing of it is left.

They run as jobs do, in processes that are forked from one server with torch, which serves the whole campaign.
"""

from __future__ import annotations

import hashlib
import os
import random
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from multiprocessing import forkserver, resource_tracker
from pathlib import Path

import psutil
import pytest

from bench.execution.executors import process
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
    """What a network does, at a stage that is drawn, and what may come of it; what it returns, its forward returns."""

    code: str
    statuses: tuple[str, ...] = FAILED
    timeout_s: float = 120.0
    only: str | None = None  # the stage, where it misbehaves in no other one


DUNDERS = ("__repr__", "__str__", "__len__", "__iter__", "__bool__", "__eq__", "__hash__", "__getattr__")
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
    "stops its parent": Evil("os.kill(os.getppid(), signal.SIGSTOP)", ANYTHING, 0.4),
    "writes everywhere": Evil("for fd in range(3, 256):\n    try: os.write(fd, os.urandom(50))\n    except OSError: pass", ANYTHING),
    "closes everything": Evil("os.closerange(0, 256)", ANYTHING),
    "leaves from a thread": Evil("import threading; threading.Thread(target=os._exit, args=(0,)).start(); time.sleep(60)", ("crashed",)),
    "becomes another program": Evil("os.execv('/bin/sleep', ['sleep', '600'])", ("timeout",), 0.4),
    "stops itself": Evil("os.kill(os.getpid(), signal.SIGSTOP)", ("timeout",), 0.4),
    "is called by an alarm": Evil("signal.setitimer(signal.ITIMER_REAL, 0.1); time.sleep(60)", ("crashed",)),
    "starts ten sessions": Evil("for _ in range(10):\n    if os.fork() == 0:\n        os.setsid()\n        time.sleep(600)", ANYTHING),
    "replaces builtins": Evil("import builtins\nfor n in ('print', 'len', 'repr', 'isinstance'): setattr(builtins, n, lambda *a: 1 / 0)", ANYTHING),
    "clears the modules": Evil("sys.modules.clear()", ANYTHING),
    "ends its streams": Evil("sys.stdout.close(); sys.stderr.close(); os.closerange(0, 3)", ANYTHING),
    "leaves a busy thread": Evil("import threading\ndef busy():\n    while True: pass\nthreading.Thread(target=busy).start()", ANYTHING),
    "waits for itself": Evil("import threading; lock = threading.Lock(); lock.acquire(); lock.acquire()", ("timeout",), 0.4),
    "leaves a daemon": Evil("if os.fork() == 0:\n    os.setsid()\n    if os.fork(): os._exit(0)\n    time.sleep(600)", ANYTHING),
    "leaves a session and dies": Evil("subprocess.Popen(['sleep', '600'], start_new_session=True)\nos.abort()", ("crashed",)),
    "forks and goes on": Evil("os.fork()", ANYTHING),
    "forks and holds the pipe": Evil("if os.fork() == 0:\n    os.setsid()\n    time.sleep(600)", ANYTHING),
    "hangs": Evil("time.sleep(600)", ("timeout",), 0.4),
    "hangs deaf": Evil("signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: time.sleep(1)", ("timeout",), 0.4),
    "hangs with the lock": Evil("ctypes.PyDLL(None).sleep(600)", ("timeout",), 0.4),
    "prints much": Evil("for _ in range(3000): print('\\x1b[31m' * 400)", ANYTHING),
    "takes all memory": Evil("torch.empty(2**50, device='cpu')", ("oom",)),
    "goes elsewhere": Evil("os.chdir('/')\nos.environ.clear()\nsys.path.clear()", ANYTHING),
    "handles signals": Evil("for n in (2, 15, 17): signal.signal(n, lambda *_: None)", ANYTHING),
    "sends what is no event": Evil("[os.write(fd, b'\\0\\0\\0\\x05stuff') for fd in range(3, 40) if os.path.exists(f'/proc/self/fd/{fd}') and 'pipe' in os.readlink(f'/proc/self/fd/{fd}')]", ANYTHING),
    "limits itself": Evil("import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))", ANYTHING),
    "answers nothing": Evil("return False", ("invalid_model",), only="forward"),
    "answers what blocks": Evil("class A:\n    def __getattribute__(self, n): time.sleep(600)\nreturn A()", ("timeout", "invalid_model"), 0.4, "forward"),
    "answers what raises": Evil(f"class A:\n    def raises(*_): raise ValueError\n    {' = '.join(DUNDERS)} = raises\nreturn A()", ("invalid_model",), only="forward"),
    "answers a tensor that lies": Evil("class T(torch.Tensor): shape = ndim = property(lambda s: 1 / 0)\nreturn torch.zeros(1, 10).as_subclass(T)", ANYTHING, only="forward"),
    "raises a class without a name": Evil("class M(type): __name__ = property(lambda c: 1 / 0)\nclass E(Exception, metaclass=M): pass\nraise E", ("invalid_model",)),
    "raises what leaves": Evil("class E(Exception):\n    def __str__(self): sys.exit(3)\nraise E", ("invalid_model",)),
    "raises what ends a loop": Evil("raise StopIteration", ("invalid_model",)),
    "raises what ends a generator": Evil("raise GeneratorExit", ("invalid_model",)),
    "removes its folder": Evil("import tempfile\nf = tempfile.mkdtemp(); os.chdir(f); os.rmdir(f)", ("ok",)),
    "removes its file": Evil("if os.path.exists(__file__): os.remove(__file__)", ("ok", "invalid_model")),
    "cannot leave": Evil("os._exit = lambda code: None\nos.getpid = lambda: 3", ("ok",)),
    "stays when all is said": Evil("import bench.execution.executors._child as c; c._leave = lambda code: time.sleep(600)", ("ok",)),
    "replaces its streams": Evil("class S:\n    def __getattr__(self, n): time.sleep(600)\nsys.stdout = sys.stderr = S()", ("ok",)),
    "replaces the clocks": Evil("time.perf_counter = time.perf_counter_ns = time.monotonic = time.time = time.process_time = lambda: 1 / 0", ANYTHING),
    "replaces torch's functions": Evil("for n in ('no_grad', 'zeros', 'empty', 'get_num_threads', 'is_grad_enabled'): setattr(torch, n, lambda *a, **k: 1 / 0)\ntorch.nn.Module.train = lambda *a: 1 / 0", ANYTHING),
    "replaces what sends": Evil("import json, msgspec\njson.dumps = json.loads = msgspec.to_builtins = lambda *a, **k: 1 / 0\nos.write = None", ANYTHING),
    "replaces modules": Evil("for n in ('torch', 'json', 'msgspec', 'traceback', 'bench.costs'): sys.modules[n] = None", ANYTHING),
    "replaces import": Evil("import builtins\nbuiltins.__import__ = lambda *a: 1 / 0", ANYTHING),
    "traces all": Evil("sys.settrace(lambda *a: 1 / 0); sys.setprofile(lambda *a: 1 / 0); sys.excepthook = sys.unraisablehook = None", ANYTHING),
    "makes warnings errors": Evil("import warnings; warnings.simplefilter('error')", ("ok",)),
    "leaves endless threads": Evil("import threading\nfor d in (True, False) * 5: threading.Thread(target=time.sleep, args=(600,), daemon=d).start()", ("ok",)),
    "prints without end": Evil("while True: os.write(1, b'x' * (1 << 20)); time.sleep(0.1)", ("timeout",), 0.4),
    "recurses without end": Evil("sys.setrecursionlimit(10**8)\ndef f(*_): return list(map(f, [0]))\nf()", ("crashed", "invalid_model")),
    "blocks all signals": Evil("signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\ntime.sleep(600)", ("timeout",), 0.4),
    "leaves its group": Evil("os.setsid(); time.sleep(600)", ("timeout",), 0.4),
    "adopts its own": Evil("ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)\nif os.fork() == 0:\n    os.setsid()\n    if os.fork(): os._exit(0)\n    time.sleep(600)", ANYTHING),
    "takes all rights": Evil("os.umask(0o777)", ("ok",)),
    "limits its files": Evil("import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\nprint('x' * 9000)", ANYTHING),
    "limits its memory": Evil("import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 20, 1 << 20))\nbytearray(1 << 26)", ("oom",)),
    "writes to its parent": Evil("for f in os.listdir(f'/proc/{os.getppid()}/fd'):\n    try: os.write(os.open(f'/proc/{os.getppid()}/fd/{f}', os.O_WRONLY | os.O_NONBLOCK), os.urandom(50))\n    except OSError: pass", ANYTHING),
    "becomes somebody else": Evil("os.setuid(65534)", ANYTHING),
    "leaves its root": Evil("os.chroot('/dev')", ANYTHING),
    "hooks every import": Evil("class H:\n    def find_spec(self, *a): raise RuntimeError\nsys.meta_path.insert(0, H()); sys.path_hooks.clear(); sys.path_importer_cache.clear()", ("ok",)),
    "stays at exit": Evil("import atexit, threading\natexit.register(time.sleep, 600); threading._register_atexit(time.sleep, 600)", ("ok",)),
    "has no main": Evil("sys.modules['__main__'] = sys.argv = sys.path = None", ANYTHING),
    "enters and never leaves": Evil("torch.autocast('cpu', torch.bfloat16).__enter__(); torch.inference_mode().__enter__(); torch.device('meta').__enter__()", ANYTHING),
    "waits for a word": Evil("os.read(0, 1)", ("ok",)),
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
        answer = {at_forward}
        return self.layer(images.flatten(1)) if answer is None else answer
"""


def written(evil: Evil, stage: str) -> str:
    calls = {f"at_{s}": "evil()" if s == stage else "None" for s in ("import", "build", "forward")}
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


def measured(place: Place, evils: Mapping[str, str]) -> dict[str, Record]:
    """Return the records of networks that misbehave, each at a stage; those before, beside and behind it are measured."""
    plan, names = [planned("mlp", 120)], {}
    for number, (name, stage) in enumerate(evils.items()):
        file = place.folder / f"evil{number}.py"
        file.write_text(written(EVILS[name], stage))
        names[f"{file}:Net"] = name
        plan.append(planned(f"{file}:Net", EVILS[name].timeout_s))
    plan.append(planned("linear", 120))
    with pytest.MonkeyPatch.context() as patch, Store(place.run) as store:
        patch.setattr(process, "_LEAVE_S", 0.5)
        run_plan(plan, executor(), store, Catalog(environment={"gpu": []}))
    records = {r.job.arch: r for r in read_run(place.run).records}
    assert (records["mlp"].status, records["linear"].status) == ("ok", "ok")
    return {name: records[arch] for arch, name in names.items()}


def left() -> list[str]:
    """Return what runs of those that bear the mark, but for the server and Python's tracker of resources."""
    own = (forkserver._forkserver._forkserver_pid, resource_tracker._resource_tracker._pid)  # type: ignore[attr-defined]
    running = []
    for one in psutil.process_iter():
        try:
            if one.pid not in own and one.environ().get(MARK) == OWN_MARK:
                running += [str(one)] * (one.status() != psutil.STATUS_ZOMBIE)
        except psutil.Error:
            continue
    return running


@fault(20)
def a_network_that_misbehaves(place: Place, rng: random.Random) -> None:
    check(place, [rng.choice(sorted(EVILS))], rng)


def check(place: Place, names: Sequence[str], rng: random.Random) -> None:
    """Have networks misbehave in one run, each at a stage that is drawn."""
    stages = {name: EVILS[name].only or rng.choice(["import", "build", "forward"]) for name in names}
    for name, record in measured(place, stages).items():
        told = (name, stages[name], record.status, record.error)
        assert record.status in EVILS[name].statuses, told
        assert record.status == "ok" or (record.error or {}).get("message"), told
    wait_for(lambda: not left(), f"the end of what is left by {stages}: {left()}")
    assert not list(place.temporary.iterdir())
