"""`bench push`: a stored run into a data set of the Hugging Face Hub; what goes is listed, and agreed to."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import _options as options
from bench.cli._common import handled, run_path
from bench.cli._streams import note, print_json, write
from bench.errors import ConfigError
from bench.io import expanded
from bench.units import show

if TYPE_CHECKING:
    from bench.records.sharing import Push


@handled
def _push(
    run: Annotated[str, options.of_runs("The run: its name or path.")],
    address: options.Address,
    weights: Annotated[
        bool, typer.Option("--weights", help="Also the weights that trainings have kept.")
    ] = False,
    public: Annotated[
        bool,
        typer.Option("--public", help="All may see a data set that is made; by default its owners alone."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Send what is listed without asking.")] = False,
    results: options.Results = Path("results"),
    as_json: options.Json = False,
) -> None:
    """Send a stored run to a data set of the Hugging Face Hub, once you have agreed to what goes.

    All that would go is listed first, with what it says of you and your machine; without --yes you are asked. What is
    there already is not sent again; a run that has gone on here replaces its beginning there, and no other.
    """
    from bench.records.sharing import Address, HuggingFace, Push

    hub = HuggingFace()
    to = Address.read(address)
    prepared = Push.of(run_path(run, results), to, hub, weights=weights, public=public)
    for line in _lines(prepared):
        note(line)
    commit = prepared.contents.commit if prepared.contents else ""
    if prepared.files:
        if not yes:
            _ask(prepared)
        commit = prepared.send(hub)
    if as_json:
        print_json(
            {
                "address": str(prepared.address),
                "commit": commit,
                "files": list(prepared.files),
                "private": prepared.private,
            }
        )
    else:
        write(f"{prepared.address}\n")


def _lines(push: Push) -> list[str]:
    """Return what goes where, what stays, and what it says of the user."""
    audience = "private: its owners alone see it" if push.private else "PUBLIC: everybody sees it"
    made = "" if push.contents else ", which is made for it"
    lines = [f"{push.address}{made} ({audience})"]
    if not push.files:
        return [*lines, f"all {push.records} records of it are there already"]
    lines += [f"  {show(push.size(name), 'B'):>9}  {name}" for name in push.files]
    if push.unsound:
        lines.append(f"stays here: {push.unsound} lines that are no sound records")
    if push.weights_left:
        lines.append(f"stays here: {show(push.weights_left, 'B')} of weights (--weights sends them)")
    return [*lines, _says(push)]


_USUAL = ("root", "user", "localhost")  # names that tell nothing


def _says(push: Push) -> str:
    """Return what a reader of the files learns of the user and the machine."""
    home = expanded("~")
    words = {"your folder": str(home), "your name": home.name, "this machine's name": platform.node()}
    telling = {what: word for what, word in words.items() if len(word) > 2 and word not in _USUAL}
    named = [f"{what} ({words[what]}) {count} times" for what, count in push.mentions(telling).items()]
    of_you = ", ".join(named) or "neither your folder nor a name of you or the machine"
    return (
        "they tell the machine with its cards and versions, your commands, errors with paths, and the names of networks"
        f" and test images; of you: {of_you}"
    )


def _ask(push: Push) -> None:
    """Have the user agree.

    Raises:
        ConfigError: where nobody is there to ask, and for any answer but yes.
    """
    total = show(sum(map(push.size, push.files)), "B")
    note(f"send these {len(push.files)} files, {total}? [y/N]")
    answer = _answer()
    if answer is None:
        raise ConfigError("nothing was sent: there is nobody to ask", "read the list, and add --yes")
    if answer.strip().lower() not in ("y", "yes"):
        raise ConfigError("nothing was sent, as you said")


def _answer() -> str | None:
    """Return the line that the user types; None where nobody is there."""
    return sys.stdin.readline() if sys.stdin is not None and sys.stdin.isatty() else None
