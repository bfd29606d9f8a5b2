"""What a report opens with: the answer for each input size, in sentences, and the network to take for each budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.analysis.answers import Answer, Pick
from bench.report.tables.cells import Cell, Fields, Head, View, view_of
from bench.report.tables.formats import to_markdown
from bench.report.text import markdown, plain
from bench.units import DASH, Scale, with_ends

_LONGEST = 1000  # letters of a sentence, whose names come from outside


def sentences(every: Sequence[Answer]) -> list[str]:
    """Return all sentences, safe to show."""
    return [plain(sentence, _LONGEST) for answer in every for sentence in answer.sentences]


def picks_view(answer: Answer) -> View:
    """Return a row a budget: the network to take, bold where it is certain, its accuracy, its time, and the doubt."""
    scale = Scale.of(answer.picks[0].budget, "s")

    def cell(pick: Pick) -> Cell:
        return Cell(*with_ends(pick.time, pick.low, pick.high, scale.factor), pick.time)

    fields: Fields[Pick] = (
        (Head("Budget", scale.symbol, numeric=True), lambda pick: f"{pick.budget / scale.factor:,.12g}"),
        (Head("Take", keep=2), lambda pick: Cell(plain(pick.network), best=not pick.doubt)),
        (
            Head(answer.accuracy.partition(",")[0].capitalize(), "%", numeric=True),
            lambda pick: Cell(f"{100 * pick.accuracy:.1f}", plain(pick.way), pick.accuracy),
        ),
        (Head("Time", scale.symbol, numeric=True, keep=2), cell),
        (Head("Doubt"), lambda pick: plain(pick.doubt, _LONGEST) or DASH),
    )
    return view_of(answer.picks, fields)


def picks_title(answer: Answer) -> str:
    """Return what the table is of: ``For a budget of time, one image at a time, 224 px on ...``."""
    return plain(f"For a budget: the most accurate, {answer.time}, at {answer.title}", _LONGEST)


def picks_note(answer: Answer) -> str:
    """Return what is to be known of the accuracies."""
    left = f" Left out, without such an accuracy: {', '.join(answer.left_out)}." if answer.left_out else ""
    return plain(f"Accuracy: {answer.accuracy}. Bold is certain.{left}", _LONGEST)


def answers_markdown(every: Sequence[Answer]) -> Iterator[str]:
    """Yield the sentences as a list."""
    yield from (f"- {markdown(sentence)}" for sentence in sentences(every))
    yield ""


def picks_markdown(every: Sequence[Answer]) -> Iterator[str]:
    """Yield the table of each answer that has one."""
    for answer in every:
        if answer.picks:
            yield f"**{markdown(picks_title(answer))}**\n"
            yield to_markdown(picks_view(answer))
            yield f"{markdown(picks_note(answer))}\n"
