"""Layer patterns, the grammar of the lectures: text in, a small tree out, and text again. No torch here.

    INPUT -> [[CONV3-64x2 -> RELU]*2 -> POOL]*3 -> [FC-256 -> RELU] -> FC

    A -> B            one behind the other; A - B is read too
    [A -> B]*3        a group, three times; *0 is not at all
    INPUT(32x32x3)    native height, width and channels; INPUT leaves them at 224x224x3
    CONV3-64          window 3, width 64; by default 3, and the width of the CONV before (64 for the first)
    CONV3-64x2        width 64, 128, 256, ... from one repetition of the outermost group to the next
    CONV11-96/4       stride 4; then (p=0, d=2, g=2, bias=no): padding, dilation, groups. By default the padding
                      keeps the size at stride 1 (odd windows), or is none (even ones)
    POOL3/2           max pooling (also MAXPOOL), window 3, stride 2; by default 2, and stride as window; (p=1)
    AVGPOOL SUBSAMPLE average pooling; the same times a trained coefficient a channel, plus a trained bias
    STRIDED3/2        pooling by a convolution of unchanged width
    GAP               global average pooling
    FC-256            fully connected; by default the width of the FC before (512 for the first); (bias=no).
                      The last one gives the classes, 1000 by default; it ends the network
    BN LRN DROP0.5    batch norm, AlexNet's response norm, dropout
    RELU LEAKYRELU TANH SIGMOID GELU ELU SILU HARDSWISH

Words are read in either case.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, NoReturn

from bench.errors import UnsupportedError, error_at, nearest

INPUT_SIZE, IN_CHANNELS, NUM_CLASSES = 224, 3, 1000
_FIRST_WIDTH: dict[str, int | None] = {"CONV": 64, "FC": 512}


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a word can be written with; a window of 0 is none, a stride of 0 is as large as the window."""

    window: int = 0
    stride: int = 0
    width: bool = False
    options: tuple[str, ...] = ()
    maps: bool = False  # whether it needs maps, which there are none of behind FC


POOLING = _Kind(window=2, options=("s", "p"), maps=True)
KINDS = {
    "CONV": _Kind(window=3, stride=1, width=True, options=("s", "p", "d", "g", "bias"), maps=True),
    "STRIDED": _Kind(window=3, stride=2, options=("s", "p", "bias"), maps=True),
    **dict.fromkeys(("POOL", "AVGPOOL", "SUBSAMPLE"), POOLING),
    **dict.fromkeys(("GAP", "LRN"), _Kind(maps=True)),
    "FC": _Kind(width=True, options=("bias",)),
    **dict.fromkeys(("BN", "DROP"), _Kind()),
    **dict.fromkeys(
        ("RELU", "LEAKYRELU", "TANH", "SIGMOID", "GELU", "ELU", "SILU", "HARDSWISH"), _Kind()
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer, with its defaults filled in by `layer`; what does not apply to its word is left as here.

    Attributes:
        word: what it is, such as ``CONV``.
        window: side of the window in px.
        width: output channels or units; None where it is not written.
        growth: what the width is multiplied by from one repetition of the outermost group to the next.
        stride: in px, as are padding and dilation.
        rate: the share that dropout zeroes.
        at: where it stands in the text.
    """

    word: str
    window: int = 0
    width: int | None = None
    growth: int = 1
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1
    bias: bool = True
    rate: float = 0.0
    at: int = field(default=0, compare=False, repr=False)

    def __str__(self) -> str:
        if self.word == "DROP":
            return f"DROP{Decimal(repr(self.rate)).normalize():f}"
        usual = _layer(self.word, window=self.window, dilation=self.dilation)
        tail = "" if self.width is None else f"-{self.width}"
        tail += "" if self.growth == 1 else f"x{self.growth}"
        tail += "" if self.stride == usual.stride else f"/{self.stride}"
        window = self.window if tail or self.window != KINDS[self.word].window else 0
        options = [f"p={self.padding}"] if self.padding != usual.padding else []
        options += [f"d={self.dilation}"] if self.dilation > 1 else []
        options += [f"g={self.groups}"] if self.groups > 1 else []
        options += [] if self.bias else ["bias=no"]
        return f"{self.word}{window or ''}{tail}" + (f"({', '.join(options)})" if options else "")

    @property
    def reach(self) -> int:
        """Side in px of what the window sees, holes of a dilation included."""
        return self.dilation * (self.window - 1) + 1

    def side(self, side: int) -> int:
        """Return the height and width in px of what it makes of a map of `side` px; below 1 is nothing."""
        if self.word == "GAP":
            return 1
        return (side - self.reach + 2 * self.padding) // self.stride + 1 if self.window else side

    def least(self, side: int) -> int:
        """Return the least height and width in px of which it makes `side` px."""
        if self.word == "GAP":
            return 1
        return max(1, (side - 1) * self.stride + self.reach - 2 * self.padding) if self.window else side

    def fits(self, side: int) -> bool:
        """Return whether its windows cover a map of `side` px without a rest."""
        return not self.window or (side - self.reach + 2 * self.padding) % self.stride == 0

    def sum(self, side: int) -> str:
        """Write the side of its output out, such as ``(10 - 3 + 0)/2 + 1 = 4.5``."""
        exact = (side - self.reach + 2 * self.padding) / self.stride + 1
        return f"({side} - {self.reach} + {2 * self.padding})/{self.stride} + 1 = {exact:g}"


def _layer(
    word: str, *, window: int = 0, stride: int = 0, padding: int | None = None, **others: Any
) -> Layer:
    """Return a layer with the defaults of its word where nothing is given; see `Layer`."""
    kind = KINDS[word]
    window = window or kind.window
    if padding is None:
        keeps_size = word in {"CONV", "STRIDED"} and window % 2
        padding = others.get("dilation", 1) * (window // 2) if keeps_size else 0
    if word == "DROP":
        others.setdefault("rate", 0.5)
    return Layer(word, window=window, stride=stride or kind.stride or window or 1, padding=padding, **others)


@dataclass(frozen=True, slots=True)
class _Group:
    """Layers and groups in a row, that many times."""

    items: tuple[Layer | _Group, ...]
    times: int = 1

    def __str__(self) -> str:
        return f"[{_joined(self.items)}]" + (f"*{self.times}" if self.times != 1 else "")


@dataclass(frozen=True, slots=True)
class Pattern:
    """What a pattern says; written as its normal spelling.

    Attributes:
        items: what stands behind INPUT.
        input_size: declared height and width in px, None where it is not written.
        in_channels: declared channels, None where they are not written.
        text: what it was read from; layers know where they stand in it.
    """

    items: tuple[Layer | _Group, ...]
    input_size: int | None = None
    in_channels: int | None = None
    text: str = field(default="", compare=False, repr=False)

    def __str__(self) -> str:
        size = f"({self.input_size}x{self.input_size}x{self.in_channels})" if self.input_size else ""
        return _joined((f"INPUT{size}", *self.items))

    @property
    def num_classes(self) -> int | None:
        """Width that the last layer is written with."""
        return list(_expand(self.items))[-1].width

    def layers(self) -> tuple[Layer, ...]:
        """Return each layer of the network, with the width it has there; the last one's is left open.

        STRIDED is the convolution that it stands for.
        """
        widths = dict(_FIRST_WIDTH)
        layers = []
        for one in _expand(self.items):
            word = "CONV" if one.word == "STRIDED" else one.word
            widths[word] = one.width or widths.get(word)
            layers.append(replace(one, word=word, width=widths[word]))
        return (*layers[:-1], replace(layers[-1], width=None))


def _joined(items: Sequence[object]) -> str:
    return " -> ".join(str(i) for i in items)


def _expand(items: Sequence[Layer | _Group], stage: int | None = None) -> Iterator[Layer]:
    """Yield the layers of all repetitions; `stage` is the one of the outermost group."""
    for item in items:
        if isinstance(item, _Group):
            for i in range(item.times if _count(item.items) else 0):
                yield from _expand(item.items, i if stage is None else stage)
        elif item.width is None:
            yield item
        else:
            yield replace(item, width=item.width * item.growth ** (stage or 0), growth=1)


def _count(items: Sequence[Layer | _Group]) -> int:
    """Return how many layers all repetitions make."""
    return sum(i.times * _count(i.items) if isinstance(i, _Group) else 1 for i in items)


# --- what can be built ---


def min_input(tree: Pattern) -> int:
    """Return the least height and width in px of an image of which something is left to the end."""
    side = 1
    for one in reversed(tree.layers()):
        side = one.least(side)
    return side


def fit_warnings(tree: Pattern, input_size: int) -> list[str]:
    """Say which layers' windows leave a rest of their map, so that its last rows and columns are not seen.

    One line a layer: its character, itself, and the sum that is no integer.
    """
    misfits = []
    side = input_size
    for one in tree.layers():
        if not one.fits(side):
            misfits.append(f"character {one.at + 1}, {one}: {one.sum(side)}, rounded down")
        side = one.side(side)
    return misfits


def check(tree: Pattern, *, in_channels: int, input_size: int) -> None:
    """Refuse images of `input_size` px that the network cannot be built for.

    Raises:
        UnsupportedError: if nothing is left of them, or their channels, or those of any convolution,
            do not part into its groups; the message points at the layer.
    """
    side, channels = input_size, in_channels
    for one in tree.layers():
        after = one.side(side)
        if after < 1:
            problem = f"nothing is left of {side} px behind {one}: {one.sum(side)}"
            tip = f"the network needs images of at least {min_input(tree)} px"
            raise error_at(tree.text, one.at, problem, tip, UnsupportedError)
        if one.word == "CONV":
            assert one.width is not None  # by Pattern.layers
            if channels % one.groups or one.width % one.groups:
                problem = f"{channels} channels in and {one.width} out do not part into {one.groups} groups"
                raise error_at(tree.text, one.at, problem, "g must divide both", UnsupportedError)
            channels = one.width
        side = after


# --- reading, from left to right; an error says at which character it is none ---

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

    def sequence(self) -> tuple[Layer | _Group, ...]:
        items = [self.item()]
        while self.take(_ARROW):
            items.append(self.item())
        return tuple(items)

    def item(self) -> Layer | _Group:
        return self.group() if self.peek() == "[" else self.layer()

    def group(self) -> _Group:
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
        if times * _count(items) > _MAX_LAYERS:
            self.fail(start, f"this group makes more than {_MAX_LAYERS:,} layers")
        return _Group(items, times)

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
            return _layer(word, **settings, **self.rate(match))
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
        one = _layer(word, **settings)
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

    def options(self, word: str, kind: _Kind, settings: dict[str, Any]) -> None:
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

    def check(self, items: tuple[Layer | _Group, ...]) -> None:
        """Refuse what is well written, but no network."""
        if _count(items) > _MAX_LAYERS:
            self.fail(0, f"more than {_MAX_LAYERS:,} layers")
        last: Layer | None = None
        dense = False
        for last in _expand(items):
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
