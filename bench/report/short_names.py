"""Names short enough for a chart: of long ones that have most in common, what tells them apart."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

import pandas as pd

LONG = 24  # letters
_PATTERN, _ARROW = "pattern:", " -> "


def shortened(table: pd.DataFrame, frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the comparison table and the frame with short names of networks and recipes, for charts."""
    networks = short_patterns(frame["arch"].dropna().unique())
    recipes = short_recipes(frame["recipe"].dropna().unique())
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


def _renamed(label: str, network: str, networks: dict[str, str], recipes: dict[str, str]) -> str:
    settings = label.removeprefix(network).split(" · ")
    return networks.get(network, network) + " · ".join(recipes.get(s, s) for s in settings)


def short_patterns(names: Iterable[str]) -> dict[str, str]:
    """Return each name with a shorter one: of layer patterns the layers that not all of them have; others stay."""
    every = list(names)
    patterns = [n for n in every if n.startswith(_PATTERN) and len(n) > LONG]
    told = _told_apart([n.removeprefix(_PATTERN).split(_ARROW) for n in patterns], _layers)
    return {**{n: n for n in every}, **dict(zip(patterns, told or patterns, strict=True))}


def short_recipes(names: Iterable[str]) -> dict[str, str]:
    """Return each recipe with a shorter name: of changed ones the changes that not all of one name have."""
    every = list(names)
    found = {n: n for n in every}
    for base in {n.partition("(")[0] for n in every}:
        alike = [n for n in every if n.partition("(")[0] == base and "(" in n]
        parts = [re.sub(r"\).*", "", n.partition("(")[2]).split(",") for n in alike]
        told = _told_apart(parts, ",".join) if len(alike) > 1 else []
        found |= {n: f"{base}({text})" for n, text in zip(alike, told, strict=bool(told))}
    return found


def _layers(words: Sequence[str]) -> str:
    """Return layers in a row, brackets only in pairs: ``CONV3-16 -> BN`` of ``[CONV3-16 -> BN``."""
    text = _ARROW.join(words)
    return text if text.count("[") == text.count("]") else re.sub(r"\[|\](\*\d+)?", "", text)


def _told_apart(names: Sequence[Sequence[str]], joined: Callable[[Sequence[str]], str]) -> list[str]:
    """Return for each list of words those that not all lists have there; nothing where that tells not all apart."""
    if len(names) < 2:
        return []
    lengths = {len(words) for words in names}
    if len(lengths) == 1:
        places = [i for i in range(lengths.pop()) if len({words[i] for words in names}) > 1]
        kept = [[words[i] for i in places] for words in names]
        once = [list(dict.fromkeys(words)) for words in kept]
        found = _first_distinct([[joined(w) for w in once], [_counted(w) for w in kept]])
    else:
        start = _alike(names)
        end = _alike([w[start:][::-1] for w in names])
        if any(len(w) - end <= start for w in names):  # one of them has no more than the others
            start, end = max(0, start - 1), max(0, end - 1)
        found = _first_distinct([[joined(w[start : len(w) - end]) for w in names]])
    return found


def _alike(names: Sequence[Sequence[str]]) -> int:
    """Return how many words all begin with."""
    columns = list(zip(*names, strict=False))
    return next((i for i, words in enumerate(columns) if len(set(words)) > 1), len(columns))


def _first_distinct(tries: Sequence[list[str]]) -> list[str]:
    return next((found for found in tries if len(set(found)) == len(found) and all(found)), [])


def _counted(words: Sequence[str]) -> str:
    """Return ``CONV3-16, CONV3-16(d=2) ×2``."""
    runs: list[tuple[str, int]] = []
    for word in words:
        if runs and runs[-1][0] == word:
            runs[-1] = (word, runs[-1][1] + 1)
        else:
            runs.append((word, 1))
    return ", ".join(word + (f" ×{count}" if count > 1 else "") for word, count in runs)
