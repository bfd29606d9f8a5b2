"""The user's networks: what a file or a module defines, and how it is called."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import torch
from torch import nn

from bench.archs import Arch
from bench.archs._arguments import NATIVE, Takes, split
from bench.archs._importing import Source, load
from bench.archs.spec import Spec
from bench.errors import BenchError, InvalidModelError, UnknownNameError, unknown_name
from bench.plan.card import ArchCard

# The card's name for each name that a parameter may have.
ALIASES = {
    **dict.fromkeys(("num_classes", "n_classes"), "num_classes"),
    **dict.fromkeys(("in_channels", "in_chans", "channels"), "in_channels"),
    **dict.fromkeys(("input_size", "image_size", "img_size"), "input_size"),
}
_NUMBERS = (*NATIVE, "min_input", "year")
_TEXTS = ("family", "paper")


def resolve(spec: Spec) -> Arch:
    """Return the network that a file or a module defines.

    Raises:
        UnknownNameError: if there is no such file, module, or name in it.
        InvalidModelError: if it cannot be imported, is no network, or does not take the arguments.
    """
    source = load(spec)
    found = _find(source.module, spec)
    builder = _builder(found, spec, source)
    native, _ = split(spec.arguments, ALIASES)
    facts = {**_declared(found), **native}
    any_channels = builder.takes("in_channels")
    card = ArchCard(
        name=str(spec),
        sized="input_size" in facts,
        any_channels=any_channels,
        source_sha256=source.sha256,
        **facts,
    )
    return Arch(card, builder)


def _find(module: ModuleType, spec: Spec) -> Any:
    """Return what the module calls by the spec's name.

    Raises:
        UnknownNameError: if nothing; it names the nearest classes, functions and instances.
    """
    if hasattr(module, spec.target):
        return getattr(module, spec.target)
    known = [n for n, v in vars(module).items() if not n.startswith("_") and _is_candidate(v)]
    if not known:
        raise UnknownNameError(f"{spec.source} defines no network, so no {spec.target!r}")
    raise unknown_name("network", spec.target, known, f"in {spec.source}")


def _is_candidate(value: Any) -> bool:
    if isinstance(value, nn.Module):
        return True
    is_network = inspect.isclass(value) and issubclass(value, nn.Module)
    return (is_network or inspect.isfunction(value)) and value.__module__.partition(".")[0] != "torch"


@dataclass(frozen=True)
class _Builder:
    """Builds a network from what the user's file defines.

    Attributes:
        name: for messages.
        make: the class or function.
        source: where it is from.
        native: each parameter for a native value, and the card's name for that value.
        arguments: all other arguments.
    """

    name: str
    make: Callable[..., Any]
    source: Source
    native: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def takes(self, name: str) -> bool:
        """Say whether a native value is handed on to the user's code."""
        return name in self.native.values()

    def __call__(self, **values: Any) -> nn.Module:
        """Return a new network; `values` are the native ones."""
        given = {parameter: values[name] for parameter, name in self.native.items()}
        try:
            with self.source.importable():
                model = self.make(**given, **self.arguments)
        except (Exception, SystemExit) as error:
            if isinstance(error, BenchError) or _is_out_of_memory(error):
                raise
            raise InvalidModelError(f"building {self.name} raised {type(error).__name__}: {error}") from error
        if not isinstance(model, nn.Module):
            raise InvalidModelError(
                f"{self.name} returned {type(model).__name__}; expected a torch.nn.Module",
                "name a torch.nn.Module class, an instance, or a function that returns one",
            )
        return model


def _is_out_of_memory(error: BaseException) -> bool:
    # torch has no class of its own for the host's memory.
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "allocate memory" in str(error)


def _builder(found: Any, spec: Spec, source: Source) -> _Builder:
    """Return a builder of what was found, with its arguments checked.

    Raises:
        InvalidModelError: if it is no network, does not take an argument, or needs one that is not given.
    """
    name = f"{spec.source}:{spec.target}"
    if isinstance(found, nn.Module):
        Takes().check(name, spec.arguments)
        # A job may train its network; the next one must not see that.
        return _Builder(name, lambda: copy.deepcopy(found), source)
    if not callable(found):
        raise InvalidModelError(
            f"{name} is of type {type(found).__name__}; expected a torch.nn.Module",
            "name a torch.nn.Module class, an instance, or a function that returns one",
        )
    takes = _takes(found)
    takes.check(name, spec.arguments)
    _, others = split(spec.arguments, ALIASES)
    native = {p: n for p, n in _native(takes).items() if p not in others}
    missing = [p for p in takes.required if p not in native and p not in others]
    if missing:
        raise InvalidModelError(
            f"{name} needs an argument {missing[0]!r}",
            f"write {name}({missing[0]}=...), in quotes for a shell",
        )
    return _Builder(name, found, source, native, others)


def _takes(found: Callable[..., Any]) -> Takes:
    if inspect.isclass(found) and found.__init__ is nn.Module.__init__:
        return Takes()  # its signature takes anything, and it refuses everything
    return Takes.of(found)


def _native(takes: Takes) -> dict[str, str]:
    """Return the parameters for native values; where any keyword is taken, also the card's own names."""
    native = {p: ALIASES[p] for p in takes.names if p in ALIASES}
    if takes.anything:
        native |= {n: n for n in NATIVE if n not in native.values()}
    return native


def _declared(found: Any) -> dict[str, Any]:
    """Return the attributes that are facts for the card, where they are of the right type."""
    # Static look-up: a property of the user's must not run here.
    values = {n: inspect.getattr_static(found, n, ...) for n in (*_NUMBERS, *_TEXTS)}
    numbers = {n: values[n] for n in _NUMBERS if type(values[n]) is int and values[n] > 0}
    texts = {n: values[n] for n in _TEXTS if isinstance(values[n], str)}
    no_classifier = {"num_classes": None} if values["num_classes"] is None else {}
    return {**numbers, **texts, **no_classifier}
