"""What two commits come to: a slowdown counts where two rounds of a comparison are certain of it."""

from __future__ import annotations

from dataclasses import dataclass

from bench.analysis.versus import Ratio
from bench.records.flags import doubts, joined_flags


@dataclass(frozen=True, slots=True)
class TwoRounds:
    """A quantity of a network in the later commit over that in the earlier one.

    Attributes:
        ratio: of the first round; its `arch` and `baseline` are the network's name and the commits.
        again: of the second round, where there was one.
        limit: share by which the interval must lie beyond 1 for a slowdown to count.
    """

    ratio: Ratio
    again: Ratio | None
    limit: float

    @property
    def flags(self) -> tuple[str, ...]:
        """Doubts of both rounds, each once."""
        return joined_flags(
            [one.flags for one in (self.ratio, self.again) if one is not None], several=False, wide=False
        )

    @property
    def verdict(self) -> str:
        """What it comes to, in a word or a few.

        ``slower`` where both rounds are certain of it, ``suspected`` where one is; ``slower within the limit``, and
        what is in doubt, as ``faster in doubt``, which do not count; else the first round's verdict.
        """
        first = self.ratio
        if first.is_slower(self.limit):
            return "slower" if self.again is not None and self.again.is_slower(self.limit) else "suspected"
        word = first.effect.verdict
        if word in ("slower", "faster", "same") and doubts(first.flags):
            return f"{word} in doubt"
        return "slower within the limit" if word == "slower" else word

    def to_json(self) -> dict[str, object]:
        """Return plain values."""
        again = None if self.again is None else self.again.to_json()
        return {**self.ratio.to_json(), "verdict": self.verdict, "again": again, "fail_above": self.limit}
