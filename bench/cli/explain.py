"""`bench explain`: what a word means, and how things are done."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.cli._common import JsonOption, handled
from bench.cli._complete import topics
from bench.cli._streams import print_json, stdout, write


@handled
def explain(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TOPIC]",
            autocompletion=topics,
            help="A guide, quantity, doubt, status, verdict, task or exit code.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Explain a word that tables, messages or options use, or how a thing is done; without a word, list them all."""
    from bench.docs import topic, topics

    name = " ".join(words or ())
    shown = [topic(name)] if name else list(topics().values())
    if as_json:
        print_json([{"name": t.name, "kind": t.kind, "about": t.about, "text": t.text} for t in shown])
    elif not name:
        _list()
    elif stdout().soft_wrap:  # a file, for which Markdown is as good
        write(shown[0].text)
    else:
        from rich.markdown import Markdown

        stdout().print(Markdown(shown[0].text))


def _list() -> None:
    from rich.table import Table

    from bench.docs import topics

    console = stdout()
    for kind in dict.fromkeys(t.kind for t in topics().values()):
        of_kind = [t for t in topics().values() if t.kind == kind]
        table = Table(
            title=kind.capitalize(), title_justify="left", box=None, pad_edge=False, show_header=False
        )
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for each in of_kind:
            table.add_row(each.name, each.about)
        console.print(table)
        console.print()
