"""Colours by meaning, of verdicts and statuses in a terminal; the words say all that the colours do."""

from __future__ import annotations

from collections.abc import Mapping

_GOOD, _BAD, _OPEN, _NONE = "green", "bold red", "yellow", "dim"

COLOURS: Mapping[str, str] = {
    **dict.fromkeys(("ok", "faster", "supported", "confirmed", "rounding", "reproduced"), _GOOD),
    **dict.fromkeys(("worth it", "take it", "on the front", "compatible"), _GOOD),
    **dict.fromkeys(("slower", "refuted", "erratum", "not reproduced", "differs"), _BAD),
    **dict.fromkeys(("crashed", "killed", "out of memory", "timed out", "oom", "timeout", "diverged"), _BAD),
    **dict.fromkeys(("invalid model", "invalid_model"), _BAD),
    **dict.fromkeys(("undecided", "suspected", "open", "indicated for", "indicated against"), _OPEN),
    **dict.fromkeys(("other convention", "may hold", "on the front, not for certain", "unsupported"), _OPEN),
    **dict.fromkeys(("cancelled", "not worth it", "beyond the budget"), _OPEN),
    **dict.fromkeys(("needs a run", "not decided here", "skipped", "not comparable"), _NONE),
}
"""The style of rich for a word; one that is not here has none."""
