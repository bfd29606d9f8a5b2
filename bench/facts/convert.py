"""How files of others become facts: results of pytorch-image-models (CSV), and what torchvision says of its weights.

A file is told by its name, as that project names them: ``results-imagenet.csv`` holds accuracies,
``benchmark-infer-amp-nchw-pt240-cu124-rtx3090.csv`` speeds, with the conditions in the name.
"""

from __future__ import annotations

import errno
import io
import json
import re
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from datetime import date as day
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec

from bench.errors import BenchError
from bench.facts import SHIPPED, SOURCES, Source, accuracies, sources, speeds
from bench.io import atomic_write, read_file

if TYPE_CHECKING:
    import pandas as pd

_TORCHVISION = "torchvision"

_SETS = {
    "results-imagenet": "val",
    "results-imagenet-real": "real",
    "results-imagenetv2-matched-frequency": "v2",
    "results-sketch": "sketch",
    "results-imagenet-a-clean": "val_a",
    "results-imagenet-r-clean": "val_r",
}
_SPEED = re.compile(
    r"benchmark-infer-(?P<precision>[a-z0-9_]+)-(?P<layout>nchw|nhwc)-pt(?P<torch>\d{3,4})"
    r"-(?:cu(?P<cuda>\d{3})|cpu)-(?P<machine>\w+?)(?P<compiled>-dynamo)?"
)
_ACCURACY_COLUMNS = ("model", "img_size", "top1", "top5", "param_count", "crop_pct", "interpolation")
_SPEED_COLUMNS = ("model", "infer_img_size", "infer_samples_per_sec", "infer_batch_size", "param_count")

_TIMM: Mapping[str, str | None] = {
    "url": "https://github.com/huggingface/pytorch-image-models",
    "licence": "Apache-2.0",
}


def update(
    names: Collection[str | Path],
    output: Path,
    *,
    commit: str | None = None,
    date: str | None = None,
    url: str | None = None,
    licence: str | None = None,
    torchvision: Callable[[], tuple[str, Sequence[Mapping[str, object]]]] | None = None,
    say: Callable[[str], object] = warnings.warn,
) -> list[Source]:
    """Read files into the facts of a folder, and return what was read.

    A source of the same name is replaced; the others of the folder, or else those that are shipped, stay.

    Args:
        names: of CSV files; the word `torchvision` stands for what it says of its weights.
        output: the folder.
        commit: of the project that published the files.
        date: of that commit, YYYY-MM-DD.
        url: of whose files they are, where they are not pytorch-image-models' own.
        licence: of such files, as an SPDX identifier; None where it is not told.
        torchvision: gives its version and its weights, see `bench.archs.published`.
        say: is told of facts in the folder that were damaged.

    Raises:
        BenchError: for a file that is none of those, cannot be read, lacks a column or has the name of another one, and
            for a date that is none.
    """
    import pandas as pd

    _check_date(date)
    own = {"url": url, "licence": licence} if url or licence else _TIMM
    told = {**own, "commit": commit, "date": date}
    files = [name for name in names if torchvision is None or name != _TORCHVISION]
    others = [_of_torchvision(*torchvision())] if torchvision and _TORCHVISION in names else []
    read = [*others, *(_of_file(Path(file), told) for file in files)]
    new = Counter(source.name for source, _ in read)
    if twice := [name for name, count in new.items() if count > 1]:
        tip = "of one name the facts keep one source: give one"
        raise BenchError(f"several files are called {twice[0]}.csv", tip)
    known, stored = _stored(output, set(new), say)
    tables = {}
    for kind, before in stored.items():
        parts = [before[~before["source"].isin(new)]] if len(before) else []
        parts += [table for source, table in read if source.kind == kind]
        tables[kind] = pd.concat(parts, ignore_index=True) if parts else before
    kept = [source for source in known if source.name not in new]
    fresh = [source for source, _ in read]
    _write(output, sorted([*kept, *fresh], key=lambda s: (s.kind, s.of, s.recency, s.name)), tables)
    return fresh


def _stored(
    output: Path, new: Container[str], say: Callable[[str], object]
) -> tuple[list[Source], dict[str, pd.DataFrame]]:
    """Return the sources and the tables of a folder, and what is shipped for what it lacks.

    Facts that are damaged are made anew from those that are shipped, which `say` is told, with the sources that are
    lost by that; what is no file, or not to be read by this user, is left as it is.

    Raises:
        BenchError: for what is left as it is, and for damage in what is shipped.
    """
    import pandas as pd

    if not (SHIPPED / SOURCES).is_file() and not (output / SOURCES).is_file():
        return [], {"accuracy": pd.DataFrame(), "speed": pd.DataFrame()}
    own, known, tables = _or_shipped(sources, output, say), [], {}
    for kind, read in (("accuracy", accuracies), ("speed", speeds)):
        base, tables[kind] = _or_shipped(read, output if own[0] == output else SHIPPED, say)
        known += [source for source in (own[1] if base == own[0] else sources(base)) if source.kind == kind]
    names = {source.name for source in known}
    if lost := [source.name for source in own[1] if source.name not in names and source.name not in new]:
        say(f"lost with it, and to be given again: {', '.join(lost)}")
    return known, tables


_T = TypeVar("_T")


def _or_shipped(read: Callable[[Path], _T], output: Path, say: Callable[[str], object]) -> tuple[Path, _T]:
    """Return what is read of a folder, and which one: what is shipped, where it has none, or what is damaged there."""
    if output == SHIPPED or not (output / SOURCES).is_file():
        return SHIPPED, read(SHIPPED)
    try:
        return output, read(output)
    except BenchError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno not in (None, errno.ENOENT):
            raise
        say(f"{error.message}: made anew from what is shipped")
        return SHIPPED, read(SHIPPED)


def _check_date(text: str | None) -> None:
    """Refuse what is not a day as YYYY-MM-DD."""
    try:
        sound = text is None or day.fromisoformat(text).isoformat() == text
    except ValueError:
        sound = False
    if not sound:
        raise BenchError(f"the date {text!r} is no day", "write it as 2026-01-31")


def _of_file(file: Path, told: Mapping[str, str | None]) -> tuple[Source, pd.DataFrame]:
    """Return the source and the rows of a file; `told` is what it does not say of itself."""
    speed, of, conditions = _SPEED.fullmatch(file.stem), _SETS.get(file.stem, ""), {}
    if of:
        table = _accuracy_rows(file, of)
    elif speed is not None:
        of, conditions = _machine(speed["machine"]), _conditions(speed)
        table = _speed_rows(file, of)
    else:
        known = ", ".join(f"{name}.csv" for name in _SETS)
        raise BenchError(
            f"{file} has not the name of a file of published facts",
            f"name {_TORCHVISION}, or files of pytorch-image-models: {known}, benchmark-infer-*.csv",
        )
    kind: Literal["accuracy", "speed"] = "accuracy" if speed is None else "speed"
    source = Source(name=file.stem, kind=kind, of=of, rows=len(table), conditions=conditions, **told)
    return source, table


def _machine(name: str) -> str:
    """Return ``rtx4090`` of `4090`, as other files have it."""
    return f"rtx{name}" if name.isdigit() else name


def _conditions(match: re.Match[str]) -> dict[str, str | bool | None]:
    torch, cuda = match["torch"], match["cuda"]
    return {
        "precision": match["precision"],
        "layout": match["layout"],
        "torch": _torch(torch),
        "cuda": f"{cuda[:2]}.{cuda[2]}" if cuda else None,
        "compiled": match["compiled"] is not None,
    }


def _torch(digits: str) -> str:
    """Return ``2.4.0`` of `240`, ``2.15.0`` of `2150`, and ``1.13`` of `113`: torch 1 has no third number in names."""
    return f"1.{digits[1:]}" if digits[0] == "1" else f"{digits[0]}.{digits[1:-1]}.{digits[-1]}"


_ANEW = "take it anew from where it was published"


def _rows(file: Path, columns: Sequence[str], fact: str = "") -> pd.DataFrame:
    """Return a CSV file that has these columns; rows without the column `fact` say nothing, and are left out."""
    import pandas as pd

    try:
        rows = pd.read_csv(io.BytesIO(read_file(file)), thousands=",", dtype=dict.fromkeys(_TEXTS, str))
    except OSError as error:
        message = f"cannot read {file}: {error.strerror or error}"
        raise BenchError(message, "name a CSV file that you may read") from error
    except ValueError as error:  # pandas' and unicode's errors are one of them
        raise BenchError(f"{file} is no CSV file: {str(error).strip()}", _ANEW) from error
    missing = [column for column in columns if column not in rows]
    if missing:
        raise BenchError(f"{file} lacks {', '.join(missing)}", f"columns there: {', '.join(map(str, rows))}")
    rows = rows.dropna(subset=[fact]) if fact else rows
    if rows.empty:
        raise BenchError(f"{file} has no row with {fact or columns[0]}", _ANEW)
    _refuse(file, rows["model"], rows["model"].isna(), "no name")
    for column in (c for c in (*columns, *_COUNTED) if c in rows and c not in _TEXTS):
        numbers = pd.to_numeric(rows[column], errors="coerce")
        what, sound = "no number above zero and up to a billion", (numbers > 0) & (numbers <= 1e9)
        if column in _PERCENTS:
            shares = bool((numbers <= 1).all())  # of 1, and not of 100
            what, sound = "no percentage", sound & (numbers <= 100) & (not shares)
        elif column in _WHOLE:
            what, sound = "no whole number above zero", sound & (numbers % 1 == 0)
        elif column in _COUNTED:
            sound |= rows[column].isna()
        _refuse(file, rows[column], ~sound, what)
        rows[column] = numbers
    again = rows.duplicated(["model", *(column for column in columns if column in _WHOLE)])
    _refuse(file, rows["model"], again, "there already, at that size")
    return rows


def _refuse(file: Path, values: pd.Series[Any], wrong: pd.Series[bool], what: str) -> None:
    """Refuse a column of a file for the first value that is wrong."""
    if wrong.any():
        place = values.index[wrong][0]
        told = "empty" if values.isna()[place] else repr(values.tolist()[values.index.get_loc(place)])
        message = f"{file}, line {place + 2}: {values.name} is {told}, which is {what}"
        raise BenchError(message, "mend or leave out the line")


_TEXTS, _PERCENTS = ("model", "interpolation"), ("top1", "top5")
_WHOLE = ("img_size", "infer_img_size", "infer_batch_size")
_COUNTED = ("infer_gmacs", "infer_macts")  # which not every file has, nor every row


def _accuracy_rows(file: Path, images: str) -> pd.DataFrame:
    import pandas as pd

    rows = _rows(file, _ACCURACY_COLUMNS)
    return pd.DataFrame(
        {
            "source": file.stem,
            "weights": rows["model"],
            "network": rows["model"].str.partition(".")[0],
            "input_size": rows["img_size"].astype("int32"),
            "crop": rows["crop_pct"],
            "interpolation": rows["interpolation"],
            "set": images,
            "top1": (rows["top1"] / 100).round(6),
            "top5": (rows["top5"] / 100).round(6),
            "parameters": _millions(rows["param_count"]),
        }
    )


def _speed_rows(file: Path, machine: str) -> pd.DataFrame:
    import pandas as pd

    rows = _rows(file, _SPEED_COLUMNS, "infer_samples_per_sec")
    return pd.DataFrame(
        {
            "source": file.stem,
            "machine": machine,
            "network": rows["model"],
            "input_size": rows["infer_img_size"].astype("int32"),
            "batch_size": rows["infer_batch_size"].astype("int32"),
            "throughput": rows["infer_samples_per_sec"],
            "parameters": _millions(rows["param_count"]),
            "macs": _scaled(rows, "infer_gmacs", 1e9),
            "activations": _scaled(rows, "infer_macts", 1e6),
        }
    )


def _millions(values: pd.Series[float]) -> pd.Series[int]:
    return (values * 1e6).round().astype("int64")


def _scaled(rows: pd.DataFrame, column: str, factor: float) -> pd.Series[float]:
    import pandas as pd

    values = rows[column] if column in rows else pd.Series(float("nan"), index=rows.index)
    return (values * factor).round()


def _of_torchvision(version: str, weights: Sequence[Mapping[str, object]]) -> tuple[Source, pd.DataFrame]:
    """Return the facts of what a version of torchvision says of its weights, see `bench.archs.published`."""
    import pandas as pd

    table = pd.DataFrame(weights).assign(source=_TORCHVISION, set="val")
    table = table.astype({"input_size": "int32", "parameters": "int64"})
    source = Source(
        name=_TORCHVISION,
        kind="accuracy",
        of="val",
        rows=len(table),
        url="https://github.com/pytorch/vision",
        commit=f"v{version}",
        licence="BSD-3-Clause",
    )
    return source, table


def _write(of: Path, all_sources: list[Source], tables: Mapping[str, pd.DataFrame]) -> None:
    """Replace the facts of a folder, which is made where it is missing.

    Raises:
        BenchError: where it cannot be written.
    """
    try:
        of.mkdir(parents=True, exist_ok=True)
        for kind, table in tables.items():
            with atomic_write(of / f"{kind}.parquet") as file:
                table.to_parquet(file, index=False, compression="zstd", write_page_checksum=True)
        text = json.dumps([msgspec.to_builtins(source) for source in all_sources], indent=1)
        with atomic_write(of / SOURCES) as file:
            file.write(f"{text}\n".encode())
    except OSError as error:
        message = f"cannot write facts to {of}: {error.strerror or error}"
        raise BenchError(message, "name another folder: -o FOLDER") from error
