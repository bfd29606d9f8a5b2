"""What comparisons come to: the words of all verdicts, explained in this one place."""

from __future__ import annotations

from collections.abc import Mapping

VERDICT_WORDS: Mapping[str, str] = {
    "faster": "certain: p is at most 0.05, the ratio's interval does not reach one, and it is not all within the band, "
    "in which all is the same to a user",
    "slower": "certain, as faster, on the other side of one",
    "lower": "certain, of what is no time",
    "higher": "certain, of what is no time",
    "same": "the whole interval lies within the band",
    "suspected": "beyond the noise, and not tested well enough to be certain; the row says what to run",
    "undecided": "the test could not tell; nothing is said of either direction",
    "equal": "of counts: exactly equal",
    "different": "of counts: not equal",
    "dominates": "of two networks: certainly better in one quantity at least, and decided as no worse in all others",
    "dominated": "of two networks: certainly worse in one quantity at least, and decided as no better in any other",
    "traded": "of two networks: certainly better in one quantity, and certainly worse in another",
    "supported": "of an expectation: tested, and certain",
    "refuted": "of an expectation: tested, and certainly otherwise",
    "confirmed": "of a claim: equal to what is counted",
    "rounding": "of a claim: equal to the digits that are printed",
    "confirmed_other_convention": "of a claim: right by another way of counting, which is named",
    "erratum": "of a claim: no way of counting that is known gives it",
    "indicated_for": "of a claim: a test under other conditions than the claim's own speaks for it",
    "indicated_against": "of a claim: a test under other conditions than the claim's own speaks against it",
    "needs_run": "of a claim: only trainings or times decide it, and none is stored",
    "undecidable": "of a claim: nothing here can decide it",
    "reproduced": "of a published accuracy: the interval of all its images holds it; whether to the digit is told",
    "compatible": "of a published accuracy: a part of its images does not speak against it, and cannot reproduce it",
    "not reproduced": "of a published accuracy: certainly another one; what was tried to explain it stands beside it",
    "not comparable": "of a published accuracy: the images are of a part of its classes, or there are none",
    "nothing published": "no accuracy of these weights on such images is known here",
    "worth it": "of an engine: faster for certain, and at most one point of accuracy lost",
    "not worth it": "of an engine: not faster for certain, or more accuracy lost",
    "open": "of an engine: not decided, or the accuracy was not tested",
}
"""What a verdict says, of comparisons, of claims and of published accuracies."""
