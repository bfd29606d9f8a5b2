"""Recipes: how a network is trained, as named and versioned YAML; changed content is another recipe.

``std(momentum=0.5,schedule.final=0.1)`` is the recipe `std` with values of one's own: keys with dots into sections,
values as YAML writes them, and no quotes around words.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic_core import ErrorDetails

from bench.errors import ConfigError, suggestion, together
from bench.plan._yaml import find_yaml, load_yaml, read_yaml
from bench.plan.card import DatasetCard
from bench.plan.files import configs_dir
from bench.plan.settings import Frozen

_HASH_LENGTH = 12
_ARGUMENTS = re.compile(r"(?s)(.*)\(([^()]*)\)")
_KEY = re.compile(r"(?:^|,)\s*([A-Za-z_][\w.]*)\s*=")


# Schedules of the learning rate; `bench.training._optimiser` computes their values.
_KINDS = ("triangle", "cosine", "steps", "plateau")


class _Strict(Frozen, strict=True):
    """A part of a recipe: "1" is no number and 1.5 no count, it says what it means."""


class _Triangle(_Strict):
    """Up to the peak, then down, both linear.

    Attributes:
        warm_up: share of the steps before the peak, 0 to 1.
        final: the rate at the end, as a share of the peak.
        start: the rate at the start, likewise.
    """

    kind: Literal["triangle"] = "triangle"
    warm_up: float = Field(ge=0, lt=1)
    final: float = Field(ge=0, le=1)
    start: float = Field(default=0.0, ge=0, le=1)


class Cosine(_Strict):
    """Up from zero to the peak, linear, then down along half a period of a cosine.

    Source: Loshchilov and Hutter, arXiv:1608.03983, without restarts.

    Attributes:
        warm_up: share of the steps before the peak, 0 to 1.
        final: the rate at the end, as a share of the peak.
    """

    kind: Literal["cosine"]
    warm_up: float = Field(ge=0, lt=1)
    final: float = Field(ge=0, le=1)


class Steps(_Strict):
    """At the peak from the start, and multiplied by a factor at some moments.

    Attributes:
        at: moments at which the rate falls, as shares of the steps, increasing.
        factor: by which the rate is multiplied at each of them.
    """

    kind: Literal["steps"]
    at: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], Field(strict=False, min_length=1)]
    factor: float = Field(gt=0, lt=1)

    @model_validator(mode="after")
    def _increase(self) -> Steps:
        if list(self.at) != sorted(set(self.at)):
            raise ValueError("the shares in at must increase")
        return self


class Plateau(_Strict):
    """At the peak from the start, and multiplied by a factor when the validation error stops falling.

    Attributes:
        factor: by which the rate is multiplied each time.
        patience: epochs without a lower error that are waited through; the one after them lowers the rate.
    """

    kind: Literal["plateau"]
    factor: float = Field(gt=0, lt=1)
    patience: int = Field(ge=0)


def _triangle_unless_named(value: object) -> object:
    return {"kind": "triangle", **value} if isinstance(value, Mapping) else value


Schedule = Annotated[
    _Triangle | Cosine | Steps | Plateau, Field(discriminator="kind"), BeforeValidator(_triangle_unless_named)
]


class _Changes(NamedTuple):
    """What is done to the training images of a data set: see `Augment`."""

    pad: int
    flip: bool
    cutout: int


class Augment(_Strict):
    """What is done to the training images; None leaves it to the data set.

    Attributes:
        pad: px of reflected border from which a random crop of the old size is taken.
        flip: mirror half of the images, left to right.
        cutout: px of the side of a square that is set to the mean.
        alternate_flip: where images are mirrored, mirror each in every other epoch rather than by chance.
    """

    pad: int | None = Field(default=None, ge=0)
    flip: bool | None = None
    cutout: int | None = Field(default=None, ge=0)
    alternate_flip: bool = False

    def on(self, card: DatasetCard) -> _Changes:
        """Return what is done to the images of a data set, whose card says what is left open here."""
        return _Changes(
            card.pad if self.pad is None else self.pad,
            card.flip if self.flip is None else self.flip,
            card.cutout if self.cutout is None else self.cutout,
        )


class Recipe(_Strict):
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
        no_decay: leave biases and the parameters of normalisation, those of one dimension, without weight decay.
        bias_lr: the learning rate of biases, those of normalisation included, as a multiple of the others'.
        norm_bias_lr: the learning rate of the biases of normalisation, once more as a multiple; their weight decay a
            step stays what it was.
        label_smoothing: share of the target spread evenly over all classes.
        schedule: of the learning rate.
        augment: of the training images.
        grad_clip: largest norm of the whole gradient, to which a larger one is cut; by default none.
        dropout: the probability of every dropout layer that the network has; by default its own.
        ema: decay a step of the running average of the weights that is then tested; by default the weights are.
        ema_every: steps from one update of the average to the next, which then decays by as many steps' decay.
        lookahead: the training goes on from the average after each update, and the decay of an update grows from 0
            to the full one, with the cube of the share of steps that are done.
        test_time_augmentation: mirror averages the logits of each test image and of its mirror image, where training
            images are mirrored too. mirror_translate averages these in turn with those of the image moved by a pixel,
            half of the weight for the two diagonals up left and down right, where training images are moved too.
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
    no_decay: bool = False
    bias_lr: float = Field(default=1.0, gt=0)
    norm_bias_lr: float = Field(default=1.0, gt=0)
    label_smoothing: float = Field(ge=0, lt=1)
    schedule: Schedule
    augment: Augment = Augment()
    grad_clip: float | None = Field(default=None, gt=0)
    dropout: float | None = Field(default=None, ge=0, lt=1)
    ema: float | None = Field(default=None, gt=0, lt=1)
    ema_every: int = Field(default=1, ge=1)
    lookahead: bool = False
    test_time_augmentation: Literal["none", "mirror", "mirror_translate"] = "none"
    epochs: int = Field(ge=1)

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> Self:
        if self.nesterov and (self.optimiser != "sgd" or self.momentum == 0):
            raise ValueError("nesterov needs optimiser sgd and a momentum above 0")
        return self

    @model_validator(mode="after")
    def _an_average_is_asked_for(self) -> Self:
        if self.ema is None and (self.lookahead or self.ema_every > 1):
            raise ValueError("lookahead and ema_every need ema, the decay of the average")
        return self

    @model_serializer(mode="wrap")
    def _content(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what came later and is off: recipes, and the jobs that hold them, keep their hashes."""
        content: dict[str, Any] = dump(self)
        for keys, off in _CAME_LATER.items():
            *sections, key = keys.split(".")
            values = content[sections[0]] if sections else content
            if values.get(key) == off:
                del values[key]
        return content

    @property
    def hash(self) -> str:
        """The first 12 hex digits of the SHA-256 of the content's canonical JSON."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:_HASH_LENGTH]

    @classmethod
    def load(cls, text: str) -> Recipe:
        """Return the recipe of a shipped file such as ``std``, or of a YAML file of one's own.

        Either may have arguments: ``std(momentum=0.5)`` has another momentum, and is called so. Its name is in the
        normal spelling, keys in order and no spaces, so that two ways to write the same are one recipe.

        Raises:
            ConfigError: if there is no such file, or a key or a value in it or in the arguments is wrong.
        """
        text = text.strip()
        parts = _ARGUMENTS.fullmatch(text)
        if parts is None and "(" in text and not text.endswith((".yaml", ".yml")):
            message = f"{text}: expected arguments in one pair of parentheses"
            raise ConfigError(message, "such as std(momentum=0.5)")
        path = find_yaml(parts[1].strip() if parts else text, "recipe", configs_dir() / "recipes")
        recipe = Recipe.read(load_yaml(path), str(path))
        return _changed(recipe, parts[2], text) if parts else recipe

    @classmethod
    def read(cls, data: object, where: str) -> Recipe:
        """Check the plain values of a recipe; `where` names their origin in messages.

        Raises:
            ConfigError: with the path of each wrong key, and the nearest right one as tip.
        """
        if not isinstance(data, Mapping):
            raise ConfigError(f"{where}: a recipe is a mapping of keys to values")
        try:
            return Recipe.model_validate(dict(data))
        except ValidationError as error:
            raise together([_problem(e, where) for e in error.errors()]) from None

    @property
    def tested_at_once(self) -> int:
        """How many images are tested at once: without gradients to keep, twice the batch takes about the memory."""
        return 2 * self.batch_size


_CAME_LATER: dict[str, object] = {
    "no_decay": False,
    "bias_lr": 1.0,
    "norm_bias_lr": 1.0,
    "dropout": None,
    "ema": None,
    "ema_every": 1,
    "lookahead": False,
    "test_time_augmentation": "none",
    "augment.alternate_flip": False,
    "schedule.kind": "triangle",
    "schedule.start": 0.0,
}
_SECTIONS: dict[str, type[_Strict]] = {
    "": Recipe,
    "augment": Augment,
    "schedule.triangle": _Triangle,
    "schedule.cosine": Cosine,
    "schedule.steps": Steps,
    "schedule.plateau": Plateau,
}


def _changed(recipe: Recipe, arguments: str, where: str) -> Recipe:
    """Return the recipe with the values of ``momentum=0.5,schedule.final=0.1``."""
    values = _values(arguments, where)
    data = recipe.model_dump(mode="json")
    if recipe.nesterov and (values.get("momentum") == 0 or values.get("optimiser") == "adamw"):
        data["nesterov"] = False  # it is a form of the momentum, and goes with it
    for key, value in values.items():
        _put(data, key, value, where)
    changed = Recipe.read(data, where).model_dump(mode="json")
    shown = ",".join(f"{key}={_shown(_at(changed, key, values[key]))}" for key in sorted(values))
    return Recipe.read({**changed, "name": f"{recipe.name}({shown})" if shown else recipe.name}, where)


def _values(arguments: str, where: str) -> dict[str, object]:
    """Return the arguments by key, their values read as YAML."""
    before, *parts = _KEY.split(arguments)
    if before.strip():
        message = f"{where}: an argument must be written key=value, not {before.strip()}"
        raise ConfigError(message, "such as std(momentum=0.5)")
    keys, texts = parts[::2], parts[1::2]
    for key in keys:
        if keys.count(key) > 1:
            raise ConfigError(f"{where}: the argument {key} is given twice", "keep one of them")
        if key in ("name", "version"):
            tip = "write a YAML file for a recipe of another name"
            raise ConfigError(f"{where}: {key} is the recipe's own", tip)
    return {key: read_yaml(text, f"{where}: {key}") for key, text in zip(keys, texts, strict=True)}


def _put(data: dict[str, object], key: str, value: object, where: str) -> None:
    *sections, last = key.split(".")
    for section in sections:
        inner = data.get(section)
        if not isinstance(inner, dict):
            message = f"{where}: {key}: {section} is no section of a recipe"
            raise ConfigError(message, "sections are schedule and augment")
        data = inner
    data[last] = value


def _at(data: object, key: str, default: object) -> object:
    """Return the value at a key with dots; `default` where it is left out because it is the usual one."""
    for part in key.split("."):
        if not isinstance(data, Mapping) or part not in data:
            return default
        data = data[part]
    return data


def _shown(value: object) -> str:
    """Return a value as YAML reads it back, and whole numbers alike whichever way they were written."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _problem(error: ErrorDetails, where: str) -> ConfigError:
    """Return the error of one wrong key or value, with the next step where there is one."""
    steps = [str(part) for part in error["loc"]]
    *parents, last = steps or [""]
    if steps[:1] == ["schedule"]:  # the kind stands in the location, and nowhere in the file
        steps = [steps[0], *(s for s in steps[1:] if s not in _KINDS)]
    key, text, given, tip = ".".join(steps), error["msg"].removeprefix("Value error, "), error["input"], None
    if error["type"] == "extra_forbidden":
        text, tip = "unknown key", suggestion(last, _SECTIONS[".".join(parents)].model_fields)
    elif error["type"] == "union_tag_invalid":
        key, text, given = f"{key}.kind", f"must be one of {', '.join(_KINDS)}", given["kind"]
        tip = suggestion(str(given), _KINDS)
    elif error["type"] == "float_type" and _is_number(given):
        tip = "YAML reads 5e-4 as text; write 0.0005 or 5.0e-4"
    shown = f", got {given!r}" if error["type"] != "missing" and not isinstance(given, Mapping) else ""
    return ConfigError(f"{where}: {key}: {text}{shown}" if key else f"{where}: {text}", tip)


def _is_number(value: object) -> bool:
    """Return whether it is a text that Python, other than YAML, reads as a number."""
    try:
        return isinstance(value, str) and bool(float(value))
    except ValueError:
        return False
