"""Reads a layer pattern from left to right, and says at which character it is none."""

from __future__ import annotations

import re
from typing import Any, NoReturn

from bench.archs.pattern._tree import (
    IN_CHANNELS,
    KINDS,
    POOLING,
    Group,
    Kind,
    Layer,
    Pattern,
    count,
    expand,
    layer,
)
from bench.errors import error_at, nearest

_MAX_LAYERS, _MAX_DEPTH, _MAX_NUMBER = 2_000, 20, 65_536

_ALIASES = {"MAXPOOL": "POOL", "DROPOUT": "DROP", "BATCHNORM": "BN"}
_OPTIONS = {"s": "stride", "p": "padding", "d": "dilation", "g": "groups", "bias": "bias"}

_PREFIX = re.compile(r"pattern:")
_INPUT = re.compile(r"\s*INPUT(?![a-z_\d])", re.I)
_SHAPE = re.compile(r"\(\s*(?P<height>\d+)\s*x\s*(?P<width>\d+)\s*(?:x\s*(?P<channels>\d+)\s*)?\)", re.I)
_ARROW = re.compile(r"\s*(?:->|→|-(?=\s*[a-z\[]))", re.I)
_TIMES = re.compile(r"\*\s*(?P<times>-?\d+)")
_LAYER = re.compile(
    r"(?P<word>[a-z_]+)(?P<number>\d[\d.]*)?(?:x(?P=number)(?!\d))?"
    r"(?:-(?P<width>-?\d[\d.]*)(?:x(?P<growth>-?\d+))?)?(?:/(?P<stride>-?\d+))?",
    re.I,
)
_OPTION = re.compile(r"\s*(?P<key>[a-z]+)\s*=\s*(?P<value>[\w.+-]+)\s*", re.I)


def parse(text: str) -> Pattern:
    """Read a pattern, with ``pattern:`` before it or without.

    Raises:
        ConfigError: if it is none; the message points at the character.
    """
    return _Reader(" ".join(text.splitlines()).strip()).pattern()


class _Reader:
    """Reads a text; `at` is the next character."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0

    # What the grammar is made of.

    def pattern(self) -> Pattern:
        self.take(_PREFIX)
        shape = self.input()
        items = self.sequence() if self.take(_ARROW) else ()
        if self.peek():
            self.unexpected()
        self.check(items)
        return Pattern(items, *shape, text=self.text)

    def input(self) -> tuple[int | None, int | None]:
        if not self.take(_INPUT):
            self.peek()
            self.fail(self.at, "a pattern starts with INPUT", "such as INPUT -> CONV -> RELU -> POOL -> FC")
        if self.peek() != "(":
            return None, None
        match = self.take(_SHAPE)
        if match is None:
            self.fail(self.at, "the shape of the images is written (32x32x3)")
        height, width = self.whole(match, "height"), self.whole(match, "width")
        if height != width:
            self.fail(match.start("width"), f"images are square, not {height}x{width}")
        return height, self.whole(match, "channels") if match["channels"] else IN_CHANNELS

    def sequence(self) -> tuple[Layer | Group, ...]:
        items = [self.item()]
        while self.take(_ARROW):
            items.append(self.item())
        return tuple(items)

    def item(self) -> Layer | Group:
        return self.group() if self.peek() == "[" else self.layer()

    def group(self) -> Group:
        start = self.at
        if self.depth == _MAX_DEPTH:
            self.fail(start, f"groups are nested more than {_MAX_DEPTH} deep")
        self.at, self.depth = start + 1, self.depth + 1
        items = self.sequence()
        if not self.peek():
            self.fail(start, "this bracket is not closed")
        if self.peek() != "]":
            self.unexpected()
        self.at, self.depth = self.at + 1, self.depth - 1
        times = self.times() if self.peek() == "*" else 1
        if times * count(items) > _MAX_LAYERS:
            self.fail(start, f"this group makes more than {_MAX_LAYERS:,} layers")
        return Group(items, times)

    def times(self) -> int:
        match = self.take(_TIMES)
        if match is None:
            self.fail(self.at, "how many times?", "write a number, such as *2")
        return self.whole(match, "times", least=0)

    def layer(self) -> Layer:
        start = self.at
        match = self.take(_LAYER)
        if match is None:
            self.fail(start, "a layer is missing here")
        word = self.word(match)
        kind = KINDS[word]
        settings: dict[str, Any] = {"at": start}
        if word == "DROP":
            return layer(word, **settings, **self.rate(match))
        if match["number"]:
            tip = f"write {word}-{match['number']}" if kind.width else None
            self.allow(kind.window > 0, match, "number", f"{word} has no window", tip)
            settings["window"] = self.whole(match, "number")
        if match["width"]:
            self.allow(kind.width, match, "width", f"{word} has no width of its own")
            settings["width"] = self.whole(match, "width")
        if match["growth"]:
            self.allow(self.depth > 0, match, "growth", "a width grows in a group", "such as [CONV3-64x2]*3")
            settings["growth"] = self.whole(match, "growth")
        if match["stride"]:
            self.allow("s" in kind.options, match, "stride", f"{word} has no stride")
            settings["stride"] = self.whole(match, "stride")
        if self.peek() == "(":
            self.options(word, kind, settings)
        one = layer(word, **settings)
        if kind is POOLING and one.padding > one.window // 2:
            self.fail(start, f"the padding of {one} is more than half its window")
        return one

    def word(self, match: re.Match[str]) -> str:
        word = match["word"].upper()
        word = _ALIASES.get(word, word)
        if word == "INPUT":
            self.fail(match.start(), "INPUT stands once, at the start")
        if word == "SOFTMAX":
            self.fail(match.start(), "no SOFTMAX here", "leave it out: the loss applies it to what FC gives")
        if word not in KINDS:
            close = nearest(word, [*KINDS, *_ALIASES])
            tip = f"did you mean {', '.join(close)}?" if close else f"known: {', '.join(KINDS)}"
            self.fail(match.start(), f"unknown layer {match['word']!r}", tip)
        return word

    def rate(self, match: re.Match[str]) -> dict[str, Any]:
        at = match.end("word")
        digits = self.text[at : match.end()].removeprefix("-")
        if not re.fullmatch(r"(0(\.[0-9]*)?)?", digits):
            self.fail(at, "dropout zeroes a share from 0 to less than 1", "such as DROP0.5")
        return {"rate": float(digits)} if digits else {}

    def options(self, word: str, kind: Kind, settings: dict[str, Any]) -> None:
        """Read ``(p=0, bias=no)`` into `settings`."""
        while self.peek() in {"(", ","}:
            self.at += 1
            match = self.take(_OPTION)
            if match is None:
                self.fail(self.at, "an option is written key=value")
            key = match["key"].lower()
            tip = f"it takes {', '.join(kind.options)}" if kind.options else "it takes none"
            self.allow(key in kind.options, match, "key", f"{word} takes no option {match['key']!r}", tip)
            self.allow(_OPTIONS[key] not in settings, match, "key", f"the {_OPTIONS[key]} is given twice")
            settings[_OPTIONS[key]] = self.value(key, match)
        if self.peek() != ")":
            self.fail(self.at, "expected a comma or a closing parenthesis")
        self.at += 1

    def value(self, key: str, match: re.Match[str]) -> int | bool:
        if key != "bias":
            return self.whole(match, "value", least=0 if key == "p" else 1)
        answer = match["value"].lower()
        self.allow(answer in {"yes", "no"}, match, "value", "bias is yes or no")
        return answer == "yes"

    def check(self, items: tuple[Layer | Group, ...]) -> None:
        """Refuse what is well written, but no network."""
        if count(items) > _MAX_LAYERS:
            self.fail(0, f"more than {_MAX_LAYERS:,} layers")
        last: Layer | None = None
        dense = False
        for last in expand(items):
            if (last.width or 0) > _MAX_NUMBER:
                self.fail(last.at, f"the width grows beyond {_MAX_NUMBER:,}")
            if dense and KINDS[last.word].maps:
                self.fail(last.at, f"{last.word} needs maps, and behind FC there are none")
            dense = dense or last.word == "FC"
        if last is None or last.word != "FC":
            at = last.at if last else len(self.text)
            self.fail(at, "the last layer must be FC", "add -> FC; it gives the classes")

    # How characters are read.

    def take(self, expression: re.Pattern[str]) -> re.Match[str] | None:
        match = expression.match(self.text, self.at)
        if match is not None:
            self.at = match.end()
        return match

    def peek(self) -> str:
        """Return the next character that is no space, and go there; none at the end."""
        while self.text[self.at : self.at + 1].isspace():
            self.at += 1
        return self.text[self.at : self.at + 1]

    def whole(self, match: re.Match[str], part: str, *, least: int = 1) -> int:
        digits = match[part]
        if not re.fullmatch(r"[0-9]{1,9}", digits) or not least <= int(digits) <= _MAX_NUMBER:
            problem = f"{digits[:12]} is not a whole number from {least} to {_MAX_NUMBER:,}"
            self.fail(match.start(part), problem)
        return int(digits)

    def allow(
        self, allowed: bool, match: re.Match[str], part: str, problem: str, tip: str | None = None
    ) -> None:
        if not allowed:
            self.fail(match.start(part), problem, tip)

    def unexpected(self) -> NoReturn:
        problem, tip = {
            "]": ("this bracket was not opened", None),
            "?": ("a network has a layer or has it not", "write POOL, or leave it out"),
            "*": ("only a group is repeated", "put it in brackets: [CONV -> RELU]*2"),
            "-": ("expected ->", "a width is written without spaces: CONV3-64"),
        }.get(self.peek(), ("expected ->", "such as CONV -> RELU"))
        self.fail(self.at, problem, tip)

    def fail(self, at: int, problem: str, tip: str | None = None) -> NoReturn:
        raise error_at(self.text, at, problem, tip)
