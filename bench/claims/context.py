"""What a check may look at: the claims of a file, the facts of networks, and what the runs at hand have.

Facts of a network are what the probe counts of it, a dict: `card`, `input` [1, C, H, W], `layers` (see
`bench.claims.layers`), `totals`, and `counts` (`parameters`, `buffers`, `macs`, `operations`, ...); or `error` and
`tip` where there is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bench.claims.claim import Claim
from bench.claims.layers import Row, kind_of, layers_called, of_kind
from bench.errors import ConfigError
from bench.io import JsonObject

Facts = JsonObject


@dataclass(frozen=True)
class Context:
    """All that a check may look at.

    Attributes:
        claims: of the file, in its order.
        networks: facts by name.
        measured: by claim id, what the runs at hand have.
    """

    claims: Sequence[Claim]
    networks: Mapping[str, Facts]
    measured: Mapping[str, str] = field(default_factory=dict)

    def network(self, claim: Claim, name: str | None = None) -> Facts:
        """Return the facts of the claim's network.

        Raises:
            ConfigError: if there is no such network.
        """
        name = name or claim.network
        facts = self.networks.get(name, {"error": f"unknown architecture {name!r}", "tip": None})
        if "error" in facts:
            raise ConfigError(f"{claim.place}: {facts['error']}", facts["tip"])
        return facts

    def of_source(self, claim: Claim) -> list[Claim]:
        """Return the claims of the same source on the same network."""
        return [c for c in self.claims if (c.source, c.network) == (claim.source, claim.network)]

    def column(self, claim: Claim) -> list[Claim]:
        """Return the column that a claim is of: those of the same source on the same quantity in the same unit."""
        key = (claim.source, claim.quantity, claim.unit)
        return [c for c in self.claims if (c.source, c.quantity, c.unit) == key]

    def variants(self, name: str) -> Iterator[tuple[str, Facts]]:
        """Yield the variants of a network, those called ``NAME_...``, as ``NAME_X: its note`` with their facts."""
        for other, facts in self.networks.items():
            if other.startswith(f"{name}_") and "error" not in facts:
                yield f"{other}: {facts['card']['note']}", facts

    def family(self, name: str) -> Iterator[tuple[str, Facts]]:
        """Yield the other networks whose names begin with the same letters."""
        letters = re.match(r"[a-z]+", name)
        for other, facts in self.networks.items():
            related = letters and re.match(rf"{letters[0]}(?![a-z])", other)
            if related and other != name and "card" in facts:
                yield other, facts

    def rows(self, claim: Claim, facts: Facts | None = None) -> list[Row]:
        """Return the rows of the layers that a claim names; all where it names none.

        Raises:
            ConfigError: if the network has no such layer.
        """
        every = (facts or self.network(claim))["layers"]
        name = claim.subject.rpartition("/")[2]
        rows = layers_called(every, name, *claim.layer) if claim.layer[0] else list(every)
        if not rows:
            has = ", ".join(f"{len(of_kind(every, kind))} {kind}" for kind in ("conv", "pool", "fc"))
            raise ConfigError(
                f"{claim.place}: {claim.network} has no layer {name}", f"it has {has}; number them from 1"
            )
        return rows

    def layer(self, claim: Claim, *kinds: str) -> Row:
        """Return the one layer that a claim names, or the first of the network.

        Raises:
            ConfigError: if it is of another kind, or there is none.
        """
        row = self.rows(claim)[0]
        if kind_of(row) not in kinds:
            raise ConfigError(
                f"{claim.place}: {claim.quantity} of {row['name']}, a {row['type']}",
                f"name a layer, such as {claim.network}/{kinds[0]}1",
            )
        return row
