"""What users write: classes, functions and instances, with and without facts about themselves."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from layers import Head  # a sibling
from torch import Tensor, nn

VALUE = 3


class Net(nn.Module):
    """Takes all three by their usual names, and declares its facts."""

    input_size = 16
    min_input = 4
    num_classes = 5
    in_channels = 1
    family = "mine"
    year = 2024
    paper = "A. Nonymous, Nets, 2024"

    def __init__(self, num_classes: int, in_channels: int, input_size: int, width: int = 2) -> None:
        super().__init__()
        self.given = (num_classes, in_channels, input_size)
        self.options: dict[str, int] = {}
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(in_channels * input_size**2, width))
        self.head = Head(width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.head(self.body(images))
        return scores


class Aliased(nn.Module):
    """Takes two of the three by other names; its facts are of the wrong types."""

    input_size = (16, 16)
    year = "2024"
    num_classes = True
    min_input = 0

    def __init__(self, n_classes: int = 7, img_size: int = 8) -> None:
        super().__init__()
        self.given = (n_classes, img_size)


class Anything(nn.Module):
    """Takes any keyword."""

    def __init__(self, **options: object) -> None:
        super().__init__()
        self.given = options


class Bare(nn.Module):
    """Has no constructor of its own."""


class Needs(nn.Module):
    """Cannot be built without a width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width


class Headless(nn.Module):
    """Is no classifier."""

    num_classes = None


class Lazy(nn.Module):
    """Imports a sibling only when it is built."""

    def __init__(self) -> None:
        super().__init__()
        from later import Layer

        self.layer = Layer()


class Fails(nn.Module):
    """Raises when it is built."""

    def __init__(self) -> None:
        super().__init__()
        raise ValueError("no such luck")


class Exits(nn.Module):
    """Leaves the interpreter when it is built."""

    def __init__(self) -> None:
        super().__init__()
        raise SystemExit(3)


class Huge(nn.Module):
    """Does not fit the memory."""

    def __init__(self) -> None:
        super().__init__()
        raise torch.OutOfMemoryError("CUDA out of memory")


@dataclass
class Options:
    """Looks its module up while it is defined."""

    width: int = 2


def make(num_classes: int, **options: int) -> nn.Module:
    """A function that returns a network."""
    net = Net(num_classes, options["in_channels"], options["input_size"])
    net.options = options
    return net


make.input_size = 12  # type: ignore[attr-defined]


def number() -> int:
    """A function that returns no network."""
    return VALUE


instance = nn.Linear(2, 3)
