"""Recipes: what is read, what is refused and how it is told, and when two are the same."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from bench.errors import ConfigError
from bench.plan.files import configs_dir
from bench.plan.recipe import Augment, Schedule, load_recipe, read_recipe

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
    recipe = load_recipe(path.stem)
    assert recipe.name == path.stem
    assert load_recipe(str(path)) == recipe


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_every_value_of_a_shipped_recipe_says_why(path: Path) -> None:
    values = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    assert [line for line in values if "#" not in line] == []


def test_std_is_there() -> None:
    assert "std" in [p.stem for p in SHIPPED]


def test_what_is_left_out_is_left_to_the_data_set() -> None:
    recipe = read_recipe(PLAIN, "test")
    assert recipe.augment == Augment(pad=None, flip=None, cutout=None)
    assert recipe.grad_clip is None
    assert recipe.nesterov is False


def test_a_recipe_survives_json() -> None:
    recipe = read_recipe({**PLAIN, "augment": {"pad": 4, "flip": True}, "grad_clip": 1}, "test")
    dumped = json.loads(json.dumps(recipe.model_dump(mode="json")))
    assert read_recipe(dumped, "test") == recipe
    assert read_recipe(dumped, "test").hash == recipe.hash


def test_the_hash_is_of_the_canonical_json() -> None:
    content = {**PLAIN, "nesterov": False, "grad_clip": None}
    content["augment"] = {"pad": None, "flip": None, "cutout": None}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    assert read_recipe(PLAIN, "test").hash == hashlib.sha256(canonical.encode()).hexdigest()[:12]


def test_the_hash_does_not_depend_on_order_or_on_how_a_number_is_written() -> None:
    backwards = dict(reversed([*PLAIN.items()])) | {"weight_decay": 0}
    assert read_recipe(backwards, "test").hash == read_recipe(PLAIN, "test").hash


@pytest.mark.parametrize(
    "change",
    [{"name": "other"}, {"version": 2}, {"momentum": 0.8}, {"schedule": {"warm_up": 0.2, "final": 0.1}}],
    ids=lambda c: next(iter(c)),
)
def test_any_change_changes_the_hash(change: dict[str, Any]) -> None:
    assert read_recipe({**PLAIN, **change}, "test").hash != read_recipe(PLAIN, "test").hash


@pytest.mark.parametrize(
    ("change", "message", "tip"),
    [
        ({"batchsize": 64}, "batchsize: unknown key", "did you mean batch_size?"),
        ({"schedule": {"warmup": 0.1, "final": 0}}, "schedule.warmup: unknown key", "did you mean warm_up?"),
        ({"augment": {"mixup": 1}}, "augment.mixup: unknown key", "known keys: pad, flip, cutout"),
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
        read_recipe({**PLAIN, **change}, "mine.yaml")
    assert caught.value.message.startswith("mine.yaml: ")
    assert message in caught.value.message
    assert caught.value.tip == tip


def test_a_missing_key_is_named() -> None:
    with pytest.raises(ConfigError, match=r"mine.yaml: epochs: Field required"):
        read_recipe({k: v for k, v in PLAIN.items() if k != "epochs"}, "mine.yaml")


@pytest.mark.parametrize("value", [None, [], "std", 3])
def test_a_recipe_is_a_mapping(value: object) -> None:
    with pytest.raises(ConfigError, match="a recipe is a mapping"):
        read_recipe(value, "mine.yaml")


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(PLAIN))
    assert load_recipe(str(file)).schedule == Schedule(warm_up=0.2, final=0.0)


@pytest.mark.parametrize("content", [b"name: [", b"\xff\xfe\x00"], ids=["no YAML", "no text"])
def test_a_broken_file_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "mine.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"mine.yaml: no readable YAML"):
        load_recipe(str(file))


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no recipe called 'sdt'") as caught:
        load_recipe("sdt")
    assert caught.value.tip == "did you mean std?"


def test_a_recipe_does_not_change() -> None:
    recipe = read_recipe(PLAIN, "test")
    with pytest.raises(ValidationError):
        recipe.epochs = 5  # type: ignore[misc]
