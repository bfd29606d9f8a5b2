"""Runs of several machines in one store: merged, kept apart where they are read, and locked on shared storage."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from conftest import ENVIRONMENT, make_catalog, make_job, make_planned, make_record, scripted, seconds
from typer.testing import CliRunner, Result

from bench.analysis.comparison import compare_table
from bench.analysis.frame import to_frame
from bench.api._reading import load
from bench.api._running import Done
from bench.cli.app import app
from bench.errors import StoreError
from bench.execution._locks import _lock_folder, device_locks
from bench.execution.runner import Summary, run_plan
from bench.io import JsonObject
from bench.records.job_files import JobFile
from bench.records.lock import soft_path, take_lock
from bench.records.machines import by_machine, machine_of, same_machines
from bench.records.merge import Merged, merge_runs
from bench.records.outputs import Outputs, save_outputs
from bench.records.record import Measurement, Record
from bench.records.store import INFO, RECORDS, Run, Store, latest, read_run

H100 = {"name": "NVIDIA H100", "uuid": "GPU-a", "driver": "580"}
A100 = {"name": "NVIDIA A100", "uuid": "GPU-b", "driver": "580"}


def machine(*cards: JsonObject, cpu: str = "Xeon", cores: int = 16, **more: Any) -> dict[str, object]:
    return {**ENVIRONMENT, "cpu": {"model": cpu, "cores": cores}, "gpu": list(cards), **more}


def timed(number: int, seconds_: float, environment: JsonObject, day: int = 1, **fields: Any) -> Record:
    way = {"precision": "fp32", "memory_format": "contiguous", "backend": "eager", "threads": 1}
    settings = {"device": "cuda:0", "batch_size": 1, "replicate": number, **way}
    job = make_job(task="infer", arch="resnet18", input_size=224, settings=settings)
    return make_record(
        job=job,
        environment=environment,
        started_at=f"2026-01-{day:02d}T00:00:{number:02d}+00:00",
        measurements=(seconds("latency", *[seconds_ + 1e-4 * i for i in range(6)]),),
        **fields,
    )


def stored(folder: Path, *records: Record, **info: Any) -> Path:
    with Store(folder) as store:
        store.write_info({"jobs": [r.job.to_json() for r in {r.job.id: r for r in records}.values()], **info})
        for record in records:
            store.append(record)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def merged(tmp_path: Path, *folders: Path) -> tuple[Merged, Run]:
    before = [content(folder) for folder in folders]
    done = merge_runs(folders, tmp_path / "both")
    assert [content(folder) for folder in folders] == before  # they stay as they are
    return done, read_run(tmp_path / "both")


class TestMachines:
    def test_a_machine_is_its_cpu_and_the_models_of_its_cards(self) -> None:
        assert machine_of(machine(H100)) == ("Xeon", 16, ("NVIDIA H100",))
        another = {**H100, "uuid": "GPU-z"}
        assert (
            machine_of(machine(H100, another))
            == machine_of(machine(another, H100))
            == machine_of(machine(H100))
        )
        assert machine_of(machine(H100, packages={"torch": "9"})) == machine_of(
            machine(H100)
        )  # only hardware
        different = [machine(), machine(A100), machine(H100, cpu="EPYC"), machine(H100, cores=8), {}]
        assert len({machine_of(e) for e in [machine(H100), *different]}) == 6

    def test_a_run_of_one_machine_is_as_it_is(self) -> None:
        run = Run("r", Path("r"), (timed(0, 1.0, machine(H100)), timed(1, 1.0, machine(H100))))
        assert by_machine(run) == [run]
        empty = Run("r", Path("r"), ())
        assert by_machine(empty) == [empty]

    def test_each_machine_has_a_run_with_its_records_and_the_last_what_is_pending(self) -> None:
        a, b = timed(0, 1.0, machine(H100)), timed(0, 2.0, machine(A100))
        c = timed(1, 2.0, machine(A100))
        pending = make_job(arch="pending")
        run = Run("both", Path("both"), (a, b, c), (a.job, c.job, pending))
        first, second = by_machine(run)
        assert (first.name, second.name) == ("both on NVIDIA H100", "both on NVIDIA A100")
        assert (first.records, second.records) == ((a,), (b, c))
        assert (first.planned, second.planned) == ((a.job,), (a.job, c.job, pending))

    def test_equal_cards_are_told_apart_by_their_cpus_and_what_is_unknown_does_not_differ(self) -> None:
        records = (timed(0, 1.0, machine(H100)), timed(0, 1.0, machine(H100, cpu="EPYC")), timed(0, 1.0, {}))
        assert [run.name for run in by_machine(Run("r", Path("r"), records))] == [
            "r on NVIDIA H100 and Xeon (16 cores)",
            "r on NVIDIA H100 and EPYC (16 cores)",
        ]
        assert by_machine(Run("r", Path("r"), records))[0].records == (records[0], records[2])
        assert by_machine(Run("r", Path("r"), records[2:])) == [Run("r", Path("r"), records[2:])]

    def test_runs_meet_machine_by_machine(self) -> None:
        a, b = timed(0, 1.0, machine(H100)), timed(0, 2.0, machine(A100))
        both, one, other = (Run("r", Path("r"), records) for records in ((a, b), (b,), (a,)))
        assert same_machines(one, other) == [(one, other)]  # whoever compares them says that they differ
        assert [(x.records, y.records) for x, y in same_machines(both, one)] == [((b,), (b,))]
        assert len(same_machines(both, both)) == 2
        third = Run("r", Path("r"), (timed(0, 1.0, machine(cpu="EPYC")),))
        assert same_machines(both, third) == []


class TestMerge:
    def test_records_of_two_machines_are_in_one_store_line_by_line(self, tmp_path: Path) -> None:
        a = stored(tmp_path / "a", *(timed(i, 1.0, machine(H100)) for i in range(3)))
        b = stored(tmp_path / "b", *(timed(i, 2.0, machine(A100), day=2) for i in range(3)))
        done, run = merged(tmp_path, b, a)
        assert (done.records, done.repeated, done.replaced, done.machines) == (6, 0, 0, 2)
        lines = (a / RECORDS).read_bytes() + (b / RECORDS).read_bytes()  # by time, not as they are named
        assert (tmp_path / "both" / RECORDS).read_bytes() == lines
        assert len(run.planned) == 3
        assert [one["run"] for one in run.info["merged"]] == ["a", "b"]

    def test_machines_stay_apart_in_tables(self, tmp_path: Path) -> None:
        a = stored(tmp_path / "a", *(timed(i, 1.0, machine(H100)) for i in range(3)))
        b = stored(tmp_path / "b", *(timed(i, 2.0, machine(A100), day=2) for i in range(3)))
        merged(tmp_path, a, b)
        beside = compare_table(to_frame([read_run(a), read_run(b)]))
        together = load(tmp_path / "both").comparison
        assert len(beside) == len(together) == 2
        assert sorted(together["latency"]) == sorted(beside["latency"])
        assert sorted(together["latency_high"]) == sorted(beside["latency_high"])
        assert set(together["device_name"]) == {"NVIDIA H100", "NVIDIA A100"}
        assert len(set(together["label"])) == 2

    def test_the_same_record_twice_is_there_once(self, tmp_path: Path) -> None:
        a = stored(tmp_path / "a", *(timed(i, 1.0, machine(H100)) for i in range(3)))
        b = stored(tmp_path / "b", *(timed(i, 1.0, machine(H100)) for i in range(1, 5)))
        done, run = merged(tmp_path, a, b, a)
        assert (done.records, done.repeated) == (5, 5)
        assert done.replaced == 0  # what is one record replaces nothing
        assert len(run.records) == 5
        again = merge_runs([tmp_path / "both", a], tmp_path / "more")
        assert (again.records, again.repeated) == (5, 3)

    def test_of_one_machine_the_later_record_stands_and_both_are_kept(self, tmp_path: Path) -> None:
        late = stored(tmp_path / "late", timed(0, 3.0, machine(H100), day=5))
        early = stored(tmp_path / "early", timed(0, 1.0, machine(H100), day=1))
        done, run = merged(tmp_path, late, early)
        assert (done.records, done.replaced) == (2, 1)
        (standing,) = latest(run.records).values()
        assert standing.started_at.startswith("2026-01-05")

    def test_torn_lines_are_told_and_stay_where_they_are(self, tmp_path: Path) -> None:
        a = stored(tmp_path / "a", timed(0, 1.0, machine(H100)), timed(1, 1.0, machine(H100)))
        lines = (a / RECORDS).read_bytes().splitlines(keepends=True)
        (a / RECORDS).write_bytes(lines[0] + b"torn\n" + lines[1][:-20])
        b = stored(tmp_path / "b", timed(2, 1.0, machine(H100)))
        done, run = merged(tmp_path, a, b)
        assert (done.records, dict(done.set_aside)) == (2, {a: 2})
        assert run.rejected == ()

    def test_a_newer_schema_is_refused_with_its_place(self, tmp_path: Path) -> None:
        a = stored(tmp_path / "a", timed(0, 1.0, machine(H100)))
        b = stored(tmp_path / "b", timed(0, 1.0, machine(H100), schema=99))
        with pytest.raises(StoreError, match=r"b/records.jsonl, line 1: schema 99"):
            merge_runs([a, b], tmp_path / "both")
        assert not (tmp_path / "both").exists()

    def test_nothing_is_written_over(self, tmp_path: Path) -> None:
        a = stored(tmp_path / "a", timed(0, 1.0, machine(H100)))
        with pytest.raises(StoreError, match="there is a run in .*/a already"):
            merge_runs([a], a)

    @pytest.mark.parametrize("room", [0, 1], ids=["before run.json", "before the records"])
    def test_a_merge_that_was_cut_short_can_be_given_again(
        self, room: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        a = stored(tmp_path / "a", timed(0, 1.0, machine(H100)))
        written = []

        def full(file: int) -> None:
            written.append(file)
            if len(written) > room:
                raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr("os.fsync", full)
            with pytest.raises(StoreError, match="No space left on device"):
                merge_runs([a], tmp_path / "both")
        assert (tmp_path / "both" / INFO).exists() == bool(room)
        assert merge_runs([a], tmp_path / "both").records == 1

    def test_a_copy_that_was_cut_short_is_made_again(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Of two outputs of one job, the second of which has a name of its own, as a full disk ends its copy."""
        job, folders, digests = make_job(task="accuracy", settings={"dataset": "digits"}), [], []
        for name in "ab":
            digests.append(hashlib.sha256(name.encode() * 9).hexdigest())
            top1 = Measurement(
                name="top1", unit="1", better="higher", samples=(0.9,), detail={"outputs_sha256": digests[-1]}
            )
            record = make_record(job=job, environment=machine(cpu=name), measurements=(top1,))
            folders.append(stored(tmp_path / name, record))
            save_outputs(JobFile.outputs.path(tmp_path / name, job.id), name.encode() * 9)

        def half(_source: object, copy: BinaryIO) -> None:
            copy.write(b"bbbb")
            raise OSError(errno.ENOSPC, "No space left on device")

        place = JobFile.outputs.path(tmp_path / "both", job.id)
        place.parent.mkdir(parents=True)
        place.write_bytes(b"a" * 9)
        with monkeypatch.context() as patch:
            patch.setattr("shutil.copyfileobj", half)
            with pytest.raises(StoreError, match="No space left on device"):
                merged(tmp_path, *folders)
        merged(tmp_path, *folders)
        assert all(JobFile.whole(place, sha256) for sha256 in digests)

    def test_both_test_outputs_of_one_job_are_kept(self, tmp_path: Path) -> None:
        job = make_job(task="accuracy", settings={"device": "cpu", "dataset": "digits"})
        folders, records = [], []
        for name, cpu in (("a", "Xeon"), ("b", "EPYC")):
            payload = name.encode() * 9
            sha256 = hashlib.sha256(payload).hexdigest()
            digests = {"outputs_sha256": sha256, "weights_sha256": sha256}
            top1 = Measurement(name="top1", unit="1", better="higher", samples=(0.9,), detail=digests)
            record = make_record(job=job, environment=machine(cpu=cpu), measurements=(top1,))
            folders.append(stored(tmp_path / name, record))
            records.append(record)
            for path_of in (JobFile.outputs.path, JobFile.weights.path):
                path_of(tmp_path / name, job.id).parent.mkdir()
                path_of(tmp_path / name, job.id).write_bytes(payload)
        merged(tmp_path, *folders)
        for path_of in (JobFile.outputs.path, JobFile.weights.path):
            place = path_of(tmp_path / "both", job.id)
            assert sorted(p.read_bytes() for p in place.parent.iterdir()) == [b"a" * 9, b"b" * 9]
            for record in records:
                file = JobFile.whole(place, record.measurements[0].detail["weights_sha256"])
                assert file is not None
                assert file.read_bytes() in (b"a" * 9, b"b" * 9)
        for record in records:  # each is looked for, and is no archive
            with pytest.raises(StoreError, match="no readable test outputs"):
                Outputs.read(tmp_path / "both", record)
        assert Outputs.load(tmp_path / "nowhere.npz", "0" * 64) is None

    def test_an_experiment_of_all_stays_and_others_are_joined(self, tmp_path: Path) -> None:
        one = {"name": "x", "blocks": [{"task": "cost"}], "study": {"hypothesis": "h"}}
        other = {"name": "y", "blocks": [{"task": "cost"}, {"task": "infer"}]}
        a, b, c = (
            stored(tmp_path / name, timed(i, 1.0, machine(H100)), experiment=experiment, band=band)
            for i, (name, experiment, band) in enumerate(
                [("a", one, 0.02), ("b", one, 0.02), ("c", other, 0.05)]
            )
        )
        alike = merge_runs([a, b], tmp_path / "alike")
        assert read_run(alike.path).info["experiment"] == one
        assert (read_run(alike.path).info["band"], alike.notes) == (0.02, ())
        mixed = merge_runs([a, c], tmp_path / "mixed")
        info = read_run(mixed.path).info
        assert info["experiment"] == {
            "name": "mixed", "about": "", "blocks": [{"task": "cost"}, {"task": "infer"}], "skip": [],
        }  # fmt: skip
        assert "band" not in info
        assert [note.partition(" were")[0].partition(" are")[0] for note in mixed.notes] == [
            "the runs",
            "the runs",
        ]


class TestOneStoreForSeveralMachines:
    def test_each_machine_resumes_its_own(self, tmp_path: Path) -> None:
        def run(environment: dict[str, object]) -> int:
            with Store(tmp_path) as store:
                return run_plan(
                    [make_planned()], scripted(), store, make_catalog(environment=environment)
                ).reused

        xeon, epyc = machine(cpu="Xeon"), machine(cpu="EPYC")
        assert [run(xeon), run(epyc), run(xeon), run(epyc)] == [0, 0, 1, 1]
        assert len(read_run(tmp_path).records) == 2
        newer = machine(cpu="Xeon", packages={"torch": "9"})
        assert [run(newer), run(newer), run(xeon)] == [0, 1, 0]  # on one machine the last record stands

    def test_an_invocation_is_of_its_own_machine(self, tmp_path: Path) -> None:
        here, there = timed(0, 1.0, machine(H100)), timed(0, 2.0, machine(A100))
        stored(tmp_path, here, there)
        assert Done(tmp_path, Summary(records=[here])).here.records == (here,)
        assert Done(tmp_path, Summary(records=[there])).here.records == (there,)
        assert Done(tmp_path, Summary()).here.records == (there,)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Result]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *words: CliRunner().invoke(app, [str(w) for w in words])


class TestCommands:
    def runs(self, slower: float = 1.0) -> None:
        for name, card, time in (("a", H100, 1.0), ("b", A100, 2.0)):
            records = (timed(i, time * slower + 1e-3 * i, machine(card)) for i in range(5))
            stored(Path("results") / name, *records)

    def test_merge_and_what_is_told(self, bench: Callable[..., Result]) -> None:
        self.runs()
        with (Path("results/a") / RECORDS).open("ab") as file:
            file.write(b"junk\n")
        result = bench("merge", "a", "results/b", "--name", "both")
        assert result.exit_code == 0, result.stderr
        assert result.stdout == "10 records of 2 machines in results/both\n"
        assert "a set aside: no sound records, and not in both" in result.stderr
        again = bench("merge", "a", "b", "--name", "both")
        assert again.exit_code == 1
        assert "choose another --name" in again.stderr
        document = json.loads(bench("merge", "both", "a", "--name", "more", "--json").stdout)
        assert (document["records"], document["repeated"], document["machines"]) == (10, 5, 2)

    @pytest.mark.parametrize(
        ("words", "message"),
        [(["nowhere", "--name", "x"], "no run in"), (["a", "--name", "../x"], "cannot be called")],
    )
    def test_what_cannot_be_merged(
        self, bench: Callable[..., Result], words: list[str], message: str
    ) -> None:
        self.runs()
        result = bench("merge", *words)
        assert result.exit_code in (1, 2)
        assert message in result.stderr
        assert "Traceback" not in result.output

    def test_diff_is_machine_by_machine(self, bench: Callable[..., Result]) -> None:
        self.runs()
        bench("merge", "a", "b", "--name", "before")
        for name in "ab":
            (Path("results") / name / RECORDS).unlink()
        self.runs(slower=1.5)
        bench("merge", "a", "b", "--name", "after")
        result = bench("diff", "before", "after", "--json", "--fail-above", "5%")
        assert result.exit_code == 3, result.stderr
        document = json.loads(result.stdout)
        assert list(document) == ["after on NVIDIA H100", "after on NVIDIA A100"]
        alone = bench("diff", "before", "a", "--json")
        one = json.loads(alone.stdout)
        assert "no such machine: before on NVIDIA A100" in alone.stderr
        assert "no such machine" not in result.stderr
        assert one["rows"] == document["after on NVIDIA H100"]["rows"]
        other = bench("diff", "before", stored(Path("results/c"), timed(0, 1.0, machine(cpu="EPYC"))))
        assert other.exit_code == 2
        assert "no machine is in both runs" in other.stderr
        assert "before on NVIDIA H100 and before on NVIDIA A100" in other.stderr

    def test_a_choice_is_for_one_machine(self, bench: Callable[..., Result]) -> None:
        self.runs()
        bench("merge", "a", "b", "--name", "both")
        result = bench("choose", "--on", "both", "--latency", "20ms")
        assert result.exit_code == 2
        assert "several machines were measured: both on NVIDIA H100 and both on NVIDIA A100" in result.stderr

    def test_a_report_shows_both(self, bench: Callable[..., Result]) -> None:
        self.runs()
        bench("merge", "a", "b", "--name", "both")
        result = bench("report", "both", "--format", "md,csv")
        assert result.exit_code == 0, result.stderr
        text = Path("reports/both/report.md").read_text()
        assert "NVIDIA H100" in text
        assert "NVIDIA A100" in text
        beside = bench("report", "a", "b", "--format", "md,csv")
        assert beside.exit_code == 0
        rows = [p.read_text().count("\n") for p in Path("reports").glob("*/measurements.csv")]
        assert len(set(rows)) == 1


class TestSharedStorage:
    @pytest.fixture
    def no_locks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def flock(_file: object, _how: int) -> None:
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(fcntl, "flock", flock)

    @pytest.mark.usefixtures("no_locks")
    def test_without_locks_a_file_keeps_the_second_writer_out(self, tmp_path: Path) -> None:
        with Store(tmp_path) as store:
            store.append(make_record())
            held = soft_path(tmp_path / ".lock")
            assert held.exists()
            with pytest.raises(StoreError, match="another bench is writing") as caught, Store(tmp_path):
                pass
            assert caught.value.tip is not None
            assert f"if none runs, on any machine, delete {held}" in caught.value.tip
        assert not held.exists()
        with Store(tmp_path) as store:
            assert len(store.run.records) == 1

    @pytest.mark.usefixtures("no_locks")
    def test_devices_are_locked_too(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("BENCH_LOCKS", str(tmp_path))
        with device_locks({"GPU-a": "cuda:0"}, "r", lambda *_: None):
            assert soft_path(_lock_folder() / "GPU-a.lock").exists()
        assert not soft_path(_lock_folder() / "GPU-a.lock").exists()

    def test_other_errors_of_a_lock_are_told(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def flock(_file: object, _how: int) -> None:
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(fcntl, "flock", flock)
        with pytest.raises(OSError, match="Input/output error"):
            take_lock(tmp_path / "x")
        with pytest.raises(StoreError, match="cannot write to .*Input/output error"), Store(tmp_path):
            pass

    def test_a_store_whose_disk_knows_no_sync_is_written(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unknown(_: int) -> None:
            raise OSError(errno.EINVAL, "Invalid argument")

        monkeypatch.setattr("os.fsync", unknown)
        with Store(tmp_path) as store:
            store.append(make_record())
        assert len(read_run(tmp_path).records) == 1
