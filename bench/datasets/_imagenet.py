"""ImageNet's 1,000 classes: their WordNet ids and names, where an installed package has them."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterable
from pathlib import Path

COUNT = 1000
# Of the ids in order, a line each.
_SHA256 = "70002b0ff5de60a3a17a82dbfcff291931f96225ddf941ad2e182fc39e183d15"


def are_all(ids: Iterable[str]) -> bool:
    """Return whether WordNet ids are ImageNet's 1,000, in their order."""
    lines = "".join(f"{synset}\n" for synset in ids)
    return hashlib.sha256(lines.encode()).hexdigest() == _SHA256


def ids() -> tuple[str, ...]:
    """Return the WordNet ids of ImageNet's 1,000 classes in order, as timm has them; none where it is not installed."""
    return tuple(_info("imagenet_synsets.txt"))


def words() -> dict[str, str]:
    """Return the words of each WordNet id, behind commas, as timm has them; none where it is not installed."""
    lines = (line.partition("\t") for line in _info("imagenet_synset_to_lemma.txt"))
    return {synset: words for synset, _, words in lines}


def _info(file: str) -> list[str]:
    """Return the lines of a list that comes with timm, which is not imported for it."""
    package = importlib.util.find_spec("timm")
    for folder in (package and package.submodule_search_locations) or ():
        path = Path(folder, "data", "_info", file)
        if path.is_file():
            return path.read_text(encoding="utf-8").splitlines()
    return []


def categories() -> tuple[str, ...]:
    """Return a name for each class, as torchvision has them."""
    from torchvision.models import _meta

    return tuple(_meta._IMAGENET_CATEGORIES)
