"""Facts anew: from files that others publish, and from what the installed torchvision says of its weights."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.facts import Source


def update_facts(names: Iterable[str], output: Path, **told: str | None) -> list[Source]:
    """Read files, or what the word `torchvision` stands for, into the facts of a folder.

    `told` is `commit`, `date`, `url` and `licence`, see `bench.facts.convert.update`.
    """
    from bench.archs.published import torchvision_weights
    from bench.facts.convert import TORCHVISION, of_torchvision, update

    files = [Path(name) for name in names if name != TORCHVISION]
    others = [of_torchvision(*torchvision_weights())] if TORCHVISION in names else []
    return update(files, output, others=others, **told)
