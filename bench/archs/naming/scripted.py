"""Way in: a network that torch.jit has saved, ``path/to/net.pt``, and the message for a file of weights alone.

A TorchScript file does not say what images it takes: it is given as many channels as its first convolution has, else
three, at 224 px unless another size is asked for.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench.archs import Arch
from bench.archs.naming.exported import file_of, saved
from bench.archs.naming.sources import digest
from bench.archs.naming.ways import WAYS, NetworkName, Way
from bench.errors import InvalidModelError, lacks_memory
from bench.plan.card import ArchCard

if TYPE_CHECKING:
    from torch import nn


def resolve(name: NetworkName) -> Arch:
    """Return the network of a TorchScript file.

    Raises:
        UnknownNameError: if there is no such file.
        InvalidModelError: if it cannot be read, or holds weights alone.
    """
    file = file_of(name)
    if not is_script(file):
        raise InvalidModelError(
            f"{name} is no network that torch.jit.save has written: it holds weights, or a pickle of its own",
            f"name the class that they are for, \"my_net.py:Net(weights='{name.target}')\"",
        )
    channels = _channels(_read(file))
    card = ArchCard(
        name=str(name),
        sized=False,
        in_channels=channels or 3,
        any_channels=False,
        num_classes=None,
        any_outputs=True,
        source_sha256=digest(file),
    )
    return Arch(card, partial(_build, file), partial(_describe, channels))


def is_script(file: Path) -> bool:
    """Return whether a file is TorchScript: an archive with code in it."""
    try:
        with zipfile.ZipFile(file) as archive:
            return any("/code/" in name for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def _read(file: Path) -> nn.Module:
    import torch

    try:
        model: nn.Module = torch.jit.load(file, map_location="cpu")
    except Exception as error:  # of another version, or cut short
        if lacks_memory(error):
            raise
        reason = next((line for line in str(error).splitlines() if line.strip()), "")[:200]
        message = f"{file} cannot be read: {type(error).__name__}: {reason}"
        raise InvalidModelError(message, "save it anew with torch.jit.save") from error
    return model


def _channels(model: nn.Module) -> int | None:
    """Return how many channels the first convolution takes; None without one."""
    return next((int(p.shape[1]) for p in model.parameters() if p.ndim == 4), None)


def _build(file: Path, **_shape: int | None) -> nn.Module:
    """Return the network as it was saved, whatever shape is asked for: the file has no arguments."""
    return _read(file)


def _describe(
    channels: int | None, shape: Mapping[str, int | None], used: Mapping[str, int | None]
) -> list[str]:
    """Return where channels and size are taken from."""
    first = "its first convolution" if channels else "nothing in the file says"
    taken = {"in_channels": first, "input_size": "nothing in the file says"}
    return [
        f"{key} {used[key]}: {'asked for' if shape.get(key) else origin}" for key, origin in taken.items()
    ]


WAYS.add(
    "scripted",
    Way(place=41, begins=saved("pt", "pth", "torchscript", "ts", "safetensors"), resolve=resolve),
)
