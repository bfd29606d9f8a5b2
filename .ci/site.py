"""For `mkdocs build`: pages of the site that are made from the registries and from the command line's own help."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def on_files(files: Any, config: Any) -> Any:
    """Add a page for each list of words, and one with the help of every command."""
    from mkdocs.structure.files import File

    from bench.docs import topics

    pages = {each.name: each.text for each in topics().values() if each.kind == "lists"}
    pages["commands"] = "\n".join(["# Commands\n", *_helps()])
    for name, text in pages.items():
        files.append(File.generated(config, f"{name}.md", content=text))
    return files


def _helps() -> Iterator[str]:
    """Yield a section for each command."""
    from typer.main import get_command
    from typer.testing import CliRunner

    from bench.cli.app import app

    for name in get_command(app).commands:  # type: ignore[attr-defined]
        shown = CliRunner().invoke(app, [name, "--help"], terminal_width=100).output
        yield f"## bench {name}\n\n```text\n{shown.strip()}\n```\n"
