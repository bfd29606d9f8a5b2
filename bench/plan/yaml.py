"""YAML as it is read here: safe, a date is text, and a key that is given twice is an error, as one would be lost."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path

import yaml

from bench.errors import ConfigError

_DATE = "tag:yaml.org,2002:timestamp"


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {  # noqa: RUF012 (of the class, as it is above it)
        first: [(tag, pattern) for tag, pattern in resolvers if tag != _DATE]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        keys: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in keys:
                    raise yaml.MarkedYAMLError(
                        problem=f"{key.value} is given twice", problem_mark=key.start_mark
                    )
                keys.add(key.value)
        return super().construct_mapping(node, deep=deep)


def read_yaml(text: str, where: str) -> object:
    """Return the values of a YAML document; `where` names its origin in messages.

    Raises:
        ConfigError: if it is none, or gives a key twice, with the line.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(f"{where}{place}: {error.problem or error}", "mend the YAML there") from error
    except (yaml.YAMLError, ValueError) as error:  # characters that YAML does not have, a number that is none
        reason = " ".join(str(error).split())
        raise ConfigError(f"{where}: no readable YAML: {reason}", "mend the YAML there") from error
    except RecursionError as error:
        raise ConfigError(
            f"{where}: no readable YAML: it is nested too deep", "mend the YAML there"
        ) from error


def load_yaml(path: Path) -> object:
    """Return the values of a YAML file.

    Raises:
        ConfigError: if it cannot be read, or as `read_yaml` does.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: no readable YAML: it is not UTF-8", "save it as UTF-8") from error
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", "give a file that can be read") from error
    return read_yaml(text, str(path))
