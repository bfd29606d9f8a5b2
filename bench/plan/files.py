"""The files of experiments, studies and recipes: where they are."""

from __future__ import annotations

from pathlib import Path


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
