"""Stored runs as tables for SQL: `measurements`, a row each, and `networks`, a row each, as in a report.

A run is read once, into a Parquet file of the cache (`~/.cache/bench/tables`, or BENCH_CACHE); from then on the file is
asked, as long as the run and this version of bench are the same. Queries see these tables alone, and no file.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from bench import __version__
from bench.errors import ConfigError, UnsupportedError, install_tip
from bench.io import cache_folder, write_file
from bench.records.machines import by_machine
from bench.records.store import INFO, RECORDS, read_run

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_KEPT = 200  # files of the cache; of more, those that were made first and are not asked are removed


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

    Example:
        >>> sql = "select network, macs from networks where macs is not null order by macs desc limit 1"
        >>> bench.query(sql, ["results/cpu-reference"]).network.item()
        'vgg19'
    """
    try:
        import duckdb
    except ImportError as error:
        raise UnsupportedError("duckdb is not installed", install_tip("sql")) from error
    folders = [Path(run) for run in runs] or sorted(p.parent for p in Path(results).glob(f"*/{RECORDS}"))
    if not folders:
        raise ConfigError(f"no run in {results}", "bench run smoke makes one")
    with duckdb.connect(":memory:") as connection:
        tables = [_table_of(folder) for folder in folders]
        _sweep(tables)
        files = list(map(str, tables))
        # These files alone are read, nothing is written, and no statement changes that.
        connection.execute("set allowed_paths = ?", [files])
        connection.execute("set TimeZone = 'UTC'")
        connection.execute("set enable_external_access = false; set lock_configuration = true")
        connection.read_parquet(files, union_by_name=True).create_view("measurements")
        if re.search(r"\bnetworks\b", sql, re.IGNORECASE):
            connection.register("networks", _networks(folders))
        try:
            _check([str(statement.type).rpartition(".")[2] for statement in duckdb.extract_statements(sql)])
            result = connection.sql(sql).to_arrow_table()
        except duckdb.PermissionException as error:
            raise ConfigError(
                "a query sees the stored runs, and neither reads nor writes files", _FILES_TIP
            ) from error
        except (duckdb.Error, AttributeError) as error:  # a statement that has no result has no table
            raise ConfigError(*_failure(str(error), sql)) from error
    return _frame(result)


def _failure(text: str, query: str) -> tuple[str, str]:
    """Return what DuckDB says of a query, and the next step: the columns that may have been meant, and the tables."""
    if not query.split()[1:]:
        return f"{query!r} is no query", "such as bench sql 'select network, latency from networks' RUN"
    meant = re.search(r"^Candidate bindings\b(.*)", text, re.MULTILINE)
    names = " or ".join(re.findall(r'"([^"]+)"', meant[1])[:_MOST_MEANT]) if meant else ""
    return (
        f"the query failed: {text.strip().splitlines()[0]}",
        f"did you mean {names}? {_TIP}" if names else _TIP,
    )


def _check(kinds: Sequence[str]) -> None:
    """Refuse what is not one question, by the kinds of its statements: what it would write is gone with the answer."""
    if not kinds:
        raise ConfigError("the query is empty", _TIP)
    if len(kinds) > 1:
        raise ConfigError(f"{len(kinds)} statements have one answer", "ask one at a time, or use `with`")
    if kinds[0] in _WRITING:
        raise ConfigError(f"{kinds[0]} changes tables, and a query only reads them", _TIP)


def _frame(table: pa.Table) -> pd.DataFrame:
    """Return a table with the dtypes that `load` has: whole numbers are Int64, texts strings."""
    import pandas as pd
    import pyarrow as pa

    columns = [_machine_number(column) for column in table.columns]
    dtypes = {pa.string(): pd.StringDtype(), pa.bool_(): pd.BooleanDtype()}
    whole = dict.fromkeys((pa.int8(), pa.int16(), pa.int32(), pa.int64()), pd.Int64Dtype())
    named = pa.Table.from_arrays(columns, _distinct(table.column_names))
    frame: pd.DataFrame = named.to_pandas(types_mapper={**dtypes, **whole}.get)
    return frame


def _distinct(names: Sequence[str]) -> list[str]:
    """Return names of columns, each once: the second ``arch`` is called ``arch_1``."""
    distinct: list[str] = []
    for name in names:
        spellings = (f"{name}_{i}" if i else name for i in count())
        distinct.append(next(spelling for spelling in spellings if spelling not in distinct))
    return distinct


def _machine_number(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column of numbers of 128 bits, such as a sum, as int64 where they fit, and else as float64."""
    import pyarrow as pa

    if not pa.types.is_decimal(column.type):
        return column
    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid:
        return column.cast(pa.float64())


_MOST_MEANT = 3  # names
_WRITING = ("CREATE", "INSERT", "UPDATE", "DELETE", "DROP", "ALTER", "MERGE_INTO")
_FILES_TIP = "what it comes to goes to a file by `bench sql QUERY -f csv > FILE`"
_TIP = (
    "tables: measurements, where a network is its `arch`, and networks; `describe measurements` shows columns"
)


def _networks(folders: Iterable[Path]) -> pd.DataFrame:
    """Return the comparison of all runs."""
    from bench.analysis.comparison import compare_table
    from bench.analysis.dictionary import typed
    from bench.analysis.frame import to_frame

    return typed(compare_table(to_frame(by_machine(*map(read_run, folders)))), "comparison")


def _table_of(folder: Path) -> Path:
    """Return the Parquet file of a run's measurements, made where it is not there or not of this run as it is.

    Raises:
        StoreError: for a folder that is no run.
    """
    states = [f"{os.path.realpath(file)} {_state(file)}" for file in (folder / RECORDS, folder / INFO)]
    key = "|".join([*states, __version__, str(_code())])
    table = cache_folder() / "tables" / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.parquet"
    if not table.is_file():
        from bench.analysis.frame import to_frame
        from bench.report.exports.measurements import long_parquet

        tip = "free space there, or name another folder in BENCH_CACHE"
        write_file(table, long_parquet(to_frame(by_machine(read_run(folder)))), tip=tip)
    return table


def _state(file: Path) -> str:
    """Return what changes with a file: its size and when it was written last."""
    try:
        state = file.stat()
    except FileNotFoundError:
        return "none"
    return f"{state.st_size} {state.st_mtime_ns}"


def _code() -> int:
    """Return when the code was last edited that makes the tables; a checkout has one version for long."""
    from bench.analysis import dictionary, frame

    return max(Path(str(module.__file__)).stat().st_mtime_ns for module in (dictionary, frame))


def _sweep(used: Sequence[Path]) -> None:
    """Leave the newest files of the cache, and those that are used."""
    with contextlib.suppress(OSError):  # another query sweeps at the same time
        others = sorted({*used[0].parent.glob("*.parquet")} - {*used}, key=lambda f: f.stat().st_mtime_ns)
        for file in others[: max(0, len(others) + len(used) - _KEPT)]:
            file.unlink()
