"""Weights of the user's: a state dict in a file, loaded into a network, of which the file is a part from then on.

Files of torch are read with ``weights_only``, so that they run no code; ``.safetensors`` by their own simple format.
Those that a training of bench has kept say how its test images were looked at, and in which shape it was trained.
"""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from bench.archs import Arch, Weights
from bench.archs.naming._digests import digest, together
from bench.archs.naming._paths import existing, is_script, users_path
from bench.archs.safetensors import read_safetensors, read_told
from bench.errors import InvalidModelError, lacks_memory, reason
from bench.io import JsonObject

_PLAIN = ("state_dict", "model_state_dict", "model_state", "model", "net", "module")
_AVERAGED = ("state_dict_ema", "ema_state_dict", "model_ema", "ema")
_ENVELOPES = (*_PLAIN, *_AVERAGED)  # under which checkpoints keep it
_COMPILED = "_orig_mod."  # of what torch.compile wraps
_COUNT = "n_averaged"  # of torch's AveragedModel, beside the averaged weights
_KEY = "#"  # behind the path of a checkpoint, before the key of what is to be taken of it
_ZIP = b"PK"  # how files of torch.save begin, since torch 1.6
_HEAD = 64  # bytes that tell what a file is
_NO_WEIGHTS = {
    "it is a page of HTML, as a download that failed leaves one": re.compile(rb"\s*<(!doctype|html)", re.I),
    "it is a pointer of Git LFS, which git lfs pull replaces by the file": re.compile(
        rb"version https://git-lfs"
    ),
}
_SHOWN = 3  # keys that a message names


def with_weights(arch: Arch, name: str, asked: object) -> Arch:
    """Return the network with the weights of a file, under the name that asks for them.

    Raises:
        UnknownNameError: if there is no such file.
        InvalidModelError: if it is no path.
    """
    if not isinstance(asked, str):
        raise InvalidModelError(f"{name}: weights are the path of a file, not {asked!r}", "weights='net.pt'")
    path, key = _with_key(asked)
    file = existing(path, "file of weights", "weights come of files: torch.save(net.state_dict(), FILE)")
    card, taken = arch.card, _taken(file, key)
    sources = {**card.files, path: digest(file) or ""}

    def build(*, num_classes: int | None, **values: int) -> nn.Module:
        model = arch.builder(num_classes=num_classes, **values)
        load(model, read(file, key), file, name)
        return model

    def describe(shape: Mapping[str, int | None], used: Mapping[str, int | None]) -> list[str]:
        return [*(arch.describe(shape, used) if arch.describe else ()), f"weights: {asked}"]

    notes = [card.note, _note(path, *taken) if taken else None]
    told = _told(file)
    shape = {key: told["job"][key] for key in ("input_size", "in_channels", "num_classes")} if told else {}
    card = replace(
        card,
        name=name,
        published={},
        weights=asked,
        sources=sources,
        source_sha256=together(sources),
        any_outputs=card.any_outputs and not told,
        **shape,
        note="; ".join(filter(None, notes)) or None,
    )
    weights = Weights(
        name=asked,
        transform=told.get("transform"),
        classes=tuple(told.get("classes", ())),
        source=f"the training that {asked} is of" if told else "",
        training=told or None,
        find=lambda: file,
        taken=taken,
    )
    return Arch(card, build, describe, weights)


def _with_key(asked: str) -> tuple[str, str]:
    """Return the path of ``net.pt#ema``, and the key of what is to be taken of that checkpoint; empty for neither."""
    path, _, key = asked.rpartition(_KEY)
    return (path, key) if path and not users_path(asked).is_file() else (asked, "")


def _taken(file: Path, key: str) -> tuple[str, ...]:
    """Return by their keys which weights of a checkpoint with several are taken where none is asked for, and others."""
    if key or file.suffix == ".safetensors":
        return ()
    try:
        _, own, others = _opened(_of_torch(file, mapped=True), file)
    except Exception:  # whoever loads it says so
        return ()
    return (own, *others) if others else ()


def _note(path: str, taken: str, *others: str) -> str:
    """Return in words which weights of a file were taken, and how to take others."""
    held, other = ", ".join(others), f"{path}{_KEY}{others[0]}"
    return f"{path} holds weights as {taken}, which are taken, and as {held}: {other} takes those"


class _Job(msgspec.Struct):
    id: str
    input_size: int
    in_channels: int
    num_classes: int
    settings: dict[str, object]


class _Told(msgspec.Struct):
    """What is read of what a training writes beside its weights."""

    job: _Job
    transform: dict[str, object]
    classes: list[str]
    batch_size: int
    top1: float
    images: int
    views: str | None = None


def _told(file: Path) -> JsonObject:
    """Return what bench says in a file of the training that its weights are of; nothing where that is not whole."""
    told = read_told(file) or {}
    try:
        msgspec.convert(told, _Told)
    except msgspec.ValidationError:  # somebody else's, who has that key as well
        return {}
    return told


def load(model: nn.Module, weights: StateDict, file: Path, name: str) -> None:
    """Load the weights of a file into a network; into one without storage nothing is loaded, but they must fit as well.

    Keys of older versions of a layer are those that the layer itself knows.

    Raises:
        InvalidModelError: if they do not fit; the message names the first keys.
    """
    state = model.state_dict()
    own = {key: value for key, value in state.items() if isinstance(value, Tensor)}
    like = _like(weights, own)
    for key in own.keys() - like.keys():
        if key.endswith("num_batches_tracked"):  # a training alone reads it, and many files leave it out
            like[key] = own[key]
    if any(tensor.is_meta for tensor in own.values()):
        _check(own, like, file, name)
        return
    _check_kinds(model, like, file, name)
    like.versions = like.versions or getattr(state, "_metadata", None)
    try:
        model.load_state_dict(like)
    except RuntimeError as error:
        _check(own, like, file, name)
        message = f"{file} does not fit {name}: {error}"
        raise InvalidModelError(message, "give the weights of this network") from error


class StateDict(OrderedDict[str, Tensor]):
    """Tensors by their keys; of each layer the version of its keys, as torch keeps them, where the file has them."""

    versions: Mapping[str, object] | None = None

    @property
    def _metadata(self) -> Mapping[str, object] | None:
        """The same by the name by which torch looks for it."""
        return self.versions


def _like(weights: StateDict, own: Mapping[str, object]) -> StateDict:
    """Return the weights without what wrappers put into keys, where the network's own keys have none of it."""
    keys = {key: key for key in weights if key != _COUNT or key in own}
    if not any(_COMPILED in key for key in own):
        keys = {key: short.replace(_COMPILED, "") for key, short in keys.items()}
    like = StateDict(zip(_unwrapped([*keys.values()], own), (weights[key] for key in keys), strict=True))
    like.versions = weights.versions if list(keys) == list(like) else None
    return like


def _unwrapped(keys: Sequence[str], own: Container[str]) -> Sequence[str]:
    """Return keys without the names of wrappers that all of them begin with, where the network knows some of the rest.

    Such as ``module.`` of DataParallel, ``model.`` of Lightning, and both.
    """
    short = keys
    while not any(key in own for key in short):
        if len({key.partition(".")[0] for key in short}) != 1 or not all("." in key for key in short):
            return keys
        short = [key.partition(".")[2] for key in short]
    return short


def _check(own: Mapping[str, Tensor], weights: Mapping[str, Tensor], file: Path, name: str) -> None:
    """Refuse weights that are not exactly those of the network."""
    missing = [key for key in own if key not in weights]
    unexpected = [key for key in weights if key not in own]
    if missing or unexpected:
        parts = [("missing", missing), ("not of the network", unexpected)]
        told = "; ".join(f"{what}: {_some(keys)}" for what, keys in parts if keys)
        tip = f"it has keys such as {_some(list(weights))}; the network has {_some(list(own))}"
        raise InvalidModelError(f"{file} does not fit {name}: {told}", tip)
    other = [k for k in own if not is_lazy(own[k]) and own[k].shape != weights[k].shape]
    if other:
        pairs = [(k, list(weights[k].shape), list(own[k].shape)) for k in other[:_SHOWN]]
        told = "; ".join(f"{k} is {theirs}, and {ours} in the network" for k, theirs, ours in pairs)
        more = f", and {len(other) - _SHOWN} more" if len(other) > _SHOWN else ""
        message = f"{file} does not fit {name}: {told}{more}"
        raise InvalidModelError(message, _classes_tip(own, weights, other))


def _check_kinds(model: nn.Module, weights: Mapping[str, Tensor], file: Path, name: str) -> None:
    """Refuse what loading would cast to other numbers than those that were meant: quantised weights, complex ones."""
    own = {key: p for key, p in model.named_parameters() if p.is_floating_point() and key in weights}
    other = [key for key in own if not weights[key].is_floating_point()]
    if other:
        kinds = [str(tensor[other[0]].dtype).removeprefix("torch.") for tensor in (weights, own)]
        message = f"{file} does not fit {name}: {other[0]} is of {kinds[0]}, and of {kinds[1]} in the network"
        raise InvalidModelError(message, "give its weights as floating-point numbers")


def _some(keys: list[str]) -> str:
    return ", ".join(keys[:_SHOWN]) + (f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else "")


def _classes_tip(own: Mapping[str, Tensor], weights: Mapping[str, Tensor], other: list[str]) -> str:
    """Return the tip for shapes that differ: where only their first sides do, they are of another count of classes."""
    pairs = [(tuple(own[key].shape), tuple(weights[key].shape)) for key in other]
    counts = {theirs[0] for ours, theirs in pairs if ours and theirs and ours[1:] == theirs[1:]}
    # The last layer is among them: where it is not, others have more channels, by other arguments.
    last = {key for key in own if key.rpartition(".")[0] == list(own)[-1].rpartition(".")[0]}
    if len(counts) == 1 and last & {*other} and all(ours[1:] == theirs[1:] for ours, theirs in pairs):
        count = counts.pop()
        return f"they are of {count} classes, it seems: num_classes={count} in parentheses behind its name"
    return "give the arguments with which the network was trained, in parentheses behind its name"


# --- files ---


def read(file: Path, key: str = "") -> StateDict:
    """Return the tensors of a file of weights, by their keys; of a checkpoint with several those under one key of it.

    Raises:
        InvalidModelError: if it cannot be read, or has none.
    """
    try:
        content = read_safetensors(file) if file.suffix == ".safetensors" else _of_torch(file)
    except InvalidModelError:
        raise
    except Exception as error:  # readers raise whatever they meet
        if lacks_memory(error):
            raise
        if isinstance(error, OSError) and error.strerror:
            message = f"the weights {file} cannot be read: {error.strerror}"
            raise InvalidModelError(message, "mend its rights, or name another file") from error
        message = f"{file} cannot be read as weights: {_fault(file, error)}"
        raise InvalidModelError(message, "save them with torch.save(net.state_dict(), FILE)") from error
    content, _, _ = _opened(content, file, key)
    items = content.items() if isinstance(content, Mapping) else ()
    tensors = StateDict((key, value) for key, value in items if isinstance(value, Tensor))
    tensors.versions = getattr(content, "_metadata", None)
    if not tensors:
        keys = [str(key) for key in content] if isinstance(content, Mapping) else []
        message = f"{file} holds no state dict" + (f", but {_some(keys)}" if keys else "")
        raise InvalidModelError(message, "save one with torch.save(net.state_dict(), FILE)")
    return tensors


def _fault(file: Path, error: Exception) -> str:
    """Return what is wrong with a file, in words where its bytes tell: what readers say is of their own insides."""
    if isinstance(error, OSError):
        return reason(error)
    with file.open("rb") as stream:
        head = stream.read(_HEAD)
    if not head:
        return "it is empty"
    if told := next((what for what, begins in _NO_WEIGHTS.items() if begins.match(head)), ""):
        return told
    if file.suffix == ".safetensors" or head.startswith(_ZIP):
        return "it is cut short, or is something else"
    return "torch.save has not written it, or not all of it"


def _opened(content: object, file: Path, wanted: str = "") -> tuple[object, str, list[str]]:
    """Return what a checkpoint keeps of weights under a key, that key, and those of other weights in it.

    Without a wanted key the first of `_ENVELOPES`, plain ones before averaged ones.

    Raises:
        InvalidModelError: if there is nothing under the wanted one.
    """
    key, others, passed = "", list[str](), list[str]()
    while isinstance(content, Mapping) and (keys := _inner(content, wanted)):
        passed += keys[:1]
        if beside := [other for other in keys[1:] if _has_tensors(content[other])]:
            key, others = keys[0], [*others, *beside]
        content = content[keys[0]]
    if wanted and wanted not in passed:
        there = [*passed, *others]
        tip = f"it has {', '.join(there)}" if there else f"leave {_KEY}{wanted} out"
        raise InvalidModelError(f"{file} holds no weights as {wanted}", tip)
    return content, key, others


def _inner(content: Mapping[object, object], wanted: str) -> list[str]:
    """Return under which keys there may be weights, the one to take first."""
    own = [wanted] if wanted else []
    return [key for key in dict.fromkeys((*own, *_ENVELOPES)) if isinstance(content.get(key), Mapping)]


def _has_tensors(content: Mapping[Any, Any]) -> bool:
    """Return whether there are tensors in a part of a checkpoint, or in what that keeps under one of the usual keys."""
    inner = [content[key] for key in _inner(content, "")]
    return any(isinstance(value, Tensor) for value in content.values()) or any(map(_has_tensors, inner))


def _of_torch(file: Path, *, mapped: bool = False) -> object:
    """Return what torch has saved; `mapped` leaves tensors on the disk, where the file's form allows it."""
    if file.suffix == ".pt2" or is_script(file):
        kind = "an exported program" if file.suffix == ".pt2" else "TorchScript"
        message = f"{file} is {kind}, and no weights alone"
        raise InvalidModelError(message, f"it is a network: name it, {file}")
    try:
        mapped = mapped and zipfile.is_zipfile(file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # how a file was pickled is of no use to whoever gives it
            content: object = torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        if "GLOBAL" not in str(error):  # nothing that it would import: it is torn, or no pickle
            raise
        tip = "bench runs no code of it: save the state dict alone, torch.save(net.state_dict(), FILE)"
        raise InvalidModelError(f"{file} holds more than tensors", tip) from error
    return content
