"""Where the files that ship with the package are."""

from __future__ import annotations

from pathlib import Path

from bench.errors import ConfigError, suggestion


def configs_dir() -> Path:
    """Return the folder of shipped experiments: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def experiments() -> list[str]:
    """Return the names of the shipped experiments: first those of the folder itself, then ``studies/NAME``."""
    folder = configs_dir()
    own, studies = (sorted(p.stem for p in f.glob("*.yaml")) for f in (folder, folder / "studies"))
    return [*own, *(f"studies/{name}" for name in studies)]


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
    if path.suffix in {".yaml", ".yml"} or len(path.parts) > 1:
        for file in (path, (folder / path).with_suffix(".yaml")):
            if _is_file(file):
                return file
        inner = [p.relative_to(folder).with_suffix("").as_posix() for p in folder.glob("*/*.yaml")]
        tip = suggestion(name, inner, "give the path of a YAML file that exists")
        raise ConfigError(f"no {kind} file {name!r}", tip)
    known = sorted(p.stem for p in folder.glob("*.yaml"))
    if name in known:
        return folder / f"{name}.yaml"
    tip = suggestion(name, known, f"known: {', '.join(known)}; or give the path of a file")
    raise ConfigError(f"no {kind} called {name!r}", tip)
