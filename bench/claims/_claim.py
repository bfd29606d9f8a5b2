"""The claim: one line of a file of claims, as it was printed; and how such a file is read."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from functools import cached_property
from pathlib import Path

from bench.errors import ConfigError, nearest
from bench.io import read_file

SHIPPED = Path(__file__).with_name("claims.csv")
_CONDITIONS = ("dataset", "networks", "relation", "scale")
_COLUMNS = ("id", "source", "subject", "quantity", "claimed", "unit", "printed", "convention", *_CONDITIONS)
_REQUIRED = _COLUMNS[:6]
_SCALES = ("input_size", "train_images", "epochs", "trainings")
# Units of claims that are numbers; any other unit says what kind of text the claim is.
NUMBERS = ("1", "op", "MAC", "B", "px", "s")

_ADDRESS = re.compile(
    r"(?P<network>.+?)(?:/(?P<kind>conv|maxpool|pool|fc)(?P<number>\d+)?(?:_(?P<within>\d+))?)?"
)
_HEDGED = re.compile(r"(?:\b(?:about|approx\w*|roughly|around)\b|~)\.?\s*(\d[\d,.]*)", re.I)


@dataclass(frozen=True)
class Claim:
    """What a source says of a network or of networks at large."""

    id: str  # its name in the file
    source: str  # who says it
    # ``NETWORK`` or ``NETWORK/LAYER``, such as ``vgg16/conv3_1``, ``alexnet/fc6`` or ``NAME/conv`` for all
    # convolutions; what a check needs no network for is named in words
    subject: str
    quantity: str  # what is claimed; it chooses the check
    # the value: a number whose digits are those printed (``60.3e6``), a shape, a formula or words
    claimed: str
    unit: str  # stored unit of a number, or what the value is, such as ``shape``
    printed: str = ""  # the words of the source, or where in it they stand
    convention: str = ""  # what the source says of how it counted
    # of what only trainings decide, the data set that the claim is of; empty where it names none
    dataset: str = ""
    networks: str = ""  # which networks it compares: ``plain56 against plain20``; empty likewise
    # the relations of quantities that it states, with semicolons between: ``train_error higher``; see
    # `bench.analysis.studies.TestVerdict.relation`
    relation: str = ""
    # of its trainings, ``key=value`` of `input_size`, `train_images`, `epochs` and `trainings`;
    # `train_images=all` are all of the data set
    scale: str = ""
    place: str = ""  # file and line, for messages

    @cached_property
    def number(self) -> Decimal:
        """The claimed number, with its exponent as the place of the last printed digit.

        Raises:
            InvalidOperation: if it is none.
        """
        return Decimal(self.claimed)

    @property
    def last_digit(self) -> Decimal:
        """What one unit of the last printed digit is worth: 1e5 for ``60.3e6``."""
        return Decimal((0, (1,), int(self.number.as_tuple().exponent)))

    @property
    def hedged(self) -> bool:
        """Whether the source says of this very number, by its digits, that it is no more than about right."""
        digits = _digits(str(self.number))
        return any(_digits(text) == digits for text in _HEDGED.findall(self.printed))

    @property
    def relations(self) -> tuple[str, ...]:
        """The relations that it states, each one text."""
        return tuple(text.strip() for text in self.relation.split(";") if text.strip())

    @property
    def conditions(self) -> dict[str, str]:
        """Under what it is said to hold: data set, networks and scale; an empty text where it names none."""
        scale = dict(pair.split("=", 1) for pair in self.scale.split())
        return {"networks": self.networks, "dataset": self.dataset, **scale}

    @property
    def network(self) -> str:
        """The subject without its layer."""
        return self._address["network"] or self.subject

    @property
    def layer(self) -> tuple[str, int | None, int | None]:
        """The kind of the layer (empty: none is named), its number, and its number within a stage."""
        kind, number, within = (self._address[k] for k in ("kind", "number", "within"))
        return kind or "", int(number) if number else None, int(within) if within else None

    @property
    def listed(self) -> list[str]:
        """The networks of a subject that lists some, with commas between."""
        return [name.strip() for name in self.subject.split(",")]

    @property
    def pair(self) -> list[str]:
        """The two networks of a ratio, ``alexnet : googlenet``.

        Raises:
            ConfigError: if there are not two.
        """
        names = [name.strip() for name in self.subject.split(" : ")]
        if len(names) != 2:
            raise ConfigError(f"{self.place}: {self.subject!r} is no pair", "write alexnet : googlenet")
        return names

    @cached_property
    def _address(self) -> Mapping[str, str | None]:
        parts = _ADDRESS.fullmatch(self.subject)
        return parts.groupdict() if parts else dict.fromkeys(("network", "kind", "number", "within"))


def _digits(number: str) -> str:
    """Return the significant digits of a number in text: ``72`` of ``72e6`` and ``72.0``."""
    return re.sub(r"[Ee].*|[^\d]", "", number).strip("0")


def read_claims(path: Path, quantities: Mapping[str, Collection[str]]) -> list[Claim]:
    """Read a file of claims: CSV with the columns `_COLUMNS`, of which the first six must be there.

    `quantities` has the units that each known quantity may have; none: any.

    Raises:
        ConfigError: naming file and line, if it cannot be read, a cell is wrong or an id comes twice.
    """
    try:
        text = read_file(path).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"cannot read the claims {path}: {why}", "give a CSV file of claims") from error
    claims = list(_claims(path, text.splitlines(keepends=True)))
    if not claims:
        raise ConfigError(f"{path} holds no claim", f"write one a line below the header {','.join(_COLUMNS)}")
    first: dict[str, Claim] = {}
    for claim in claims:
        if claim.id in first:
            line = first[claim.id].place.rpartition(" ")[2]
            message = f"{claim.place}: the id {claim.id} is that of line {line}"
            raise ConfigError(message, "give each claim its own id")
        first[claim.id] = claim
    for claim in claims:
        _check(claim, quantities)
    return claims


_QUOTES = "put a cell that holds commas in double quotes"


def _claims(path: Path, lines: Iterable[str]) -> Iterator[Claim]:
    reader = csv.reader(lines, strict=True)
    try:
        header = next(reader, [])
        missing = [c for c in _REQUIRED if c not in header]
        unknown = [c for c in header if c not in _COLUMNS]
        if missing or unknown or len(set(header)) != len(header):
            wrong = f"has unknown or double columns: {', '.join(unknown or header)}"
            wrong = f"lacks {', '.join(missing)}" if missing else wrong
            raise ConfigError(f"{path}, line 1: the header {wrong}", f"the header is {','.join(_COLUMNS)}")
        for cells in reader:
            values, place = [cell.strip() for cell in cells], f"{path}, line {reader.line_num}"
            if any(values) and len(values) != len(header):
                raise ConfigError(f"{place}: {len(values)} cells under {len(header)} columns", _QUOTES)
            if any(values):
                yield Claim(**dict(zip(header, values, strict=True)), place=place)
    except csv.Error as error:
        raise ConfigError(f"{path}, line {reader.line_num}: not CSV: {error}", _QUOTES) from error


def _check(claim: Claim, quantities: Mapping[str, Collection[str]]) -> None:
    """Refuse what is empty, a quantity that has no check, a unit that it does not come in, and what is no number."""
    for key in _REQUIRED:
        if not getattr(claim, key):
            raise ConfigError(f"{claim.place}: {key} is empty", f"every claim has {', '.join(_REQUIRED)}")
    if claim.quantity not in quantities:
        known = nearest(claim.quantity, quantities) or sorted(quantities)
        message = f"{claim.place}: no check for the quantity {claim.quantity!r}"
        raise ConfigError(message, f"known: {', '.join(known)}")
    units = quantities[claim.quantity]
    if units and claim.unit not in units:
        message = f"{claim.place}: {claim.quantity} in the unit {claim.unit!r}"
        raise ConfigError(message, f"write it in {' or '.join(units)}")
    numbers = [claim.claimed] if claim.unit in NUMBERS else []
    for text in claim.claimed.split(",") if claim.unit == "list" else numbers:
        _check_number(replace(claim, claimed=text.strip()))
    for pair in claim.scale.split():
        if pair.partition("=")[0] not in _SCALES or not pair.partition("=")[2]:
            tip = f"write KEY=VALUE with spaces between, of {', '.join(_SCALES)}"
            raise ConfigError(f"{claim.place}: scale {pair!r} is none", tip)


def _check_number(claim: Claim) -> None:
    try:
        sound = claim.number.is_finite() and abs(claim.number.adjusted()) < 30
    except InvalidOperation:
        sound = False
    if not sound:
        tip = "write plain digits or an exponent that tells the printed digits: 62378344 or 60.3e6"
        raise ConfigError(f"{claim.place}: {claim.claimed!r} is no number", tip)
