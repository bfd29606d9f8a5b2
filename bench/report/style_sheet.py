"""Style sheets: files of matplotlib's settings that a user gives to the figures of a report, read and checked."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib as mpl

from bench.errors import ConfigError, nearest
from bench.io import read_file

# What a sheet may set: looks. The rest says where files go and what programs run, or would change the bytes from
# day to day; and names of networks must stay text.
_GROUPS = (
    *("axes.", "figure.", "font.", "grid.", "legend.", "lines."),
    *("text.", "xtick.", "ytick.", "pdf.", "svg."),
)
_REFUSED = (
    *("axes.prop_cycle", "axes.formatter.use_mathtext", "figure.hooks", "figure.autolayout"),
    *("figure.constrained_layout.use", "svg.hashsalt", "svg.id", "text.latex.preamble", "text.parse_math"),
    *("text.usetex", "pdf.use14corefonts"),
)
_LINE = re.compile(r'(?P<key>[^:#]*?)\s*:\s*(?P<value>(?:[^"#]|"[^"]*")*?)\s*(?:#.*)?')
_BARE = re.compile(r"\s*(?:#.*)?")


def read_style_sheet(path: Path) -> dict[str, object]:
    """Return the settings of a style sheet, checked one by one.

    Raises:
        ConfigError: says which line is wrong, and why.
    """
    try:
        lines = read_file(path).decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot read the style sheet {path}: {getattr(error, 'strerror', None) or error}",
            "name a text file with lines such as font.size: 8",
        ) from error
    settings: dict[str, object] = {}
    for number, line in enumerate(lines, start=1):
        if _BARE.fullmatch(line):
            continue
        key, value = _setting(line.strip(), f"{path}, line {number}")
        settings[key] = value
    return settings


def _setting(line: str, where: str) -> tuple[str, object]:
    match = _LINE.fullmatch(line)
    if match is None or not match["key"]:
        raise ConfigError(f"{where}: {line[:80]!r} is no setting", "write KEY: VALUE, such as font.size: 8")
    key, text = match["key"], match["value"].strip('"')
    known = [k for k in mpl.rcParams if k.startswith(_GROUPS) and k not in _REFUSED]
    if key not in known:
        close = ", ".join(nearest(key, known))
        what = "may not be set by a sheet" if key in mpl.rcParams else "is no setting of matplotlib"
        raise ConfigError(f"{where}: {key[:80]!r} {what}", f"did you mean {close}?" if close else None)
    checked = mpl.RcParams()
    try:
        checked[key] = text
    except (ValueError, KeyError) as error:
        raise ConfigError(
            f"{where}: {key}: {str(error).splitlines()[0][:200]}", "see matplotlib's rcParams"
        ) from error
    return key, checked[key]
