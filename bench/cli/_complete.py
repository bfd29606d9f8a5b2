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
    names = (row["name"] for row in csv.DictReader(published))
    return _beginning(incomplete, "all", *names, *_PREFIXES, *_files(incomplete))


def _beginning(incomplete: str, *names: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


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
        names = re.findall(r"^(?:class|def) ([A-Za-z]\w*)", text, re.MULTILINE)
        yield from (f"{path}:{name}" for name in names)


def networks_or_experiments(incomplete: str) -> list[str]:
    """Return the names that `bench run` takes."""
    return [*networks(incomplete), *experiments(incomplete)]


def experiments(incomplete: str) -> list[str]:
    """Return shipped experiments and YAML files of the folder that begin so."""
    from bench.plan.files import experiments as shipped

    return _beginning(incomplete, *shipped(), *sorted(map(str, Path().glob("*.yaml"))))


def runs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the stored runs of the results folder that begin so."""
    folder = Path(ctx.params.get("results") or "results")
    return _beginning(incomplete, *sorted(file.parent.name for file in folder.glob("*/run.json")))


def datasets(incomplete: str) -> list[str]:
    """Return the data sets that begin so, and how a folder of images is named."""
    registered = r'^(?:DATASETS\.add|_add)\(\s*(?:name=)?"(\w+)"'
    return _beginning(incomplete, *_found("datasets", registered), "imagefolder:")


def formats(incomplete: str) -> list[str]:
    """Return the formats of an export that begin so."""
    return _beginning(incomplete, *_found("report/exports", r'^@export\(\s*"([\w-]+)"'))


def _found(folder: str, registered: str) -> list[str]:
    """Return the names that the files of a folder register, by the expression of where they do."""
    sources = (file.read_text("utf-8") for file in (_PACKAGE / folder).glob("*.py"))
    return sorted({name for source in sources for name in re.findall(registered, source, re.MULTILINE)})


def topics(incomplete: str) -> list[str]:
    """Return what `bench explain` explains that begins so."""
    from bench.docs import topics as known

    return _beginning(incomplete, *dict.fromkeys(topic.name.replace(" ", "-") for topic in known()))


def tasks(incomplete: str) -> list[str]:
    """Return the kinds of jobs that a block may have."""
    from bench.plan.task import tasks as known

    return _beginning(incomplete, *(name for name, task in known().items() if task.keys is not None))
