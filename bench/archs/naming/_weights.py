"""Weights of the user's: a state dict in a file, loaded into a network, of which the file is a part from then on.

Files of torch are read with ``weights_only``, so that they run no code; ``.safetensors`` by their own simple format.
"""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from bench.archs import Arch
from bench.archs.naming.saved import is_script
from bench.archs.naming.sources import digest, existing, together
from bench.errors import InvalidModelError, lacks_memory, reason

_ENVELOPES = ("state_dict", "model_state_dict", "model_state", "model")  # under which checkpoints keep it
_PREFIX, _COMPILED = "module.", "_orig_mod."  # of what DataParallel, and torch.compile, wrap
_SHOWN = 3  # keys that a message names

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}


def with_weights(arch: Arch, name: str, asked: object) -> Arch:
    """Return the network with the weights of a file, under the name that asks for them.

    Raises:
        UnknownNameError: if there is no such file.
        InvalidModelError: if it is no path.
    """
    if not isinstance(asked, str):
        raise InvalidModelError(f"{name}: weights are the path of a file, not {asked!r}", "weights='net.pt'")
    file = existing(asked, "file of weights", "weights come of files: torch.save(net.state_dict(), FILE)")
    card = arch.card
    first = card.name.partition("(")[0].rpartition(":")[0] or card.name
    own = card.sources or ({first: card.source_sha256} if card.source_sha256 else {})
    sources = {**own, asked: digest(file) or ""}

    def build(*, num_classes: int | None, **values: int) -> nn.Module:
        model = arch.builder(num_classes=num_classes, **values)
        _load(model, file, name)
        return model

    def describe(shape: Mapping[str, int | None], used: Mapping[str, int | None]) -> list[str]:
        return [*(arch.describe(shape, used) if arch.describe else ()), f"weights: {asked}"]

    card = replace(
        card, name=name, published={}, weights=asked, sources=sources, source_sha256=together(sources)
    )
    return Arch(card, build, describe)


def _load(model: nn.Module, file: Path, name: str) -> None:
    """Load the weights of a file into a network; into one without storage nothing is loaded, but they must fit as well.

    Raises:
        InvalidModelError: if the file cannot be read, or does not fit; the message names the first keys.
    """
    own = {key: value for key, value in model.state_dict().items() if isinstance(value, Tensor)}
    weights = _like(_read(file), own)
    for key in own.keys() - weights.keys():
        if key.endswith(
            "num_batches_tracked"
        ):  # nothing but a training reads it, and many files leave it out
            weights[key] = own[key]
    _check(own, weights, file, name)
    if any(tensor.is_meta for tensor in own.values()):
        return
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        message = f"{file} does not fit {name}: {error}"
        raise InvalidModelError(message, "give the weights of this network") from error


def _like(weights: Mapping[str, Tensor], own: Mapping[str, object]) -> dict[str, Tensor]:
    """Return the weights without what wrappers put into keys, where the network's own keys have none of it."""
    keys = {key: key for key in weights}
    if not any(_COMPILED in key for key in own):
        keys = {key: short.replace(_COMPILED, "") for key, short in keys.items()}
    while _all_begin(keys.values()) and not _all_begin(own):
        keys = {key: short.removeprefix(_PREFIX) for key, short in keys.items()}
    return {short: weights[key] for key, short in keys.items()}


def _all_begin(keys: Collection[str]) -> bool:
    return bool(keys) and all(key.startswith(_PREFIX) for key in keys)


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


def _some(keys: list[str]) -> str:
    return ", ".join(keys[:_SHOWN]) + (f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else "")


def _classes_tip(own: Mapping[str, Tensor], weights: Mapping[str, Tensor], other: list[str]) -> str:
    """Return the tip for shapes that differ: where only their first sides do, they are of another count of classes."""
    pairs = [(tuple(own[key].shape), tuple(weights[key].shape)) for key in other]
    counts = {theirs[0] for ours, theirs in pairs if ours and theirs and ours[1:] == theirs[1:]}
    if len(counts) == 1 and all(ours[1:] == theirs[1:] for ours, theirs in pairs):
        return f"they are of {(count := counts.pop())} classes, it seems: --set num_classes={count}"
    return "give the arguments with which the network was trained, in parentheses behind its name"


# --- files ---


def _read(file: Path) -> Mapping[str, Tensor]:
    """Return the tensors of a file of weights, by their keys.

    Raises:
        InvalidModelError: if it cannot be read, or has none.
    """
    try:
        content = _safetensors(file) if file.suffix == ".safetensors" else _of_torch(file)
    except InvalidModelError:
        raise
    except Exception as error:  # readers raise whatever they meet
        if lacks_memory(error):
            raise
        message = f"{file} cannot be read as weights: {reason(error)}"
        raise InvalidModelError(message, "save them with torch.save(net.state_dict(), FILE)") from error
    while isinstance(content, Mapping) and (inner := [content[k] for k in _ENVELOPES if _holds(content, k)]):
        content = inner[0]
    items = content.items() if isinstance(content, Mapping) else ()
    tensors = {key: value for key, value in items if isinstance(value, Tensor)}
    if not tensors:
        message = f"{file} holds no state dict"
        raise InvalidModelError(message, "save one with torch.save(net.state_dict(), FILE)")
    return tensors


def _holds(content: Mapping[object, object], key: str) -> bool:
    return isinstance(content.get(key), Mapping)


def _of_torch(file: Path) -> object:
    if is_script(file):
        message = f"{file} is TorchScript, and no weights alone"
        raise InvalidModelError(message, f"it is a network: name it, {file}")
    try:
        content: object = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "GLOBAL" not in str(error):  # nothing that it would import: it is torn, or no pickle
            raise
        tip = "bench runs no code of it: save the state dict alone, torch.save(net.state_dict(), FILE)"
        raise InvalidModelError(f"{file} holds more than tensors", tip) from error
    return content


def _safetensors(file: Path) -> dict[str, Tensor]:
    """Return the tensors of a file: 8 bytes of length, a header in JSON of that length, the bytes of the tensors."""
    data = bytearray(file.read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(bytes(data[8:start]))
    tensors = {}
    for key, entry in header.items():
        if key == "__metadata__":
            continue
        dtype, shape = _DTYPES[entry["dtype"]], entry["shape"]
        begin, end = entry["data_offsets"]
        if end - begin != math.prod(shape) * dtype.itemsize or start + end > len(data):
            raise ValueError(f"{key} has another length than its shape")
        if end > begin:
            one = torch.frombuffer(data, dtype=dtype, count=math.prod(shape), offset=start + begin)
            tensors[key] = one.reshape(shape)
        else:
            tensors[key] = torch.empty(shape, dtype=dtype)
    return tensors
