"""Way in: image models of transformers, ``hf:NAME``, built from their configuration, with random weights.

    hf:vit                          a type, with the values that its configuration has by default
    hf:ViTForImageClassification    a class, likewise
    hf:path/to/folder               a folder with config.json
    hf:microsoft/resnet-50          the configuration of a model of the hub, from the cache or the hub itself

Arguments are values of the configuration: ``hf:vit(hidden_size=192)``. Code from the hub is never run.
"""

from __future__ import annotations

import copy
import hashlib
import inspect
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from bench.archs import Arch
from bench.archs._arguments import library_errors
from bench.archs.naming._digests import digest
from bench.archs.naming._paths import users_path
from bench.archs.naming._ways import WAYS, NetworkName, Way, origins
from bench.errors import (
    InvalidModelError,
    UnknownNameError,
    UnsupportedError,
    install_tip,
    nearest,
    reason,
    unknown_name,
)
from bench.plan.card import ArchCard

if TYPE_CHECKING:
    from torch import nn

_CONFIG = "config.json"
_IMAGES = "pixel_values"  # what transformers calls images, by which its image models are told

# What a type stands for: the first kind of model that there is for it.
_KINDS = (
    *("IMAGE_CLASSIFICATION", "SEMANTIC_SEGMENTATION", "UNIVERSAL_SEGMENTATION", "OBJECT_DETECTION"),
    *("DEPTH_ESTIMATION", "IMAGE_TO_IMAGE", "MASKED_IMAGE_MODELING"),
)
_CLASSES = 1000  # of a type alone: the two labels that every configuration begins with say nothing
_SIZE = 224
# The configuration's name for each native value, where it has one.
_OURS = {"num_classes": "num_labels", "in_channels": "num_channels", "input_size": "image_size"}


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        lacking = "is not installed" if error.name == "transformers" else f"cannot be imported: {error}"
        raise UnsupportedError(f"transformers {lacking}", install_tip("transformers")) from error
    return transformers


def _names() -> list[str]:
    """Return all types of image classifiers."""
    made = {kind: _class(classes) for kind, classes in _of_kind("IMAGE_CLASSIFICATION").items()}
    return [f"hf:{kind}" for kind, one in made.items() if one is not None and _takes_images(one)]


def _check(name: NetworkName) -> NetworkName:
    _transformers()  # raises where it is not installed
    return name


@dataclass(frozen=True, slots=True)
class _Model:
    """A class of transformers with its configuration.

    Attributes:
        made: the class.
        config: its configuration.
        written: values of the configuration that somebody chose: in a file, or in the arguments.
        source_sha256: of the configuration, where it is not transformers' own.
    """

    made: Any
    config: Any
    written: frozenset[str] = field(default_factory=frozenset)
    source_sha256: str | None = None


def _resolve(name: NetworkName) -> Arch:
    """Return the network of a configuration.

    Raises:
        UnknownNameError: if there is no such type, class or configuration.
        UnsupportedError: if transformers, or something that the model needs, is not installed.
        InvalidModelError: if it takes no images, or not the arguments.
    """
    try:
        model = _with_arguments(_model(name.target), name)
    except ImportError as error:
        raise _lacking(str(name), error) from error
    if not _takes_images(model.made):
        message = f"hf:{name.target} is {model.made.__name__}, which takes no images"
        raise InvalidModelError(message, "see `bench list 'hf:*'` for those that do")
    config, channels = model.config, getattr(model.config, "num_channels", None)
    labels = getattr(config, "num_labels", None) if "num_labels" in model.written else _CLASSES
    size = _side(getattr(config, "image_size", None))
    card = ArchCard(
        name=str(name),
        family=str(config.model_type),
        input_size=size or _SIZE,
        sized=size is not None,
        in_channels=channels or 3,
        any_channels=isinstance(channels, int),
        num_classes=labels if "Classification" in model.made.__name__ else None,
        source_sha256=model.source_sha256,
    )
    return Arch(card, partial(_build, str(name), model), partial(_describe, model))


# --- from a name to a class and its configuration ---


def _model(target: str) -> _Model:
    """Return what a name means: a folder, a class, a type, or else a model of the hub."""
    transformers = _transformers()
    folder = users_path(target)
    if (folder / _CONFIG).is_file():
        return _configured(_from_pretrained(str(folder), target), target, digest(folder / _CONFIG))
    made: Any = getattr(transformers, target, None) if target.isidentifier() else None
    if getattr(made, "config_class", None) is not None:
        return _Model(made, made.config_class())
    if target in transformers.CONFIG_MAPPING:
        return _Model(_class_of(target), transformers.CONFIG_MAPPING[target]())
    if "/" not in target and not folder.is_dir():
        known = [*_of_kind("IMAGE_CLASSIFICATION"), *(n for n in dir(transformers) if "ForImage" in n)]
        raise unknown_name("model of transformers", target, known, "see `bench list 'hf:*'`")
    config = _from_pretrained(target, target)
    content = json.dumps(config.to_diff_dict(), sort_keys=True, default=str)
    return _configured(config, target, hashlib.sha256(content.encode()).hexdigest())


def _configured(config: Any, target: str, sha256: str | None) -> _Model:
    """Return the class that a configuration is of: the one that it names, else that of its type."""
    transformers = _transformers()
    named = next(iter(getattr(config, "architectures", None) or ()), "")
    made = getattr(transformers, named, None) or _class_of(str(config.model_type))
    if made is None:
        message = f"hf:{target} is of type {config.model_type}, for which transformers has no image model"
        raise InvalidModelError(message, "see `bench list 'hf:*'`")
    return _Model(made, config, frozenset(("num_labels",)), sha256)


def _from_pretrained(path: str, target: str) -> Any:
    """Read a configuration from a folder, the cache, or the hub."""
    transformers = _transformers()
    try:
        return transformers.AutoConfig.from_pretrained(path, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError) as error:
        tip = f"save its {_CONFIG} in a folder and write hf:path/to/folder, or name a type such as hf:resnet"
        raise UnknownNameError(f"no configuration of hf:{target}: {reason(error)}", tip) from error


def _of_kind(kind: str) -> dict[str, object]:
    """Return the names of classes by type, of one kind of model."""
    _transformers()
    from transformers.models.auto import modeling_auto

    return dict(getattr(modeling_auto, f"MODEL_FOR_{kind}_MAPPING_NAMES", {}))


def _class_of(model_type: str) -> object:
    """Return the class that a type stands for; its bare model where there is no other."""
    from transformers.models.auto import modeling_auto

    for kind in _KINDS:
        if model_type in (names := _of_kind(kind)):
            return _class(names[model_type])
    return _class(dict(modeling_auto.MODEL_MAPPING_NAMES).get(model_type))


def _class(names: Any) -> Any:
    """Return the class of a name, or of the first of several; None where it needs what is not installed."""
    first = names[0] if isinstance(names, list | tuple) else names
    made = getattr(_transformers(), first, None) if first else None
    return made if hasattr(made, "config_class") else None


def _takes_images(made: Any) -> bool:
    """Return whether images are what a class takes first."""
    return list(inspect.signature(made.forward).parameters)[1:2] == [_IMAGES]


# --- configuration ---


def _with_arguments(model: _Model, name: NetworkName) -> _Model:
    """Return the model with values of its configuration changed.

    Raises:
        InvalidModelError: for one that the configuration does not have, which would be taken and never read.
    """
    config = copy.deepcopy(model.config)
    values = {_OURS.get(key, key): value for key, value in name.arguments.items()}
    for key, value in values.items():
        if not hasattr(config, key):
            close = nearest(key, [k for k in config.to_dict() if not k.startswith("_")])
            tip = f"it has {', '.join(close)}" if close else f"it is of type {config.model_type}"
            raise InvalidModelError(f"the configuration of hf:{name.target} has no {key!r}", tip)
        setattr(config, key, value)
    return _Model(model.made, config, model.written | values.keys(), model.source_sha256)


def _side(size: Any) -> int | None:
    """Return the side of an image as a configuration may give it: a number, or height and width."""
    sides = size if isinstance(size, list | tuple) else [size]
    return max(sides) if sides and all(type(side) is int and side > 0 for side in sides) else None


def _build(
    name: str, model: _Model, *, num_classes: int | None, in_channels: int, input_size: int
) -> nn.Module:
    """Return the network with random weights.

    Raises:
        UnsupportedError: for a shape that it does not come in.
        InvalidModelError: for values that it does not take.
    """
    config = copy.deepcopy(model.config)
    if num_classes is not None:
        config.num_labels = num_classes
    if isinstance(getattr(config, "num_channels", None), int):
        config.num_channels = in_channels
    size = getattr(config, "image_size", None)
    if size is not None and _side(size) not in (None, input_size):
        config.image_size = input_size if isinstance(size, int) else [input_size] * len(size)
    try:
        with library_errors(name, input_size):
            network: nn.Module = model.made(config)
    except ImportError as error:
        raise _lacking(name, error) from error
    return network


def _lacking(name: str, error: ImportError) -> UnsupportedError:
    """Return what is told of a model that needs another library."""
    missing = reason(error).partition(": ")[2]
    return UnsupportedError(
        f"{name} needs what is not installed: {missing}", "install it, or name another model"
    )


def _describe(model: _Model, shape: Mapping[str, int | None], used: Mapping[str, int | None]) -> list[str]:
    """Return where each native value is from."""
    said = dict.fromkeys(_OURS, "nothing in its configuration says")
    for key, ours in _OURS.items():
        chosen = key != "num_classes" or ours in model.written
        if chosen and getattr(model.config, ours, None) is not None:
            said[key] = f"its configuration's {ours}"
    return [f"class {model.made.__name__} of transformers", *origins(said, shape, used)]


WAYS.add(
    "hf",
    Way(
        place=32,
        begins=re.compile(r"(?P<source>hf):"),
        target=re.compile(r"[^(\s](?:[^(]*[^(\s])?"),
        check=_check,
        resolve=_resolve,
        names=_names,
    ),
)
