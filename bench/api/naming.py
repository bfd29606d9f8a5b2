"""What can be named, and what words mean."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator, Mapping, Sequence

from bench.api.inspecting import units
from bench.api.runs import warn
from bench.docs import Topic, sentence, word
from bench.errors import UnsupportedError, unknown_name
from bench.io import JsonObject

_KINDS = ("archs", "datasets", "backends", "executors", "figures", "exports", "configs")


def list_units(
    pattern: str | None = None, remark: Callable[[str], object] = warn
) -> dict[str, list[JsonObject]]:
    """Return all that can be named, by kind: of each its name, and what is declared of it.

    Args:
        pattern: a kind (archs, datasets, backends, executors, figures, exports or configs), or a pattern of names;
            None for all.
        remark: told what is left out.

    Raises:
        UnknownNameError: where nothing is called so.
        UnsupportedError: for what is not installed.

    Example:
        >>> [one["name"] for one in bench.list_units("resnet15*")["archs"]]
        ['resnet152', 'resnet152_v1']
    """
    kinds = [pattern] if pattern in _KINDS else list(_KINDS)
    names = None if pattern in _KINDS else pattern
    if names and names.startswith(("torchvision:", "timm:", "hf:")):
        kinds = ["archs"]
    matching = {
        kind: [row for row in rows if names is None or fnmatch.fnmatchcase(row["name"], names)]
        for kind, rows in _all(kinds, names, remark).items()
    }
    if not any(matching.values()):
        known = [row["name"] for rows in _all(_KINDS, None, remark).values() for row in rows]
        raise unknown_name("name or pattern", str(pattern), [*known, *_KINDS], "`bench list` shows all")
    return {kind: rows for kind, rows in matching.items() if rows or pattern == kind}


def _all(
    kinds: Sequence[str], pattern: str | None, remark: Callable[[str], object]
) -> dict[str, list[JsonObject]]:
    rows: dict[str, list[JsonObject]] = {}
    if {"archs", "datasets", "backends"} & set(kinds):
        rows |= _measuring(pattern, remark, needed=pattern is not None or len(kinds) < len(_KINDS))
    rows |= {kind: read() for kind, read in _READING.items() if kind in kinds}
    return {kind: rows[kind] for kind in _KINDS if kind in kinds and kind in rows}


def _measuring(
    pattern: str | None, remark: Callable[[str], object], *, needed: bool
) -> dict[str, list[JsonObject]]:
    """Return architectures, data sets and backends; where torch is not installed, none unless they are needed.

    Raises:
        UnsupportedError: where they are needed, and torch is not installed.
    """
    try:
        return units(pattern if pattern and ":" in pattern else None)
    except UnsupportedError as error:
        if needed:
            raise
        remark(f"architectures, data sets and backends are left out: {error.message}")
        return {}


def _executors() -> list[JsonObject]:
    from bench.execution import EXECUTORS

    return _abouts({name: kind.about for name, kind in EXECUTORS.items()})


def _figures() -> list[JsonObject]:
    from bench.report.figures import FIGURES

    return _abouts({name: figure.title for name, figure in FIGURES.items()})


def _exports() -> list[JsonObject]:
    from bench.report.exports import EXPORTS

    return _abouts({name: unit.about for name, unit in EXPORTS.items()})


def _configs() -> list[JsonObject]:
    from bench.plan.config import Experiment
    from bench.plan.files import experiments

    return _abouts({name: Experiment.load(name).about for name in experiments()})


_READING: Mapping[str, Callable[[], list[JsonObject]]] = {
    "executors": _executors,
    "figures": _figures,
    "exports": _exports,
    "configs": _configs,
}


def _abouts(units: Mapping[str, str]) -> list[JsonObject]:
    return [{"name": name, "about": about} for name, about in units.items()]


def explain(name: str) -> str:
    """Return what a word means that tables, messages or settings use, or a guide, in Markdown.

    Args:
        name: a quantity, doubt, status, verdict, task, key, figure, network ..., or a guide, such as ``start``.

    Raises:
        UnknownNameError: with the nearest ones.

    Example:
        >>> print(bench.explain("noisy").splitlines()[0])
        # noisy: a doubt: never the best
    """
    from bench.docs import explained, topics, words_of_reports

    known = (*topics(), *words_of_executors())
    return "\n".join(topic.text for topic in explained(name, known, words_of_reports, words_of_units))


def words_of_executors() -> Iterator[Topic]:
    """Yield the topic of each executor."""
    from bench.execution import EXECUTORS

    for name, kind in EXECUTORS.items():
        text = f"{sentence(kind.about)}\n\n`bench run all --executor {name}`"
        yield word(name, "executors", kind.about, "an executor", text)


def words_of_units() -> Iterator[Topic]:
    """Yield the topics of networks, data sets and backends; importing torch for that takes seconds."""
    every = units()
    for row in every["archs"]:
        about = ", ".join(str(row[key]) for key in ("family", "year") if row[key])
        yield _of_unit(row, "networks", about, "a network", f"bench show {row['name']}")
    for row in every["datasets"]:
        yield _of_unit(row, "data-sets", row["source"], "a data set", "bench list datasets")
    for row in every["backends"]:
        yield _of_unit(row, "backends", row["about"], "a backend", "bench list backends")


_LABELS = {"precisions": "precisions that `bench engines` tries"}  # it may have others, as eager has


def _of_unit(row: JsonObject, kind: str, about: str, what: str, command: str) -> Topic:
    lines = [
        f"- {_LABELS.get(key, key.replace('_', ' '))}: {_value(row[key])}"
        for key in row
        if row[key] and key != "name"
    ]
    return word(row["name"], kind, about, what, "\n".join([*lines, "", f"`{command}`"]))


def _value(value: object) -> str:
    """Return a value of a card as words."""
    if isinstance(value, dict):
        return ", ".join(f"{key.replace('_', ' ')} {_value(each)}" for key, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_value, value))
    return f"{value:,}" if isinstance(value, int) and value > 9999 else str(value)
