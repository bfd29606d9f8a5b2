"""Names short enough for a chart: without where they are from; of long ones that are much alike, the differences."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

import pandas as pd

OWN = "your own"
"""The family of networks in files of one's own, which are to be seen at once."""

_LONG = 24  # letters
_PATTERN, _ARROW = "pattern:", " -> "
_LIBRARIES = ("torchvision:", "timm:", "hf:")
_SESSION = re.compile(r"session@[0-9a-f]+:")  # before the name of an object of a Python session
_SAVED = (".pt2", ".pt", ".pth", ".torchscript")


def shortened(table: pd.DataFrame, frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the comparison table and the frame with short names of networks and recipes, for charts.

    Networks in files and modules of one's own are of a family of their own, so that they are seen at once.
    """
    names = frame["arch"].dropna().unique()
    own = [name for name in names if is_own(name)]
    if own:
        table = table.assign(family=table["family"].mask(table["network"].isin(own), OWN))
        frame = frame.assign(family=frame["family"].mask(frame["arch"].isin(own), OWN))
    networks = _short_patterns(names)
    bare = Counter(map(_without_source, names))
    networks |= {n: s for n in names if (s := _without_source(n)) != n and bare[s] == 1}
    recipes = _short_recipes(frame["recipe"].dropna().unique())
    if networks.keys() == set(networks.values()) and recipes.keys() == set(recipes.values()):
        return table, frame
    labels = {
        label: _renamed(label, network, networks, recipes)
        for label, network in zip(table["label"], table["network"], strict=True)
    }
    return (
        table.assign(
            network=table["network"].replace(networks),
            recipe=table["recipe"].replace(recipes),
            label=table["label"].replace(labels),
        ),
        frame.assign(arch=frame["arch"].replace(networks), recipe=frame["recipe"].replace(recipes)),
    )


def is_own(name: str) -> bool:
    """Return whether a name is of a network in a file, a folder or a module, rather than of a library or a pattern."""
    name = name.partition("(")[0]
    beginning, colon, _ = name.partition(":")
    return name.endswith(_SAVED) or (bool(colon) and f"{beginning}:" not in (*_LIBRARIES, _PATTERN))


def _without_source(name: str) -> str:
    return name.partition(":")[2] if name.startswith(_LIBRARIES) or _SESSION.match(name) else name


def _renamed(label: str, network: str, networks: dict[str, str], recipes: dict[str, str]) -> str:
    settings = label.removeprefix(network).split(" · ")
    return networks.get(network, network) + " · ".join(recipes.get(s, s) for s in settings)


def _short_patterns(names: Iterable[str]) -> dict[str, str]:
    """Return each name with a shorter one: of layer patterns the layers that not all of them have; others stay."""
    every = list(names)
    patterns = [n for n in every if n.startswith(_PATTERN) and len(n) > _LONG]
    short = _differences([n.removeprefix(_PATTERN).split(_ARROW) for n in patterns], _layers)
    return {**{n: n for n in every}, **dict(zip(patterns, short or patterns, strict=True))}


def _short_recipes(names: Iterable[str]) -> dict[str, str]:
    """Return each recipe with a shorter name: of changed ones the changes that not all of one name have."""
    every = list(names)
    short = {n: n for n in every}
    for base in {n.partition("(")[0] for n in every}:
        changed = [n for n in every if n.partition("(")[0] == base and "(" in n]
        changes = [re.sub(r"\).*", "", n.partition("(")[2]).split(",") for n in changed]
        texts = _differences(changes, ",".join)
        short |= {n: f"{base}({text})" for n, text in zip(changed, texts, strict=bool(texts))}
    return short


def _layers(words: Sequence[str]) -> str:
    """Return layers in a row, brackets only in pairs: ``CONV3-16 -> BN`` of ``[CONV3-16 -> BN``."""
    text = _ARROW.join(words)
    return text if text.count("[") == text.count("]") else re.sub(r"\[|\](\*\d+)?", "", text)


def _differences(names: Sequence[Sequence[str]], joined: Callable[[Sequence[str]], str]) -> list[str]:
    """Return for each list of words those that not all lists have there; nothing where two of these are the same."""
    if len(names) < 2:
        return []
    if len({len(words) for words in names}) == 1:
        places = [i for i, words in enumerate(zip(*names, strict=True)) if len(set(words)) > 1]
        kept = [[words[i] for i in places] for words in names]
        tries = [[joined(list(dict.fromkeys(words))) for words in kept], [_counted(words) for words in kept]]
    else:
        start = _common_start(names)
        end = _common_start([w[start:][::-1] for w in names])
        if any(len(w) - end <= start for w in names):  # one of them has no more than the others
            start, end = max(0, start - 1), max(0, end - 1)
        tries = [[joined(w[start : len(w) - end]) for w in names]]
    return next((texts for texts in tries if len(set(texts)) == len(texts) and all(texts)), [])


def _common_start(names: Sequence[Sequence[str]]) -> int:
    """Return how many words all begin with."""
    columns = list(zip(*names, strict=False))
    return next((i for i, words in enumerate(columns) if len(set(words)) > 1), len(columns))


def _counted(words: Sequence[str]) -> str:
    """Return ``CONV3-16, CONV3-16(d=2) ×2``."""
    repeats = [(word, len(list(same))) for word, same in groupby(words)]
    return ", ".join(word + (f" ×{count}" if count > 1 else "") for word, count in repeats)
