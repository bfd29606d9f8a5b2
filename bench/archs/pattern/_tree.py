"""What a pattern says: layers and groups in a row, what can be built of them, and their normal spelling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from bench.errors import UnsupportedError, error_at

INPUT_SIZE, IN_CHANNELS, NUM_CLASSES = 224, 3, 1000
_FIRST_WIDTH: dict[str, int | None] = {"CONV": 64, "FC": 512}


@dataclass(frozen=True, slots=True)
class Kind:
    """What a word can be written with; a window of 0 is none, a stride of 0 is as large as the window."""

    window: int = 0
    stride: int = 0
    width: bool = False
    options: tuple[str, ...] = ()
    maps: bool = False  # whether it needs maps, which there are none of behind FC


POOLING = Kind(window=2, options=("s", "p"), maps=True)
KINDS = {
    "CONV": Kind(window=3, stride=1, width=True, options=("s", "p", "d", "g", "bias"), maps=True),
    "STRIDED": Kind(window=3, stride=2, options=("s", "p", "bias"), maps=True),
    **dict.fromkeys(("POOL", "AVGPOOL", "SUBSAMPLE"), POOLING),
    **dict.fromkeys(("GAP", "LRN"), Kind(maps=True)),
    "FC": Kind(width=True, options=("bias",)),
    **dict.fromkeys(("BN", "DROP"), Kind()),
    **dict.fromkeys(
        ("RELU", "LEAKYRELU", "TANH", "SIGMOID", "GELU", "ELU", "SILU", "HARDSWISH"), Kind()
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
        usual = layer(self.word, window=self.window, dilation=self.dilation)
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


def layer(word: str, *, window: int = 0, stride: int = 0, padding: int | None = None, **others: Any) -> Layer:
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
class Group:
    """Layers and groups in a row, that many times."""

    items: tuple[Layer | Group, ...]
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

    items: tuple[Layer | Group, ...]
    input_size: int | None = None
    in_channels: int | None = None
    text: str = field(default="", compare=False, repr=False)

    def __str__(self) -> str:
        size = f"({self.input_size}x{self.input_size}x{self.in_channels})" if self.input_size else ""
        return _joined((f"INPUT{size}", *self.items))

    @property
    def num_classes(self) -> int | None:
        """Width that the last layer is written with."""
        return list(expand(self.items))[-1].width

    def layers(self) -> tuple[Layer, ...]:
        """Return each layer of the network, with the width it has there; the last one's is left open.

        STRIDED is the convolution that it stands for.
        """
        widths = dict(_FIRST_WIDTH)
        layers = []
        for one in expand(self.items):
            word = "CONV" if one.word == "STRIDED" else one.word
            widths[word] = one.width or widths.get(word)
            layers.append(replace(one, word=word, width=widths[word]))
        return (*layers[:-1], replace(layers[-1], width=None))


def _joined(items: Sequence[object]) -> str:
    return " -> ".join(str(i) for i in items)


def expand(items: Sequence[Layer | Group], stage: int | None = None) -> Iterator[Layer]:
    """Yield the layers of all repetitions; `stage` is the one of the outermost group."""
    for item in items:
        if isinstance(item, Group):
            for i in range(item.times if count(item.items) else 0):
                yield from expand(item.items, i if stage is None else stage)
        elif item.width is None:
            yield item
        else:
            yield replace(item, width=item.width * item.growth ** (stage or 0), growth=1)


def count(items: Sequence[Layer | Group]) -> int:
    """Return how many layers all repetitions make."""
    return sum(i.times * count(i.items) if isinstance(i, Group) else 1 for i in items)


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
