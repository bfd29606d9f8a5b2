"""`bench explain`: what a word means, and how things are done."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import _options as options
from bench.cli._common import handled
from bench.cli._complete import topics as known_topics
from bench.cli._streams import print_json, stdout, write

if TYPE_CHECKING:
    from bench.docs import Topic


@handled
def _explain(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TOPIC",
            autocompletion=known_topics,
            help="A guide, or any word: a quantity, doubt, status, verdict, task, command, option (--set), key, "
            "figure, recipe, backend, data set, network, exit code ...",
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Explain a word that tables, messages or options use, or how a thing is done; without a word, list them all."""
    from bench.api.naming import words_of_executors, words_of_units
    from bench.cli._topics import words_of_commands
    from bench.docs import explained, names_of_reports, topics, words_of_reports

    name = " ".join(words or ())
    known = (
        *topics(),
        *words_of_commands(context.find_root().command, stdout().width - _FRAME),
        *words_of_executors(),
    )
    of_reports = tuple(names_of_reports())
    if any(each.means(name) for each in of_reports) or (as_json and not name):
        of_reports = tuple(words_of_reports())
    shown = (
        explained(name, (*known, *of_reports), words_of_reports, words_of_units)
        if name
        else (*known, *of_reports)
    )
    if as_json:
        print_json([{"name": t.name, "kind": t.kind, "about": t.about, "text": t.text} for t in shown])
    elif not name:
        _list(shown)
    elif stdout().soft_wrap:  # a file, for which Markdown is as good
        write("\n".join(each.text for each in shown))
    else:
        from bench.cli._markdown import Guide

        for each in shown:
            stdout().print(Guide(_LINK.sub(r"\1 (`bench explain \2`)", each.text)))


_FRAME = 2  # characters that Markdown takes beside what is shown as it is
_LINK = re.compile(r"\[([^]]+)\]\(([\w-]+)\.md[^)]*\)")  # to another guide, which a terminal cannot follow


def _list(known: Sequence[Topic]) -> None:
    from rich.table import Table
    from rich.text import Text

    console = stdout()
    for kind in dict.fromkeys(each.kind for each in known):
        table = Table(
            title=kind.replace("-", " ").capitalize(),
            title_justify="left",
            box=None,
            pad_edge=False,
            show_header=False,
        )
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        said: dict[str, list[str]] = {}  # by word: one such as `step_time` is of several tasks
        for each in known:
            if each.kind == kind:
                said.setdefault(each.name, []).append(each.about.partition(". ")[0])
        for name, abouts in said.items():
            table.add_row(Text(name), Text("; or ".join(dict.fromkeys(abouts))))
        console.print(table)
        console.print()
    console.print("Networks, data sets and backends are explained too: `bench list` has their names.")
