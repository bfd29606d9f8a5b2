"""`bench export`: stored results for other programs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli._common import ResultsOption, WhereOption, handled, narrowed, stored_run
from bench.cli._complete import formats, runs
from bench.cli._streams import note, write
from bench.errors import ConfigError

if TYPE_CHECKING:
    from bench.report.exports import Files


@handled
def export(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", autocompletion=runs, help="Runs: their names or paths.")
    ],
    form: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            autocompletion=formats,
            help="csv, json, timm, tensorboard ...: `bench list exports` has all.",
        ),
    ] = "csv",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="File to write, or a new folder where the format has several; by default stdout.",
        ),
    ] = None,
    where: WhereOption = None,
    options: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", metavar="KEY=VALUE", help="An option of the format, such as dataset=ID."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
    results: ResultsOption = Path("results"),
) -> None:
    """Write stored results for other programs: CSV, Parquet, JSON, timm, TensorBoard, W&B, MLflow, Hugging Face."""
    from bench.records.machines import by_machine
    from bench.report.exports import EXPORTS, Results

    unit = EXPORTS.get(form)
    given = unit.read_options(options or ())
    if out is not None:
        _check_free(out, force)
    stored = narrowed(by_machine(*(stored_run(run, results) for run in runs)), where or ())
    content = Results(stored, given, lambda text: note(f"note: {text}"))
    if content.frame.empty:
        raise ConfigError(
            f"nothing is stored in {', '.join(runs)}", "bench run NET --name RUN measures something"
        )
    made = unit.make(content)
    if not isinstance(made, str | bytes):
        _fill(made, form, out)
    elif out is not None:
        _save(out, made)
    elif isinstance(made, str):
        write(made)
    else:
        raise ConfigError(
            f"{form} is not text for a terminal", f"name a file: --out {Path(runs[0]).name}.{form}"
        )


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


def _save(out: Path, data: str | bytes) -> None:
    from bench.io import write_file

    content = data.encode("utf-8", "replace") if isinstance(data, str) else data
    write_file(out, content, tip="name another file: --out FILE")
    note(f"written: {out}")


def _fill(files: Files, form: str, out: Path | None) -> None:
    """Write several files into a new folder; nothing is left there where that fails."""
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
    note(f"written: {out}")
