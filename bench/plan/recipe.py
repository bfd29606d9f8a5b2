"""Recipes: how a network is trained, as named and versioned YAML; changed content is another recipe."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bench.errors import ConfigError, nearest
from bench.plan.files import configs_dir, find_yaml

HASH_LENGTH = 12


class _Frozen(BaseModel):
    # "1" is no number and 1.5 no count: a recipe says what it means.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Schedule(_Frozen):
    """The learning rate over the steps: up from zero to the peak, then down, both linear.

    Attributes:
        warm_up: share of the steps before the peak, 0 to 1.
        final: the rate at the end, as a share of the peak.
    """

    warm_up: float = Field(ge=0, lt=1)
    final: float = Field(ge=0, le=1)


class Augment(_Frozen):
    """What is done to the training images; None leaves it to the data set.

    Attributes:
        pad: px of reflected border from which a random crop of the old size is taken.
        flip: mirror half of the images, left to right.
        cutout: px of the side of a square that is set to the mean.
    """

    pad: int | None = Field(default=None, ge=0)
    flip: bool | None = None
    cutout: int | None = Field(default=None, ge=0)


class Recipe(_Frozen):
    """How a network is trained.

    Attributes:
        name: how it is asked for.
        version: raised when the content changes, so that people can tell two apart as well.
        optimiser: the update rule.
        batch_size: images a step.
        learning_rate: at the peak of the schedule.
        momentum: of SGD; the decay of the first moment of AdamW.
        nesterov: Nesterov's form of the momentum; SGD only.
        weight_decay: of all parameters; decoupled from the gradient for AdamW.
        label_smoothing: share of the target spread evenly over all classes.
        schedule: of the learning rate.
        augment: of the training images.
        grad_clip: largest norm of the whole gradient; None leaves it alone.
        epochs: passes over the training images where the experiment does not say.
    """

    name: str = Field(min_length=1)
    version: int = Field(ge=1)
    optimiser: Literal["sgd", "adamw"]
    batch_size: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    momentum: float = Field(ge=0, lt=1)
    nesterov: bool = False
    weight_decay: float = Field(ge=0)
    label_smoothing: float = Field(ge=0, lt=1)
    schedule: Schedule
    augment: Augment = Augment()
    grad_clip: float | None = Field(default=None, gt=0)
    epochs: int = Field(ge=1)

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> Self:
        if self.nesterov and (self.optimiser != "sgd" or self.momentum == 0):
            raise ValueError("nesterov needs optimiser sgd and a momentum above 0")
        return self

    @property
    def hash(self) -> str:
        """The first 12 hex digits of the SHA-256 of the content's canonical JSON."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:HASH_LENGTH]


_SECTIONS: dict[str, type[BaseModel]] = {"": Recipe, "schedule": Schedule, "augment": Augment}


def load_recipe(name_or_path: str) -> Recipe:
    """Return the recipe of a shipped file such as ``std``, or of a YAML file of one's own.

    Raises:
        ConfigError: if there is no such file, or a key or a value in it is wrong.
    """
    path = find_yaml(name_or_path, "recipe", configs_dir() / "recipes")
    return read_recipe(_yaml(path), str(path))


def read_recipe(data: Any, where: str) -> Recipe:
    """Check the plain values of a recipe; `where` names their origin in messages.

    Raises:
        ConfigError: with the path of each wrong key, and the nearest right one as tip.
    """
    if not isinstance(data, Mapping):
        raise ConfigError(f"{where}: a recipe is a mapping of keys to values")
    try:
        return Recipe.model_validate(dict(data))
    except ValidationError as error:
        problems = [_problem(dict(e)) for e in error.errors()]
        raise ConfigError(f"{where}: " + "; ".join(problems), _tip(error)) from None


def _yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path}: no readable YAML: {reason}") from error


def _problem(error: Mapping[str, Any]) -> str:
    key = ".".join(str(part) for part in error["loc"])
    text = "unknown key" if error["type"] == "extra_forbidden" else error["msg"].removeprefix("Value error, ")
    given = error["input"]
    shown = f", got {given!r}" if error["type"] != "missing" and not isinstance(given, Mapping) else ""
    return f"{key}: {text}{shown}" if key else text


def _tip(error: ValidationError) -> str | None:
    """Return the next step for the first problem that has one."""
    for problem in error.errors():
        if problem["type"] == "float_type" and isinstance(problem["input"], str):
            return "YAML reads 5e-4 as text; write 0.0005 or 5.0e-4"
        if problem["type"] == "extra_forbidden":
            *parents, key = (str(part) for part in problem["loc"])
            known = _SECTIONS[".".join(parents)].model_fields
            close = nearest(key, known)
            return f"did you mean {', '.join(close)}?" if close else "known keys: " + ", ".join(known)
    return None
