"""Stored runs as tables for SQL: `measurements`, a row each, and `networks`, a row each, as in a report.

A run is read once, into a Parquet file of the cache (`~/.cache/bench/tables`, or BENCH_CACHE); from then on the file is
asked, as long as the run's records and this version of bench are the same. Queries see these tables alone, and no file.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench import __version__
from bench.errors import ConfigError, UnsupportedError
from bench.io import cache_folder, write_file
from bench.records.machines import every_machine
from bench.records.store import RECORDS, read_run

if TYPE_CHECKING:
    import pandas as pd

_KEPT = 200  # files of the cache; of more, those that were made first are removed


def query(sql: str, runs: Sequence[Path | str] = (), *, results: Path | str = "results") -> pd.DataFrame:
    """Return what a query comes to.

    Args:
        sql: in DuckDB's language, over `measurements` (`bench.load`'s columns, detail as JSON) and `networks` (the
            comparison's columns).
        runs: folders of runs; none for all in `results`.
        results: the folder that holds runs.

    Raises:
        ConfigError: for a query that cannot be carried out, and where there is no run.
        StoreError: for a folder that is no run.
        UnsupportedError: where DuckDB is not installed.
    """
    try:
        import duckdb
    except ImportError as error:
        raise UnsupportedError("duckdb is not installed", "pip install 'bench[sql]'") from error
    folders = [Path(run) for run in runs] or sorted(p.parent for p in Path(results).glob(f"*/{RECORDS}"))
    if not folders:
        raise ConfigError(f"no run in {results}", "bench run smoke makes one")
    with duckdb.connect(":memory:") as connection:
        files = [str(_table_of(folder)) for folder in folders]
        # These files alone are read, nothing is written, and no statement changes that.
        connection.execute("set allowed_paths = ?", [files])
        connection.execute("set enable_external_access = false; set lock_configuration = true")
        connection.read_parquet(files, union_by_name=True).create_view("measurements")
        if re.search(r"\bnetworks\b", sql, re.IGNORECASE):
            connection.register("networks", _networks(folders))
        try:
            result: pd.DataFrame = connection.sql(sql).df()
        except (duckdb.Error, AttributeError) as error:  # a statement that has no result has no frame
            raise ConfigError(f"the query failed: {str(error).strip().splitlines()[0]}", _TIP) from error
    return result


_TIP = "tables: measurements, networks; `describe measurements` shows columns"


def _networks(folders: Iterable[Path]) -> pd.DataFrame:
    """Return the comparison of all runs, with what is no plain value as text."""
    from bench.analysis.comparison import compare_table
    from bench.analysis.frame import to_frame

    table = compare_table(to_frame(every_machine(map(read_run, folders))))
    for column in (name for name, dtype in table.dtypes.items() if str(dtype) == "object"):
        table[column] = [None if value is None else str(value) for value in table[column]]
    return table


def _table_of(folder: Path) -> Path:
    """Return the Parquet file of a run's measurements, made where it is not there or not of these records.

    Raises:
        StoreError: for a folder that is no run.
    """
    file = folder / RECORDS
    try:
        state = file.stat()
    except OSError:
        read_run(folder)  # which says what is wrong
        raise
    key = "|".join(map(str, (file.resolve(), state.st_size, state.st_mtime_ns, __version__, _code())))
    table = cache_folder() / "tables" / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.parquet"
    if not table.is_file():
        from bench.report.exports.measurements import long_parquet

        table.parent.mkdir(parents=True, exist_ok=True)
        write_file(table, long_parquet(every_machine([read_run(folder)])))
        _sweep(table.parent)
    return table


def _code() -> int:
    """Return when the code was last edited that makes the tables; a checkout has one version for long."""
    from bench.analysis import frame

    return Path(frame.__file__).stat().st_mtime_ns


def _sweep(folder: Path) -> None:
    """Leave the newest files of the cache."""
    files = sorted(folder.glob("*.parquet"), key=lambda f: f.stat().st_mtime_ns, reverse=True)
    for file in files[_KEPT:]:
        file.unlink(missing_ok=True)
