"""MLflow: an experiment for each run, with a run of MLflow's for each network, and the tables of all.

FOLDER/mlflow.db is read by ``mlflow ui --backend-store-uri sqlite:///FOLDER/mlflow.db``. It names the tables' files by
their whole paths, as MLflow does: the folder is to stay where it is.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd

from bench.analysis.flags import Row
from bench.errors import UnsupportedError, install_tip, reason
from bench.report.exports import Files, Results, export
from bench.report.exports._library import library
from bench.report.exports._numbers import (
    cells_of,
    doubted,
    numbers_of,
    rows_of,
    settings_of,
    started,
    tables_of,
)

_LONGEST = 5000  # characters of a tag or a parameter
_DATABASE = (
    "sqlalchemy",
    "alembic",
)  # which MLflow keeps one with, and its package for clients does not bring


@export(
    "mlflow",
    about="an experiment of MLflow for each run: a run a network with its metrics, and the tables of all",
)
def _mlflow(results: Results) -> Files:
    """Return the function that writes the database and the tables; nothing is sent."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # before it is imported
    library("mlflow")
    return partial(_write, results)


def _write(results: Results, folder: Path) -> None:
    mlflow = library("mlflow")
    folder = folder.resolve()
    with _quiet():
        try:
            client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
            rows, when = rows_of(results), round(1000 * started(results))
            for name, tables in tables_of(results):
                experiment = client.create_experiment(name, artifact_location=(folder / "artifacts").as_uri())
                run = client.create_run(experiment, start_time=when, run_name="tables").info.run_id
                for key, table in tables.items():
                    client.log_table(run, _columns(table), f"{key}.parquet")  # JSON of it is rounded
                client.set_terminated(run, end_time=when)
                for row in (row for row in rows if row["run"] == name):
                    _add_row(client, experiment, row, when)
        except (mlflow.exceptions.MlflowException, ImportError) as error:
            lacking = [name for name in _DATABASE if find_spec(name) is None]
            if lacking or isinstance(error, ImportError):
                what = " and ".join(lacking) or reason(error)
                message = f"mlflow can write no database: it lacks {what}, as mlflow-skinny does"
                raise UnsupportedError(message, install_tip("mlflow")) from error
            message = f"mlflow failed: {reason(error)}"
            raise UnsupportedError(message, "update it: pip install -U mlflow") from error


def _columns(table: pd.DataFrame) -> dict[str, list[Any]]:
    """Return a table by columns; what is missing is None."""
    rows = cells_of(table)
    return {str(name): [row[place] for row in rows] for place, name in enumerate(table)}


def _add_row(client: Any, experiment: str, row: Row, when: int) -> None:
    """Add a run of MLflow's: how a network was run, its numbers with their intervals, and what is doubted of them."""
    entities = library("mlflow.entities")
    numbers = numbers_of(row)
    values = {
        n.quantity.name + ("" if end == "value" else f"_{end}"): value
        for n in numbers
        for end, value in n.ends.items()
    }
    settings = {"network": row["network"], **settings_of(row)}
    doubts = {f"in_doubt.{name}": words for name, words in doubted(numbers).items()}
    run = client.create_run(experiment, start_time=when, run_name=str(row["label"])[:_LONGEST]).info.run_id
    client.log_batch(
        run,
        metrics=[entities.Metric(name, value, when, 0) for name, value in values.items()],
        params=[entities.Param(name, str(value)[:_LONGEST]) for name, value in settings.items()],
        tags=[entities.RunTag(name, words[:_LONGEST]) for name, words in doubts.items()],
    )
    client.set_terminated(run, end_time=when)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what MLflow and its database say of themselves from the terminal, but for errors."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
