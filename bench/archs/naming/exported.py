"""Way in: a network that torch.export has saved, ``path/to/net.pt2``.

What it takes is written in it: one image size and one batch, or several where it was exported with dynamic shapes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench.archs import Arch
from bench.archs.naming.sources import digest
from bench.archs.naming.ways import WAYS, NetworkName, Way
from bench.errors import InvalidModelError, UnknownNameError, UnsupportedError, lacks_memory, nearest
from bench.plan.card import ArchCard

if TYPE_CHECKING:
    from torch import nn
    from torch.export import ExportedProgram

_SIZE = 224  # px, of one that takes any


def saved(*endings: str) -> re.Pattern[str]:
    """Return the pattern of a path with one of these endings; a path with parentheses has no arguments behind it."""
    ending = rf"\.(?:{'|'.join(endings)})"
    return re.compile(rf"(?P<target>[^(]+{ending}(?=\s*(?:\(|$))|.+{ending}$)")


def file_of(name: NetworkName) -> Path:
    """Return the file that a network is.

    Raises:
        UnknownNameError: if there is none.
        InvalidModelError: for arguments.
    """
    file = Path(name.target).expanduser()
    if not file.is_file():
        there = [p.name for p in file.parent.iterdir() if p.is_file()] if file.parent.is_dir() else []
        close = [str(file.parent / one) for one in nearest(file.name, there)]
        tip = f"did you mean {', '.join(close)}?" if close else f"there is none in {file.parent}"
        raise UnknownNameError(f"no file {name.target!r}", tip)
    if name.arguments:
        message = f"{name.target} takes no argument {next(iter(name.arguments))!r}"
        raise InvalidModelError(message, "it was saved with its values")
    return file


def resolve(name: NetworkName) -> Arch:
    """Return the network of a program.

    Raises:
        UnknownNameError: if there is no such file.
        InvalidModelError: if it cannot be read, or takes anything but one square image.
    """
    file = file_of(name)
    program = _read(file)
    images = _shape_of_images(program, str(name))
    example = _example(program)
    batch, channels, height, width = images
    size = height if height is not None else example[-1] if example else None
    if (height or 0) != (width or 0):
        message = f"{name} takes images of {height or 'any'}×{width or 'any'} px; bench has square ones alone"
        raise InvalidModelError(message, "export it for square images")
    card = ArchCard(
        name=str(name),
        input_size=size or _SIZE,
        sized=size is not None,
        in_channels=channels or (example[1] if example else 3),
        any_channels=channels is None,
        num_classes=_classes(program),
        batch=batch,
        inference_only="torch.export keeps the graph of a forward pass alone",
        source_sha256=digest(file),
    )
    return Arch(card, partial(_build, file, card, height), partial(_describe, images))


def _read(file: Path) -> ExportedProgram:
    import torch

    try:
        return torch.export.load(file)
    except Exception as error:  # of another version, or no such file
        if lacks_memory(error):
            raise
        reason = next(iter(str(error).splitlines()), "")[:200]
        message = f"{file} cannot be read: {type(error).__name__}: {reason}"
        raise InvalidModelError(
            message, "save it with torch.export.save, of this version of torch"
        ) from error


def _shape_of_images(program: ExportedProgram, name: str) -> tuple[int | None, ...]:
    """Return what a program takes, [B, C, H, W]: None for a side that is dynamic."""
    from torch import Tensor

    inputs = set(program.graph_signature.user_inputs)
    values = [n.meta.get("val") for n in program.graph.nodes if n.op == "placeholder" and n.name in inputs]
    tensors = [value for value in values if isinstance(value, Tensor)]
    if len(values) != 1 or len(tensors) != 1 or tensors[0].ndim != 4 or not tensors[0].is_floating_point():
        shapes = (
            ", ".join(str(list(v.shape)) if isinstance(v, Tensor) else repr(v) for v in values) or "nothing"
        )
        message = f"{name} takes {shapes}; a network takes images [B, C, H, W] alone"
        raise InvalidModelError(message, "export a module whose forward takes the images alone")
    return tuple(side if isinstance(side, int) else None for side in tensors[0].shape)


def _example(program: ExportedProgram) -> tuple[int, ...]:
    """Return the shape of the images with which a program was exported; nothing where it does not keep them."""
    from torch import Tensor
    from torch.utils._pytree import tree_leaves

    tensors = [leaf for leaf in tree_leaves(program.example_inputs) if isinstance(leaf, Tensor)]
    return tuple(tensors[0].shape) if len(tensors) == 1 and tensors[0].ndim == 4 else ()


def _classes(program: ExportedProgram) -> int | None:
    """Return how many numbers come out for each image; None where it is not one row of them."""
    from torch import Tensor

    outputs = program.graph_signature.user_outputs
    values = [n.meta.get("val") for n in program.graph.nodes if n.name in outputs]
    if len(outputs) != 1 or len(values) != 1 or not isinstance(values[0], Tensor) or values[0].ndim != 2:
        return None
    count = values[0].shape[1]
    return count if isinstance(count, int) else None


def _build(
    file: Path,
    card: ArchCard,
    fixed_size: int | None,
    *,
    num_classes: int | None,
    in_channels: int,
    input_size: int,
) -> nn.Module:
    """Return the program as a module; it is as it was exported, whatever mode it is set to.

    Raises:
        UnsupportedError: for another shape than that of its images.
    """
    asked = {
        "px": (input_size, fixed_size),
        "channels": (in_channels, None if card.any_channels else card.in_channels),
        "outputs": (num_classes, card.num_classes),
    }
    for what, (value, fixed) in asked.items():
        if fixed is not None and value not in (None, fixed):
            message = f"{card.name} was exported for {fixed} {what}, asked for {value}"
            raise UnsupportedError(message, "leave the shape out, or export it for this one")
    module: nn.Module = _read(file).module()
    same: Callable[..., nn.Module] = lambda *_, **__: module  # noqa: E731 (its own raise: it has but one mode)
    module.train = module.eval = same  # type: ignore[method-assign]
    return module


def _describe(
    images: tuple[int | None, ...], _shape: Mapping[str, int | None], _used: Mapping[str, int | None]
) -> list[str]:
    """Return what the file says that it takes."""
    told = "×".join("any" if side is None else str(side) for side in images[1:])
    batch = (
        "any batch"
        if images[0] is None
        else f"{images[0]} image{'s' * (images[0] > 1)} a call, and no other count"
    )
    return [f"images of {told}, {batch}: as it was exported"]


WAYS.add("exported", Way(place=40, begins=saved("pt2"), resolve=resolve))
