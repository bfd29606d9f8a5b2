"""torchrun: the processes that it starts become the ranks of each training."""

from __future__ import annotations

import os

import typer

from bench.errors import ConfigError

STARTED = "TORCHELASTIC_RUN_ID"
_GROUP = (
    *("RANK", "LOCAL_RANK", "GROUP_RANK", "ROLE_RANK"),
    *("WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"),
)


def torchrun_overrides() -> list[str]:
    """Return what torchrun asks for: as many ranks as it started processes, nothing where it did not start this one.

    A training starts its ranks itself, so the first process does the work, and the others leave at once.

    Raises:
        ConfigError: if the processes are on several machines.
    """
    if STARTED not in os.environ:
        return []
    rank, count = _number("RANK"), _number("WORLD_SIZE")
    if count != _number("LOCAL_WORLD_SIZE", count):
        raise ConfigError(
            f"torchrun started {count} processes on several machines, and a training shares one",
            "start it on one machine, with --nnodes=1",
        )
    if rank > 0:
        raise typer.Exit
    for name in (STARTED, *_GROUP):  # of torchrun's group, which is not that of a training
        os.environ.pop(name, None)
    return [f"ranks={count}"] if count > 1 else []


def _number(variable: str, otherwise: int | None = None) -> int:
    text = os.environ.get(variable, str(otherwise))
    try:
        return int(text)
    except ValueError:
        message = f"{STARTED} is set, as by torchrun, and {variable} is no number"
        raise ConfigError(message, f"start it with torchrun, or without: unset {STARTED}") from None
