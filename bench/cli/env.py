"""`bench env`: the machine as a record would describe it."""

from __future__ import annotations

from collections.abc import Mapping

from bench.cli import _options as options
from bench.cli._common import handled
from bench.cli._streams import print_json, stdout


@handled
def _env(as_json: options.Json = False) -> None:
    """Show the machine as records describe it."""
    from bench.api import env as describe

    document = describe()
    if as_json:
        print_json(document)
    else:
        _print(document)


def _print(document: Mapping[str, object]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from bench.records.environment import leaves

    table = Table(box=None, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for path, value in leaves(document):
        if path == "no_cuda" and value is None:  # as there is CUDA
            continue
        table.add_row(escape(path), escape(_words(path, value)))
    stdout().print(table)


def _words(path: str, value: object) -> str:
    from bench.records.environment import clock_reasons

    if value is None:
        return "not installed" if path.startswith("packages.") else "unknown"
    if path.endswith(".throttle_reasons") and isinstance(value, int):
        return ", ".join(clock_reasons(value)) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value) if value != {} else "none"
