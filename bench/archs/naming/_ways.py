"""Ways in: the spellings of a network's name, in the files of this folder, and what each of them means."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bench.archs import Arch
from bench.archs._arguments import Parameters
from bench.registry import Registry

_ENDINGS = (".pt", ".pth", ".bin", ".ckpt", ".safetensors")

_NAME = re.compile(r"[A-Za-z_][\w.-]*")


@dataclass(frozen=True, slots=True)
class NetworkName:
    """A parsed name.

    Attributes:
        kind: where the network comes from: the name of a way in.
        source: the library, the path of the file or folder, or the dotted module; empty where there is none.
        target: what it is called there; of a pattern, its normal spelling; of a network that is a file, its path.
        arguments: in the order written; plain literals.
    """

    kind: str
    source: str
    target: str
    arguments: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the name in its normal spelling, which parses to an equal one."""
        arguments = ", ".join(f"{k}={v!r}" for k, v in self.arguments.items())
        space = " " if self.kind == "pattern" else ""
        return f"{self.bare}{space}({arguments})" if arguments else self.bare

    @property
    def bare(self) -> str:
        """The name without its arguments."""
        return f"{self.source}:{self.target}" if self.source else self.target


def origins(
    said: Mapping[str, str], shape: Mapping[str, int | None], used: Mapping[str, int | None]
) -> list[str]:
    """Return a line for each native value in `said`, which tells where it was taken from; see `Describe`."""
    return [f"{key} {used[key]}: {'asked for' if shape.get(key) else origin}" for key, origin in said.items()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One spelling, and what it means.

    Attributes:
        place: ways are tried in this order, the least first; the first whose beginning is there reads the text.
        begins: what stands before the network's name, as group `source`; or all of it, as group `target`.
        target: the network's name behind that.
        normal: `(text)` to the normal spelling of the target, for a way that has a language of its own; it takes no
            arguments then.
        check: `(name)` to the name that it is; raises where the name is not known, and loads no code of the user's: of
            that, nothing is known before.
        resolve: `(name)` to the network.
        parameters: what the network itself can be called with: `weights` and `reparam` are its own if they are there,
            as they never are by default.
        names: of all its networks, for patterns such as ``timm:resnet*``.
    """

    place: int
    begins: re.Pattern[str]
    target: re.Pattern[str] = _NAME
    normal: Callable[[str], str] | None = None
    check: Callable[[NetworkName], NetworkName] = lambda name: name
    resolve: Callable[[NetworkName], Arch]
    parameters: Callable[[NetworkName], Parameters] = lambda _: Parameters()
    names: Callable[[], list[str]] | None = None


WAYS: Registry[Way] = Registry("way in", "bench.archs.naming")


def is_file_of_weights(asked: object) -> bool:
    """Return whether weights are asked for by a path, and not by a name of a library's; ``net.pt#ema`` is a path."""
    return str(asked).partition("#")[0].endswith(_ENDINGS)
