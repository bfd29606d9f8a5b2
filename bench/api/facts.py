"""Facts anew: from files that others publish, and from what the installed torchvision says of its weights."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.facts import Source


def update_facts(
    names: Iterable[str], output: Path, *, commit: str | None = None, date: str | None = None
) -> list[Source]:
    """Read files, or what the word `torchvision` stands for, into the facts of a folder; see `bench.facts.convert`."""
    from bench.archs.published import torchvision_weights
    from bench.facts.convert import TORCHVISION, of_torchvision, update

    files = [Path(name) for name in names if name != TORCHVISION]
    others = [of_torchvision(*torchvision_weights())] if TORCHVISION in names else []
    return update(files, output, commit=commit, date=date, others=others)
