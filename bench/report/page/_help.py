"""Help on the page: what its columns, verdicts and statuses mean, as `bench explain` says it, without the network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bench.analysis.comparison import STATUS_WORDS
from bench.plan.task import tasks
from bench.records.record import STATUSES
from bench.records.verdicts import VERDICT_WORDS
from bench.report.tables.cells import View
from bench.report.tables.claims import VERDICT_TEXTS

Explained = Sequence[tuple[str, str]]
"""Words, each with what it means."""

_HELD = {"Verdict", "Worth it", "Status"}  # heads of columns whose words are explained
_SHOWN: Mapping[str, str] = {text: verdict for verdict, text in VERDICT_TEXTS.items()}
_MEANT: Mapping[str, str] = {STATUS_WORDS[status]: means for status, means in STATUSES.items()}


def columns_of(view: View) -> Explained:
    """Return what the quantities are that a comparison has columns of."""
    about = {q.title: q.about for task in tasks().values() for q in task.quantities if q.title}
    return [(head.title, _sentence(about[head.title])) for head in view.heads if about.get(head.title)]


def words_of(*views: View) -> Explained:
    """Return what the verdicts and statuses mean that stand in some tables, in the order of their lists."""
    there = {_SHOWN.get(text, text) for view in views for text in _held(view)}
    known = ((word, means) for word, means in {**VERDICT_WORDS, **_MEANT}.items() if word in there)
    return [(VERDICT_TEXTS.get(word, word), _sentence(means)) for word, means in known]


def _held(view: View) -> Iterator[str]:
    """Yield the verdicts of a table, without what stands in brackets behind them."""
    places = [i for i, head in enumerate(view.heads) if head.title in _HELD]
    yield from (row[i].text.partition(" (")[0] for row in view.rows for i in places)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
