"""What a job wants of a place: the device that it is for, or that its time is of no concern."""

from __future__ import annotations

from bench.plan.expand import Planned
from bench.plan.task import TASKS

_ANY_CARD = "cuda"  # what a job wants that any of several equal cards may do
NO_CLOCK = "no clock"  # one whose time is of no concern
NOTHING = "nothing"  # one of which it is known that it will not run


def wanted(planned: Planned) -> str:
    """Return what a job wants of a place.

    That is `cpu`, a card such as ``cuda:1``, or `_ANY_CARD` of several equal ones, with the type that it has to be of;
    `NO_CLOCK` where its time is of no concern, and `NOTHING` where it will not run.
    """
    if planned.status is not None:
        return NOTHING
    if not TASKS.get(planned.job.task).alone:
        return NO_CLOCK
    device = _ANY_CARD if planned.any_card else planned.job.device
    device_type = planned.job.settings.device_type
    return device if device_type is None else f"{device} of {device_type}"
