from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from bench.records import environment


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


def test_state_and_flags() -> None:
    assert environment.state()["load_1min"] >= 0
    assert environment.torch_flags()["threads"] >= 1
    assert environment.usable_cores() >= 1
