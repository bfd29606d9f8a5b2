"""A topic: what can be explained, and where a word stands that has no topic of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Topic:
    """What can be explained.

    Attributes:
        name: the word; of an option with its dashes.
        kind: of what it is one, in the plural: guides, quantities ...
        about: it in one line.
        text: all that there is to say, in Markdown.
        others: other words for it, such as the short form of an option.
    """

    name: str
    kind: str
    about: str
    text: str
    others: tuple[str, ...] = ()

    def means(self, word: str) -> bool:
        """Return whether a word is this one: blanks, hyphens and underscores are alike, and dashes may be left out."""
        spellings = (self.name, *self.others)
        if word.startswith("-"):
            return word in spellings
        return any(_alike(word) == _alike(spelling.lstrip("-")) for spelling in spellings)


def _alike(word: str) -> str:
    return word.strip().lower().replace(" ", "-").replace("_", "-")


def word(name: str, kind: str, about: str, what: str, text: str, *, others: tuple[str, ...] = ()) -> Topic:
    """Return the topic of a word; `what` says of which kind it is one, in the singular."""
    return Topic(name, kind, about, f"# {name}: {what}\n\n{text}\n", others)


def table(name: str, about: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Topic:
    """Return the list of all words of a kind."""
    cells = ([cell.replace("|", "\\|") for cell in (f"`{row[0]}`", *row[1:])] for row in rows)
    body = "\n".join(f"| {' | '.join(line)} |" for line in (heads, ["---"] * len(heads), *cells))
    return Topic(name, "lists", about, f"# {name.replace('-', ' ').capitalize()}: {about}\n\n{body}\n")


def sentence(text: str) -> str:
    """Return a half sentence as a whole one; a name or a unit at its beginning, as cuDNN or px, stays as it is."""
    first = re.match(r"\w*", text)
    as_it_is = first and (first[0] == "px" or re.search(r"[A-Z0-9]", first[0]))
    return f"{text}." if as_it_is else f"{text[:1].upper()}{text[1:]}."


_MOST = 6  # passages that are shown of a word


def passages(name: str, known: Iterable[Topic]) -> str:
    """Return the places where a word stands that has no topic of its own, in Markdown; nothing where it stands nowhere.

    Those in which it stands as code come first.
    """
    as_word = re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])", re.IGNORECASE)
    places = [(head, text) for each in known for head, text in _blocks(each) if as_word.search(text)]
    places.sort(key=lambda place: not any(as_word.search(code) for code in re.findall(r"`[^`]+`", place[1])))
    shown: dict[str, list[str]] = {}
    for head, text in places[:_MOST]:
        shown.setdefault(head, []).append(text)
    parts = [f"## {head}\n\n" + "\n\n".join(texts) for head, texts in shown.items()]
    more = sorted(
        {head.partition(":")[0] for head, _ in places[_MOST:]} - {h.partition(":")[0] for h in shown}
    )
    parts += [f"It stands as well in: {', '.join(more)}."] if more else []
    return "\n\n".join([f"# {name}: where it stands", *parts]) + "\n" if places else ""


def _blocks(each: Topic) -> Iterator[tuple[str, str]]:
    """Yield the paragraphs, items and rows of a topic, each with the topic and the heading above it."""
    head = f"{each.name}: {each.about}"
    for block in re.split(r"\n\s*\n|\n(?=[-|] |\|)", each.text):
        text = block.strip()
        if text.startswith("#"):
            head = f"{each.name}: {text.lstrip('# ')}" if text.startswith("##") else head
        elif text.startswith("|"):
            first, *others = (cell.strip() for cell in text.strip("|").split(" | "))
            yield head, f"- {first}: {'; '.join(filter(None, others))}"
        else:
            yield head, text
