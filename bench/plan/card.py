"""Cards: what a plan, and later a report, must know of a network or a data set without loading it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace

from bench.io import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchCard:
    """The declared facts of an architecture; nothing here is measured.

    Attributes:
        name: how it is asked for, such as ``vgg16`` or ``my_net.py:Net(width=2)``.
        family: the group it is drawn with, such as ``vgg``.
        year: of the paper.
        paper: authors, title and venue or arXiv number.
        input_size: native height and width in px.
        sized: whether that is declared; a network in a file may leave it open, and is then taken at 224 px.
        min_input: the least height and width in px that it accepts.
        in_channels: native channel count.
        any_channels: whether it can be built for another channel count; if not, grey images are repeated.
        num_classes: native count of classes; None where the network is no classifier.
        any_outputs: whether it neither declares its classes nor can be built for other ones, so that only its outputs
            tell; then `num_classes` is None.
        parameters: declared count at the native classes and channels, where it is known exactly.
        published: published accuracy as fractions, keys `top1` and `top5`, with a `source` and a `protocol`; counts,
            keys `macs` and `parameters`, with a `macs_source` and a `parameters_source`.
        note: what a reader must know, such as a variant.
        source_sha256: of the files that it is made of, for networks from outside the package.
        sources: of each of those files, by its path from the one that defines it; empty where that is alone.
        weights: the file that its weights are of; None where they are drawn.
        batch: images a call, where it takes no other count.
        inference_only: why it cannot be trained, where that is so.
    """

    name: str
    family: str = "custom"
    year: int | None = None
    paper: str | None = None
    input_size: int = 224
    sized: bool = True
    min_input: int = 1
    in_channels: int = 3
    any_channels: bool = True
    num_classes: int | None = 1000
    any_outputs: bool = False
    parameters: int | None = None
    published: JsonObject = field(default_factory=dict)
    note: str | None = None
    source_sha256: str | None = None
    sources: Mapping[str, str] = field(default_factory=dict)
    weights: str | None = None
    batch: int | None = None
    inference_only: str | None = None

    def fitted(self, input_size: int, in_channels: int) -> ArchCard:
        """Return the card of a network that does not take such images as it declares, but does take these."""
        before, after = (
            f"{c}×{s}×{s}" for c, s in ((self.in_channels, self.input_size), (in_channels, input_size))
        )
        note = f"{self.name} does not take images {before}, and is measured on {after}"
        return replace(self, input_size=input_size, in_channels=in_channels, sized=True, note=note)

    @property
    def untrained(self) -> str | None:
        """Why it cannot be trained, in words; None where it can."""
        return self.inference_only and f"{self.name} cannot be trained: {self.inference_only}"

    def to_json(self) -> dict[str, object]:
        """Return the card as plain JSON values."""
        values = {name: getattr(self, name) for name in _FIELDS}
        return values | {"published": dict(self.published), "sources": dict(self.sources)}

    @classmethod
    def from_json(cls, data: JsonObject) -> ArchCard:
        """Read a card back, leaving out keys that this version does not know."""
        return cls(**{k: v for k, v in data.items() if k in _FIELDS})

    def edited_to(self, now: ArchCard) -> list[str]:
        """Return the files of a network that are others than before: changed, new or gone; by their paths.

        Of a network in one file, which has no list of files, it is the file that its name begins with.
        """
        if self.source_sha256 == now.source_sha256:
            return []
        names = self.sources.keys() | now.sources.keys()
        changed = sorted(name for name in names if self.sources.get(name) != now.sources.get(name))
        return changed or list(now.files)

    @property
    def files(self) -> Mapping[str, str]:
        """The digests of the files that a network is made of, as `sources`; of one file, that its name begins with."""
        if self.sources or self.source_sha256 is None:
            return self.sources
        bare = self.name.partition("(")[0]
        return {bare.rpartition(":")[0] or bare: self.source_sha256}

    def is_same_code(self, other: ArchCard) -> bool:
        """Return whether a network is of the same files as another one, but for those of weights that one alone has."""
        mine, theirs = self.files, other.files
        both = mine.keys() & theirs.keys()
        return all(mine[name] == theirs[name] for name in both) and bool(both or not mine or not theirs)


# Words of a source that tell how images were tested, for records from before cards told it.
_PROTOCOLS = {
    "10 crops": r"10[- ]crops?|^Zeiler & Fergus 2013",
    "1 crop": r"(one|1|single) crop|^torchvision ",
    "multi-scale": "multi-scale",
    "dense": "single test scale",
}


def protocol_of(published: JsonObject) -> str | None:
    """Return how the images of a published accuracy were tested: ``10 crops``; None where that is not known."""
    source = str(published.get("source") or "")
    protocols = (name for name, words in _PROTOCOLS.items() if re.search(words, source))
    return published.get("protocol") or next(protocols, None)


_FIELDS = tuple(f.name for f in fields(ArchCard))


_BORDER = 8  # 4 px of CIFAR's 32: for a random crop of images in files, whatever size they are decoded to


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetCard:
    """The declared facts of a data set.

    Attributes:
        name: how it is asked for.
        num_classes: count of classes.
        in_channels: channels of an image.
        size: height and width of an image in px.
        train: images for training.
        test: images for reporting.
        source: whose it is.
        pad: px of reflected border for a random crop of a training image.
        flip: whether training images are mirrored; only where a mirrored one keeps its class.
        cutout: px of the side of the square of a training image that is hidden.
        in_files: whether the images are files, which are decoded to the size that a network takes.
        sha256: of what the data set holds, where that may be another thing another time: of the names, the sizes and
            the contents of its files for a folder, of images and labels where they were split otherwise before. Other
            images are another job.
        note: of a folder, what of it was taken, and what was left out.
    """

    name: str
    num_classes: int
    in_channels: int
    size: int
    train: int
    test: int
    source: str
    pad: int = 0
    flip: bool = False
    cutout: int = 0
    in_files: bool = False
    sha256: str | None = None
    note: str = ""

    def at(self, size: int) -> DatasetCard:
        """Return the card of the same files decoded to squares of `size` px, the border an eighth of it."""
        return replace(self, size=size, pad=size // _BORDER)

    def to_json(self) -> dict[str, object]:
        """Return the card as plain JSON values."""
        return asdict(self)
