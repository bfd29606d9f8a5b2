"""Surroundings in which a command is started, or that change while it runs: limits, signals, clocks, locales, /proc."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from bench.records.store import read_run

from . import JOBS, WAIT_S, Place, ended, fault, wait_for
from .kills import SLOW, begin, child_of

FUTURE_S = 4e9


def whole(place: Place, **options: object) -> None:
    """Measure all in some surroundings, which are to be of no concern."""
    code, _, err = place.bench(*place.measuring(), **options)
    assert code == 0, err
    assert len(place.lines()) == JOBS
    place.check(place.lines())


def told(place: Place, **options: object) -> None:
    """Measure in surroundings in which that may be refused: with a message, and with what is stored kept."""
    code, _, err = place.bench(*place.measuring(), **options)
    assert code in (0, 1, 2), err
    assert code == 0 or "rror: " in err, err
    place.check(place.lines())


@fault(4)
def stopped_and_continued(place: Place, rng: random.Random) -> None:
    """As by Ctrl-Z, or a debugger: of the command, its server, a job's keeper or the job."""
    process = place.start(*place.measuring(), environment=SLOW)
    wait_for(lambda: process.poll() is not None or child_of(process.pid, 3), "a job")
    victim = child_of(process.pid, rng.randrange(4))
    with contextlib.suppress(ProcessLookupError, TypeError):
        os.kill(victim, signal.SIGSTOP)  # type: ignore[arg-type]
        time.sleep(rng.uniform(0.1, 1.5))
        os.kill(victim, signal.SIGCONT)  # type: ignore[arg-type]
    code, out, err = ended(process)
    assert code == 0, err
    assert '"pending": 0' in out
    place.check(place.lines())


@fault(3)
def two_resumes_at_once(place: Place, rng: random.Random) -> None:
    """Of a run that was killed: one goes on, the other is refused or finds all done."""
    first = begin(place, rng)
    first.kill()
    ended(first)
    stored = place.lines()
    both = [place.start(*place.measuring(), environment=SLOW) for _ in range(2)]
    codes = [ended(process)[0] for process in both]
    assert 0 in codes
    assert set(codes) <= {0, 1}
    assert len(place.lines()) == JOBS
    place.check(stored)


@fault(3)
def few_open_files(place: Place, rng: random.Random) -> None:
    limit = rng.choice([64, 48, 32, 24, 16, 10])
    told(place, preexec_fn=partial(resource.setrlimit, resource.RLIMIT_NOFILE, (limit, limit)))


@fault(2)
def few_processes(place: Place, rng: random.Random) -> None:
    """As of a container's limit: of a user who is not root, with the rights to its files, where one may become that."""
    most = rng.randint(1, 9)
    limits = [
        "prlimit",
        f"--nproc={most}:{most}",
        "setpriv",
        "--ruid",
        str(rng.randint(10_000, 60_000)),
        "--inh-caps=-all",
    ]
    command = [*limits, "--bounding-set=-sys_resource,-sys_admin"]
    if subprocess.run([*command, "true"], check=False, capture_output=True).returncode:
        return
    bench = [*command, sys.executable, "-m", "bench", *map(str, place.measuring())]
    environment = place.environment(OPENBLAS_NUM_THREADS="1")
    with subprocess.Popen(
        bench, cwd=place.folder, env=environment, start_new_session=True, stdout=-1, stderr=-1
    ) as process:
        place.processes.append(process)
        code, _, err = ended(process)
    assert code in (0, 1, 2), err
    assert code == 0 or "pids.max" in err or "BlockingIOError" in err, err
    place.check(place.lines())


def _signals_ignored() -> None:
    for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _signals_blocked() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGALRM})


@fault(2)
def signals_that_the_parent_ignored(place: Place, rng: random.Random) -> None:
    """Children inherit it, and then no child of theirs is waited for as usual."""
    whole(place, preexec_fn=_signals_ignored)


@fault(2)
def signals_that_the_parent_blocked(place: Place, rng: random.Random) -> None:
    whole(place, preexec_fn=_signals_blocked)


@fault(3)
def no_rights_on_new_files(place: Place, rng: random.Random) -> None:
    told(place, preexec_fn=partial(os.umask, rng.choice([0o777, 0o277, 0o077])))


LOCALES = ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "ascii"},
    {"LANG": "xx_YY.nothing"}, {"COLUMNS": "-1", "LINES": "x"}, {"COLUMNS": "1"}, {"TERM": "\\x1b"}, {"TZ": "Nowhere/At_All"},
    {"NO_COLOR": "", "FORCE_COLOR": ""}, {"PYTHONWARNINGS": "junk"}, {"PYTHONSAFEPATH": "1"}, {"PYTHONHASHSEED": "0"},
)  # fmt: skip


@fault(3)
def locales_and_terminals(place: Place, rng: random.Random) -> None:
    place.name, locale = rng.choice(["light", "é", "run of mine", "走る"]), rng.choice(LOCALES)
    unreadable = locale is LOCALES[0] and not place.name.isascii()  # Python was told to read words as ASCII
    (told if unreadable else whole)(place, environment=locale, fresh=True)


@fault(3)
def a_home_that_is_none(place: Place, rng: random.Random) -> None:
    home = rng.choice(["/nowhere", "/dev/null", "", "/proc", str(place.folder / "light.yaml")])
    locks = rng.choice(
        [{}, {"BENCH_LOCKS": str(place.folder / "light.yaml")}, {"BENCH_LOCKS": "/proc/locks"}]
    )
    told(place, environment={"HOME": home, "XDG_CACHE_HOME": home, **locks})


VARIABLES = (
    {"TORCHELASTIC_RUN_ID": "x"}, {"TORCHELASTIC_RUN_ID": "x", "RANK": "0", "WORLD_SIZE": "many"}, {"BENCH_LOCKS": "~no-one-at-all/x"},
    {"BENCH_PLUGINS": "/dev/zero"}, {"BENCH_PLUGINS": "nowhere.py:light.yaml"}, {"COLUMNS": "9" * 400}, {"COLUMNS": "\udcff"},
    {"X\udcff": "\udcff"}, {"USER": "\udcff", "OMP_NUM_THREADS": "\udcff"}, {"PATH": ""}, {"TERM": "\udcff", "LANG": "\udcff"},
    {"PYTHONSTARTUP": "/dev/zero"}, {"BENCH_SLURM": "junk", "RAY_ADDRESS": "\udcff"}, {"PYTHONNODEBUGRANGES": "1"},
)  # fmt: skip


@fault(3)
def variables_of_any_content(place: Place, rng: random.Random) -> None:
    variables = rng.choice(VARIABLES)
    told(place, environment=variables, fresh=not all(name.startswith("BENCH_") for name in variables))


@fault(2)
def a_folder_of_odd_bytes(place: Place, rng: random.Random) -> None:
    """The current folder, or that for temporary files, has a name that is no text."""
    odd = place.folder / os.fsdecode(rng.choice([b"\xff", b"\n", b"\x1b[2J", b" -x", b"a'b\"c"]))
    odd.mkdir()
    if rng.random() < 0.5:
        told(place, environment={"TMPDIR": str(odd)})
        return
    words = [*place.measuring(), "--results", place.folder / "results"]
    words[words.index("light.yaml")] = place.folder / "light.yaml"
    code, _, err = place.bench(*words, fresh=False, preexec_fn=partial(os.chdir, odd))
    assert code == 0, err
    place.check(place.lines())


@fault(2)
def temporary_files_that_are_swept(place: Place, rng: random.Random) -> None:
    """As a service does that removes old ones, with the sockets of the server among them, or the whole folder."""
    process = place.start(*place.measuring(), environment=SLOW)
    wait_for(lambda: process.poll() is not None or place.lines(), "a record")
    shutil.rmtree(place.temporary, ignore_errors=True)
    if rng.random() < 0.5:
        place.temporary.mkdir()
    code, _, err = ended(process)
    assert code in (0, 1, 2), err
    assert code == 0 or "error: " in err, err
    place.temporary.mkdir(exist_ok=True)
    place.check(place.lines())


CLOCKS = """
import datetime, itertools, time
import bench.execution.runner as runner

backwards = itertools.count(4e9, -3600)
time.time = lambda: float(next(backwards))
time.time_ns = lambda: int(next(backwards)) * 10**9


class Backwards(datetime.datetime):
    @classmethod
    def now(cls, zone=None):
        return cls.fromtimestamp(next(backwards), zone)


runner.datetime = Backwards
"""


@fault(2)
def a_clock_that_goes_backwards(place: Place, rng: random.Random) -> None:
    """As one that is set while jobs run: by an hour whenever somebody looks; what lasts is told by another one."""
    (place.folder / "clocks.py").write_text(CLOCKS)
    code, _, err = place.bench("--plugin", place.folder / "clocks.py", *place.measuring(), fresh=False)
    assert code == 0, err
    records = read_run(place.run).records
    assert all(r.started_at > "2090" for r in records)  # as it says
    assert all(0 < r.duration_s < WAIT_S for r in records)
    place.check(place.lines())


@fault(3)
def clocks_that_were_wrong(place: Place, rng: random.Random) -> None:
    """All that a run has written is of the future, or of 1970, as after a clock was set."""
    process = begin(place, rng)
    process.kill()
    ended(process)
    stored = place.lines()
    moment = rng.choice([0.0, 1.0, FUTURE_S])
    for path in [place.run, *place.run.rglob("*"), *(place.folder / "locks").glob("*")]:
        if path.exists():
            os.utime(path, (moment, moment))
    place.check(stored)


@fault(3)
def a_store_that_is_taken_away(place: Place, rng: random.Random) -> None:
    """In mid-run somebody deletes the run, moves it, or empties its file; the command ends, and what is there is read."""
    process = place.start(*place.measuring(), environment=SLOW)
    wait_for(lambda: process.poll() is not None or place.lines(), "a record")
    place.lost_lines = True
    how = rng.choice(["delete", "move", "empty", "replace"])
    if how == "delete":
        shutil.rmtree(place.run, ignore_errors=True)
    elif how == "move":
        place.run.rename(place.folder / "moved")
    elif how == "empty":
        os.truncate(place.records, 0)
    else:
        (place.folder / "other").write_bytes(place.records.read_bytes())
        (place.folder / "other").replace(place.records)
    code, _, err = ended(process)
    assert code in (0, 1), err
    assert code == 0 or "error: " in err, err
    place.check([])


@fault(2)
def a_folder_that_is_gone(place: Place, rng: random.Random) -> None:
    """The folder that the command was started in is removed before it begins, or while it runs."""
    gone = place.folder / "gone"
    gone.mkdir()
    words = [*place.measuring(), "--results", place.folder / "results"]
    words[words.index("light.yaml")] = place.folder / "light.yaml"
    early = rng.random() < 0.5

    def enter() -> None:
        os.chdir(gone)
        if early:
            gone.rmdir()

    process = place.start(*words, preexec_fn=enter, environment=SLOW)
    if not early:
        wait_for(lambda: process.poll() is not None or place.lines(), "a record")
        gone.rmdir()
    code, _, err = ended(process)
    assert code in (0, 1, 2), err
    assert code == 0 or "rror: " in err, err
    place.check(place.lines())


@contextlib.contextmanager
def mounted(folder: Path, options: str) -> Iterator[bool]:
    """Have the results on a file system of its own, where this user may mount one."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "none", folder]
    is_own = subprocess.run(mount, check=False, capture_output=True).returncode == 0
    try:
        yield is_own
    finally:
        if is_own:
            subprocess.run(["umount", "-l", folder], check=True)


@fault(2)
def no_more_files(place: Place, rng: random.Random) -> None:
    """The table of a file system is full, though there is room for bytes."""
    with mounted(place.folder / "results", f"size=1m,nr_inodes={rng.randint(2, 8)}") as is_own:
        code, _, err = place.bench(*place.measuring())
        assert code in (0, 1), err
        assert code == 0 or "No space left on device" in err, err
        stored = place.lines()
        if is_own:
            subprocess.run(["mount", "-o", "remount,nr_inodes=1k", place.folder / "results"], check=True)
        place.check(stored)


@fault(2)
def read_only_in_mid_run(place: Place, rng: random.Random) -> None:
    """As a kernel mounts a disk that has errors."""
    results = place.folder / "results"
    with mounted(results, "size=1m") as is_own:
        process = place.start(*place.measuring(), environment=SLOW)
        wait_for(lambda: process.poll() is not None or place.lines(), "a record")
        time.sleep(rng.uniform(0, 0.5))
        if is_own:  # busy as long as a file is open for writing, and so by force
            subprocess.run(["mount", "-o", "remount,ro,force", results], check=False, capture_output=True)
            subprocess.run(["mount", "-o", "remount,size=16k", results], check=False, capture_output=True)
        code, _, err = ended(process)
        assert code in (0, 1), err
        assert code == 0 or "error: " in err, err
        stored = place.lines()
        if is_own:
            subprocess.run(["mount", "-o", "remount,rw,size=1m", results], check=True)
        place.check(stored)


@fault(2)
def no_proc(place: Place, rng: random.Random) -> None:
    """Linux without /proc: jobs could neither be watched nor ended, which is said."""
    hidden = 'mount -t tmpfs none /proc && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", hidden, "sh", sys.executable, "-m", "bench"]
    if subprocess.run([*command[:5], "sh", "true"], check=False, capture_output=True).returncode:
        command = [sys.executable, "-m", "bench"]  # only root may: then it is as usual
    process = subprocess.Popen(
        [*command, *map(str, place.measuring())],
        cwd=place.folder,
        env=place.environment(),
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    place.processes.append(process)
    code, _, err = ended(process)
    assert code in (0, 1, 2), err
    assert code == 0 or "rror: " in err, err
    place.check(place.lines())


@fault(2)
def little_memory(place: Place, rng: random.Random) -> None:
    limit = rng.choice([600, 900, 1200]) << 20
    told(place, preexec_fn=partial(resource.setrlimit, resource.RLIMIT_DATA, (limit, limit)))


@fault(2)
def little_time(place: Place, rng: random.Random) -> None:
    """The kernel ends the command when its CPU time is used up; what is stored stays."""
    limit = rng.randint(1, 3)
    process = place.start(
        *place.measuring(), preexec_fn=partial(resource.setrlimit, resource.RLIMIT_CPU, (limit, limit + 1))
    )
    code, _, _ = ended(process)
    assert code in (0, 1, 130, -signal.SIGXCPU, -signal.SIGKILL)
    place.check(place.lines())
