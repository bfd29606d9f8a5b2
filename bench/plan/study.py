"""Studies: a hypothesis with the tests that decide it, as a section of an experiment file.

study:
  hypothesis: without shortcuts, a deeper network fits its training images less well
  source: He et al. 2015, figure 1
  claims: [degradation.cifar10]     # ids of claims that the tests of the hypothesis bear on
  tests:
    - says: plain56 ends with a higher training error than plain20
      quantity: train_error         # a measurement, or what is computed of some, see below
      of: {arch: plain56}           # the jobs with this network and these settings; a list means any of its values
      against: {arch: plain20}
      expect: higher                # higher, lower or same
      as: difference                # or ratio
      margin: 0.0                   # least difference (or ratio - 1) that counts; of `same`, the band
      role: hypothesis              # or side: a question beside it, which the study's verdict leaves out
      claims: [plain.deeper]        # ids of claims that this test bears on, with the others that name them
    - says: accuracy grows with the receptive field
      quantity: top1
      trend: receptive_field        # rank correlation over networks instead of `against`; a family counts once
      expect: higher

The verdict of the study is that of all tests of its hypothesis together. Whether a test decides a claim or only
indicates something of it is not the study's to say: see `bench.claims._studied`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from bench.errors import ConfigError, suggestion
from bench.plan.job import Job
from bench.plan.recipe import Recipe
from bench.plan.settings import Frozen
from bench.plan.task import all_keys

_Expect = Literal["higher", "lower", "same"]
_Measure = Literal["difference", "ratio"]
Selector = Mapping[str, object]

# What is computed from measurements, with the pattern of its arguments; any other word is a measurement's name.
_DERIVED: Mapping[str, str] = {
    "epochs_to": r"\s*[a-z]\w*\s*,\s*([0-9]+(\.[0-9]*)?|\.[0-9]+)\s*",
    "gradient_imbalance": r"(start|end)?",
    "gradient_ratio": r"(start|end)?",
    "gradient_first": r"(start|end)?",
    "throughput": "",
    "ensemble_gain": "",
}
_USAGE: Mapping[str, str] = {
    "epochs_to": "epochs_to(train_error, 0.25)",
    "gradient_imbalance": "gradient_imbalance or gradient_imbalance(end)",
    "gradient_ratio": "gradient_ratio or gradient_ratio(end)",
    "gradient_first": "gradient_first or gradient_first(end)",
}
_QUANTITY = re.compile(r"\s*(?P<name>[a-z]\w*)\s*(\((?P<arguments>[^()]*)\))?\s*")


class StudyTest(Frozen, populate_by_name=True):
    """One comparison of a study, as it stands in a file; `measure` is called ``as`` there.

    Of no jobs means of all that have the quantity. The margin of a trend is a correlation; below zero, so much on the
    other side is allowed: `lower` with -0.05 is at most 0.05 higher.
    """

    __test__ = False  # no test of pytest

    says: Annotated[str, Field(min_length=1)]
    quantity: Annotated[str, Field(min_length=1)]
    of: Selector = Field(default_factory=dict)
    against: Selector | None = None
    trend: str | None = None
    expect: _Expect
    measure: Annotated[_Measure, Field(alias="as")] = "difference"
    margin: Annotated[float, Field(gt=-1)] = 0.0
    role: Literal["hypothesis", "side"] = "hypothesis"
    claims: tuple[str, ...] = ()

    @property
    def function(self) -> tuple[str, tuple[str, ...]]:
        """The name of the quantity and its arguments: ``("epochs_to", ("train_error", "0.25"))``."""
        name, arguments = _split_quantity(self.quantity)
        return name, tuple(a.strip() for a in arguments.split(",") if a.strip())

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        name, arguments = _split_quantity(self.quantity)
        if not re.fullmatch(_DERIVED.get(name, ""), arguments):
            raise ValueError(
                f"quantity {self.quantity!r} has wrong arguments: write {_USAGE.get(name, name)}"
            )
        alone = name == "ensemble_gain"
        if alone and (self.against is not None or self.trend is not None):
            raise ValueError("ensemble_gain is of one network: it takes neither against nor trend")
        if not alone and (self.against is None) == (self.trend is None):
            raise ValueError("give either against or trend")
        if self.measure == "ratio" and self.against is None:
            raise ValueError("as: ratio needs against")
        if self.expect == "same" and self.margin <= 0:
            raise ValueError("expect: same needs a margin above 0, the band that counts as the same")
        return self


class Study(Frozen):
    """A hypothesis, where it comes from, the claims that its tests bear on, and the tests, side questions included."""

    hypothesis: Annotated[str, Field(min_length=1)]
    source: str = ""
    claims: tuple[str, ...] = ()
    tests: Annotated[tuple[StudyTest, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _tests_its_hypothesis(self) -> Self:
        if all(test.role == "side" for test in self.tests):
            raise ValueError("all tests are side questions: one must be of the hypothesis")
        return self

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values, as a file would have them."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    @classmethod
    def parse(cls, data: object, where: str = "study") -> Study:
        """Check the section of a study.

        Raises:
            ConfigError: with the key's path and the nearest valid one.
        """
        if not isinstance(data, dict):
            raise ConfigError(
                f"{where}: a study is a mapping with a hypothesis and tests", "see configs/studies"
            )
        try:
            study = Study.model_validate(data)
        except ValidationError as error:
            raise _config_error(where, error.errors()[0]) from None
        for i, test in enumerate(study.tests):
            for key, selector in (("of", test.of), ("against", test.against or {})):
                _check_selector(selector, f"{where}.tests[{i}].{key}")
        return study

    def check(self, jobs: Sequence[Job]) -> None:
        """Refuse a study of which a test has no job in the plan.

        Raises:
            ConfigError: naming the test.
        """
        for i, test in enumerate(self.tests):
            for key, selector in (("of", test.of), ("against", test.against or {})):
                if not any(matches(selector, job) for job in jobs):
                    values = ", ".join(f"{k}: {v}" for k, v in selector.items())
                    message = f"study.tests[{i}].{key}: no job of the plan has {values}"
                    raise ConfigError(message, "`bench plan` shows the jobs")


def _split_quantity(text: str) -> tuple[str, str]:
    """Return the name and the arguments of ``name(arguments)``.

    Raises:
        ValueError: if it is neither that nor a plain name.
    """
    parts = _QUANTITY.fullmatch(text)
    if not parts:
        raise ValueError(f"quantity {text!r} is neither a measurement nor one of {', '.join(_DERIVED)}")
    return parts["name"], parts["arguments"] or ""


def _check_selector(selector: Selector, where: str) -> None:
    known = ("task", *all_keys())
    for key in selector:
        if key not in known:
            raise ConfigError(f"unknown key {where}.{key}", suggestion(key, known))


def _config_error(where: str, error: ErrorDetails) -> ConfigError:
    """Return the error of the first wrong value, with its path."""
    path = where + "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in error["loc"])
    if error["type"] == "extra_forbidden":
        fields = Study.model_fields if len(error["loc"]) == 1 else StudyTest.model_fields
        known = [field.alias or name for name, field in fields.items()]
        return ConfigError(f"unknown key {path}", suggestion(str(error["loc"][-1]), known))
    if error["type"] == "missing":
        return ConfigError(f"{path} is missing", "see configs/studies for whole ones")
    message = str(error["msg"]).removeprefix("Value error, ")
    return ConfigError(f"{path}: {message[:1].lower()}{message[1:]}", "mend the value there")


def matches(selector: Selector, job: Job) -> bool:
    """Return whether a job has all that a selector asks for.

    Keys are the job's fields and settings, and `recipe` is its name; a list means any of its values. White space
    in text does not count, since a pattern's name may be written with more or less of it.
    """
    return all(
        any(_among(key, value, wanted) for value in _values(job, key)) for key, wanted in selector.items()
    )


def _among(key: str, value: object, wanted: object) -> bool:
    several = wanted if isinstance(wanted, list | tuple) else [wanted]
    return any(_same(value, _recipe_name(str(one)) if key == "recipe" else one) for one in several)


@lru_cache(maxsize=256)
def _recipe_name(text: str) -> str:
    """Return a recipe's name as jobs have it: ``std(momentum=0)`` for ``std(momentum=0.0)``."""
    try:
        return Recipe.load(text).name
    except ConfigError:  # its file may be gone since
        return text


def _same(value: object, wanted: object) -> bool:
    if isinstance(value, str) and isinstance(wanted, str):
        return "".join(value.split()) == "".join(wanted.split())
    return bool(value == wanted)


def _values(job: Job, key: str) -> tuple[object, ...]:
    """Return a field or a setting of a job, by its old name and by the new one where there are both."""
    if key in ("task", "arch", "input_size", "in_channels", "num_classes", "seed"):
        return (getattr(job, key),)
    value = job.settings.content.get(key)
    if key == "recipe" and isinstance(value, Mapping):
        return (value.get("name"),)
    return value, job.settings.given.get(key)
