"""Seeds: one number becomes independent streams, so that a change of one use leaves the others alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Seeds:
    """A seed for each use of random numbers in a training.

    Attributes:
        init: of the initial parameters.
        order: of the images within an epoch.
        augment: of crops, flips and cutouts.
        noise: of what the network draws itself, such as dropout.
    """

    init: int
    order: int
    augment: int
    noise: int


def streams(seed: int) -> Seeds:
    """Return independent seeds, each below 2**63, derived from `seed` by NumPy's `SeedSequence.spawn`."""
    children = np.random.SeedSequence(seed).spawn(4)
    # 63 bits: torch takes 64, but a signed number survives JSON readers and logs.
    return Seeds(*(int(child.generate_state(1, np.uint64)[0] >> np.uint64(1)) for child in children))
