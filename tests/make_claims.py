"""Claims, and studies that bear on them, made for tests."""

from __future__ import annotations

from typing import Any

from bench.analysis.studies import StudyVerdict, TestVerdict
from bench.claims import Claim

HEADER = "id,source,subject,quantity,claimed,unit\n"


def claim(**fields: Any) -> Claim:
    """Return a claim that is right, with fields changed."""
    usual = {
        "id": "x",
        "source": "S",
        "subject": "vgg16",
        "quantity": "params",
        "claimed": "138357544",
        "unit": "1",
    }
    return Claim(**{**usual, "place": "f.csv, line 2", **fields})


AS_CLAIMED = {
    "networks": "plain56 against plain20",
    "dataset": "cifar10",
    "train_images": "all",
    "input_size": "32",
}
SMALLER = AS_CLAIMED | {"dataset": "fashion_mnist", "train_images": "5000", "input_size": "16"}


def study(verdict: Any, *claims: str, **conditions: str) -> StudyVerdict:
    """Return a study of one test, whose jobs were those of the claim below, but for what is given."""
    test = TestVerdict(
        "plain56 ends worse", "train_error", "1", "arch plain56", "arch plain20", "higher", verdict,
        *(0.05, 0.03, 0.07, 0.002, 5, 5), "Welch's t", conditions=AS_CLAIMED | conditions,
    )  # fmt: skip
    return StudyVerdict("depth", "h", "", claims, verdict, (test,))


def deeper(**fields: str) -> Claim:
    """Return a claim with conditions of its own, some of them changed."""
    usual = {
        "id": "degradation",
        "quantity": "relation",
        "claimed": "deeper is worse",
        "unit": "trend",
        "dataset": "cifar10",
        "networks": "plain56 against plain20",
        "relation": "train_error higher",
        "scale": "train_images=all input_size=32",
    }
    return claim(**usual | fields)
