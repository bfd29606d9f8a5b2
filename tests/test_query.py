"""Stored runs as tables for SQL."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from conftest import make_job, make_record
from typer.testing import CliRunner

from bench.api import _querying, load, query
from bench.cli.app import app
from bench.errors import ConfigError, StoreError, install_tip
from bench.records.store import Store

pytest.importorskip("duckdb", reason=f"duckdb is not installed: {install_tip('sql')}")

RESULTS = Path(__file__).parent.parent / "results"
RUN = RESULTS / "h100-training-step"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tables"


def test_measurements_are_those_of_the_frame():
    frame = load(RUN)
    asked = query(
        "select arch, measurement, median, len(samples) as n from measurements order by arch, measurement",
        [RUN],
    )
    kept = frame[frame["measurement"].notna()].sort_values(["arch", "measurement"], kind="stable")
    found = asked[asked["measurement"].notna()]
    assert (
        found[["arch", "measurement"]].to_numpy().tolist()
        == kept[["arch", "measurement"]].to_numpy().tolist()
    )
    assert sorted(found["median"].dropna()) == sorted(kept["median"].dropna())
    assert found["n"].sum() == sum(map(len, kept["samples"]))


def test_networks_are_those_of_the_comparison():
    asked = query("select network, macs from networks where macs is not null order by macs", [RUN])
    table = load(RUN).comparison
    assert asked["macs"].tolist() == sorted(table["macs"].dropna())


def test_what_a_query_gives_has_the_dtypes_of_the_frames(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    asked = query(
        "select year, started_at, arch, value, samples, n from measurements order by n desc, arch limit 3",
        [RUN],
    )
    frame = load(RUN)
    assert asked.dtypes.equals(pd.DataFrame(frame)[list(asked)].dtypes)
    told = query(
        "select sum(n) as samples, sum(1e30::hugeint) as much, m.run, n.run, any_value(m.arch = n.network) as same "
        "from measurements m join networks n on m.arch = n.network group by m.run, n.run",
        [RUN],
    )
    assert list(told) == ["samples", "much", "run", "run_1", "same"]
    assert [str(dtype) for dtype in told.dtypes] == ["Int64", "float64", "string", "string", "boolean"]


def test_a_run_is_read_once_until_it_changes(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = tmp_path / "run"
    run.mkdir()
    lines = (RUN / "records.jsonl").read_bytes().splitlines(keepends=True)
    (run / "run.json").write_bytes((RUN / "run.json").read_bytes())
    (run / "records.jsonl").write_bytes(b"".join(lines[:3]))
    jobs = "select count(distinct job_id) as n from measurements where measurement is not null"
    first = query(jobs, [run])["n"].item()
    (file,) = cache.iterdir()
    made = file.stat().st_mtime_ns
    assert query(jobs, [run])["n"].item() == first
    assert file.stat().st_mtime_ns == made
    (run / "records.jsonl").write_bytes(b"".join(lines))
    assert query(jobs, [run])["n"].item() > first
    assert len(list(cache.iterdir())) == 2
    monkeypatch.setattr(_querying, "_KEPT", 1)
    (run / "records.jsonl").write_bytes(b"".join(lines[:2]))
    query(jobs, [run])
    assert len(list(cache.iterdir())) == 1


def test_more_runs_than_the_cache_keeps_are_all_asked(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(_querying, "_KEPT", 2)
    runs = [tmp_path / f"run{n}" for n in range(4)]
    for run in runs:
        with Store(run) as store:
            store.append(make_record())
    count = "select count(distinct run) as n from measurements"
    assert query(count, results=tmp_path)["n"].item() == 4
    assert query(count, runs[:1])["n"].item() == 1
    assert len(list(cache.iterdir())) == 2


def test_what_was_planned_is_part_of_the_table(cache: Path, tmp_path: Path):
    statuses = "select status, count(*) as n from measurements group by status order by status"
    with Store(tmp_path / "run") as store:
        store.write_info({"jobs": [make_job().to_json()]})
    assert query(statuses, [tmp_path / "run"]).values.tolist() == [["pending", 1]]
    with Store(tmp_path / "run") as store:
        store.write_info({"jobs": [make_job().to_json(), make_job(seed=1).to_json()]})
    assert query(statuses, [tmp_path / "run"]).values.tolist() == [["pending", 2]]


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("selec 1", "the query failed"),
        ("smoke", "'smoke' is no query"),
        ("select nothing from measurements", "the query failed"),
        ("copy measurements to 'out.csv'", "neither reads nor writes files"),
        ("select * from read_csv('/etc/passwd')", "neither reads nor writes files"),
        ("attach 'x.db'", "neither reads nor writes files"),
        ("set enable_external_access = true", "the query failed"),
        ("drop view measurements", "DROP changes tables"),
        ("create table fast as select * from networks", "CREATE changes tables"),
        ("select 1; select 2", "2 statements"),
        (" -- nothing", "is empty"),
    ],
)
def test_a_query_that_fails_writes_or_reaches_for_files_is_told(
    sql: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=told):
        query(sql, [RUN])
    assert not [*tmp_path.glob("*.csv"), *tmp_path.glob("*.db")]


def test_a_column_that_is_none_is_answered_with_the_nearest_and_a_table_with_those_that_there_are():
    for sql, tip in (("select latncy from networks", "did you mean latency "), ("from networs", "tables: ")):
        with pytest.raises(ConfigError, match="the query failed") as told:
            query(sql, [RUN])
        assert str(told.value.tip).startswith(tip)


def test_where_there_is_no_run_it_says_so(tmp_path: Path):
    with pytest.raises(ConfigError, match="no run in"):
        query("select 1", results=tmp_path)
    with pytest.raises(StoreError):
        query("select 1", [tmp_path / "nowhere"])


def test_the_command(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "120")
    sql = "select network, macs, year from networks where network = 'resnet18' and macs is not null limit 1"
    call = ["sql", sql, "h100-line-up", "--results", str(RESULTS)]
    shown = CliRunner().invoke(app, call)
    assert shown.exit_code == 0, shown.output
    words = [word for word in shown.stdout.split() if set(word) != {"─"}]
    assert words == ["network", "macs", "year", "resnet18", "1814073344", "2015"]
    (row,) = json.loads(CliRunner().invoke(app, [*call, "-f", "json"]).stdout)
    assert row == {"network": "resnet18", "macs": 1814073344, "year": 2015}
    lists = "select samples, flags, started_at, epochs from measurements where len(samples) > 1 limit 1"
    (row,) = json.loads(CliRunner().invoke(app, ["sql", lists, *call[2:], "-f", "json"]).stdout)
    assert len(row["samples"]) > 1
    assert (row["epochs"], row["started_at"][:2]) == (None, "20")
    assert CliRunner().invoke(app, ["sql", lists, *call[2:]]).exit_code == 0
    as_csv = CliRunner().invoke(app, [*call, "-f", "csv"]).stdout
    assert as_csv == "network,macs,year\nresnet18,1814073344,2015\n"
