"""`bench pull`: runs from a data set of the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli import _options as options
from bench.cli._common import handled
from bench.cli._streams import note, print_json, write


@handled
def _pull(
    address: options.Address,
    name: Annotated[
        str | None,
        typer.Option("--name", "-n", help="Name of the run here; by default as it is called there."),
    ] = None,
    results: options.Results = Path("results"),
    as_json: options.Json = False,
) -> None:
    """Fetch runs of a data set of the Hugging Face Hub; without a run in the address all of them.

    Each file is held against what was pushed. What is here is not fetched again, and a run that has grown there grows
    here; `bench run` goes on with it as with any other. hf://OWNER/NAME@COMMIT/RUN is a run as it was.
    """
    from bench.api.sharing import pulling

    documents = []
    for pulled in pulling(address, name, results):
        documents.append(
            {
                "run": str(pulled.path),
                "address": str(pulled.address),
                "records": pulled.records,
                "fetched": pulled.fetched,
            }
        )
        if not as_json:
            write(f"{pulled.path}: {pulled.records} records\n")
        files = "1 file" if pulled.fetched == 1 else f"{pulled.fetched or 'no'} files"
        note(f"{files} fetched from {pulled.address}")
    if as_json:
        print_json(documents)
