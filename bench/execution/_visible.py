"""One of several cards: what the process of a job does before all else, so that CUDA shows it that card alone."""

from __future__ import annotations

import os

from bench.execution import Send
from bench.execution._targets import load_target


def with_card(send: Send, card: str, target: str, args: tuple[object, ...]) -> None:
    """Run ``target(send, *args)`` in a process that is shown one card.

    CUDA reads the variable when it begins: the server that processes are forked from must never have begun it.

    Args:
        send: takes the events.
        card: for CUDA_VISIBLE_DEVICES.
        target: what to run, as ``module:function``.
        args: of it.
    """
    os.environ["CUDA_VISIBLE_DEVICES"] = card
    load_target(target)(send, *args)
