"""Weights & Biases: the tables of each run as an offline run; ``wandb sync FOLDER/wandb/offline-run-*`` uploads it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

from bench import __version__
from bench.errors import UnsupportedError, reason
from bench.report.exports import Files, Results, export
from bench.report.exports._library import library
from bench.report.exports._numbers import cells_of, tables_of

_MOST_ROWS = 200_000
_UNSEEN = ("disable_git", "disable_code", "x_disable_stats", "x_disable_meta", "x_disable_machine_info")
_UNKEPT = ("save_code", "x_save_requirements")


@export(
    "wandb",
    about="tables of networks and measurements, an offline run of Weights & Biases for each run",
    options={"project": "name of the project; bench where it is not given"},
)
def _wandb(results: Results) -> Files:
    """Return the function that writes the offline runs; nothing is sent, and nothing is noted of the machine."""
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # before it is imported
    library("wandb")
    return partial(_write, results)


def _write(results: Results, folder: Path) -> None:
    wandb = library("wandb")
    settings = wandb.Settings(
        silent=True, console="off", host="", **dict.fromkeys(_UNSEEN, True), **dict.fromkeys(_UNKEPT, False)
    )
    # Beyond these limits, tables are cut without a word.
    wandb.Table.MAX_ROWS = wandb.Table.MAX_ARTIFACT_ROWS = max(_MOST_ROWS, len(results.frame))
    try:
        with _staged(folder.resolve() / "staging"):
            for name, tables in tables_of(results):
                run = wandb.init(
                    project=results.options.get("project", "bench"),
                    name=name,
                    dir=folder,
                    mode="offline",
                    config={"bench_version": __version__},
                    settings=settings,
                )
                run.log({key: _table(wandb, table) for key, table in tables.items()})
                run.finish()
    except wandb.Error as error:
        raise UnsupportedError(f"wandb failed: {reason(error)}", "update it: pip install -U wandb") from error
    finally:
        wandb.teardown()


def _table(wandb: ModuleType, table: pd.DataFrame) -> Any:
    return wandb.Table(columns=[*map(str, table)], data=cells_of(table))


@contextmanager
def _staged(folder: Path) -> Iterator[None]:
    """Keep in this folder what is to be uploaded, which is in the user's own otherwise."""
    before = os.environ.get("WANDB_DATA_DIR")
    os.environ["WANDB_DATA_DIR"] = str(folder)
    try:
        yield
    finally:
        os.environ.pop("WANDB_DATA_DIR")
        if before is not None:
            os.environ["WANDB_DATA_DIR"] = before
