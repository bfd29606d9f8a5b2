"""Arguments in parentheses: which ones a builder takes, and which of them are native values of the card."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from bench.archs import Arch
from bench.errors import InvalidModelError, UnsupportedError, nearest

if TYPE_CHECKING:
    from torch import nn

NATIVE = ("num_classes", "in_channels", "input_size")


@dataclass(frozen=True)
class Parameters:
    """What a callable can be called with by keyword.

    Attributes:
        names: its parameters.
        required: those without a default.
        any_keyword: whether it takes any other keyword too.
        defaults: of those that have one.
    """

    names: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    any_keyword: bool = False
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, function: Callable[..., object]) -> Parameters:
        """Read the signature; a callable without one takes nothing."""
        try:
            parameters = inspect.signature(function).parameters.values()
        except (ValueError, TypeError):
            return cls()
        by_keyword = [p for p in parameters if p.kind in {p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY}]
        return cls(
            names=tuple(p.name for p in by_keyword),
            required=tuple(p.name for p in by_keyword if p.default is p.empty),
            any_keyword=any(p.kind is p.VAR_KEYWORD for p in parameters),
            defaults={p.name: p.default for p in by_keyword if p.default is not p.empty},
        )

    def check(self, name: str, arguments: Mapping[str, object]) -> None:
        """Refuse arguments that are not taken.

        Raises:
            InvalidModelError: naming the first of them and the nearest that are.
        """
        unknown = [a for a in arguments if a not in self.names]
        if self.any_keyword or not unknown:
            return
        close = nearest(unknown[0], self.names) or list(self.names)
        tip = f"it takes {', '.join(close)}" if close else "it takes no arguments"
        raise InvalidModelError(f"{name} takes no argument {unknown[0]!r}", tip)


def with_fields(function: Callable[..., object]) -> Callable[..., object]:
    """Return a class or function that is called with the fields of its configuration, if it needs such a thing.

    ``def __init__(self, config: Config)`` becomes ``f(*, width=64, num_classes=10)`` where `Config` is a data class all
    of whose fields have defaults. Everything else is returned as it is.
    """
    try:
        signature = inspect.signature(function, eval_str=True)
    except (ValueError, TypeError, NameError, AttributeError, SyntaxError):
        return function
    needed = (p for p in signature.parameters.values() if p.default is p.empty)
    configurations = [p for p in needed if _is_configuration(p.annotation)]
    if len(configurations) != 1:
        return function
    (config,) = configurations
    others = {n: p for n, p in signature.parameters.items() if p is not config}
    fields = [p for n, p in inspect.signature(config.annotation).parameters.items() if n not in others]
    names = {p.name for p in fields}

    def build(**given: object) -> object:
        settings = {n: v for n, v in given.items() if n in names}
        rest = {n: v for n, v in given.items() if n not in names}
        return function(**{config.name: config.annotation(**settings)}, **rest)

    own = [*others.values(), *(p.replace(kind=p.KEYWORD_ONLY) for p in fields)]
    build.__signature__ = inspect.Signature(sorted(own, key=lambda p: p.kind))  # type: ignore[attr-defined]
    return build


def _is_configuration(annotation: object) -> bool:
    """Return whether an annotation is a data class that can be made without arguments."""
    if not (isinstance(annotation, type) and dataclasses.is_dataclass(annotation)):
        return False
    missing = dataclasses.MISSING
    made = (f for f in dataclasses.fields(annotation) if f.init)
    return all(f.default is not missing or f.default_factory is not missing for f in made)


def is_count(value: object) -> bool:
    """Return whether a value is a whole number above zero, and no truth value."""
    return type(value) is int and value > 0


def with_arguments(arch: Arch, name: str, arguments: Mapping[str, object]) -> Arch:
    """Return the network called with `arguments`: another network, of which nothing is declared or published.

    Raises:
        InvalidModelError: for an argument that its builder does not take.
    """
    if not arguments:
        return arch
    Parameters.of(arch.builder).check(name, arguments)
    native: dict[str, Any] = {
        key: arguments[key]
        for key in arguments.keys() & NATIVE
        if is_count(arguments[key]) or (arguments[key] is None and key == "num_classes")
    }
    others = {key: value for key, value in arguments.items() if key not in native}
    card = replace(arch.card, name=name, parameters=None, published={}, **native)

    def build(*, input_size: int, **values: int | None) -> nn.Module:
        with library_errors(name, input_size):
            return arch.builder(input_size=input_size, **values, **others)

    return Arch(card, build)


@contextmanager
def library_errors(name: str, input_size: int) -> Iterator[None]:
    """Tell a wrong argument (invalid) from a size that a library's network does not come in (unsupported)."""
    try:
        yield
    except TypeError as error:
        tip = "check its arguments; each must be of the right type"
        raise InvalidModelError(f"{name} cannot be built: {error}", tip) from error
    except (ValueError, AssertionError) as error:
        message = f"{name} cannot be built for {input_size} px: {error}"
        raise UnsupportedError(message, "leave input_size out, or choose another") from error
