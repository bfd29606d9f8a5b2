"""Following the calls of a network's modules: each forward is called through another function, for a while.

A module's `forward` is replaced on the instance, and put back. Hooks would do as well, and change what runs: torch
leaves its fast path of attention where a module has any, and takes a slower way through every call.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

Key = tuple[int, int]
"""A call: the number of the module, and which of its calls it is."""

Forward = Callable[..., object]
_Wrap = Callable[[int, Forward], Forward]  # of the module's number and its forward

_COMPILED = "OptimizedModule"  # of torch.compile


class Followed:
    """The modules of a network that can be followed, by number; the first is the network itself.

    What lies in a scripted or compiled module is not followed: it belongs to what calls it.

    Attributes:
        names: of each module in the network; the network's own is empty.
        types: of each module, its class.
        modules: themselves.
    """

    def __init__(self, network: nn.Module) -> None:
        opened = list(_opened(network, "", set()))
        self.names = [name for name, _ in opened]
        self.modules = [module for _, module in opened]
        self.types = [type(module).__name__ for module in self.modules]

    @contextlib.contextmanager
    def through(self, wrap: _Wrap) -> Iterator[None]:
        """Let each module's forward be called as `wrap(number, forward)` inside the block."""
        own = [module.__dict__.get("forward") for module in self.modules]
        try:
            for number, module in enumerate(self.modules):
                module.__dict__["forward"] = wrap(number, module.forward)
            yield
        finally:
            for module, forward in zip(self.modules, own, strict=True):
                module.__dict__.pop("forward", None)
                if forward is not None:
                    module.__dict__["forward"] = forward


def _opened(module: nn.Module, name: str, known: set[int]) -> Iterator[tuple[str, nn.Module]]:
    """Yield a module and those inside it that can be followed, each once."""
    known.add(id(module))
    yield name, module
    for key, child in module.named_children():
        closed = isinstance(child, torch.jit.ScriptModule) or type(child).__name__ == _COMPILED
        if id(child) not in known and not closed and not isinstance(module, torch.jit.ScriptModule):
            yield from _opened(child, f"{name}.{key}".lstrip("."), known)


class Numbering:
    """Tells the calls of modules apart, those that a backward pass makes again, as of checkpoints, among them."""

    def __init__(self) -> None:
        self._met: Counter[int] = Counter()
        self._inside: defaultdict[tuple[Key, int], list[Key]] = defaultdict(list)
        self._again: Counter[tuple[Key | None, int]] = Counter()

    def begun(self, number: int, above: Key) -> Key:
        """Return the key of a call that begins inside another."""
        key = (number, self._met[number])
        self._met[number] += 1
        self._inside[above, number].append(key)
        return key

    def made_again(self, number: int, above: Key | None) -> Key | None:
        """Return which call is made again, inside one that is, or by itself; None of a module that was not called.

        Inside another they come as they came before; by themselves the last one first, as a backward pass goes.
        """
        which = self._again[above, number]
        self._again[above, number] += 1
        if above is None:
            return (number, max(self._met[number] - 1 - which, 0)) if self._met[number] else None
        made = self._inside[above, number]
        return made[which % len(made)] if made else None


class OnEachThread:
    """Lets a mode see the operators of calls that a network makes on threads of its own: a mode is of one thread.

    It is entered around each call; the thread on which it was made has the mode already.
    """

    def __init__(self, mode: TorchDispatchMode) -> None:
        self._mode = mode
        self._own = threading.get_ident()
        self._calls: Counter[int] = Counter()

    def __enter__(self) -> None:
        """Enter the mode in the outermost call of a thread."""
        thread = threading.get_ident()
        if thread != self._own and not self._calls[thread]:
            self._mode.__enter__()
        self._calls[thread] += 1

    def __exit__(self, *_failure: object) -> None:
        """Leave it at the end of that call."""
        thread = threading.get_ident()
        self._calls[thread] -= 1
        if thread != self._own and not self._calls[thread]:
            self._mode.__exit__(None, None, None)
