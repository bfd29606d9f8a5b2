"""Trained weights of torchvision and timm: what they declare, where their file lies, and how it is loaded.

Nothing is fetched unless that is asked for. Files are read as all others are: without running any code of theirs. The
name of a network says which weights it has, ``torchvision:resnet50(weights='IMAGENET1K_V2')``; `DEFAULT` is what the
library means by that, and becomes the name of what it is.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor

from bench.archs import Arch, Weights, _timm, _torchvision
from bench.archs._arguments import library_errors
from bench.archs.naming._ways import NetworkName
from bench.archs.naming._weights import StateDict, load, read
from bench.errors import InvalidModelError, UnsupportedError, install_tip, reason, unknown_name
from bench.plan.card import ArchCard

DEFAULT = "DEFAULT"
_HASH = re.compile(r"-([0-9a-f]{8,})\.")  # in a file's name, what its SHA-256 begins with
_HUB_FILES = ("model.safetensors", "pytorch_model.bin")
# Keys of torchvision's DenseNets.
_DENSE = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\.\w+)$")


def of_torchvision(name: NetworkName) -> Arch:
    """Return a network of torchvision with the weights that its name asks for.

    Raises:
        UnknownNameError: if it has no such weights.
        InvalidModelError: for an argument that it does not take.
    """
    from torchvision import models

    asked = str(name.arguments["weights"]).rpartition(".")[2]
    known = models.get_model_weights(name.target)
    if asked not in (DEFAULT, *known.__members__):
        raise unknown_name(f"weights of {name.bare}", asked, [*known.__members__, DEFAULT])
    weights = known[asked]
    if not weights.meta.get("categories"):
        message = f"the weights {weights.name} of {name.bare} are of features alone: they name no class"
        raise UnsupportedError(message, f"it has {', '.join(known.__members__)}")
    declared = Weights(
        name=weights.name,
        transform=preset_of(weights),
        classes=tuple(weights.meta["categories"]),
        source=f"torchvision, {weights}",
        find=partial(_in_torch_hub, weights.url),
        belongs=_belongs_in_torch_hub(weights.url),
        fetch=partial(_fetch_from_url, weights.url),
    )

    def build(*, input_size: int, state: StateDict | None) -> nn.Module:
        model = _torchvision.build_for_weights(name.target, input_size)
        if state is not None:
            load(model, _of_this_version(state, model), _hub_file(weights.url), name.bare)
        return model

    card = _torchvision.card_of(name.target, weights)
    return _with_weights(name, declared, card, build)


def preset_of(weights: Any) -> dict[str, object]:
    """Return the transform of trained weights of torchvision, as fields of `bench.datasets.transforms.Transform`."""
    preset = weights.transforms()
    return {
        "resize": preset.resize_size[0],
        "crop": preset.crop_size * 2,
        "interpolation": preset.interpolation.value,
        "mean": preset.mean,
        "std": preset.std,
    }


def _of_this_version(state: StateDict, model: nn.Module) -> StateDict:
    """Return weights of torchvision without the auxiliary heads that they have and the network, as it is used, lacks.

    Keys of DenseNets are those of its first version in the files.
    """
    own = model.state_dict()
    renamed = StateDict((_DENSE.sub(r"\1\2", key), tensor) for key, tensor in state.items())
    kept = StateDict((k, t) for k, t in renamed.items() if k in own or not k.startswith(("aux1.", "aux2.")))
    kept.versions = state.versions
    return kept


def of_timm(name: NetworkName) -> Arch:
    """Return a network of timm with the weights that its name asks for: those of its tag, or its default ones.

    Raises:
        UnknownNameError: if it has no such weights.
        InvalidModelError: for an argument that it does not take.
    """
    base, _, tag = name.target.partition(".")
    asked = str(name.arguments["weights"])
    config = _timm.configuration(name.target if asked == DEFAULT else f"{base}.{asked}")
    if asked not in (DEFAULT, tag) and tag:
        message = f"{name.bare} is the network with the weights {tag}, asked for {asked}"
        raise InvalidModelError(message, f"name timm:{base}(weights={asked!r})")
    repo, url = config.hf_hub_id, config.url
    if not (repo or url):
        raise UnsupportedError(
            f"timm has no weights for {name.bare}", "give some of your own: --weights FILE"
        )
    channels, height, width = config.test_input_size or config.input_size
    share = config.test_crop_pct or config.crop_pct or 0.875
    crop_mode = config.crop_mode or "center"
    resize = (math.floor(height / share), math.floor(width / share))
    full = f"{base}.{config.tag}" if config.tag else base
    declared = Weights(
        name=config.tag or base,
        transform={
            "resize": resize[0] if crop_mode == "center" and resize[0] == resize[1] else resize,
            "crop": (height, width),
            "crop_mode": crop_mode,
            "interpolation": config.interpolation or "bicubic",
            "mean": config.mean,
            "std": config.std,
            "channels": channels,
        },
        source=f"timm, {full}",
        find=partial(_in_hub, repo, full, url),
        belongs=_belongs_in_hub(repo, full) if repo else _belongs_in_torch_hub(url),
        fetch=partial(_fetch_from_hub, repo, full) if repo else partial(_fetch_from_url, url),
    )

    def build(*, input_size: int, state: StateDict | None) -> nn.Module:
        return _timm.build_with(full, dict(state) if state else None, input_size)

    card = replace(_timm.card(full), input_size=max(height, width), in_channels=channels)
    return _with_weights(replace(name, target=full), declared, card, build)


class _Build(Protocol):
    """Builds a network in the form that its weights are for, and loads them where there are any."""

    def __call__(self, *, input_size: int, state: StateDict | None) -> nn.Module: ...


def _with_weights(name: NetworkName, weights: Weights, card: ArchCard, make: _Build) -> Arch:
    """Return a network with its weights, under the name that says which they are."""
    others = {key: value for key, value in name.arguments.items() if key != "weights"}
    if others:
        message = f"{name.bare} has the weights {weights.name}, which are for it as it is: it takes no {min(others)}"
        raise InvalidModelError(message, "leave the argument out, or the weights")
    own = str(replace(name, arguments={"weights": weights.name}))

    def build(*, num_classes: int | None, in_channels: int, input_size: int) -> nn.Module:
        for what, asked, has in (
            ("classes", num_classes, card.num_classes),
            ("channels", in_channels, card.in_channels),
        ):
            if asked != has:
                raise UnsupportedError(
                    f"{own} has weights for {has} {what}, asked for {asked}", "leave that out"
                )
        with library_errors(own, input_size):
            if _without_storage():
                return make(input_size=input_size, state=None)
            file = weights.find()
            if file is None:
                raise missing(own, weights)
            _check_hash(file)
            return make(input_size=input_size, state=read(file))

    return Arch(replace(card, name=own, weights=weights.name), build, weights=weights)


def missing(name: str, weights: Weights) -> UnsupportedError:
    """Return the error of weights that are not on this machine; it says where they belong."""
    message = f"the weights of {name} are not on this machine"
    fetch = "fetch them by --download, which `bench engines` and `bench evaluate` take"
    return UnsupportedError(message, f"{fetch}; or put {weights.belongs}; or write weights=FILE in the name")


def _without_storage() -> bool:
    """Return whether networks are built without values at the moment, such as to be counted."""
    return torch.empty(0).is_meta or isinstance(torch.empty(0), FakeTensor)


# --- files ---


def _in_torch_hub(url: str) -> Path | None:
    file = _hub_file(url)
    return file if file.is_file() else None


def _hub_file(url: str) -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]


def _belongs_in_torch_hub(url: str) -> str:
    file = _hub_file(url)
    return f"{file.name} into {file.parent}"


def _fetch_from_url(url: str) -> None:
    """Fetch a file into the folder of torch.hub.

    Raises:
        UnsupportedError: if it cannot be had.
    """
    file = _hub_file(url)
    prefix = _HASH.search(file.name)
    with _fetching(url):
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(file), prefix[1] if prefix else None, progress=False)


def _check_hash(file: Path) -> None:
    """Refuse a file of weights that is not what its name says: the digits behind its dash begin its SHA-256.

    Raises:
        InvalidModelError: if they do not.
    """
    prefix = _HASH.search(file.name)
    if prefix is None:
        return
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    if not digest.startswith(prefix[1]):
        message = f"{file} is damaged: its SHA-256 begins with {digest[:8]}, its name says {prefix[1]}"
        raise InvalidModelError(message, "remove it, and fetch it anew")


def _hub() -> Any:
    """Return the client of Hugging Face's hub; None where it is not installed."""
    try:
        import huggingface_hub.constants
    except ImportError:
        return None
    return huggingface_hub


def _in_hub(repo: str | None, name: str, url: str | None) -> Path | None:
    """Return where weights of timm lie: in the cache of Hugging Face's hub, or in the folder of torch.hub."""
    if repo and (hub := _hub()):
        for file in _HUB_FILES:
            if isinstance(path := hub.try_to_load_from_cache(_repo(repo, name), file), str):
                return Path(path)
    return _in_torch_hub(url) if url and not url.endswith(".npz") else None


def _repo(repo: str, name: str) -> str:
    """Return the full name of a repository, which may end where that of the weights follows."""
    return f"{repo}{name}" if repo.endswith("/") else repo


def _belongs_in_hub(repo: str, name: str) -> str:
    folder, hub = f"models--{_repo(repo, name).replace('/', '--')}", _hub()
    cache = hub.constants.HF_HUB_CACHE if hub else "~/.cache/huggingface/hub"
    return f"{_HUB_FILES[0]} of {_repo(repo, name)} into Hugging Face's cache ({cache}/{folder})"


def _fetch_from_hub(repo: str, name: str) -> None:
    """Fetch weights into the cache of Hugging Face's hub.

    Raises:
        UnsupportedError: if they cannot be had.
    """
    if (hub := _hub()) is None:
        raise UnsupportedError("huggingface_hub is not installed", install_tip("hub"))
    with _fetching(_repo(repo, name)):
        hub.hf_hub_download(_repo(repo, name), _HUB_FILES[0])


@contextmanager
def _fetching(what: str) -> Iterator[None]:
    """Turn whatever goes wrong with a connection into what a user can mend."""
    try:
        yield
    except Exception as error:
        raise UnsupportedError(
            f"{what} cannot be fetched: {reason(error)}", "try again, or fetch it elsewhere"
        ) from error
