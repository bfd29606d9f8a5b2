"""Published facts of the package's own networks: year, paper, accuracy, multiply-adds and parameters, with sources.

They stand in `published.csv`, a row a network; accuracies are fractions, numbers have the digits that are printed.
The accuracies of a row are of one source and one `protocol`, the way in which the images were tested: ``1 crop``,
``10 crops``, ``dense`` (the whole image, at one scale), ``multi-scale`` (at several), and of small ones ``whole image``
or ``six views`` (it, its mirror image, and both moved by a pixel); all are of one network. `protocol_source` says where
that stands.
"""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

from bench.io import JsonObject

FILE = Path(__file__).with_name("published.csv")
ACCURACIES = ("top1", "top5", "cifar10_top1", "mnist_top1")
COUNTS = ("macs", "parameters")


@cache
def _rows() -> dict[str, dict[str, str]]:
    with FILE.open(encoding="utf-8", newline="") as lines:
        return {row["name"]: row for row in csv.DictReader(lines)}


def published(name: str) -> JsonObject:
    """Return what the file has of a network as fields of its `ArchCard`; nothing for one that it does not know.

    Returns:
        `year`, `paper`, and `published`: accuracies with their `source` and `protocol`, `macs` and `parameters` each
        with theirs, `macs_source` and `parameters_source`.
    """
    row = _rows().get(name)
    if row is None:
        return {}
    facts: dict[str, object] = {key: float(row[key]) for key in ACCURACIES if row[key]}
    if facts:
        facts |= {key: row[key] for key in ("source", "protocol", "protocol_source")}
    for key in COUNTS:
        if row[key]:
            facts |= {key: int(float(row[key])), f"{key}_source": row[f"{key}_source"]}
    return {"year": int(row["year"]), "paper": row["paper"], "published": facts}
