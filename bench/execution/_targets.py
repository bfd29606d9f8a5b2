"""Targets: functions by their names, so that the process which only waits need not import torch."""

from __future__ import annotations

import importlib
from collections.abc import Callable


def load_target(target: str) -> Callable[..., None]:
    """Return the function that ``module:function`` names."""
    module, _, name = target.partition(":")
    function: Callable[..., None] = getattr(importlib.import_module(module), name)
    return function
