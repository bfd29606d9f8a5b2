from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

import psutil
import pytest
from conftest import make_job

from bench.plan.job import Job
from bench.records import environment
from bench.records._cores import core_kinds


@pytest.fixture(scope="module")
def machine() -> dict[str, Any]:
    return environment.machine()


def test_every_part_is_there_and_plain_json(machine: dict[str, Any]) -> None:
    assert {
        "bench",
        "host",
        "cpu",
        "memory",
        "gpu",
        "python",
        "packages",
        "torch",
        "variables",
        "unknown",
    } <= set(machine)
    assert json.loads(json.dumps(machine)) == machine
    assert machine["packages"]["torch"]


def test_what_is_unknown_says_why(machine: dict[str, Any]) -> None:
    found = {**machine, "state": environment.state()}
    for part in ("cpu", "host", "torch"):
        for name, value in found[part].items():
            assert value is not None or f"{part}.{name}" in machine["unknown"], name


def test_without_proc_what_cannot_be_known_is_null_with_a_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path / "nothing"))
    blind, state = environment.machine(), environment.state()
    assert blind["memory"]["total_B"] is None  # type: ignore[index]
    assert "No such file" in blind["unknown"]["memory.total_B"]  # type: ignore[index]
    assert state["available_B"] is None
    assert "No such file" in state["unknown"]["available_B"]  # type: ignore[index]
    assert environment.usable_cores() >= 1
    json.dumps([blind, state], allow_nan=False)


def test_a_host_s_name_need_be_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.node", lambda: "a\udcff")
    host = environment.machine()["host"]
    assert host["name_sha256"] == hashlib.sha256(b"a\xff").hexdigest()[:12]  # type: ignore[index]


def test_the_key_is_of_what_changes_numbers(machine: dict[str, Any]) -> None:
    base = environment.key(machine)
    other = copy.deepcopy(machine)
    other["host"]["kernel"] = "another"
    other["unknown"] = {}
    assert environment.key(other) == base
    for path in (("cpu", "model"), ("packages", "torch"), ("python", "version"), ("bench", "version")):
        other = copy.deepcopy(machine)
        other[path[0]][path[1]] = "another"
        assert environment.key(other) != base, path
    with_card = {**machine, "gpu": [{"name": "H100", "uuid": "1", "driver": "2"}]}
    assert environment.key(with_card, ["cuda:0"]) != base == environment.key(with_card, ["cpu"])
    assert environment.key({}) == environment.key({})


def test_environments_are_the_same_where_their_keys_are(machine: dict[str, Any]) -> None:
    now = {**machine, "gpu": ({"name": "H100", "uuid": "1", "driver": "2"},)}
    same = environment.same_as([now])
    stored = json.loads(json.dumps(now))
    variants = [
        stored,
        *({**stored, part: {**stored[part], "more": 1}} for part in ("cpu", "host", "unknown")),
    ]
    variants += [{**stored, "cpu": {**stored["cpu"], "model": "another"}}, {**stored, "gpu": []}, {}]
    for then in variants:
        for devices in ((), ("cpu",), ("cuda:0",)):
            assert same(then, devices, False) == (
                environment.key(then, devices) == environment.key(now, devices)
            )
    assert same(stored, ("cuda:0",), False)
    assert not same({}, (), False)


def test_which_numbers_the_cores_have_is_of_no_concern_but_how_many_and_of_which_kind(
    machine: dict[str, Any],
) -> None:
    def with_cores(affinity: list[int], kinds: list[dict[str, Any]] | None) -> dict[str, Any]:
        return {**machine, "cpu": {**machine["cpu"], "affinity": affinity, "kinds": kinds}}

    def kind(cores: int, threads: int, name: str | None = None) -> dict[str, Any]:
        return {"kind": name, "cores": cores, "threads": threads}

    first, second = (with_cores([number], [kind(1, 1)]) for number in (0, 1))
    assert environment.key(first) == environment.key(second)
    others = [
        with_cores([0, 1], [kind(2, 2)]),
        with_cores([0, 1], [kind(1, 2)]),
        with_cores([0], [kind(1, 1, "atom")]),
        with_cores([0, 8], [kind(1, 1, "atom"), kind(1, 1, "core")]),
    ]
    assert len({environment.key(e) for e in (first, *others)}) == 5
    same = environment.same_as([second])
    assert same(first, ("cpu",), False)
    assert not any(same(other, ("cpu",), False) for other in others)


def test_records_from_before_cores_had_kinds_stand_for_the_same_numbers(machine: dict[str, Any]) -> None:
    then = {**machine, "cpu": {**machine["cpu"], "affinity": [0, 1]}}
    del then["cpu"]["kinds"]
    now = {**then, "cpu": {**then["cpu"], "kinds": [{"kind": None, "cores": 2, "threads": 2}]}}
    moved = {**now, "cpu": {**now["cpu"], "affinity": [2, 3]}}
    assert environment.key(now) != environment.key(then)
    assert environment.same_as([now])(then, ("cpu",), False)
    assert not environment.same_as([moved])(then, ("cpu",), False)
    assert environment.keys(now) & environment.keys(then) == {environment.key(then)}
    assert not environment.keys(moved) & environment.keys(then)


def test_the_key_of_a_stored_record_is_what_it_was() -> None:
    stored = {"cpu": {"model": "AMD EPYC", "cores": 2, "threads": 2, "affinity": [0, 1], "governor": None}}
    parts = ["AMD EPYC", 2, [0, 1], *[None] * 7]
    assert environment.key(stored) == hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def _system(folder: Path, cores: dict[int, str], files: dict[str, str], name: str = "core_cpus_list") -> Path:
    for thread, siblings in cores.items():
        files[f"system/cpu/cpu{thread}/topology/{name}"] = siblings
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(f"{text}\n")
    return folder


def test_cores_are_counted_by_kind(tmp_path: Path) -> None:
    pairs = {0: "0-1", 1: "0-1", 2: "2-3", 3: "2-3"}
    plain = _system(tmp_path / "plain", pairs, {})
    assert core_kinds([0, 1, 2, 3], plain) == [{"kind": None, "cores": 2, "threads": 4}]
    assert core_kinds([0, 1], plain) == [{"kind": None, "cores": 1, "threads": 2}]
    assert (
        core_kinds([0, 2], plain) == core_kinds([1, 3], plain) == [{"kind": None, "cores": 2, "threads": 2}]
    )
    old = _system(tmp_path / "old", pairs, {}, "thread_siblings_list")
    assert core_kinds([0, 1, 2], old) == [{"kind": None, "cores": 2, "threads": 3}]
    assert core_kinds([], old) == []


def test_cores_of_a_hybrid_cpu_have_their_kinds(tmp_path: Path) -> None:
    pairs = {0: "0-1", 1: "0-1", 2: "2", 3: "3"}
    intel = _system(
        tmp_path / "intel", pairs, {"cpu_core/cpus": "0-1", "cpu_atom/cpus": "2-3", "cpu_lowpower/cpus": ""}
    )
    atoms, core = {"kind": "atom", "cores": 2, "threads": 2}, {"kind": "core", "cores": 1, "threads": 2}
    assert core_kinds([0, 1, 2, 3], intel) == [atoms, core]
    assert core_kinds([2, 3], intel) == [atoms]
    capacities = {f"system/cpu/cpu{n}/cpu_capacity": c for n, c in enumerate(("400", "400", "1024", "1024"))}
    arm = _system(tmp_path / "arm", {n: str(n) for n in range(4)}, capacities)
    assert core_kinds([0, 2, 3], arm) == [
        {"kind": "1024", "cores": 2, "threads": 2},
        {"kind": "400", "cores": 1, "threads": 1},
    ]
    assert core_kinds([0], _system(tmp_path / "one", {0: "0"}, {"system/cpu/cpu0/cpu_capacity": "1024"})) == [
        {"kind": None, "cores": 1, "threads": 1}
    ]


def test_where_the_kernel_says_nothing_of_its_cores_nothing_is_known(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="core_cpus_list"):
        core_kinds([0], tmp_path)


@pytest.mark.parametrize(
    ("job", "package"),
    [
        (make_job(task="infer", arch="net", settings={"backend": "onnx"}), "onnxruntime"),
        (make_job(task="infer", arch="net", settings={"backend": "openvino"}), "openvino"),
        (make_job(task="cost", arch="timm:resnet50"), "timm"),
        (make_job(task="cost", arch="hf:vit(hidden_size=192)"), "transformers"),
    ],
)
def test_what_comes_of_a_library_stands_for_its_version_alone(job: Job, package: str) -> None:
    before = {"packages": {"torch": "2.15.0", package: "1.0"}}
    after = {"packages": {"torch": "2.15.0", package: "1.1"}}
    unknown = {"packages": {"torch": "2.15.0"}}
    assert environment.same_libraries(job, before, [before])
    assert environment.same_libraries(job, before, [after, before])
    assert not environment.same_libraries(job, before, [after])
    assert environment.same_libraries(job, unknown, [after])  # of a record that says nothing of it
    for other in (
        make_job(task="infer", settings={"backend": "compiled:max-autotune"}),
        make_job(task="cost"),
    ):
        assert environment.same_libraries(other, before, [after])


def test_state_and_flags() -> None:
    assert environment.state()["load_1min"] >= 0
    assert environment.torch_flags()["threads"] >= 1
    assert environment.usable_cores() >= 1
