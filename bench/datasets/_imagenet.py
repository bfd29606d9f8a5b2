"""ImageNet's 1,000 classes: their WordNet ids and names, where an installed package has them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

COUNT = 1000


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
