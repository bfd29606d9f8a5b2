from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import make_catalog

from bench.errors import ConfigError
from bench.plan.config import Experiment
from bench.plan.expand import expand
from bench.plan.files import experiments
from bench.plan.task import TASKS

MINIMAL: dict[str, Any] = {"blocks": [{"task": "infer", "grid": {"arch": ["a", "b"], "batch_size": [1, 8]}}]}


def with_block(**keys: Any) -> dict[str, Any]:
    return {"blocks": [{"task": "infer", "grid": {"arch": ["a"]}, **keys}]}


@pytest.mark.parametrize("name", experiments())
def test_every_shipped_experiment_loads_and_says_what_it_is(name: str) -> None:
    experiment = Experiment.load(name)
    assert experiment.name == name.rpartition("/")[2]
    assert experiment.about
    assert all(block.archs or not TASKS.get(block.task).has_network for block in experiment.blocks)


def test_shared_settings_reach_only_the_blocks_that_know_them() -> None:
    experiment = Experiment.parse(
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
        Experiment.parse(data)
    assert message in caught.value.message
    assert tip is None or tip in str(caught.value.tip)


def test_unknown_experiments_name_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        Experiment.load("smok")
    assert "smoke" in str(caught.value.tip)


def test_broken_yaml_names_the_line(tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text("name: x\nblocks: [unclosed\n")
    with pytest.raises(ConfigError, match=r"broken.yaml, line \d+"):
        Experiment.load(str(file))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff\xfe\x00", "it is not UTF-8"),
        (b"name: a\x07b", "special characters are not allowed"),
        (b"name: " + b"[" * 3000 + b"]" * 3000, "it is nested too deep"),
        (b"name: 0b_", "invalid literal for int"),
    ],
    ids=["no text", "a bell", "deep", "no number"],
)
def test_what_is_no_yaml_is_told(tmp_path: Path, content: bytes, reason: str) -> None:
    file = tmp_path / "broken.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=f"broken.yaml: no readable YAML: .*{reason}") as caught:
        Experiment.load(str(file))
    assert caught.value.tip


def bomb(lines: int, width: int) -> str:
    """Return YAML of which the last line has ``width ** lines`` words."""
    text = f"about: &a0 [{', '.join(['x'] * width)}]\n"
    for i in range(1, lines):
        text += f"k{i}: &a{i} [{', '.join([f'*a{i - 1}'] * width)}]\n"
    return text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (bomb(12, 9), "with its aliases it has more than 100,000 values"),
        (bomb(200, 2), "with its aliases it has more than 100,000 values"),
        ("blocks: &a [*a]", "an alias stands within what it repeats"),
        ("blocks: &a {grid: *a}", "an alias stands within what it repeats"),
        (f"seed: 1{'0' * 400}", "a number has more digits than any here"),
        (f"seed: -{2**63}", "a number has more digits than any here"),
        ("about: !!timestamp 2001-01-01", "a value is a date, and none here is"),
        ("about: !!binary aGVsbG8=", "a value is a bytes, and none here is"),
        ("about: !!set {a, b}", "a value is a set, and none here is"),
        ("about: !!omap [a: 1]", "a value is a tuple, and none here is"),
    ],
)
def test_what_is_no_plain_yaml_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=f"broken.yaml: {reason}") as caught:
        Experiment.load(str(file))
    assert caught.value.tip == "mend the YAML there"


def test_an_alias_repeats_a_value(tmp_path: Path) -> None:
    file = tmp_path / "two.yaml"
    file.write_text("blocks:\n- {task: cost, grid: {arch: &a [b, c]}}\n- {task: infer, grid: {arch: *a}}\n")
    assert [block.archs for block in Experiment.load(str(file)).blocks] == [["b", "c"], ["b", "c"]]


def test_a_mark_of_an_editor_is_no_content_and_a_date_is_text(tmp_path: Path) -> None:
    file = tmp_path / "marked.yaml"
    file.write_bytes(
        b"\xef\xbb\xbfname: 2026-02-31\nabout: 2026-01-01\nblocks: [{task: cost, grid: {arch: [a]}}]\n"
    )
    experiment = Experiment.load(str(file))
    assert (experiment.name, experiment.about) == ("2026-02-31", "2026-01-01")


@pytest.mark.parametrize(
    "name", ["x" * 300 + ".yaml", "x" * 5000 + ".yaml", "a/" * 3000 + "b.yaml", "a\0b.yaml"]
)
def test_a_name_that_no_file_can_have(name: str) -> None:
    with pytest.raises(ConfigError, match="no experiment file"):
        Experiment.load(name)


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
        Experiment.load(str(file))


def test_names_replace_every_line_up() -> None:
    experiment = Experiment.load("smoke").narrowed(archs=["mine"])
    assert [b.archs for b in experiment.blocks] == [["mine"]] * 3


def test_tasks_narrow() -> None:
    assert [b.task for b in Experiment.load("smoke").narrowed(tasks=["accuracy", "cost"]).blocks] == [
        "cost",
        "accuracy",
    ]
    with pytest.raises(ConfigError, match="no block of task train_step"):
        Experiment.load("smoke").narrowed(tasks=["train_step"])
    with pytest.raises(ConfigError, match="unknown task 'costs'"):
        Experiment.load("smoke").narrowed(tasks=["costs"])


class TestOverrides:
    def test_a_scalar_is_set_in_every_block_that_knows_it(self) -> None:
        experiment = Experiment.load("smoke").narrowed(overrides=["device=cpu"])
        assert [b.fixed.get("device") for b in experiment.blocks] == [None, "cpu", "cpu"]

    def test_a_scalar_replaces_an_axis(self) -> None:
        infer = Experiment.load("smoke").narrowed(overrides=["batch_size=2"]).blocks[1]
        assert "batch_size" not in infer.axes
        assert infer.fixed["batch_size"] == 2

    def test_a_list_becomes_an_axis(self) -> None:
        infer = Experiment.load("smoke").narrowed(overrides=["threads=[1, 2]"]).blocks[1]
        assert infer.axes["threads"] == [1, 2]

    def test_a_task_narrows_it(self) -> None:
        experiment = Experiment.load("smoke").narrowed(overrides=["infer.seed=3"])
        assert [b.fixed.get("seed") for b in experiment.blocks] == [None, 3, None]

    def test_a_nested_key_keeps_its_neighbours(self) -> None:
        infer = Experiment.load("smoke").narrowed(overrides=["timing.limit_s=9"]).blocks[1]
        assert infer.fixed["timing"]["limit_s"] == 9
        assert (
            infer.fixed["timing"]["warmup_s"]
            == Experiment.load("smoke").blocks[1].fixed["timing"]["warmup_s"]
        )

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("device", "expected key=value"),
            ("devise=cpu", "knows 'devise'"),
            ("cost.device=cpu", "knows 'device'"),
            ("timing={limit_s: 1, limit_s: 2}", "limit_s is given twice"),
            ("seed=[1", "--set seed=[1, line 1"),
        ],
    )
    def test_bad_ones_are_named(self, text: str, message: str) -> None:
        with pytest.raises(ConfigError) as caught:
            Experiment.load("smoke").narrowed(overrides=[text])
        assert message in caught.value.message
        assert caught.value.tip

    @staticmethod
    def timed(**keys: object) -> Experiment:
        return Experiment.parse({"blocks": [{"task": "infer", "grid": {"arch": ["a"]}, **keys}]})

    def test_a_nested_key_is_set_for_every_device(self) -> None:
        experiment = self.timed(timing={"cpu": {"min_s": 1}, "cuda": {"min_s": 2}})
        (block,) = experiment.narrowed(overrides=["timing.limit_s=9"]).blocks
        assert block.fixed["timing"] == {
            "cpu": {"min_s": 1, "limit_s": 9},
            "cuda": {"min_s": 2, "limit_s": 9},
        }

    def test_a_nested_key_is_set_at_every_value_of_an_axis(self) -> None:
        experiment = self.timed(grid={"arch": ["a"], "timing": [{"min_s": 1}, {"min_s": 2}]})
        (block,) = experiment.narrowed(overrides=["timing.limit_s=9"]).blocks
        assert block.axes["timing"] == [{"min_s": 1, "limit_s": 9}, {"min_s": 2, "limit_s": 9}]

    @pytest.mark.parametrize("key", ["seed", "precision"])
    def test_a_key_within_a_scalar_is_a_wrong_value_like_any_other(self, key: str) -> None:
        experiment = self.timed(seed=3, precision="fp32").narrowed(overrides=[f"{key}.x=1"])
        with pytest.raises(ConfigError, match=rf"--set {key}: "):
            expand(experiment, make_catalog("a"))

    def test_all_that_is_wrong_is_told_at_once_each_with_its_next_step(self) -> None:
        with pytest.raises(ConfigError) as caught:
            self.timed().narrowed(overrides=["batchsize=8", "seed=1", "presicion=fp16", "device"])
        assert caught.value.message.splitlines()[0] == "3 mistakes:"
        for said in ("batchsize", "batch_size?", "presicion", "precision?", "--set device: expected key"):
            assert said in caught.value.message
        assert "--set seed" not in caught.value.message
        with pytest.raises(ConfigError) as caught:
            Experiment.parse({"blocks": [{"task": "cost", "sede": 1, "input": 2, "grid": {"arch": ["a"]}}]})
        assert "seed?" in caught.value.message
        assert "input_size?" in caught.value.message

    def test_wrong_values_are_told_at_once_and_by_the_option_that_gave_them(self) -> None:
        overrides = ["batch_size=8img", "precision=float16"]
        with pytest.raises(ConfigError) as caught:
            expand(self.timed(seed="x").narrowed(overrides=overrides), make_catalog("a"))
        told = dict(line.strip().split(": ", 1) for line in caught.value.message.splitlines()[1:])
        assert set(told) == {"--set batch_size", "--set precision", "blocks[0].seed"}
        assert told["--set precision"].endswith("(did you mean fp16?)")
        assert told["--set batch_size"].endswith("got '8img' (write a number alone, without a unit)")


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
        assert Experiment.load("studies/depth").name == Experiment.load("studies/depth.yml").name == "depth"

    def test_unknown_ones_name_the_nearest(self, shipped: Path) -> None:
        for name in ("studies/dept", "studies/depth.2"):
            with pytest.raises(ConfigError) as caught:
                Experiment.load(name)
            assert caught.value.tip == "did you mean studies/depth?"


def test_a_block_on_request_waits_until_its_task_is_named() -> None:
    plain, waiting = (
        {"task": "cost", "grid": {"arch": ["a"]}},
        {"task": "train_step", "grid": {"arch": ["b"]}},
    )
    experiment = Experiment.parse({"blocks": [plain, {**waiting, "on_request": True}]})
    assert [b.task for b in experiment.narrowed().blocks] == ["cost"]
    assert [b.task for b in experiment.narrowed(tasks=["train_step", "cost"]).blocks] == [
        "cost",
        "train_step",
    ]
    stored = experiment.narrowed(tasks=["train_step"]).to_json()
    assert stored["blocks"] == [
        {"task": "train_step", "grid": {"arch": ["b"]}}
    ]  # the run goes on without a request
    with pytest.raises(ConfigError, match="on_request: give true or false, not 'yes'"):
        Experiment.parse({"blocks": [{**plain, "on_request": "yes"}]})


def test_a_task_that_the_experiment_has_no_block_of_is_told_beside_others_too() -> None:
    experiment = Experiment.parse({"name": "mine", "blocks": [{"task": "cost", "grid": {"arch": ["a"]}}]})
    with pytest.raises(ConfigError, match="mine has no block of task infer") as caught:
        experiment.narrowed(tasks=["cost", "infer"])
    assert caught.value.tip is not None
    assert caught.value.tip.startswith("it has cost;")
