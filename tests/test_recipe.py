"""Recipes: what is read, what is refused and how it is told, and when two are the same."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import make_catalog
from pydantic import ValidationError

import bench
from bench.errors import ConfigError
from bench.plan.config import Experiment
from bench.plan.expand import expand
from bench.plan.files import configs_dir
from bench.plan.recipe import Augment, Cosine, Recipe, Steps
from bench.plan.recipe import _Triangle as Schedule

PLAIN: dict[str, Any] = {
    "name": "plain",
    "version": 1,
    "optimiser": "sgd",
    "batch_size": 64,
    "learning_rate": 0.1,
    "momentum": 0.9,
    "weight_decay": 0.0,
    "label_smoothing": 0.0,
    "schedule": {"warm_up": 0.2, "final": 0.0},
    "epochs": 3,
}
SHIPPED = sorted((configs_dir() / "recipes").glob("*.yaml"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_a_shipped_recipe_is_called_as_its_file(path: Path) -> None:
    recipe = Recipe.load(path.stem)
    assert recipe.name == path.stem
    assert Recipe.load(str(path)) == recipe


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_every_value_of_a_shipped_recipe_says_why(path: Path) -> None:
    values = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    assert [line for line in values if "#" not in line] == []


def test_the_shipped_ones_are_there() -> None:
    assert {"std", "adamw", "alexnet2012", "he2015", "record", "resnet94"} <= {p.stem for p in SHIPPED}


def test_std_keeps_its_hash() -> None:
    """Jobs hold the recipe's content: with another, no result of std would be found again."""
    assert Recipe.load("std").hash == "b5e8fc4e843d"


def test_what_resnet94_says_of_itself_is_what_is_stored() -> None:
    run = bench.load(Path(__file__).parents[1] / "results" / "h100-resnet94")
    trained = run[run["status"] == "ok"]
    (top1,), (seconds,) = (
        trained[trained["measurement"] == name]["value"] for name in ("top1", "train_time")
    )
    about = (configs_dir() / "recipes" / "resnet94.yaml").read_text("utf-8").replace("\n# ", " ")
    assert f"ended at {top1:.1%} (one seed) after {seconds:.0f} s".replace("%", " %") in about


# Values of one's own


@pytest.mark.parametrize(
    ("text", "name", "change"),
    [
        ("std(momentum=0.5)", "std(momentum=0.5)", {"momentum": 0.5}),
        (
            "std( nesterov = false , momentum=0.50 )",
            "std(momentum=0.5,nesterov=false)",
            {"momentum": 0.5, "nesterov": False},
        ),
        ("std(momentum=0)", "std(momentum=0)", {"momentum": 0.0, "nesterov": False}),
        ("std(momentum=0.0)", "std(momentum=0)", {"momentum": 0.0, "nesterov": False}),
        ("std(optimiser=adamw)", "std(optimiser=adamw)", {"optimiser": "adamw", "nesterov": False}),
        (
            "std(schedule.final=0.1)",
            "std(schedule.final=0.1)",
            {"schedule": Schedule(warm_up=0.2, final=0.1)},
        ),
        (
            "std(schedule.kind=cosine)",
            "std(schedule.kind=cosine)",
            {"schedule": Cosine(kind="cosine", warm_up=0.2, final=0.0)},
        ),
        (
            "std(schedule={kind: steps, factor: 0.1, at: [0.5, 0.75]}, epochs=9)",
            'std(epochs=9,schedule={"at": [0.5, 0.75], "factor": 0.1, "kind": "steps"})',
            {"schedule": Steps(kind="steps", at=(0.5, 0.75), factor=0.1), "epochs": 9},
        ),
        ("std(grad_clip=null,ema=0.99)", "std(ema=0.99,grad_clip=null)", {"grad_clip": None, "ema": 0.99}),
        (
            "std(augment.cutout=0,augment.alternate_flip=true)",
            "std(augment.alternate_flip=true,augment.cutout=0)",
            {"augment": Augment(cutout=0, alternate_flip=True)},
        ),
        ("std()", "std", {}),
    ],
)
def test_a_recipe_with_values_of_ones_own(text: str, name: str, change: dict[str, Any]) -> None:
    changed = Recipe.load(text)
    assert changed == Recipe.load("std").model_copy(update={**change, "name": name})
    assert Recipe.load(name) == changed
    assert Recipe.read(changed.model_dump(mode="json"), "a job") == changed


def test_a_file_of_ones_own_takes_values_too(tmp_path: Path) -> None:
    file = tmp_path / "my (own).yaml"
    file.write_text(yaml.safe_dump(PLAIN))
    assert Recipe.load(f"{file}(momentum=0.5)").name == "plain(momentum=0.5)"
    assert Recipe.load(str(file)).momentum == 0.9


@pytest.mark.parametrize(
    ("text", "message", "tip"),
    [
        ("std(momentm=0.5)", "std(momentm=0.5): momentm: unknown key", "did you mean momentum?"),
        ("std(schedule.warm=0.5)", "schedule.warm: unknown key", "did you mean warm_up?"),
        (
            "std(schedul.final=0)",
            "schedul.final: schedul is no section of a recipe",
            "sections are schedule and augment",
        ),
        ("std(momentum.final=0)", "momentum is no section of a recipe", "sections are schedule and augment"),
        (
            "std(momentum=5e-1)",
            "momentum: Input should be a valid number, got '5e-1'",
            "YAML reads 5e-4 as text; write 0.0005 or 5.0e-4",
        ),
        ("std(momentum=little)", "momentum: Input should be a valid number, got 'little'", None),
        ("std(epochs=1.5)", "epochs: Input should be a valid integer", None),
        ("std(0.5)", "an argument must be written key=value, not 0.5", "such as std(momentum=0.5)"),
        ("std(ema=0.9,ema=0.8)", "the argument ema is given twice", "keep one of them"),
        ("std(name=mine)", "name is the recipe's own", "write a YAML file for a recipe of another name"),
        ("std(ema=[)", "std(ema=[): ema, line 1, column 2: ", "close it"),
        ("std(momentum=0.5", "expected arguments in one pair of parentheses", "such as std(momentum=0.5)"),
        ("std(momentum=(0.5))", "expected arguments in one pair of parentheses", "such as std(momentum=0.5)"),
        ("sdt(momentum=0.5)", "no recipe called 'sdt'", "did you mean std?"),
    ],
)
def test_wrong_values_of_ones_own_are_named(text: str, message: str, tip: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        Recipe.load(text)
    assert message in caught.value.message
    assert caught.value.tip == tip


def test_experiments_take_them() -> None:
    data = {"blocks": [{"task": "accuracy", "grid": {"arch": ["net"], "recipe": ["std", "std(momentum=0)"]}}]}
    experiment = Experiment.parse(data)
    jobs = [planned.job for planned in expand(experiment, make_catalog("net"))]
    assert [job.settings.recipe.name for job in jobs] == ["std", "std(momentum=0)"]
    changed = experiment.narrowed(overrides=["recipe=std(momentum=0.5,nesterov=false)"])
    (job,) = (planned.job for planned in expand(changed, make_catalog("net")))
    assert job.settings.content["recipe"]["momentum"] == 0.5


def test_what_is_left_out_is_left_to_the_data_set() -> None:
    recipe = Recipe.read(PLAIN, "test")
    assert recipe.augment == Augment(pad=None, flip=None, cutout=None)
    assert recipe.grad_clip is None
    assert recipe.nesterov is False


def test_a_recipe_survives_json() -> None:
    recipe = Recipe.read({**PLAIN, "augment": {"pad": 4, "flip": True}, "grad_clip": 1}, "test")
    dumped = json.loads(json.dumps(recipe.model_dump(mode="json")))
    assert Recipe.read(dumped, "test") == recipe
    assert Recipe.read(dumped, "test").hash == recipe.hash


def test_the_hash_is_of_the_canonical_json() -> None:
    content = {**PLAIN, "nesterov": False, "grad_clip": None}
    content["augment"] = {"pad": None, "flip": None, "cutout": None}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    assert Recipe.read(PLAIN, "test").hash == hashlib.sha256(canonical.encode()).hexdigest()[:12]


def test_the_hash_does_not_depend_on_order_or_on_how_a_number_is_written() -> None:
    backwards = dict(reversed([*PLAIN.items()])) | {"weight_decay": 0}
    assert Recipe.read(backwards, "test").hash == Recipe.read(PLAIN, "test").hash


@pytest.mark.parametrize(
    "change",
    [{"name": "other"}, {"version": 2}, {"momentum": 0.8}, {"schedule": {"warm_up": 0.2, "final": 0.1}}],
    ids=lambda c: next(iter(c)),
)
def test_any_change_changes_the_hash(change: dict[str, Any]) -> None:
    assert Recipe.read({**PLAIN, **change}, "test").hash != Recipe.read(PLAIN, "test").hash


@pytest.mark.parametrize(
    ("change", "message", "tip"),
    [
        ({"batchsize": 64}, "batchsize: unknown key", "did you mean batch_size?"),
        (
            {"schedule": {"warm_up": 0.1, "warmup": 0.1, "final": 0}},
            "schedule.warmup: unknown key",
            "did you mean warm_up?",
        ),
        (
            {"augment": {"mixup": 1}},
            "augment.mixup: unknown key",
            "known: pad, flip, cutout, alternate_flip",
        ),
        ({"optimiser": "adam"}, "optimiser: Input should be 'sgd' or 'adamw', got 'adam'", None),
        ({"learning_rate": "5e-4"}, "learning_rate: ", "YAML reads 5e-4 as text; write 0.0005 or 5.0e-4"),
        ({"learning_rate": 0}, "learning_rate: Input should be greater than 0, got 0", None),
        ({"weight_decay": float("inf")}, "weight_decay: Input should be a finite number", None),
        ({"batch_size": 1.5}, "batch_size: Input should be a valid integer", None),
        ({"epochs": True}, "epochs: Input should be a valid integer, got True", None),
        ({"momentum": 1.0}, "momentum: Input should be less than 1", None),
        ({"schedule": {"warm_up": 1.0, "final": 0}}, "schedule.warm_up: ", None),
        ({"grad_clip": 0}, "grad_clip: Input should be greater than 0", None),
        ({"optimiser": "adamw", "nesterov": True}, "nesterov needs optimiser sgd", None),
        ({"momentum": 0.0, "nesterov": True}, "nesterov needs optimiser sgd and a momentum above 0", None),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], message: str, tip: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        Recipe.read({**PLAIN, **change}, "mine.yaml")
    assert caught.value.message.startswith("mine.yaml: ")
    assert message in caught.value.message
    assert caught.value.tip == tip


def test_each_of_several_mistakes_has_its_own_next_step() -> None:
    with pytest.raises(ConfigError) as caught:
        Recipe.read({**PLAIN, "batchsize": 64, "learning_rate": "5e-4"}, "mine.yaml")
    head, *lines = caught.value.message.splitlines()
    assert head == "2 mistakes:"
    assert sorted("batch_size" in line for line in lines) == [False, True]
    assert sorted("YAML reads 5e-4 as text" in line for line in lines) == [False, True]
    assert all("mine.yaml: " in line for line in lines)


def test_a_missing_key_is_named() -> None:
    with pytest.raises(ConfigError, match=r"mine.yaml: epochs: Field required"):
        Recipe.read({k: v for k, v in PLAIN.items() if k != "epochs"}, "mine.yaml")


@pytest.mark.parametrize("value", [None, [], "std", 3])
def test_a_recipe_is_a_mapping(value: object) -> None:
    with pytest.raises(ConfigError, match="a recipe is a mapping"):
        Recipe.read(value, "mine.yaml")


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(PLAIN))
    assert Recipe.load(str(file)).schedule == Schedule(warm_up=0.2, final=0.0)


@pytest.mark.parametrize("content", [b"name: [", b"\xff\xfe\x00"], ids=["no YAML", "no text"])
def test_a_broken_file_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "mine.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"mine.yaml") as caught:
        Recipe.load(str(file))
    assert caught.value.tip


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no recipe called 'sdt'") as caught:
        Recipe.load("sdt")
    assert caught.value.tip == "did you mean std?"


def test_a_recipe_does_not_change() -> None:
    recipe = Recipe.read(PLAIN, "test")
    with pytest.raises(ValidationError):
        recipe.epochs = 5  # type: ignore[misc]
