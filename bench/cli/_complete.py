"""What the shell offers behind a command: networks, runs, data sets, formats, topics ...; quickly, without torch.

Of networks those that are published here, and the files of Python in the folder: what a library has, and what plug-ins
register, would take seconds to import.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import typer

from bench.io import read_file

_PACKAGE = Path(__file__).resolve().parents[1]  # whose rooms are read, and not imported: torch would be, too


def networks(incomplete: str) -> list[str]:
    """Return names of networks, experiments, and files of networks that begin so."""
    published = (_PACKAGE / "archs" / "published.csv").read_text("utf-8").splitlines()
    known = ["all", *(row["name"] for row in csv.DictReader(published)), *_PREFIXES, *_files(incomplete)]
    return [name for name in known if name.startswith(incomplete)]


_PREFIXES = ("torchvision:", "timm:", "hf:", "pattern:")


def _files(incomplete: str) -> Iterator[str]:
    """Yield the classes and functions at the top of files of Python that could be networks, as ``net.py:Net``."""
    path, colon, _ = incomplete.partition(":")
    if not colon:
        yield from (f"{file}:" for file in sorted(map(str, Path().glob("*.py"))))
    elif path.endswith(".py"):
        try:
            text = read_file(Path(path)).decode()
        except (OSError, ValueError):
            return
        yield from (
            f"{path}:{name}" for name in re.findall(r"^(?:class|def) ([A-Za-z]\w*)", text, re.MULTILINE)
        )


def networks_or_experiments(incomplete: str) -> list[str]:
    """Return the names that `bench run` takes."""
    return [*networks(incomplete), *experiments(incomplete)]


def experiments(incomplete: str) -> list[str]:
    """Return shipped experiments and YAML files of the folder that begin so."""
    from bench.plan.files import experiments as shipped

    return [
        name for name in [*shipped(), *sorted(map(str, Path().glob("*.yaml")))] if name.startswith(incomplete)
    ]


def runs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the stored runs of the results folder that begin so."""
    folder = Path(ctx.params.get("results") or "results")
    names = sorted(file.parent.name for file in folder.glob("*/run.json"))
    return [name for name in names if name.startswith(incomplete)]


def datasets(incomplete: str) -> list[str]:
    """Return the data sets that begin so, and how a folder of images is named."""
    sources = (_PACKAGE / "datasets").glob("*.py")
    named = {name for file in sources for name in _REGISTERED.findall(file.read_text("utf-8"))}
    return [name for name in [*sorted(named), "imagefolder:"] if name.startswith(incomplete)]


_REGISTERED = re.compile(
    r'^(?:DATASETS\.add|_add)\(\s*(?:name=)?"(\w+)"', re.MULTILINE
)  # where it is registered


def formats(incomplete: str) -> list[str]:
    """Return the formats of an export that begin so."""
    sources = (_PACKAGE / "report" / "exports").glob("*.py")
    named = {name for file in sources for name in _EXPORTED.findall(file.read_text("utf-8"))}
    return [name for name in sorted(named) if name.startswith(incomplete)]


_EXPORTED = re.compile(r'^@export\(\s*"([\w-]+)"', re.MULTILINE)


def topics(incomplete: str) -> list[str]:
    """Return what `bench explain` explains that begins so."""
    from bench.docs import topics as known

    names = dict.fromkeys(topic.name.replace(" ", "-") for topic in known())
    return [name for name in names if name.startswith(incomplete)]


def tasks(incomplete: str) -> list[str]:
    """Return the kinds of jobs that a block may have."""
    from bench.plan.task import tasks as known

    return [name for name, task in known().items() if task.keys is not None and name.startswith(incomplete)]
