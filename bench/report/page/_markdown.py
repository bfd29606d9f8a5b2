"""The report as Markdown, for a repository or an issue: all of the page but its charts, classic table and claims."""

from __future__ import annotations

from collections.abc import Iterator

from bench.report.figures._drawing import Picture
from bench.report.page._content import Content
from bench.report.tables._studies import study_markdown
from bench.report.tables.answers import picks_tables, sentences
from bench.report.tables.formats import to_markdown
from bench.report.text import markdown

_MOST = 20  # places of a doubt


def to_document(content: Content) -> str:
    """Return the report as one Markdown document, its figures beside it."""
    return "\n".join([*_opening(content), *_figures(content), *_rest(content)]).rstrip("\n") + "\n"


def _opening(content: Content) -> Iterator[str]:
    yield f"# {markdown(content.title)}\n"
    yield f"{markdown(content.summary.lead)}.\n"
    yield f"{markdown(content.summary.progress.sentence)}.\n"
    yield from map(study_markdown, content.studies)
    if not content.of_studies:  # these open with their verdicts
        yield from (f"- {markdown(sentence)}" for sentence in (*content.leading, *sentences(content.answers)))
        yield ""
    if content.front_figure is not None and content.front_figure.files:
        yield from _figure(content.front_figure)
    for table in picks_tables(content.answers):
        yield f"**{markdown(table.title)}**\n\n{to_markdown(table.view)}\n{markdown(table.notes[0])}\n"
    yield from (f"{markdown(sentence)}\n" for sentence in content.summary.drifts)
    if content.of_evaluations:
        yield from _evaluations(content)
        return
    yield "## Comparison\n"
    yield to_markdown(content.comparison) if content.comparison.rows else "There is no record yet.\n"
    if content.sources:
        yield "Published accuracies:\n"
        for network, values, source in content.sources:
            yield f"- {markdown(network)}: {values} ({markdown(source)})"
        yield ""


def _figures(content: Content) -> Iterator[str]:
    yield "## Figures\n"
    for figure in content.figures:
        if figure.files and figure != content.front_figure:
            yield f"### {figure.title}\n"
            yield from _figure(figure)
    missing = [f"- {figure.title} needs {figure.needs}." for figure in content.figures if not figure.files]
    if missing:
        yield "### Not drawn\n"
        yield from missing
        yield ""


def _figure(figure: Picture) -> Iterator[str]:
    yield f"![{figure.title}](figures/{figure.name}.svg)\n\n{figure.caption}\n"


def _rest(content: Content) -> Iterator[str]:
    if content.verdicts.rows:
        notes = "\n".join(f"- {markdown(note)}" for note in content.verdict_notes)
        yield f"## Verdicts\n\n{to_markdown(content.verdicts)}\n{notes}\n"
    if content.engines.rows:
        notes = "\n".join(f"- {markdown(note)}" for note in content.engine_notes)
        yield f"## Engines\n\n{to_markdown(content.engines)}\n{notes}\n"
    for name, shown in (("Short trainings", content.trainings), ("Failures", content.failures)):
        if shown.rows:
            yield f"## {name}\n\n{to_markdown(shown)}"
    if not content.of_evaluations:  # these open with them
        yield from _evaluations(content)
    summary = content.summary
    if summary.doubts:
        yield "## Doubts\n"
    for doubt in summary.doubts:
        yield f"**{markdown(doubt.flag)}** ({len(doubt.where)}): {markdown(doubt.meaning)}\n"
        yield from (f"- {markdown(place)}" for place in doubt.where[:_MOST])
        more = len(doubt.where) - _MOST
        yield f"- and {more} more\n" if more > 0 else ""
    if summary.rejected:
        yield "## Lines set aside\n"
        yield from (f"- {markdown(run)}, line {line}: {markdown(why)}" for run, line, why in summary.rejected)
        yield ""
    for run, topics in content.selftests.items():
        yield f"## Self-test of the machine of {markdown(run)}\n"
        for topic, lines in topics.items():
            yield f"{topic}:\n"
            yield from (f"- {markdown(line)}" for line in lines)
            yield ""
    yield "## Environment and how to reproduce\n"
    for run, command in summary.commands.items():
        lines = "\n    ".join(command.splitlines())
        yield f"Run {markdown(run)} was made by\n\n    {lines}\n"
    for run, values in summary.environments.items():
        yield f"### {markdown(run)}\n\n| Key | Value |\n| --- | --- |"
        yield from (f"| {markdown(path)} | {markdown(value)} |" for path, value in values)
        yield ""


def _evaluations(content: Content) -> Iterator[str]:
    """Yield the verdicts on published accuracies, and each table of the evaluations."""
    titled = content.evaluations.titled
    if not titled:
        return
    yield "## Evaluations\n"
    yield from (f"- {markdown(sentence)}" for sentence in content.evaluations.verdicts)
    for _, title, view, note in titled:
        yield f"\n### {title}\n\n{to_markdown(view)}\n{markdown(note)}\n"
