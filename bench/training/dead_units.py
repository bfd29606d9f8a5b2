"""Dead units: those of ReLU layers that are zero for every image looked at, and so learn nothing from them.

Seen is every call of ReLU, as a module, a function or a tensor's method. Not seen are a maximum with zero written
in other ways (clamp, threshold, ReLU6), what a scripted network does, and units that are merely never looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_RELUS = (F.relu, F.relu_, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_)


def dead_units(model: nn.Module, batches: Iterable[Tensor]) -> dict[str, Any] | None:
    """Return the share of ReLU units that are zero for all images, as plain JSON values; None without ReLU.

    A unit is a channel of a map [B, C, ...], or a feature of [B, F] or [B, T, F].

    Args:
        model: looked at in evaluation mode, and left in it.
        batches: images [B, C, S, S] as the network takes them.

    Returns:
        `share`: over all layers. `by_layer`: a list [name, share, units] for each ReLU in the order of the calls;
        the name is of the module in which it is called, with ``:2`` for the second call there. `images`: how many.
    """
    alive: dict[str, Tensor] = {}
    images = 0
    model.eval()
    with torch.no_grad():
        for batch in batches:
            with _tracking(model) as inside, _Watch(inside) as watch:
                model(batch)
            for name, seen in watch.alive.items():
                alive[name] = alive[name] | seen if name in alive else seen
            images += len(batch)
    if not alive:
        return None
    counts = [(name, seen.numel() - int(seen.sum()), seen.numel()) for name, seen in alive.items()]
    return {
        "share": sum(dead for _, dead, _ in counts) / sum(units for _, _, units in counts),
        "by_layer": [[name, dead / units, units] for name, dead, units in counts],
        "images": images,
    }


class _Watch(TorchFunctionMode):
    """While it is entered, notes of each ReLU call which units were not zero, by the module that it is in."""

    def __init__(self, inside: list[str]) -> None:
        super().__init__()
        self.inside = inside
        self.alive: dict[str, Tensor] = {}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in _RELUS and isinstance(result, Tensor) and result.ndim > 1:
            self.alive[self._new_name()] = _alive(result)
        return result

    def _new_name(self) -> str:
        name = self.inside[-1]
        calls = (name, *(f"{name}:{i}" for i in range(2, len(self.alive) + 2)))
        return next(n for n in calls if n not in self.alive)


def _alive(units: Tensor) -> Tensor:
    """Return [units] bool: whether each was not zero anywhere in the batch."""
    axis = 2 if units.ndim == 3 else 1  # [B, T, F] has its features last
    return (units != 0).movedim(axis, 0).flatten(1).any(1)


@contextmanager
def _tracking(model: nn.Module) -> Iterator[list[str]]:
    """Yield the names of the modules that are being called, the innermost last."""
    inside = [""]

    def leave(*_: object) -> None:
        inside.pop()

    hooks: list[Any] = []
    for name, module in model.named_modules():
        hooks.append(module.register_forward_pre_hook(lambda *_, name=name: inside.append(name)))
        hooks.append(module.register_forward_hook(leave, always_call=True))
    try:
        yield inside
    finally:
        for hook in hooks:
            hook.remove()
