"""Facts: what others have published of networks, as data: accuracies of weights, and speeds on their machines.

A fact is never what was measured here, and is never shown as that. Each has its source, with date and licence: see
`bench.facts.sources`, and `bench.facts.convert` for how files of others become facts.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from bench.errors import BenchError, reason
from bench.io import expanded, is_there, read_file

if TYPE_CHECKING:
    import pandas as pd

SHIPPED = Path(__file__).parent
SOURCES = "sources.json"

# What the sets of images are, and how many images the share of right answers is of.
SETS: Mapping[str, tuple[int, str]] = {
    "val": (50_000, "ImageNet-1k, validation"),
    "real": (
        46_837,
        "ImageNet-1k, validation, labels looked through again (ReaL), of the images that have one",
    ),
    "v2": (10_000, "ImageNet-V2, matched frequency: other images of the same kind"),
    "sketch": (50_889, "ImageNet-Sketch: drawings of the same classes"),
    "val_a": (10_000, "ImageNet-1k, validation, the 200 classes of ImageNet-A; not its hard images"),
    "val_r": (10_000, "ImageNet-1k, validation, the 200 classes of ImageNet-R; not its renditions"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where facts come from.

    Attributes:
        name: of the file, without its ending.
        kind: `accuracy` or `speed`.
        of: the set of images, see `SETS`, or the machine, such as ``rtx4090``.
        rows: facts in it.
        url: of the project that published it.
        commit: of that project; None where it was not told.
        date: of that commit, as YYYY-MM-DD; None where it was not told.
        licence: as an SPDX identifier; None where it was not told.
        conditions: of a speed: `precision`, `layout`, `torch`, `cuda`, `compiled`.
    """

    name: str
    kind: Literal["accuracy", "speed"]
    of: str
    rows: int
    url: str | None = None
    commit: str | None = None
    date: str | None = None
    licence: str | None = None
    conditions: Mapping[str, str | bool | None] = field(default_factory=dict)

    @property
    def recency(self) -> tuple[tuple[int, ...], bool]:
        """What sorts the speeds of one machine: a newer torch comes later, and compiled networks before plain ones."""
        torch = str(self.conditions.get("torch") or "0")
        return tuple(int(part) for part in torch.split(".")), not self.conditions.get("compiled")


def folder() -> Path:
    """Return the folder of facts: the environment's BENCH_FACTS, or what is shipped."""
    given = os.environ.get("BENCH_FACTS")
    return expanded(given) if given else SHIPPED


def sources(of: Path | None = None) -> list[Source]:
    """Return the sources of a folder of facts, by default of `folder`, in the order of their names.

    Raises:
        BenchError: where the folder has none, or none that can be read.
    """
    file = (of or folder()) / SOURCES
    try:
        known = msgspec.json.decode(read_file(file), type=list[Source])
    except OSError as error:
        raise BenchError(f"no facts in {file.parent}: {error.strerror}", _TIP) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BenchError(f"{file} is no list of sources: {error}", _TIP) from error
    if odd := next((one for one in known if one.kind == "accuracy" and one.of not in SETS), None):
        raise BenchError(f"{file} is no list of sources: {odd.name} is of {odd.of!r}, no set of images", _TIP)
    return known


def speed_sources() -> list[Source]:
    """Return the sources of speeds in `folder`, see `sources`."""
    return [source for source in sources() if source.kind == "speed"]


def accuracies(of: Path | None = None) -> pd.DataFrame:
    """Return published accuracies, a row for weights, a size of images and a set.

    Columns: source, weights (such as ``resnet50.a1_in1k``), network, input_size (px), crop (share of the side),
    interpolation, set, top1 and top5 (shares), parameters.
    """
    return _read("accuracy", of)


def speeds(of: Path | None = None) -> pd.DataFrame:
    """Return published speeds, a row for a network, a size of images and a source.

    Columns: source, machine, network, input_size (px), batch_size, throughput (1/s), parameters, macs and activations
    as that source counts them. They are single runs without spread; a time at batch 1 is a latency, any other is none.
    """
    return _read("speed", of)


_TEXT, _NUMBER = ("O", "U", "T"), ("i", "f")  # kinds of NumPy's types, text as any pandas has it
_COLUMNS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "accuracy": {
        **dict.fromkeys(("source", "weights", "network", "interpolation", "set"), _TEXT),
        **dict.fromkeys(("input_size", "crop", "top1", "top5", "parameters"), _NUMBER),
    },
    "speed": {
        **dict.fromkeys(("source", "machine", "network"), _TEXT),
        **dict.fromkeys(
            ("input_size", "batch_size", "throughput", "parameters", "macs", "activations"), _NUMBER
        ),
    },
}

_TIP = "unset BENCH_FACTS for the facts that are shipped, or make these anew: bench facts update FILE..."


def _read(kind: str, of: Path | None) -> pd.DataFrame:
    import pandas as pd

    file = (of or folder()) / f"{kind}.parquet"
    try:
        is_there(file)  # a pipe would wait for its other end
        table = pd.read_parquet(file, page_checksum_verification=True)
    except Exception as error:  # pyarrow raises many kinds
        raise BenchError(f"cannot read the facts in {file}: {_fault(error)}", _TIP) from error
    kinds = {name: table[name].dtype.kind if name in table else "" for name in _COLUMNS[kind]}
    wrong = [name for name, own in kinds.items() if own not in _COLUMNS[kind][name]]
    if wrong:
        raise BenchError(f"{file} is no table of facts: {', '.join(wrong)} missing, or of another kind", _TIP)
    return table


def _fault(error: Exception) -> str:
    """Return why a file of facts cannot be read: what Arrow says of bytes that are no Parquet is of its own insides."""
    if isinstance(error, ImportError | BenchError):
        return reason(error)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return "it is damaged, cut short, or no Parquet"
