"""Conditions such as ``family == 'resnet' and batch_size >= 8``: which rows of a table, and jobs of runs, they choose.

    any  = all {"or" all}                     test = column ("==" | "!=" | "<" | "<=" | ">" | ">=") value
    all  = one {"and" one}                         | column ("~" | "!~") glob
    one  = "not" one | "(" any ")" | test          | column ["not"] "in" "[" value {"," value} "]"

A value is a number, text in quotes, or ``none`` for what is missing. Nothing is ever run: a text is cut into words,
and the words are compared with columns. Of a row without a value in a column it is not known whether a comparison
holds (but for ``none``); such a row passes no condition that depends on it.
"""

from __future__ import annotations

import fnmatch
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from bench.analysis.comparison import compare_table
from bench.analysis.frame import named, to_frame
from bench.analysis.keys import WAY
from bench.errors import ConfigError, unknown_name
from bench.records.store import Run

_Known = pd.arrays.BooleanArray
"""For each row: true, false, or not known; ``&``, ``|`` and ``~`` of these are Kleene's."""

_Test = Callable[[pd.DataFrame], _Known]
_Value = float | str | None

_LONGEST = 1000  # characters of a condition
_DEEPEST = 20  # parentheses in each other
_EXAMPLE = "such as \"family == 'resnet' and batch_size in [1, 8]\""
_WORDS = re.compile(
    r"""\s*(?:
        (?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?![\w.])
        | (?P<text>'[^']*'|"[^"]*")
        | (?P<name>[A-Za-z_]\w*)
        | (?P<sign>==|!=|<=|>=|!~|[<>~()\[\],])
    )""",
    re.VERBOSE | re.ASCII,
)
_RESERVED = ("and", "or", "not", "in", "none")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class _Condition:
    """A condition as read.

    Attributes:
        text: of it.
        columns: that it looks at.
        known: says of each row of a table whether the condition holds, where that is known. It raises UnknownNameError
            for a column that the table does not have, and ConfigError where text is compared with a number.
    """

    text: str
    columns: tuple[str, ...]
    known: _Test

    def holds(self, table: pd.DataFrame) -> npt.NDArray[np.bool_]:
        """Return for each row whether the condition is known to hold."""
        return np.asarray(self.known(table).to_numpy(dtype=bool, na_value=False))


def _parse(text: str) -> _Condition:
    """Read a condition.

    Raises:
        ConfigError: says what was expected, and where.
    """
    if len(text) > _LONGEST:
        raise ConfigError(f"a condition of {len(text)} characters", f"at most {_LONGEST} are read")
    reader = _Reader(text, _words_of(text))
    test = reader.either()
    if reader.kind != "end":
        raise reader.expected("`and`, `or` or the end")
    return _Condition(text, tuple(dict.fromkeys(reader.columns)), test)


@dataclass(frozen=True, slots=True)
class _Word:
    kind: str
    text: str
    place: int


def _words_of(text: str) -> list[_Word]:
    """Return the words of a condition, with an end behind the last."""
    words: list[_Word] = []
    place = 0
    while text[place:].strip():
        match = _WORDS.match(text, place)
        if match is None:
            rest = text[place:].lstrip()
            raise _unreadable(text, len(text) - len(rest), "a column, a value or a sign")
        group = str(match.lastgroup)
        word = match.group(group)
        words.append(_Word(word if word in _RESERVED else group, word, match.start(group)))
        place = match.end()
    return [*words, _Word("end", "", len(text))]


_UNITS = "numbers stand without a unit, in s, B, MAC or as fractions: latency < 0.005"


def _unreadable(text: str, place: int, expected: str) -> ConfigError:
    next_ = f"{text[place : place + 12]!r} at character {place + 1}" if text[place:] else "the end"
    tip = _UNITS if re.match(r"[\d.]+ ?[A-Za-zµ%]", text[place:]) else _EXAMPLE
    return ConfigError(f"condition {text!r}: expected {expected}, found {next_}", tip)


class _Reader:
    """Reads the words of one condition from left to right; each method reads what it is named after."""

    def __init__(self, text: str, words: Sequence[_Word]) -> None:
        self.text = text
        self.words = words
        self.at = 0
        self.depth = 0
        self.columns: list[str] = []

    @property
    def kind(self) -> str:
        """Return what comes next: a kind of word, or a sign itself."""
        word = self.words[self.at]
        return word.text if word.kind == "sign" else word.kind

    def expected(self, what: str) -> ConfigError:
        """Return the error that something else comes next."""
        return _unreadable(self.text, self.words[self.at].place, what)

    def take(self, *kinds: str, what: str) -> str:
        """Read a word of one of these kinds, and return it."""
        if self.kind not in kinds:
            raise self.expected(what)
        self.at += 1
        return self.words[self.at - 1].text

    def accept(self, kind: str) -> bool:
        """Read a word of a kind if it comes next, and return whether it did."""
        if self.kind != kind:
            return False
        self.at += 1
        return True

    def several(
        self, part: Callable[[], _Test], word: str, join: Callable[[_Known, _Known], _Known]
    ) -> _Test:
        """Read parts with a word between, and return what they come to together."""
        tests = [part()]
        while self.accept(word):
            tests.append(part())
        return lambda table: reduce(join, (test(table) for test in tests))

    def either(self) -> _Test:
        return self.several(self.both, "or", operator.or_)

    def both(self) -> _Test:
        return self.several(self.one, "and", operator.and_)

    def one(self) -> _Test:
        negated = False
        while self.accept("not"):
            negated = not negated
        inner = self.inside() if self.accept("(") else self.comparison()
        return (lambda table: ~inner(table)) if negated else inner

    def inside(self) -> _Test:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise self.expected(f"at most {_DEEPEST} parentheses in each other")
        test = self.either()
        self.take(")", what="`)`")
        self.depth -= 1
        return test

    def comparison(self) -> _Test:
        column = self.take("name", what="a column, `not` or `(`")
        self.columns.append(column)
        if self.kind in ("in", "not"):
            negated = self.accept("not")
            self.take("in", what="`in`")
            test = self.among(column)
            return (lambda table: ~test(table)) if negated else test
        sign = self.take(*_COMPARE, "~", "!~", what="one of == != < <= > >= ~ !~ in")
        if sign.endswith("~"):
            pattern = self.take("text", what="a pattern in quotes")[1:-1]
            return _like(column, pattern, negated=sign == "!~")
        return _compared(column, sign, self.value())

    def among(self, column: str) -> _Test:
        self.take("[", what="`[`")
        test = self.several(lambda: _compared(column, "==", self.value()), ",", operator.or_)
        self.take("]", what="`,` or `]`")
        return test

    def value(self) -> _Value:
        kind = self.kind
        word = self.take("number", "text", "none", what="a number, text in quotes or none")
        return float(word) if kind == "number" else None if kind == "none" else word[1:-1]


def _compared(column: str, sign: str, value: _Value) -> _Test:
    if value is None:
        return lambda table: _missing(table, column, sign)
    compare = _COMPARE[sign]
    return lambda table: _known(_values(table, column, value), lambda v: compare(v, value))


def _missing(table: pd.DataFrame, column: str, sign: str) -> _Known:
    if sign not in ("==", "!="):
        raise ConfigError(f"`{column} {sign} none`: what is missing has no order", "use == none or != none")
    missing = _column(table, column).isna().to_numpy(dtype=bool)
    return pd.array(missing if sign == "==" else ~missing, dtype="boolean")


def _like(column: str, pattern: str, *, negated: bool) -> _Test:
    match = re.compile(fnmatch.translate(pattern)).match
    return lambda table: _known(_values(table, column, pattern), lambda v: (match(v) is None) is negated)


def _known(values: list[Any], test: Callable[[Any], bool]) -> _Known:
    """Return what a test says of each value; of a missing one, nothing is known."""
    return pd.array([None if v is None else test(v) for v in values], dtype="boolean")


def _column(table: pd.DataFrame, name: str) -> pd.Series:
    if name not in table.columns:
        raise unknown_name("column", name, map(str, table.columns), "values of text stand in quotes")
    return table[name]


def _values(table: pd.DataFrame, name: str, like: float | str) -> list[Any]:
    """Return the values of a column, which must be of the kind of `like`; missing ones as None."""
    column = _column(table, name)
    values = [None if missing else v for v, missing in zip(column.tolist(), column.isna(), strict=True)]
    known = [v for v in values if v is not None]
    if odd := [v for v in known if not isinstance(v, str | int | float)]:
        message = f"column {name} has neither text nor numbers: {str(odd[0])[:40]}"
        raise ConfigError(message, "name another column")
    if other := [v for v in known if isinstance(v, str) is not isinstance(like, str)]:
        raise _other_kind(name, other[0], like)
    return values


def _other_kind(name: str, value: float | str, like: float | str) -> ConfigError:
    is_text = isinstance(value, str)
    shown = repr(value) if is_text else f"{value:g}"
    has, asks = ("text", "numbers") if is_text else ("numbers", "text")
    return ConfigError(
        f"column {name} has {has}, such as {shown}, and {like!r} is of {asks}",
        f"write {name} == {shown}",
    )


# --- runs ---

_Rows = np.ndarray[tuple[int], np.dtype[np.bool_]]
_TIMED = ("infer", "train_step")


def filter_runs(runs: Sequence[Run], conditions: Sequence[str]) -> list[Run]:
    """Return the runs with only those jobs that every condition chooses, planned ones included.

    A condition on columns of the frame chooses jobs: ``task == 'infer'``, ``batch_size >= 8``. One on columns of the
    comparison chooses its rows, and with them their jobs: ``macs < 1e9``. Jobs that a condition asks of a setting
    that they do not have stay with what they belong to: counts with their network, ceilings with their run.

    Raises:
        ConfigError: for a condition that cannot be read.
        UnknownNameError: for a column that is in neither table.
    """
    for condition in map(_parse, conditions):
        runs = _filtered(runs, condition)
    return list(runs)


def narrowed(runs: Sequence[Run], conditions: Sequence[str]) -> list[Run]:
    """Return the runs with the jobs that fit all conditions.

    Raises:
        ConfigError: where none is left of those that there are.
    """
    left = filter_runs(runs, conditions)
    if any(r.records or r.planned for r in runs) and not any(r.records or r.planned for r in left):
        raise ConfigError(
            f"no job of {', '.join(r.name for r in runs)} fits {' and '.join(conditions)}",
            "ask for less: see the columns of measurements.csv and table.csv",
        )
    return left


def _filtered(runs: Sequence[Run], condition: _Condition) -> list[Run]:
    frame = to_frame(runs)
    jobs = frame.assign(network=frame["arch"])
    if all(column in jobs.columns for column in condition.columns):
        rows = _by_job(jobs, condition)
    else:
        rows = _by_network(jobs, compare_table(frame), condition)
    # Where anything of a run stays, so do its ceilings.
    ceilings = (jobs["task"] == "ceiling") & jobs["run"].isin(jobs.loc[rows, "run"])
    ids = jobs.loc[rows | ceilings].groupby("run")["job_id"].agg(set).to_dict()
    return [
        replace(
            run,
            records=tuple(r for r in run.records if r.job.id in ids.get(name, ())),
            planned=tuple(j for j in run.planned if j.id in ids.get(name, ())),
        )
        for name, run in named(runs)
    ]


def _by_job(jobs: pd.DataFrame, condition: _Condition) -> _Rows:
    """Return which rows a condition holds for, with the counts that it does not ask, of their networks."""
    known = condition.known(jobs)
    holds = known.to_numpy(dtype=bool, na_value=False)
    of_networks = _keys(jobs, ["run", "network"]).isin(_keys(jobs[holds], ["run", "network"]))
    return np.asarray(holds | ((jobs["task"] == "cost").to_numpy() & known.isna() & of_networks))


def _by_network(jobs: pd.DataFrame, table: pd.DataFrame, condition: _Condition) -> _Rows:
    """Return the rows of the jobs that are behind those rows of the comparison that a condition holds for."""
    _check(condition, list(jobs.columns), list(table.columns))
    table = table[condition.holds(table)]
    same_way = _keys(jobs, WAY).isin(_keys(table, WAY))
    same_network = _keys(jobs, ["run", "network"]).isin(_keys(table, ["run", "network"]))
    return np.where(jobs["task"].isin(_TIMED), same_way, same_network)


def _keys(table: pd.DataFrame, columns: list[str]) -> pd.MultiIndex:
    return pd.MultiIndex.from_frame(table[columns].astype(object))


def _check(condition: _Condition, of_jobs: Sequence[str], of_rows: Sequence[str]) -> None:
    """Check that the comparison has all columns of a condition.

    Raises:
        UnknownNameError: for a column that neither table has.
        ConfigError: where each has a part of them.
    """
    for column in condition.columns:
        if column not in {*of_jobs, *of_rows}:
            raise unknown_name("column", column, {*of_jobs, *of_rows}, "values of text stand in quotes")
        if column not in of_rows:
            other = next(c for c in condition.columns if c not in of_jobs)
            raise ConfigError(
                f"condition {condition.text!r}: `{column}` is of jobs and `{other}` of networks",
                "ask for each in a condition of its own: --where ... --where ...",
            )
