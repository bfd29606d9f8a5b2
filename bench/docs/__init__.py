"""What `bench explain` shows: guides, in Markdown files beside this one, and what the registries say of each word."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

from bench.errors import unknown_name
from bench.plan.task import tasks
from bench.records.flags import FLAGS, doubts
from bench.records.record import STATUSES
from bench.records.verdicts import VERDICT_WORDS

_EXIT_CODES: Mapping[int, str] = {
    0: "all that was asked for is there; a change that is merely suspected is no failure",
    1: "some jobs failed, or a folder or file cannot be read or written; what could be measured is kept",
    2: "the request cannot be carried out as written; the message says why, and what to do",
    3: "`bench diff --fail-above` and `bench gate`: something became slower for certain",
    130: "ended by Ctrl-C, SIGTERM or the end of the terminal; what has been measured is kept, and the same command "
    "goes on",
}
"""What a command's exit code says; every command has these and no others."""


_UNITS = {"1": "a number or a share", "MAC": "MAC (multiply-accumulate)", "op": "operations"}


@dataclass(frozen=True)
class _Topic:
    """What can be explained.

    Attributes:
        name: the word.
        kind: of what it is one, in the plural: guides, quantities ...
        about: it in one line.
        text: all that there is to say, in Markdown.
    """

    name: str
    kind: str
    about: str
    text: str


@cache
def topics() -> Mapping[str, _Topic]:
    """Return all topics by name; a word that is of two kinds, such as `accuracy`, has one text of both."""
    merged: dict[str, _Topic] = {}
    for each in (*_guides(), *_tables(), *_words()):
        first = merged.setdefault(each.name, each)
        if first is not each:
            merged[each.name] = replace(first, text=f"{first.text}\n{each.text}")
    return merged


def topic(name: str) -> _Topic:
    """Return what there is to say of a word; blanks and hyphens are as good as underscores.

    Raises:
        UnknownNameError: with the nearest ones.
    """
    known = topics()
    for spelled in (name, name.replace(" ", "_").replace("-", "_"), name.replace(" ", "-").replace("_", "-")):
        if spelled.lower() in known:
            return known[spelled.lower()]
    raise unknown_name("topic", name, known, "`bench explain` lists all")


def _guides() -> Iterator[_Topic]:
    for file in sorted(files(__name__).iterdir(), key=lambda f: f.name):
        if file.name.endswith(".md"):
            text = file.read_text("utf-8")
            title = text.partition("\n")[0].removeprefix("# ")
            yield _Topic(file.name.removesuffix(".md"), "guides", title, text)


def _tables() -> Iterator[_Topic]:
    """Yield the lists of all words of a kind."""
    measured = [
        (q.name, name, _UNITS.get(q.unit, q.unit), q.better, q.about)
        for name, task in tasks().items()
        for q in task.quantities
    ]
    yield _table("quantities", "what is measured", ("quantity", "task", "unit", "better", "is"), measured)
    yield _table("doubts", "codes that travel with a number", ("code", "says", ""), _flags())
    yield _table("statuses", "how a job may end", ("status", "means"), STATUSES.items())
    yield _table(
        "verdict-words", "what a comparison or a claim comes to", ("verdict", "says"), VERDICT_WORDS.items()
    )
    yield _table(
        "tasks", "what a job may do", ("task", "what it does"), [(n, t.about) for n, t in tasks().items()]
    )
    codes = [(str(code), means) for code, means in _EXIT_CODES.items()]
    yield _table("exit-codes", "what a command's exit code says", ("code", "means"), codes)


def _flags() -> Iterator[tuple[str, str, str]]:
    for flag, says in FLAGS.items():
        yield flag, says, "a doubt: never the best" if doubts([flag]) else "told, and no doubt"


def _table(name: str, about: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> _Topic:
    lines = [heads, ["---"] * len(heads), *([f"`{row[0]}`", *row[1:]] for row in rows)]
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    title = name.replace("-", " ").capitalize()
    return _Topic(name, "lists", about, f"# {title}: {about}\n\n{body}\n")


def _words() -> Iterator[_Topic]:
    """Yield what the registries say of each word."""
    for name, task in tasks().items():
        measures = ", ".join(f"`{q.name}`" for q in task.quantities)
        keys = ", ".join(f"`{key}`" for key in task.key_names) or "nothing: commands alone plan it"
        text = f"It {task.about}.\n\n- Measures {measures}.\n- A block of an experiment may give {keys}."
        yield _word(name, "tasks", task.about, "a task", text)
        for q in task.quantities:
            text = f"{_sentence(q.about)} Unit: {_UNITS.get(q.unit, q.unit)}. Better: {q.better}."
            yield _word(q.name, "quantities", q.about, f"a quantity of the task `{name}`", text)
    for flag, says, kind in _flags():
        yield _word(flag, "doubts", says, kind, _sentence(says))
    for status, means in STATUSES.items():
        yield _word(status, "statuses", means, "a status of a job", _sentence(means))
    for verdict, says in VERDICT_WORDS.items():
        yield _word(verdict, "verdict-words", says, "a verdict", _sentence(says))
    for code, means in _EXIT_CODES.items():
        yield _word(str(code), "exit-codes", means, "an exit code", _sentence(means))


def _word(name: str, kind: str, about: str, what: str, text: str) -> _Topic:
    return _Topic(name, kind, about, f"# {name}: {what}\n\n{text}\n")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
