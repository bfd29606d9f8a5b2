"""Facts anew: from files that others publish, and from what the installed torchvision says of its weights."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.facts import Source


def update_facts(
    names: Collection[str], output: Path, *, say: Callable[[str], object] = warnings.warn, **told: str | None
) -> list[Source]:
    """Read files, or what the word `torchvision` stands for, into the facts of a folder.

    `told` is `commit`, `date`, `url` and `licence`, and `say` is told of damage, see `bench.facts.convert.update`.
    """
    from bench.archs.published import torchvision_weights
    from bench.facts.convert import update

    return update(names, output, torchvision=torchvision_weights, say=say, **told)
