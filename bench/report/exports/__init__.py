"""Formats: stored results for other programs, each a function of the results in a file that the registry finds.

What a format makes is text or bytes, for one file, or a function that writes several files into an empty folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

import pandas as pd

from bench.analysis.comparison import compare_table
from bench.analysis.evaluations import Evaluation, Evaluations
from bench.analysis.frame import to_frame
from bench.errors import ConfigError, nearest, together
from bench.records.store import Run
from bench.registry import Registry

Files: TypeAlias = Callable[[Path], None]
"""Writes the files of an export into a folder that is empty."""


@dataclass(frozen=True, eq=False)
class Results:
    """What is exported.

    Attributes:
        runs: each of one machine, see `bench.records.machines.by_machine`.
        options: of the format, as they were given.
        remark: told what a reader should know of what is written.
    """

    runs: Sequence[Run]
    options: Mapping[str, str] = field(default_factory=dict)
    remark: Callable[[str], None] = lambda _: None

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row a measurement, see `bench.analysis.frame.to_frame`."""
        return to_frame(self.runs)

    @cached_property
    def table(self) -> pd.DataFrame:
        """One row a network and way of running it, see `bench.analysis.comparison.compare_table`."""
        return compare_table(self.frame)

    @property
    def names(self) -> str:
        """The names of the runs, for messages."""
        return ", ".join(run.name for run in self.runs)

    @property
    def evaluations(self) -> list[Evaluation]:
        """The evaluations of weights as they are, with answers.

        Raises:
            ConfigError: where there is none.
        """
        if plain := [one for one in Evaluations.of(self.frame).plain if one.top1.images]:
            return plain
        tip = "bench evaluate NET --data D tests weights on images"
        raise ConfigError(f"no evaluation in {self.names}", tip)

    @property
    def nothing_measured(self) -> ConfigError:
        """What is raised where no network has a number."""
        message = f"nothing is measured of any network in {self.names}"
        return ConfigError(message, "bench run NET measures one")

    def required(self, **examples: str) -> list[str]:
        """Return the options that the format cannot do without, which are named by an example each.

        Raises:
            ConfigError: where some were not given; it names all of them, and shows how to.
        """
        if lacking := [name for name in examples if not self.options.get(name)]:
            tip = " ".join(f"--set {name}={examples[name]}" for name in lacking)
            raise ConfigError(f"the format needs {' and '.join(lacking)}, which no result says", tip)
        return [self.options[name] for name in examples]


_Make: TypeAlias = Callable[[Results], str | bytes | Files]


@dataclass(frozen=True, slots=True)
class Export:
    """A format.

    Attributes:
        about: what is written, in a line.
        make: what is written of some results.
        options: what `--set` may give, by name, with what it is.
    """

    about: str
    make: _Make
    options: Mapping[str, str] = field(default_factory=dict)

    def read_options(self, given: Sequence[str]) -> dict[str, str]:
        """Return the options of ``["dataset=ILSVRC/imagenet-1k"]``.

        Raises:
            ConfigError: for a text without a value, or an option that the format has none of.
        """
        options = {name.strip(): value.strip() for name, _, value in (text.partition("=") for text in given)}
        wrong = [
            ConfigError(f"the format has no option {name}", self._meant(name))
            if name not in self.options
            else ConfigError(f"--set {name} has no value", f"write --set {name}=VALUE")
            for name, value in options.items()
            if name not in self.options or not value
        ]
        if wrong:
            raise together(wrong)
        return options

    def _meant(self, name: str) -> str:
        """Return the option that was meant, or all there are with what they are."""
        if close := nearest(name, self.options, 1):
            return f"did you mean {close[0]}: {self.options[close[0]]}?"
        known = "; ".join(f"{key}: {about}" for key, about in self.options.items())
        return known or "it has none: leave --set out"


EXPORTS: Registry[Export] = Registry("format", "bench.report.exports")


def export(name: str, *, about: str, options: Mapping[str, str] | None = None) -> Callable[[_Make], _Make]:
    """Register a function of results as the format `name`."""

    def register(make: _Make) -> _Make:
        EXPORTS.add(name, Export(about, make, options or {}))
        return make

    return register
