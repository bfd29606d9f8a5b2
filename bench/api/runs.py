"""What each command needs of a run: an executor, and the folder."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bench.errors import ConfigError, UnsupportedError, install_tip
from bench.execution import EXECUTORS, Executor
from bench.records.store import Run, read_run

_MEASURING = ("torch", "torchvision", "fvcore")


@contextlib.contextmanager
def open_executor(executor: str | Executor = "process", names: Sequence[str] = ()) -> Iterator[Executor]:
    """Yield an executor, for these networks; one that is given by its name is made, and closed after the block.

    Raises:
        UnsupportedError: where what jobs import is not installed; what is stored is read without it.
    """
    if not isinstance(executor, str):
        yield executor
        return
    lacking = [name for name in _MEASURING if importlib.util.find_spec(name) is None]
    if lacking:
        message = f"not installed, and needed to count or time a network: {', '.join(lacking)}"
        raise UnsupportedError(message, f"{install_tip()} brings what is missing")
    made = EXECUTORS.get(executor).make(names)
    try:
        yield made
    finally:
        made.close()


def stored_runs(given: Iterable[Path | str | Run]) -> list[Run]:
    """Return the runs of folders, for who calls a function of the API: of lines that are set aside it is warned.

    What is a run already stays as it is.

    Raises:
        StoreError: for a folder that is no run.
    """
    runs = []
    for one in given:
        runs.append(one if isinstance(one, Run) else read_run(one))
        if runs[-1] is not one and runs[-1].rejected:
            warn(runs[-1].set_aside)
    return runs


def warn(text: str) -> None:
    """Warn where bench was called, however deep within it that is found out."""
    frame, level = sys._getframe(1), 2
    while frame.f_back and str(frame.f_globals.get("__name__")).partition(".")[0] == "bench":
        frame, level = frame.f_back, level + 1
    warnings.warn(text, stacklevel=level)


def each(texts: str | Sequence[str]) -> Sequence[str]:
    """Return texts, of which one may have been given alone."""
    return [texts] if isinstance(texts, str) else texts


def run_folder(results: Path | str, name: str) -> Path:
    """Return the folder of a run.

    Raises:
        ConfigError: for a name that is not that of one folder within `results`.
    """
    wrong = (
        name in ("", ".", "..")
        or "/" in name
        or "\\" in name
        or not name.isprintable()
        or len(name.encode()) > 200
    )
    if wrong:
        message = f"a run cannot be called {name!r}"
        raise ConfigError(message, "one name without slashes or line ends; --results chooses the folder")
    return Path(results) / name
