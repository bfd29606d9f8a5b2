"""Ways in: a network that is a file, saved by torch.export, ``net.pt2``, or by torch.jit, ``net.pt``.

What an exported program takes is written in it: one image size and one batch, or several where it was exported with
dynamic shapes. A TorchScript file does not say it: it is given as many channels as its first convolution has, else
three, at 224 px unless another size is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bench.archs import Arch
from bench.archs.naming._digests import digest
from bench.archs.naming._paths import existing, is_script
from bench.archs.naming._ways import WAYS, NetworkName, Way, origins
from bench.errors import InvalidModelError, UnsupportedError, lacks_memory, reason
from bench.plan.card import ArchCard

if TYPE_CHECKING:
    from torch import nn
    from torch.export import ExportedProgram

_T = TypeVar("_T")
_SIZE = 224  # px, of one that takes any


def _saved(*endings: str) -> re.Pattern[str]:
    """Return the pattern of a path with one of these endings; a path with parentheses has no arguments behind it."""
    ending = rf"\.(?:{'|'.join(endings)})"
    return re.compile(rf"(?P<target>[^(]+{ending}(?=\s*(?:\(|$))|.+{ending}$)")


def _file_of(name: NetworkName) -> Path:
    """Return the file that a network is.

    Raises:
        UnknownNameError: if there is none.
        InvalidModelError: for arguments.
    """
    file = existing(name.target)
    if name.arguments:
        message = f"{name.target} takes no argument {next(iter(name.arguments))!r}"
        raise InvalidModelError(message, "it was saved with its values")
    return file


def _read(file: Path, load: Callable[[Path], _T], tip: str) -> _T:
    try:
        return load(file)
    except Exception as error:  # of another version, cut short, or no such file
        if lacks_memory(error):
            raise
        raise InvalidModelError(f"{file} cannot be read: {reason(error)}", tip) from error


# --- torch.export ---


def _resolve_exported(name: NetworkName) -> Arch:
    """Return the network of a program.

    Raises:
        UnknownNameError: if there is no such file.
        InvalidModelError: if it cannot be read, or takes anything but one square image.
    """
    file = _file_of(name)
    program = _program(file)
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
    side = "×".join("any" if side is None else str(side) for side in images[1:])
    calls = f"{batch} image{'s' * ((batch or 0) > 1)} a call, and no other count" if batch else "any batch"
    told = [f"images of {side}, {calls}: as it was exported"]
    return Arch(card, partial(_build_exported, file, card, height), lambda *_: told)


def _program(file: Path) -> ExportedProgram:
    import torch

    return _read(file, torch.export.load, "save it with torch.export.save, of this version of torch")


def _values(program: ExportedProgram, names: Collection[object]) -> list[Any]:
    """Return what goes in, or comes out, by these names: tensors without storage, and constants."""
    return [node.meta.get("val") for node in program.graph.nodes if node.name in names]


def _shape_of_images(program: ExportedProgram, name: str) -> tuple[int | None, ...]:
    """Return what a program takes, [B, C, H, W]: None for a side that is dynamic."""
    from torch import Tensor

    values = _values(program, program.graph_signature.user_inputs)
    images = values[0] if len(values) == 1 else None
    if not isinstance(images, Tensor) or images.ndim != 4 or not images.is_floating_point():
        forms = [str(list(v.shape)) if isinstance(v, Tensor) else repr(v) for v in values]
        shapes = ", ".join(forms) or "nothing"
        message = f"{name} takes {shapes}; a network takes images [B, C, H, W] alone"
        raise InvalidModelError(message, "export a module whose forward takes the images alone")
    return tuple(side if isinstance(side, int) else None for side in images.shape)


def _example(program: ExportedProgram) -> tuple[int, ...]:
    """Return the shape of the images with which a program was exported; nothing where it does not keep them."""
    from torch import Tensor
    from torch.utils._pytree import tree_leaves

    tensors = [leaf for leaf in tree_leaves(program.example_inputs) if isinstance(leaf, Tensor)]
    return tuple(tensors[0].shape) if len(tensors) == 1 and tensors[0].ndim == 4 else ()


def _classes(program: ExportedProgram) -> int | None:
    """Return how many numbers come out for each image; None where it is not one row of them."""
    outputs = program.graph_signature.user_outputs
    values = _values(program, outputs)
    shape: tuple[Any, ...] = getattr(values[0], "shape", ()) if len(outputs) == len(values) == 1 else ()
    return shape[1] if len(shape) == 2 and isinstance(shape[1], int) else None


def _build_exported(
    file: Path,
    card: ArchCard,
    size: int | None,
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
        "px": (input_size, size),
        "channels": (in_channels, None if card.any_channels else card.in_channels),
        "outputs": (num_classes, card.num_classes),
    }
    for what, (value, fixed) in asked.items():
        if fixed is not None and value not in (None, fixed):
            message = f"{card.name} was exported for {fixed} {what}, asked for {value}"
            raise UnsupportedError(message, "leave the shape out, or export it for this one")
    module: nn.Module = _program(file).module()
    same: Callable[..., nn.Module] = lambda *_, **__: module  # noqa: E731 (its own raise: it has but one mode)
    module.train = module.eval = same  # type: ignore[method-assign]
    return module


# --- torch.jit ---


def _resolve_scripted(name: NetworkName) -> Arch:
    """Return the network of a TorchScript file.

    Raises:
        UnknownNameError: if there is no such file.
        InvalidModelError: if it cannot be read, or holds weights alone.
    """
    file = _file_of(name)
    if not is_script(file):
        raise InvalidModelError(
            f"{name} is no network that torch.jit.save has written: it holds weights, or a pickle of its own",
            f"name the class that they are for, \"my_net.py:Net(weights='{name.target}')\"",
        )
    channels = _channels(_script(file))
    card = ArchCard(
        name=str(name),
        sized=False,
        in_channels=channels or 3,
        any_channels=False,
        num_classes=None,
        any_outputs=True,
        source_sha256=digest(file),
    )
    nothing = "nothing in the file says"
    said = {"in_channels": "its first convolution" if channels else nothing, "input_size": nothing}
    return Arch(card, lambda **_: _script(file), partial(origins, said))


_TRACED, _TRANSPOSED = "aten::_convolution", "aten::conv_transpose2d"
_CONVOLUTIONS = (_TRACED, "aten::conv2d", _TRANSPOSED)


def _channels(script: Any) -> int | None:
    """Return how many channels the first convolution of a script takes; None where there is none.

    Its weight has those of a group alone, or, where it is transposed, in its first dimension: the graph tells.
    """
    weight = next((p for p in script.parameters() if p.ndim == 4), None)
    if weight is None:
        return None
    first = next((node for node in script.inlined_graph.nodes() if node.kind() in _CONVOLUTIONS), None)
    if first is None:
        return int(weight.shape[1])
    kind = first.kind()
    if kind == _TRANSPOSED or (kind == _TRACED and first.namedInput("transposed").toIValue()):
        return int(weight.shape[0])
    return int(weight.shape[1]) * (first.namedInput("groups").toIValue() or 1)


def _script(file: Path) -> nn.Module:
    import torch

    model: nn.Module = _read(
        file, partial(torch.jit.load, map_location="cpu"), "save it anew with torch.jit.save"
    )
    return model


WAYS.add("exported", Way(place=40, begins=_saved("pt2"), resolve=_resolve_exported))
WAYS.add(
    "scripted",
    Way(place=41, begins=_saved("pt", "pth", "torchscript", "ts", "safetensors"), resolve=_resolve_scripted),
)
