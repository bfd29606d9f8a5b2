"""Hostile input: experiment files, names, values and places to write to; each is refused with a message, or works."""

from __future__ import annotations

import os
import random
import stat
from pathlib import Path

from . import Place, fault
from .stores import measured

YAML = (
    "blocks: &a [*a]", "a: " + "[" * 3000 + "]" * 3000, "about: !!python/object:os.system {}", "about: !!binary aGVsbG8=",
    "blocks: !!timestamp 2001-01-01", "a\0b: 1", "\ufffe", "blocks: [{task: cost, grid: {arch: [2001-01-01]}}]",
    "blocks: [{task: cost, grid: {arch: [a], seed: [1" + "0" * 400 + "]}}]", "blocks: [{task: cost, grid: {arch: [a], seed: [.inf]}}]",
    "- 1", "", "null", "blocks: 3", "blocks: [3]", "blocks: [{task: 3}]", "blocks: [{task: cost, grid: 3}]", "&a *a", "? {a: b}\n: c",
    "blocks: [{task: cost, grid: {arch: [{a: b}]}}]", "blocks: [{task: cost, grid: {arch: [a], input_size: [{cpu: {cpu: 1}}]}}]",
    "name: \"\\e[2J\"\nblocks: [{task: cost, grid: {arch: [\"\\e[31mx\"], seed: [x]}}]", "skip: [3]\nblocks: [{task: cost}]",
    "study: 3\nblocks: [{task: cost, grid: {arch: [a]}}]", "about: &x [" + "x, " * 50 + "]\nblocks: [" + "*x, " * 5000 + "]",
)  # fmt: skip


def bomb(rng: random.Random) -> str:
    width, depth = rng.randint(2, 12), rng.randint(8, 40)
    lines = [f"about: &a0 [{', '.join(['x'] * width)}]"]
    lines += [f"k{i}: &a{i} [{', '.join([f'*a{i - 1}'] * width)}]" for i in range(1, depth)]
    return "\n".join([*lines, f"blocks: [{{task: cost, grid: {{arch: *a{depth - 1}}}}}]"])


def refused(place: Place, *words: object, codes: tuple[int, ...] = (1, 2)) -> None:
    code, _, err = place.bench(*words)
    assert code in codes, err
    assert code == 0 or "rror: " in err, err
    assert len(err) < 20_000


@fault(8)
def experiment_files(place: Place, rng: random.Random) -> None:
    text = rng.choice([*YAML, bomb(rng), bomb(rng)])
    (place.folder / "hostile.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    plugin = place.measuring()[1]
    words = ["--plugin", plugin, "run", "-c", "hostile.yaml", "--executor", "light", "--no-report", "--json"]
    refused(place, *words, codes=(0, 1, 2))
    place.nothing_runs()


VALUES = (
    "seed=1e400",
    "seed=[[[",
    "seed=.nan",
    "seed",
    "=",
    "seed.x.y=1",
    "seed=\x1b[2J",
    "timeout_s=-1",
    "timeout_s=1e999",
    "seed=9" * 3,
    "arch=" + "x" * 9000,
)


@fault(4)
def values(place: Place, rng: random.Random) -> None:
    refused(place, *place.measuring("--set", rng.choice(VALUES)), codes=(0, 1, 2))
    place.nothing_runs()


NAMES = ("x" * 300, "..", ".", "a/b", "a\nb", "\x1b[31m", "", "\u202eevil", "con", "-", "é" * 120)


@fault(4)
def names_of_runs(place: Place, rng: random.Random) -> None:
    name = rng.choice(NAMES)
    refused(place, *place.measuring(f"--name={name}"), codes=(0, 1, 2))
    place.nothing_runs()


PLACES = ("/", "/proc/x", "/dev/null", "light.yaml", "light.yaml/x", "x" * 5000, "loop", "full", "\udcff")


@fault(4)
def places_to_write_to(place: Place, rng: random.Random) -> None:
    (place.folder / "loop").symlink_to("loop")
    (place.folder / "full").symlink_to("/dev/full")
    where = rng.choice(PLACES)
    option = rng.choice(["--results", "--reports"])
    words = (
        [word for word in place.measuring() if word != "--no-report"]
        if option == "--reports"
        else place.measuring()
    )
    code, _, err = place.bench(*words, option, where)
    assert code in (0, 1, 2), err
    assert code == 0 or "rror: " in err, err
    place.check(place.lines())


# Where a command is given a file or a run; WHAT is in its place.
COMMANDS = (
    "--plugin WHAT.py list exports", "run -c WHAT.yaml --executor light", "run -c WHAT --executor light", "plan -c WHAT.yaml",
    "merge WHAT light --name new", "diff WHAT light", "ensemble WHAT", "export WHAT", "export light -o WHAT/x", "report WHAT",
    "report light -f csv -o WHAT", "report light -f md --style WHAT", "verify --claims WHAT", "verify WHAT",
    "facts update WHAT/results-imagenet.csv", "facts update results-imagenet.csv", "choose --on WHAT --latency 1ms",
    "choose --on rtx4090 --latency 1ms --accuracy WHAT", "push WHAT hf://a/b", "sql select WHAT", "train mlp -d digits -r WHAT.yaml",
    "run -c light.yaml --executor light --results WHAT", "export light --force -o WHAT",
)  # fmt: skip


def put(path: Path, what: str) -> None:
    """Put something in the place of a file that is none."""
    if what == "pipe":
        os.mkfifo(path)
    elif what == "socket":
        os.mknod(path, stat.S_IFSOCK | 0o600)
    elif what == "folder":
        path.mkdir()
    else:
        path.symlink_to(what)


@fault(6)
def what_is_no_file(place: Place, rng: random.Random) -> None:
    """A pipe that nobody writes to, a socket, a folder, a device or a link to nothing, where a file or a run is named."""
    measured(place)
    stored = place.lines()
    command = rng.choice(COMMANDS)
    what = rng.choice(["pipe", "socket", "folder", "/dev/zero", "nowhere", "what"])
    if command.endswith(" -o WHAT") and what == "pipe":
        what = "socket"  # as it is asked for, as of any program
    for name in ("what", "what.py", "what.yaml", "results-imagenet.csv"):
        put(place.folder / name, what)
    if "--executor light" in command:
        command = f"--plugin {place.measuring()[1]} {command}"
    code, _, err = place.bench(*command.replace("WHAT", "what").split(), fresh=False)
    assert code in (0, 1, 2), err
    assert code == 0 or "rror: " in err, (command, what, err)
    for own in place.temporary.glob("torchinductor_*"):  # torch's, from its import
        own.rmdir()
    place.check(stored)
