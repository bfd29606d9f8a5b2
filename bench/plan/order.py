"""The order of a plan: timed jobs in rounds, shuffled within each, so that drift does not favour the last."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence

from bench.plan.expand import Planned
from bench.plan.settings import Timed
from bench.plan.task import TASKS


def in_rounds(plan: Sequence[Planned], seed: int = 0) -> tuple[Planned, ...]:
    """Return the plan with its timed jobs in rounds: the first replicate of each, then the second of each ...

    Within a round the order is drawn, from the seed, so that it is the same again. All other jobs stay where they
    are written, before or after the first timed one.

    Args:
        plan: as `expand` gives it.
        seed: of the order.
    """
    rounds: defaultdict[int, list[Planned]] = defaultdict(list)
    before: list[Planned] = []
    after: list[Planned] = []
    for planned in plan:
        settings = planned.job.settings
        if is_timed(planned) and isinstance(settings, Timed):
            rounds[settings.replicate or 0].append(planned)
        else:
            (after if rounds else before).append(planned)
    for number, jobs in rounds.items():
        random.Random(f"{seed} {number}").shuffle(jobs)
    return (*before, *(job for number in sorted(rounds) for job in rounds[number]), *after)


def is_timed(planned: Planned) -> bool:
    """Return whether a planned job is to be timed, in rounds."""
    return planned.status is None and TASKS.get(planned.job.task).timed
