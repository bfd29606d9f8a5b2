"""For `mkdocs build`: pages that are made from the registries and the command line, and a gallery of all figures."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parent.parent
_RUN = "cpu-reference"  # whose figures the gallery shows, where it has what they need
_MEASURES = {  # what measures the rest; of these no run is stored
    "race": "bench choose --latency 20ms",
    "engines": "bench engines resnet18",
    "speedup_matrix": "bench compare resnet18 resnet34 plain34",
    "evaluated_accuracy": "bench evaluate torchvision:resnet50 --data imagefolder:PATH",
    "reliability": "bench evaluate torchvision:resnet50 --data imagefolder:PATH",
    "corruption_curves": "bench evaluate torchvision:resnet50 --data imagefolder:PATH --corruptions",
    "layer_icicle": "bench show resnet50 --time",
    "layer_scatter": "bench show resnet50 --time",
    "layer_differences": "bench compare my_net.py:Net resnet18 --layers",
}
_STYLE = """
.md-grid { max-width: 72rem; } /* a line of code of 122 letters fits beside the navigation of a wide window */
.md-typeset pre > code { font-size: 0.74em; }
.md-typeset :is(p, li) { max-width: 40rem; }
.md-typeset td[style*="right"] { white-space: nowrap; }
.md-typeset table:not([class]) :is(th, td)[style*="right"] { min-width: 0; padding: 0.9em 0.6em; }
@media (min-width: 45em) {
  .md-typeset :is(p, li) > code { white-space: nowrap; } /* no option is broken behind a hyphen */
}
[data-md-color-scheme] img[src$=".svg"] { background: #fff; }
.md-typeset table:not([class]) { display: block; overflow-x: auto; }
.md-typeset td:first-child code { word-break: normal; overflow-wrap: normal; } /* names stay whole on a phone */
@media (max-width: 45em) {
  .md-typeset table:not([class]) th { min-width: 0; }
  .md-typeset table:not([class]) :is(th, td) { padding: 0.5em; }
}
"""


def on_files(files: Any, config: Any) -> Any:
    """Add a page for each list of words, one with every command and option, and the gallery with its pictures."""
    from mkdocs.structure.files import File

    for name, content in {**dict(_pages()), "site.css": _STYLE}.items():
        files.append(File.generated(config, name, content=content))
    return files


def _pages() -> Iterator[tuple[str, str | bytes]]:
    """Yield the files that are made, each by its place in the site."""
    from typer.main import get_command

    from bench.cli._topics import words_of_commands
    from bench.cli.app import app
    from bench.docs import topics, words_of_reports

    said = list(words_of_commands(get_command(app)))
    yield from (
        (f"{each.name}.md", each.text) for each in (*topics(), *words_of_reports()) if each.kind == "lists"
    )
    for kind, before in (("commands", "bench "), ("options", "")):
        texts = [f"## {before}{each.name}\n{_below(each.text)}" for each in said if each.kind == kind]
        yield f"{kind}.md", "\n".join([f"# {kind.capitalize()}\n", *texts])
    yield from _gallery()


def _below(text: str) -> str:
    """Return a page without its heading."""
    return text.partition("\n")[2]


def _gallery() -> Iterator[tuple[str, str | bytes]]:
    """Yield the page of all figures, in place of the list of them, and its pictures."""
    page = ["# Figures\n", "One example of each figure that a report draws, and the commands that make it.\n"]
    for picture, made in _pictures():
        source = (
            "**Made numbers**, to show the figure: nothing was measured."
            if made
            else f"From `results/{_RUN}`."
        )
        measure = _MEASURES[picture.name] if made else "bench run all"
        page += [
            f"## {picture.title}\n",
            f"![{picture.title}](gallery/{picture.name}.svg){{ loading=lazy }}\n",
            f"{picture.caption} {source}\n",
            f"Drawn where there is: {picture.needs}.\n",
            f"```sh\n{measure}\nbench report --figure {picture.name}\n```\n",
        ]
        yield f"gallery/{picture.name}.svg", picture.files["svg"]
    yield "figures.md", "\n".join(page)


def _pictures() -> Iterator[tuple[Any, bool]]:
    """Yield a picture of each figure, with whether it is of made records, as there is no stored run for it."""
    from bench.records.store import read_run
    from bench.report.figures import in_order

    names = [name for name, _ in in_order()]
    with tempfile.TemporaryDirectory() as folder:
        stored = _drawn(read_run(_ROOT / "results" / _RUN), [name for name in names if name not in _MEASURES])
        made = _drawn(_made(Path(folder)), list(_MEASURES))
    for name in names:
        yield (made[name], True) if name in made else (stored[name], False)


def _drawn(run: Any, names: list[str]) -> dict[str, Any]:
    from bench.analysis.comparison import compare_table
    from bench.analysis.frame import to_frame
    from bench.report.figures._drawing import DrawingOptions, drawing

    frame = to_frame([run])
    with drawing(0, DrawingOptions(names=names, kinds=("svg",))) as start:
        pictures = start(compare_table(frame), frame)()
    return {picture.name: picture for picture in pictures}


def _made(folder: Path) -> Any:
    """Return a run of made records, as the tests of figures draw it, of what no stored run has."""
    sys.path.insert(0, str(_ROOT / "tests"))
    from evaluated import with_evaluations
    from figure_records import engine_records, everything, race
    from make_records import NETS, keep_outputs, make_run

    run = keep_outputs(make_run([*everything(), *engine_records(NETS[2])]), folder)
    evaluated = with_evaluations(run, ["resnet18", "vgg16", "alexnet"])
    return replace(evaluated, info={**run.info, "race": race(NETS)})
