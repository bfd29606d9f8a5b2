"""Stored results for other programs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.api.runs import each, stored_runs, warn
from bench.errors import ConfigError
from bench.io import write_file
from bench.records.machines import by_machine
from bench.records.store import Run

if TYPE_CHECKING:
    from bench.report.exports import Files


def export(
    *runs: Path | str | Run,
    form: str = "csv",
    out: Path | str | None = None,
    where: str | Sequence[str] = (),
    options: Mapping[str, str] | Sequence[str] = (),
    force: bool = False,
    remark: Callable[[str], None] = warn,
) -> str | bytes | Path:
    """Return stored results as another program reads them, or write them and return where.

    Args:
        runs: folders of runs, or runs.
        form: csv, parquet, json, timm, tensorboard ...: `bench list exports` has all.
        out: a file to write, or a new folder where the format has several; None returns the text or the bytes.
        where: conditions on jobs or networks, as of `load`.
        options: of the format, such as ``{"dataset": "ILSVRC/imagenet-1k"}``, or texts such as ``dataset=NAME``.
        force: replace a file that is there.
        remark: told what is to be known of what is written.

    Raises:
        ConfigError: where nothing is stored or fits, `out` is there already or is missing, or the format has no such
            option.
        StoreError: for a folder that is no run.
        UnknownNameError: for a format that there is none of.
        UnsupportedError: where the library that writes it is not installed.

    Example:
        >>> text = bench.export("results/cpu-reference", where="arch == 'resnet18'")
        >>> text.splitlines()[0].split(",")[0]
        'run'
        >>> bench.export("results/cpu-reference", form="parquet", out="reference.parquet").name
        'reference.parquet'
    """
    from bench.analysis.filter import narrowed
    from bench.report.exports import EXPORTS, Results

    unit = EXPORTS.get(form)
    if isinstance(options, Mapping):
        options = [f"{key}={value}" for key, value in options.items()]
    given = unit.read_options(options)
    out = None if out is None else Path(out)
    if out is not None:
        _check_free(out, force)
    content = Results(narrowed(by_machine(*stored_runs(runs)), each(where)), given, remark)
    if content.frame.empty:
        message = f"nothing is stored in {content.names or 'no run'}"
        raise ConfigError(message, "bench run NET --name RUN measures something")
    made = unit.make(content)
    if not isinstance(made, str | bytes):
        return _filled(made, form, out)
    if out is None:
        return made
    data = made.encode("utf-8", "replace") if isinstance(made, str) else made
    write_file(out, data, tip="name another file: --out FILE")
    return out


def _check_free(out: Path, force: bool) -> None:
    """Check that nothing of a user's is lost by writing a file or a folder.

    Raises:
        ConfigError: where a file, or a folder that is not empty, is there already; or no folder to write it to.
    """
    if not out.parent.is_dir():
        raise ConfigError(f"no folder {out.parent}", "make it, or name another file")
    if out.is_dir():
        if any(out.iterdir()):
            raise ConfigError(f"the folder {out} is not empty", "name a new one: --out NAME")
    elif out.is_file() and not force:  # a pipe or a device loses nothing
        raise ConfigError(f"{out} is there already", "name another file, or give --force to replace it")


def _filled(files: Files, form: str, out: Path | None) -> Path:
    """Write several files into a new folder and return it; nothing is left there where that fails."""
    if out is None or out.is_file():
        raise ConfigError(f"{form} is several files", "name a new folder: --out FOLDER")
    made = not out.exists()
    out.mkdir(exist_ok=True)
    try:
        files(out)
    except BaseException:
        for path in out.iterdir():
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        if made:
            out.rmdir()
        raise
    return out
