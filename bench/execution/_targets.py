"""Targets: functions by their names, so that the process which only waits need not import torch."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable

from bench.execution import Send


def load_target(target: str) -> Callable[..., None]:
    """Return the function that ``module:function`` names."""
    module, _, name = target.partition(":")
    function: Callable[..., None] = getattr(importlib.import_module(module), name)
    return function


def with_card(send: Send, card: str, target: str, args: tuple[object, ...]) -> None:
    """Run ``target(send, *args)`` in a process that is shown one card, before all else that it does.

    CUDA reads the variable when it begins: the server that processes are forked from must never have begun it.

    Args:
        send: takes the events.
        card: for CUDA_VISIBLE_DEVICES.
        target: what to run, as ``module:function``.
        args: of it.
    """
    os.environ["CUDA_VISIBLE_DEVICES"] = card
    load_target(target)(send, *args)
