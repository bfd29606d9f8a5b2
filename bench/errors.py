"""What can go wrong, and what to do about it.

    BenchError              exit code 2: the request cannot be carried out as written
    ├── ConfigError         an experiment, a key or a value
    ├── UnknownNameError    a name that no registry knows, with the nearest ones
    ├── DeviceError         a device that is not there
    ├── StoreError          exit code 1: a results folder cannot be read or written
    ├── UnsupportedError    a job that this machine, device or network cannot do
    ├── InvalidModelError   a network that cannot be imported, built or called as asked
    └── DivergedError       a training whose loss is no longer finite

Library code raises these; a failing job becomes a record with a status; only `bench.cli` prints and exits.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

DISTRIBUTION = "netbench-torch"
"""The package's name in an index, where `bench` is another project's; the command and what is imported are `bench`."""


def install_tip(extra: str = "") -> str:
    """Return how to install what an extra of the package brings, or all that it needs: from where bench is from."""
    return _install_command(extra, Path(__file__).parent.parent, _origin(), _installer(Path(sys.prefix)))


def _origin() -> Mapping[str, Any]:
    """Return what pip has noted of where the package is from (`direct_url.json`); nothing of one from an index."""
    import json
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        noted = distribution(DISTRIBUTION).read_text("direct_url.json")
        return dict(json.loads(noted or "{}"))
    except (PackageNotFoundError, ValueError):
        return {}


def _installer(prefix: Path) -> str:
    """Return what installs into an environment: those that pipx and uv make have no pip, and another's would miss them.

    Args:
        prefix: its folder, `sys.prefix`.
    """
    if (prefix / "pipx_metadata.json").is_file():
        return "pipx install --force"
    if (prefix / "uv-receipt.toml").is_file():
        return "uv tool install"
    config = prefix / "pyvenv.cfg"
    if not config.is_file() or "\nuv = " not in config.read_text("utf-8", "replace"):
        return "pip install"
    return "uvx --from" if prefix.parent.name.startswith(("archive-", "environments-")) else "uv pip install"


def _install_command(extra: str, tree: Path, origin: Mapping[str, Any], install: str = "pip install") -> str:
    """Return the command that installs bench again, with an extra.

    Args:
        extra: of the package, or none.
        tree: the folder that holds the package, which is a clone where it is no folder of libraries.
        origin: see `_origin`.
        install: see `_installer`.
    """
    import shlex
    from urllib.parse import unquote, urlsplit

    extras, url = f"[{extra}]" if extra else "", str(origin.get("url", ""))
    if (tree / _PROJECT).is_file():  # as it would be no longer with a copy of it installed
        return f"{install} -e {shlex.quote(f'{tree}{extras}')}"
    place = Path(unquote(urlsplit(url).path))
    if url.startswith("file:"):  # a folder, or a wheel
        there = (place / _PROJECT).is_file() or ("archive_info" in origin and place.is_file())
        return f"{install} {shlex.quote(f'{place}{extras}' if there else f'{DISTRIBUTION}{extras}')}"
    kind = f"{vcs['vcs']}+" if (vcs := origin.get("vcs_info")) else ""
    return f"{install} '{DISTRIBUTION}{extras}{f' @ {kind}{url}' if url else ''}'"


_PROJECT = "pyproject.toml"


class BenchError(Exception):
    """Base of all errors that a user can mend: what is wrong and where, and the next step as `tip`."""

    exit_code = 2

    def __init__(self, message: str, tip: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.tip = tip

    def __reduce__(self) -> tuple[object, ...]:
        """Errors cross process borders; keep the tip."""
        return (type(self), (self.message, self.tip))


class ConfigError(BenchError):
    """An experiment file, a key path or a value is wrong."""


class UnknownNameError(BenchError):
    """A name is not known; the message names the nearest ones."""


class DeviceError(BenchError):
    """A device was asked for that this machine does not have."""


class StoreError(BenchError):
    """A results folder cannot be read or written."""

    exit_code = 1


class UnsupportedError(BenchError):
    """The job cannot be done on this machine, device or network; not a failure of any of them."""


class InvalidModelError(BenchError):
    """The network cannot be imported, built or called as asked."""


class DivergedError(BenchError):
    """A training whose loss is no longer finite."""


# What torch, CUDA, its libraries and the C++ runtime say where memory is wanting; in lower case.
_NO_MEMORY = (
    "memoryerror",  # Python's own, and torch's OutOfMemoryError
    "out of memory",  # torch's allocator; "CUDA error: ", "CUDA driver error: " of those that go past it
    "allocate memory",  # torch's CPU allocator, ONNX Runtime
    "could not create a memory",  # oneDNN
    "bad_alloc",
    "alloc_failed",  # cuBLAS, cuFFT, cuSOLVER, cuSPARSE, cuDNN until 8
    "cublas_status_not_initialized",  # its workspace found no room
    "allocation_failed",  # cuDNN 9, of the host or of the device
    "nvml_success == r",  # torch's allocator, which then asks NVML who holds the memory, and may not: MIG, containers
)


NO_PROCESS = "Resource temporarily unavailable"
"""What the system says where no further process or thread may be started."""

NO_THREAD = "can't start new thread"
"""What Python says of the same."""

MORE_PROCESSES = "allow more processes: ulimit -u, or the limit of the container (pids.max)"


def encodable(text: str) -> str:
    """Return text that UTF-8 can hold: halves of characters, which Python's texts may have, are written as escapes."""
    return str.encode(text, "utf-8", "backslashreplace").decode()


def text_of(error: BaseException) -> str:
    """Return an exception's text, as UTF-8 can hold it, also of a user's class whose text cannot be had.

    Notes that were added to it stand behind it in brackets.
    """
    try:
        notes = "; ".join(getattr(error, "__notes__", ()))
        return encodable(f"{error} ({notes})" if notes else str(error))
    except Exception as failure:
        return f"its text cannot be had: {type(failure).__name__}"


def typed_text(error: BaseException) -> str:
    """Return an exception's type and text: ``ValueError: no such operator``."""
    return f"{type(error).__name__}: {text_of(error)}"


_COLOUR = re.compile(r"\x1b\[[0-9;]*m")  # of terminals, with which libraries paint their errors


def reason(error: BaseException, most: int = 200) -> str:
    """Return an exception's type, and the first line of its text that says something, of so many characters at most."""
    lines = (line.strip() for line in _COLOUR.sub("", text_of(error)).splitlines())
    return f"{type(error).__name__}: {next(filter(None, lines), '')[:most]}".removesuffix(": ")


def lacks_memory(error: BaseException | str) -> bool:
    """Return whether an exception, or what a process printed at its end, means want of memory, of host or device."""
    text = error if isinstance(error, str) else typed_text(error)
    return not isinstance(error, BenchError) and any(words in text.lower() for words in _NO_MEMORY)


def listed(texts: Iterable[str], most: int = 3, between: str = ", ") -> str:
    """Return texts without their repetitions, and of many only how many more there are: ``a, b, c and 4 more``."""
    once = list(dict.fromkeys(texts))
    more = len(once) - most
    return between.join(once[:most]) + (f" and {more:,} more" if more > 0 else "")


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Return up to `count` known names that look most like `name`, best first."""
    by_lower = {k.lower(): k for k in sorted(known, reverse=True)}
    return [by_lower[m] for m in difflib.get_close_matches(name.lower(), by_lower, n=count, cutoff=0.5)]


_CALLED = {
    "batch": ("batch_size",),
    "dataset": ("data",),
    "flops": ("macs",),
    "size": ("file_size", "input_size"),
    "speed": ("latency", "throughput"),
    "time": ("latency", "timeout_s"),
}
"""What is asked for by a word of everyday, the likeliest first: such a word is no misspelling, as of `seed`."""


def meant(name: str, known: Iterable[str], alike: float = 0.5) -> str | None:
    """Return the key or option for which a wrong one stands: by its sense, else by its letters; None where none does.

    Args:
        name: as given, with dashes or underscores.
        known: all valid ones, in either way of writing.
        alike: how much letters have to agree, from 0 to 1.
    """
    words = {one.lower().replace("-", "_"): one for one in known}
    word = name.lower().replace("-", "_")
    close = _CALLED.get(word) or difflib.get_close_matches(word, words, 1, alike)
    return next((words[one] for one in close if one in words), None)


def suggestion(name: str, known: Iterable[str], otherwise: str = "", *, prefix: str = "") -> str:
    """Return the next step for a wrong key: the known one that is meant, else `otherwise`, else all of them.

    `prefix` stands before a name where it is written.
    """
    known = list(known)
    one = meant(name, known)
    return f"did you mean {prefix}{one}?" if one else otherwise or f"known: {', '.join(known)}"


def together(errors: Sequence[ConfigError]) -> ConfigError:
    """Return one error that tells of several, each in a line of its own with its next step; one alone as it is."""
    if len(errors) == 1:
        return errors[0]
    lines = dict.fromkeys(f"{one.message} ({one.tip})" if one.tip else one.message for one in errors)
    return ConfigError("\n  ".join([f"{len(lines)} mistakes:", *lines]))


_QUOTED = (
    54  # characters of a text that a message quotes: with the place that it points at they fit a narrow line
)


def error_at(
    text: str, at: int, problem: str, tip: str | None = None, error: type[BenchError] = ConfigError
) -> BenchError:
    """Return an error that points at a character of `text`, of which no more is quoted than a line takes."""
    start = min(max(0, at - _QUOTED // 2), max(0, len(text) - _QUOTED))
    before, behind = "…" if start else "", "…" if start + _QUOTED < len(text) else ""
    quoted = f"{before}{text[start : start + _QUOTED]}{behind}"
    return error(f"{problem}, at character {at + 1}:\n  {quoted}\n  {' ' * (len(before) + at - start)}^", tip)


def unknown_name(kind: str, name: str, known: Iterable[str], hint: str = "") -> UnknownNameError:
    """Build the error for an unknown name: says the kind, the name and the nearest known ones.

    Args:
        kind: what the name should have been, such as `architecture`.
        name: the name as given.
        known: all valid names.
        hint: the next step where no name is near, such as ``see `bench list` ``.
    """
    known = sorted(set(known))
    close = nearest(name, known)
    if close:
        tip = "did you mean " + ", ".join(close) + "?"
    elif len(known) <= 12:
        tip = "known: " + ", ".join(known)
    else:
        tip = hint or f"{len(known)} names are known"
    if hint and tip != hint:
        tip += f" ({hint})"
    return UnknownNameError(f"unknown {kind} {name!r}", tip)
