"""Two commits of a repository of networks: is any network certainly slower in the later one?

Both commits' files are taken out of the repository side by side, and each network is compared with its former self as
`compare` does: in turn, in each of several processes. What is slower is measured a second time, in fresh processes, and
counts where both rounds say so: where nothing has changed, a network is called slower in at most 1 of 400 cases, as
each round does so in at most 1 of 20.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench.analysis.gate import TwoRounds
from bench.analysis.versus import Ratio
from bench.api._comparing import compare
from bench.api._running import Done, run_name
from bench.api.runs import open_executor
from bench.errors import BenchError, ConfigError, UnknownNameError
from bench.execution import Executor
from bench.execution.catalog import ask
from bench.execution.runner import Observer
from bench.plan.card import ArchCard


@dataclass(frozen=True)
class Gate:
    """What two commits come to.

    Attributes:
        commits: the earlier one and the later one, by their short hashes.
        changes: of each network that is in both, by quantity.
        new: networks that the earlier commit lacks.
        missing: networks of which nothing was compared, as all jobs failed or it was cancelled before.
        runs: in which it was measured.
    """

    commits: tuple[str, str]
    changes: tuple[TwoRounds, ...]
    new: tuple[str, ...]
    missing: tuple[str, ...]
    runs: tuple[Done, ...]


def gate(
    base: str,
    head: str,
    names: Sequence[str],
    *,
    limit: float = 0.05,
    processes: int | None = None,
    overrides: Sequence[str] = (),
    repository: Path | str = ".",
    results: Path | str = "results",
    executor: str | Executor = "process",
    observer: Observer | None = None,
    argv: Sequence[str] | None = None,
) -> Gate:
    """Compare networks of two commits with their former selves.

    Beside the arguments of `compare` there are:

    base: the earlier commit, as git knows it.
    head: the later one.
    names: networks in files of the repository, by their paths from its root: ``nets/mine.py:Net(width=64)``.
    limit: a slowdown counts where its interval lies beyond this share.
    processes: of each round; None means as often as a verdict needs.
    repository: a folder in it.

    Raises:
        ConfigError: for what is no repository, commit or file of it.
        BenchError: as `compare` does.

    Example:
        >>> done = bench.gate("main", "HEAD", ["nets/mine.py:Net"], limit=0.05)
        >>> [change.ratio.quantity for change in done.changes if change.verdict == "slower"]
    """
    root = Path(_git(Path(repository), "rev-parse", "--show-toplevel").decode().strip())
    commits = _commit(root, base), _commit(root, head)
    changes: list[TwoRounds] = []
    runs: list[Done] = []
    with _side_by_side(root, commits) as (before, after):
        new = _new(names, before, after, commits[1], executor)

        def ratios(name: str, run: str) -> dict[str, Ratio]:
            together = [f"{after}/{name}", f"{before}/{name}"]
            done = compare(
                together,
                processes=processes,
                overrides=overrides,
                name=run,
                results=results,
                executor=executor,
                observer=observer,
                argv=argv,
            )
            runs.append(done)
            rows = Ratio.in_run(done.here)
            return {row.quantity: replace(row, arch=name, baseline=" ".join(commits)) for row in rows}

        for name in names:
            if name in new or (runs and runs[-1].summary.cancelled):
                continue
            run = run_name(f"gate-{commits[0]}-{commits[1]}", [name])
            first = ratios(name, run)
            slower = any(row.is_slower(limit) for row in first.values())
            again = ratios(name, f"{run}-again") if slower and not runs[-1].summary.cancelled else {}
            changes += [TwoRounds(row, again.get(quantity), limit) for quantity, row in first.items()]
    compared = {change.ratio.arch for change in changes}
    missing = tuple(name for name in dict.fromkeys(names) if name not in {*new, *compared})
    return Gate(commits, tuple(changes), new, missing, tuple(runs))


def _new(
    names: Sequence[str], before: Path, after: Path, head: str, executor: str | Executor
) -> tuple[str, ...]:
    """Return the networks that the earlier commit lacks, with or without their files.

    Raises:
        ConfigError: for a name that is of no file of the later one, or of nothing in it.
    """
    for name in names:
        file = name.partition(":")[0]
        if not (after / file).is_file():
            raise ConfigError(f"{head} has no file {file}", "name networks by their files: nets/mine.py:Net")
        if _lacks(after / name, executor):
            raise ConfigError(f"{head} has no {name}", f"`bench show {name}` knows it once it is there")
    return tuple(
        name
        for name in names
        if not (before / name.partition(":")[0]).is_file() or _lacks(before / name, executor)
    )


def _lacks(network: Path, executor: str | Executor) -> bool:
    """Return whether the file of a network has none of that name; whatever else is wrong with it, its jobs will say."""
    with open_executor(executor) as opened:
        try:
            ask(opened, tuple[ArchCard, ...], "probe_arch", str(network))
        except UnknownNameError:
            return True
        except BenchError:
            return False
    return False


@contextmanager
def _side_by_side(root: Path, commits: Sequence[str]) -> Iterator[list[Path]]:
    """Give folders with the files of commits; what is not committed is not in them."""
    with tempfile.TemporaryDirectory(prefix="bench-gate-") as folder:
        folders = [Path(folder) / commit for commit in commits]
        for commit, into in zip(commits, folders, strict=True):
            packed = _git(root, "archive", "--format=tar", commit)
            with tarfile.open(fileobj=io.BytesIO(packed)) as files:
                files.extractall(into, filter="data")
        yield folders


def _commit(root: Path, name: str) -> str:
    """Return the short hash of a commit.

    Raises:
        ConfigError: if there is none of that name.
    """
    try:
        return _git(root, "rev-parse", "--short", "--verify", f"{name}^{{commit}}").decode().strip()
    except ConfigError as error:
        message = f"there is no commit {name!r} in {root}"
        raise ConfigError(message, "`git log --oneline` shows the commits; in CI fetch both") from error


def _git(folder: Path, *words: str) -> bytes:
    """Return what git says.

    Raises:
        ConfigError: with its words, where it refuses.
    """
    try:
        answer = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, check=False)
    except FileNotFoundError as error:
        raise ConfigError(
            "git is not installed", "install it, or use `bench compare` on two folders"
        ) from error
    if answer.returncode:
        lines = answer.stderr.decode(errors="replace").strip().splitlines() or ["failed"]
        outside = "not a git repository" in lines[-1]
        tip = "go into a repository of git" if outside else "mend that, then run it again"
        raise ConfigError(f"git {words[0]}: {lines[-1]}", tip)
    return answer.stdout
