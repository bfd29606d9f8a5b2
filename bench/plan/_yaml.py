"""How the YAML of experiments, studies and recipes is found and read.

YAML is plain values, a date is text, and a key that is given twice is an error, as one would be lost. Aliases may
repeat a value, but neither hold themselves nor multiply to more than anybody would write.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path

import yaml

from bench.errors import ConfigError, suggestion
from bench.io import no_file, read_file


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def find_yaml(name: str, kind: str, folder: Path) -> Path:
    """Return the file that `name` means: a path to a YAML file, or the name of one in `folder`, without its ending.

    Raises:
        ConfigError: if there is no such file; it names the nearest ones.
    """
    path = Path(name)
    is_yaml = path.suffix in {".yaml", ".yml"}
    if is_yaml or len(path.parts) > 1:
        for file in (path, folder / f"{path.with_suffix('') if is_yaml else path}.yaml"):
            if _is_file(file):
                return file
        if what := no_file(path):
            raise ConfigError(f"no {kind} file {name!r}: {what}", "give the path of a YAML file")
        inner = [p.relative_to(folder).with_suffix("").as_posix() for p in folder.glob("*/*.yaml")]
        tip = suggestion(name, inner, "give the path of a YAML file that exists")
        raise ConfigError(f"no {kind} file {name!r}", tip)
    known = sorted(p.stem for p in folder.glob("*.yaml"))
    if name in known:
        return folder / f"{name}.yaml"
    tip = suggestion(name, known, f"known: {', '.join(known)}; or give the path of a file")
    raise ConfigError(f"no {kind} called {name!r}", tip)


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
                    problem = f"{key.value} is given twice"
                    raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
                keys.add(key.value)
        return super().construct_mapping(node, deep=deep)


def read_yaml(text: str, where: str) -> object:
    """Return the values of a YAML document; `where` names its origin in messages.

    Raises:
        ConfigError: if it is none, or gives a key twice, with the line.
    """
    try:
        value: object = yaml.load(text, Loader=_Loader)
        _size(value, {}, where)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = str(error.problem or error)
        said, tip = next((words for part, words in _PLAINLY.items() if part in problem), (problem, _MEND))
        raise ConfigError(f"{where}{place}: {said}", tip) from error
    # Characters that YAML lacks, a number that is none.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = (
            "it is nested too deep" if isinstance(error, RecursionError) else " ".join(str(error).split())
        )
        raise ConfigError(f"{where}: no readable YAML: {reason}", "mend the YAML there") from error
    return value


_MEND = "mend the YAML there"
_PLAINLY = {
    "'\\t'": ("a tab stands where YAML takes blanks alone", "write blanks instead of tabs"),
    "<stream end>": ("it ends before a bracket is closed", "close it"),
    "unexpected end of stream": ("it ends before a quote is closed", "close it"),
    "mapping values are not allowed": (
        "a colon with a blank behind it makes a key of what stands before it",
        "put the value in quotes",
    ),
    "could not find expected ':'": ("a key has no colon behind it", "write KEY: VALUE, a line each"),
}
"""What the reader of YAML says of usual mistakes, in plain words, and what to do."""

_MOST = 100_000  # values in a document, each counted as often as aliases repeat it


_WITHIN = -1  # the size of what is being counted


def _size(value: object, sizes: dict[int, int], where: str) -> int:
    """Return how many values there are in a value with those in it.

    Args:
        value: of YAML.
        sizes: those known before, by the identity of the value.
        where: its origin, for messages.

    Raises:
        ConfigError: for more than `_MOST`, for a value within itself, or for one that is not plain.
    """
    if value is None or isinstance(value, str | bool | float):
        return 1
    if isinstance(value, int):
        if abs(value) >= 1 << 63:
            raise _refused(where, "a number has more digits than any here")
        return 1
    if not isinstance(value, dict | list):
        raise _refused(
            where, f"a value is a {type(value).__name__}, and none here is; as text it stands in quotes"
        )
    size = sizes.get(id(value))
    if size == _WITHIN:
        raise _refused(where, "an alias stands within what it repeats")
    if size is None:
        sizes[id(value)] = _WITHIN
        inner = [*value, *value.values()] if isinstance(value, dict) else value
        size = sizes[id(value)] = 1 + sum(_size(one, sizes, where) for one in inner)
    if size > _MOST:
        raise _refused(where, f"with its aliases it has more than {_MOST:,} values")
    return size


def _refused(where: str, problem: str) -> ConfigError:
    return ConfigError(f"{where}: {problem}", "mend the YAML there")


def load_yaml(path: Path) -> object:
    """Return the values of a YAML file.

    Raises:
        ConfigError: if it cannot be read, or as `read_yaml` does.
    """
    try:
        text = read_file(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: no readable YAML: it is not UTF-8", "save it as UTF-8") from error
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", "give a file that can be read") from error
    return read_yaml(text, str(path))


def is_by_device(value: Mapping[str, object]) -> bool:
    """Return whether a mapping gives a value for each kind of device: ``{cpu: 4, cuda: 64}``."""
    return bool(value) and set(value) <= {"cpu", "cuda"}
