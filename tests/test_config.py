from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.errors import ConfigError
from bench.plan.config import load_experiment, parse_experiment
from bench.plan.files import experiments
from bench.plan.task import TASKS

MINIMAL: dict[str, Any] = {"blocks": [{"task": "infer", "grid": {"arch": ["a", "b"], "batch_size": [1, 8]}}]}


def with_block(**keys: Any) -> dict[str, Any]:
    return {"blocks": [{"task": "infer", "grid": {"arch": ["a"]}, **keys}]}


@pytest.mark.parametrize("name", experiments())
def test_every_shipped_experiment_loads_and_says_what_it_is(name: str) -> None:
    experiment = load_experiment(name)
    assert experiment.name == name.rpartition("/")[2]
    assert experiment.about
    assert all(block.archs or not TASKS.get(block.task).has_network for block in experiment.blocks)


def test_shared_settings_reach_only_the_blocks_that_know_them() -> None:
    experiment = parse_experiment(
        {
            "batch_size": 4,
            "seed": 7,
            "blocks": [{"task": "cost", "grid": {"arch": ["a"]}}, *MINIMAL["blocks"]],
        }
    )
    cost, infer = experiment.blocks
    assert dict(cost.fixed) == {"seed": 7}
    assert dict(infer.fixed) == {"seed": 7}  # the block's own axis wins over the shared value
    assert infer.axes["batch_size"] == [1, 8]


@pytest.mark.parametrize(
    ("data", "message", "tip"),
    [
        ([], "an experiment is a mapping", "smoke.yaml"),
        ({}, "blocks: give a list", "smoke.yaml"),
        ({"blok": [], **MINIMAL}, "unknown key blok", "did you mean blocks?"),
        (with_block(batchsize=4), "unknown key blocks[0].batchsize", "did you mean blocks[0].batch_size?"),
        (with_block(batch_size=[1, 2]), "blocks[0].batch_size: a list stands outside grid", "move it there"),
        (
            {"blocks": [{"task": "infr", "grid": {}}]},
            "blocks[0].task: unknown task 'infr'",
            "did you mean infer?",
        ),
        (
            {"blocks": [{"task": "cost", "grid": {"batch_size": [1]}}]},
            "unknown key blocks[0].grid.batch_size",
            None,
        ),
        ({"blocks": [{"task": "cost", "grid": {"arch": []}}]}, "blocks[0].grid.arch: an empty list", None),
        ({"blocks": ["cost"]}, "blocks[0]: a block is a mapping", None),
        (
            {"blocks": [{"task": "cost", "arch": "a", "grid": {"arch": ["b"]}}]},
            "both in the block and in its grid",
            None,
        ),
        (
            {**MINIMAL, "skip": [{"batch": 1}]},
            "unknown key skip[0].batch",
            "did you mean skip[0].batch_size?",
        ),
        ({**MINIMAL, "device": ["cpu"]}, "device: a list stands outside grid", None),
    ],
)
def test_bad_experiments_name_the_key(data: Any, message: str, tip: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_experiment(data)
    assert message in caught.value.message
    assert tip is None or tip in str(caught.value.tip)


def test_unknown_experiments_name_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        load_experiment("smok")
    assert "smoke" in str(caught.value.tip)


def test_broken_yaml_names_the_line(tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text("name: x\nblocks: [unclosed\n")
    with pytest.raises(ConfigError, match=r"broken.yaml, line \d+"):
        load_experiment(str(file))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("name: a\nblocks: []\nname: b\n", 3),
        ("blocks:\n- task: cost\n  grid: {arch: [lenet5], arch: [mlp]}\n", 3),
    ],
)
def test_a_key_that_is_given_twice_is_refused(tmp_path: Path, text: str, line: int) -> None:
    file = tmp_path / "twice.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=rf"twice.yaml, line {line}, .*is given twice"):
        load_experiment(str(file))


def test_names_replace_every_line_up() -> None:
    experiment = load_experiment("smoke", archs=["mine"])
    assert [b.archs for b in experiment.blocks] == [["mine"]] * 3


def test_tasks_narrow() -> None:
    assert [b.task for b in load_experiment("smoke", tasks=["accuracy", "cost"]).blocks] == [
        "cost",
        "accuracy",
    ]
    with pytest.raises(ConfigError, match="no block of task train_step"):
        load_experiment("smoke", tasks=["train_step"])
    with pytest.raises(ConfigError, match="unknown task 'costs'"):
        load_experiment("smoke", tasks=["costs"])


class TestOverrides:
    def test_a_scalar_is_set_in_every_block_that_knows_it(self) -> None:
        experiment = load_experiment("smoke", overrides=["device=cpu"])
        assert [b.fixed.get("device") for b in experiment.blocks] == [None, "cpu", "cpu"]

    def test_a_scalar_replaces_an_axis(self) -> None:
        infer = load_experiment("smoke", overrides=["batch_size=2"]).blocks[1]
        assert "batch_size" not in infer.axes
        assert infer.fixed["batch_size"] == 2

    def test_a_list_becomes_an_axis(self) -> None:
        infer = load_experiment("smoke", overrides=["threads=[1, 2]"]).blocks[1]
        assert infer.axes["threads"] == [1, 2]

    def test_a_task_narrows_it(self) -> None:
        experiment = load_experiment("smoke", overrides=["infer.seed=3"])
        assert [b.fixed.get("seed") for b in experiment.blocks] == [None, 3, None]

    def test_a_nested_key_keeps_its_neighbours(self) -> None:
        infer = load_experiment("smoke", overrides=["timing.limit_s=9"]).blocks[1]
        assert infer.fixed["timing"]["limit_s"] == 9
        assert (
            infer.fixed["timing"]["warmup_s"]
            == load_experiment("smoke").blocks[1].fixed["timing"]["warmup_s"]
        )

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("device", "expected key=value"),
            ("devise=cpu", "knows 'devise'"),
            ("cost.device=cpu", "knows 'device'"),
        ],
    )
    def test_bad_ones_are_named(self, text: str, message: str) -> None:
        with pytest.raises(ConfigError) as caught:
            load_experiment("smoke", overrides=[text])
        assert message in caught.value.message


class TestStudies:
    @pytest.fixture
    def shipped(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
        """Put a folder with one experiment and one study in the place of the shipped ones."""
        for name in ("plain", "studies/depth", "recipes/std"):
            file = tmp_path / f"{name}.yaml"
            file.parent.mkdir(exist_ok=True)
            file.write_text("blocks: [{task: cost, grid: {arch: [a]}}]\n")
        for module in ("config", "files"):
            monkeypatch.setattr(f"bench.plan.{module}.configs_dir", lambda: tmp_path)
        return tmp_path

    def test_they_are_found_by_name_and_listed(self, shipped: Path) -> None:
        assert experiments() == ["plain", "studies/depth"]
        assert load_experiment("studies/depth").name == "depth"

    def test_unknown_ones_name_the_nearest(self, shipped: Path) -> None:
        with pytest.raises(ConfigError) as caught:
            load_experiment("studies/dept")
        assert caught.value.tip == "did you mean studies/depth?"
