"""The machine behind a record, read from its environment; every key may be missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

_MAPPING = (dict, Mapping)  # dict first: it is what JSON gives, and known at once


def dig(data: Any, *path: str | int) -> Any:
    """Return the value at a path of keys and positions in nested mappings and lists, or None."""
    for step in path:
        if isinstance(data, _MAPPING):
            data = data.get(step)
        elif isinstance(data, list | tuple) and isinstance(step, int) and step < len(data):
            data = data[step]
        else:
            return None
    return data


def device_name(environment: Mapping[str, Any], device: str | None) -> str | None:
    """Return the model of the GPU or CPU that a device such as ``cuda:1`` or ``cpu`` means."""
    kind, index, name = _device_path(device)
    try:
        part = environment[kind]
        value = (part if index is None else part[index])[name]
    except (KeyError, IndexError, TypeError):  # not known of this machine
        return None
    return None if value is None else str(value)


@cache
def _device_path(device: str | None) -> tuple[str, int | None, str]:
    kind, _, index = (device or "cpu").partition(":")
    return ("gpu", int(index) if index.isdigit() else 0, "name") if kind == "cuda" else ("cpu", None, "model")


def torch_version(environment: Mapping[str, Any]) -> str | None:
    """Return the version of torch that measured."""
    version = dig(environment, "torch", "version") or dig(environment, "packages", "torch")
    return None if version is None else str(version)


def flatten(data: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield (dotted path, value as text) for each leaf of nested values; lists of plain values are one leaf."""
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield from flatten(value, f"{path}.{key}" if path else str(key))
    elif isinstance(data, list | tuple) and any(isinstance(v, Mapping) for v in data):
        for position, value in enumerate(data):
            yield from flatten(value, f"{path}.{position}")
    elif isinstance(data, list | tuple):
        yield path, ", ".join(map(str, data))
    elif data is not None:
        yield path, str(data)
