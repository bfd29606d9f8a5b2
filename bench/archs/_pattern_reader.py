"""Reads a layer pattern from left to right, and says at which character it is none."""

from __future__ import annotations

import re
from typing import Any, NoReturn

from bench.archs.pattern import IN_CHANNELS, KINDS, POOLING, Group, Kind, Layer, Pattern, count, expand, layer
from bench.archs.spec import error_at
from bench.errors import nearest

MAX_LAYERS, MAX_DEPTH, MAX_NUMBER = 2_000, 20, 65_536

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


def read(text: str) -> Pattern:
    """Return the tree of a pattern; see `bench.archs.pattern.parse`."""
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
        found = self.take(_SHAPE)
        if found is None:
            self.fail(self.at, "the shape of the images is written (32x32x3)")
        height, width = self.whole(found, "height"), self.whole(found, "width")
        if height != width:
            self.fail(found.start("width"), f"images are square, not {height}x{width}")
        return height, self.whole(found, "channels") if found["channels"] else IN_CHANNELS

    def sequence(self) -> tuple[Layer | Group, ...]:
        items = [self.item()]
        while self.take(_ARROW):
            items.append(self.item())
        return tuple(items)

    def item(self) -> Layer | Group:
        return self.group() if self.peek() == "[" else self.layer()

    def group(self) -> Group:
        start = self.at
        if self.depth == MAX_DEPTH:
            self.fail(start, f"groups are nested more than {MAX_DEPTH} deep")
        self.at, self.depth = start + 1, self.depth + 1
        items = self.sequence()
        if not self.peek():
            self.fail(start, "this bracket is not closed")
        if self.peek() != "]":
            self.unexpected()
        self.at, self.depth = self.at + 1, self.depth - 1
        times = self.times() if self.peek() == "*" else 1
        if times * count(items) > MAX_LAYERS:
            self.fail(start, f"this group makes more than {MAX_LAYERS:,} layers")
        return Group(items, times)

    def times(self) -> int:
        found = self.take(_TIMES)
        if found is None:
            self.fail(self.at, "how many times?", "write a number, such as *2")
        return self.whole(found, "times", least=0)

    def layer(self) -> Layer:
        start = self.at
        found = self.take(_LAYER)
        if found is None:
            self.fail(start, "a layer is missing here")
        word = self.word(found)
        kind = KINDS[word]
        given: dict[str, Any] = {"at": start}
        if word == "DROP":
            return layer(word, **given, **self.rate(found))
        if found["number"]:
            tip = f"write {word}-{found['number']}" if kind.width else None
            self.allow(kind.window > 0, found, "number", f"{word} has no window", tip)
            given["window"] = self.whole(found, "number")
        if found["width"]:
            self.allow(kind.width, found, "width", f"{word} has no width of its own")
            given["width"] = self.whole(found, "width")
        if found["growth"]:
            self.allow(self.depth > 0, found, "growth", "a width grows in a group", "such as [CONV3-64x2]*3")
            given["growth"] = self.whole(found, "growth")
        if found["stride"]:
            self.allow("s" in kind.options, found, "stride", f"{word} has no stride")
            given["stride"] = self.whole(found, "stride")
        if self.peek() == "(":
            self.options(word, kind, given)
        one = layer(word, **given)
        if kind is POOLING and one.padding > one.window // 2:
            self.fail(start, f"the padding of {one} is more than half its window")
        return one

    def word(self, found: re.Match[str]) -> str:
        word = found["word"].upper()
        word = _ALIASES.get(word, word)
        if word == "INPUT":
            self.fail(found.start(), "INPUT stands once, at the start")
        if word == "SOFTMAX":
            self.fail(found.start(), "no SOFTMAX here", "leave it out: the loss applies it to what FC gives")
        if word not in KINDS:
            close = nearest(word, [*KINDS, *_ALIASES])
            tip = f"did you mean {', '.join(close)}?" if close else f"known: {', '.join(KINDS)}"
            self.fail(found.start(), f"unknown layer {found['word']!r}", tip)
        return word

    def rate(self, found: re.Match[str]) -> dict[str, Any]:
        at = found.end("word")
        said = self.text[at : found.end()].removeprefix("-")
        if not re.fullmatch(r"(0(\.[0-9]*)?)?", said):
            self.fail(at, "dropout zeroes a share from 0 to less than 1", "such as DROP0.5")
        return {"rate": float(said)} if said else {}

    def options(self, word: str, kind: Kind, given: dict[str, Any]) -> None:
        """Read ``(p=0, bias=no)`` into `given`."""
        while self.peek() in {"(", ","}:
            self.at += 1
            found = self.take(_OPTION)
            if found is None:
                self.fail(self.at, "an option is written key=value")
            key = found["key"].lower()
            tip = f"it takes {', '.join(kind.options)}" if kind.options else "it takes none"
            self.allow(key in kind.options, found, "key", f"{word} takes no option {found['key']!r}", tip)
            self.allow(_OPTIONS[key] not in given, found, "key", f"the {_OPTIONS[key]} is given twice")
            given[_OPTIONS[key]] = self.value(key, found)
        if self.peek() != ")":
            self.fail(self.at, "expected a comma or a closing parenthesis")
        self.at += 1

    def value(self, key: str, found: re.Match[str]) -> int | bool:
        if key != "bias":
            return self.whole(found, "value", least=0 if key == "p" else 1)
        said = found["value"].lower()
        self.allow(said in {"yes", "no"}, found, "value", "bias is yes or no")
        return said == "yes"

    def check(self, items: tuple[Layer | Group, ...]) -> None:
        """Refuse what is well written, but no network."""
        if count(items) > MAX_LAYERS:
            self.fail(0, f"more than {MAX_LAYERS:,} layers")
        last: Layer | None = None
        dense = False
        for last in expand(items):
            if (last.width or 0) > MAX_NUMBER:
                self.fail(last.at, f"the width grows beyond {MAX_NUMBER:,}")
            if dense and KINDS[last.word].maps:
                self.fail(last.at, f"{last.word} needs maps, and behind FC there are none")
            dense = dense or last.word == "FC"
        if last is None or last.word != "FC":
            at = last.at if last else len(self.text)
            self.fail(at, "the last layer must be FC", "add -> FC; it gives the classes")

    # How characters are read.

    def take(self, expression: re.Pattern[str]) -> re.Match[str] | None:
        found = expression.match(self.text, self.at)
        if found is not None:
            self.at = found.end()
        return found

    def peek(self) -> str:
        """Return the next character that is no space, and go there; none at the end."""
        while self.text[self.at : self.at + 1].isspace():
            self.at += 1
        return self.text[self.at : self.at + 1]

    def whole(self, found: re.Match[str], part: str, *, least: int = 1) -> int:
        digits = found[part]
        if not re.fullmatch(r"[0-9]{1,9}", digits) or not least <= int(digits) <= MAX_NUMBER:
            problem = f"{digits[:12]} is not a whole number from {least} to {MAX_NUMBER:,}"
            self.fail(found.start(part), problem)
        return int(digits)

    def allow(
        self, allowed: bool, found: re.Match[str], part: str, problem: str, tip: str | None = None
    ) -> None:
        if not allowed:
            self.fail(found.start(part), problem, tip)

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
