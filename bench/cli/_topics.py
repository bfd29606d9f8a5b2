"""The words that only the command line and the measuring half know: commands, options, and units of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.docs import Topic, word

_WIDTH = 88  # columns of a help that is explained, where there is room


def commands(group: Any, path: str = "bench") -> Iterator[tuple[str, Any]]:
    """Yield a group of typer's with the words that lead to it, and then all commands below it."""
    yield path, group
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def words_of_commands(root: Any, room: int = _WIDTH) -> Iterator[Topic]:
    """Yield the topic of each command below typer's group `bench`, and of each option.

    Args:
        root: that group.
        room: characters of a line.
    """
    width = min(_WIDTH, room)
    options: dict[str, list[tuple[str, list[str], tuple[str, str]]]] = {}
    for path, command in commands(root):
        context = command.make_context(path, [], resilient_parsing=True, terminal_width=width)
        if path != "bench":
            about, text = command.get_short_help_str(200), command.get_help(context).strip()
            yield word(path.removeprefix("bench "), "commands", about, "a command", f"```text\n{text}\n```")
        for option in command.get_params(context):
            if option.param_type_name == "option":
                spellings = (*option.opts, *option.secondary_opts)
                name, *others = sorted(spellings, key=lambda spelling: not spelling.startswith("--"))
                options.setdefault(name, []).append((path, others, option.get_help_record(context)))
    for name, uses in sorted(options.items()):
        yield _of_option(name, uses)


def _of_option(name: str, uses: list[tuple[str, list[str], tuple[str, str]]]) -> Topic:
    """Return the topic of an option: how it is written in each command that has it, and what it is there."""
    says: dict[tuple[str, str], list[str]] = {}
    for path, _, record in uses:
        usage, about = (" ".join(part.split()) for part in record)
        says.setdefault((usage, about), []).append(f"`{path}`")
    lines = (f"- {', '.join(paths)}: `{usage}`. {about}" for (usage, about), paths in says.items())
    others = tuple(dict.fromkeys(spelling for _, spellings, _ in uses for spelling in spellings))
    return word(name, "options", next(iter(says))[1], "an option", "\n".join(lines), others=others)
