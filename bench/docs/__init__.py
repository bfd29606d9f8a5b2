"""What `bench explain` shows: guides, in Markdown files beside this one, and what the registries say of each word."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from importlib.resources import files

from bench.docs._topic import Topic, passages, sentence, word
from bench.docs._words import EXIT_CODES, lists, names_of_reports, words, words_of_reports
from bench.errors import unknown_name

__all__ = [
    "EXIT_CODES",
    "Topic",
    "explained",
    "names_of_reports",
    "sentence",
    "topics",
    "word",
    "words_of_reports",
]


@cache
def topics() -> tuple[Topic, ...]:
    """Return what is known at once, without pandas or torch: guides first, then the lists of words, then each word."""
    return (*_guides(), *lists(), *words())


def explained(name: str, known: Sequence[Topic], *more: Callable[[], Iterable[Topic]]) -> Sequence[Topic]:
    """Return what there is to say of a word: its topics, or the passages in which it stands.

    Args:
        name: the word; blanks and hyphens are as good as underscores.
        known: topics, those to read first at the front.
        more: each returns further ones, which take seconds to know; asked in turn until one has this name.

    Raises:
        UnknownNameError: with the nearest ones.
    """
    if of_it := _of(name, known):
        return of_it
    every, placed = list(known), list(known)
    for topics_of in more:
        others = tuple(topics_of())
        if of_it := _of(name, others):
            return of_it
        every += others
        placed = [each for each in others if each.kind == "lists"] + placed
    if stands := passages(name, placed):
        return [Topic(name, "passages", "where it stands", stands)]
    raise unknown_name("topic", name, [each.name for each in every], "`bench explain` lists all")


def _of(name: str, known: Iterable[Topic]) -> list[Topic]:
    """Return the topics that a word means; one such as `accuracy` is of several kinds."""
    return [each for each in known if each.means(name)]


def _guides() -> Iterator[Topic]:
    for file in sorted(files(__name__).iterdir(), key=lambda f: f.name):
        if file.name.endswith(".md"):
            text = file.read_text("utf-8")
            title = text.partition("\n")[0].removeprefix("# ")
            yield Topic(file.name.removesuffix(".md"), "guides", title, text)
