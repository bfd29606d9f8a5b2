"""What the jobs of the light executor do."""

from __future__ import annotations

import os
import time
from typing import Any

from bench.execution import Send
from bench.plan.card import ArchCard, DatasetCard
from bench.plan.expand import Catalog
from bench.plan.job import Job
from bench.records.record import count


def probe_machine(send: Send, names: list[str], datasets: list[str]) -> None:
    archs = {name: (ArchCard(name=name, input_size=32, num_classes=10),) for name in names}
    size: dict[str, Any] = {"num_classes": 10, "in_channels": 1, "size": 8, "train": 100, "test": 100}
    cards = {name: DatasetCard(name=name, source="light", **size) for name in datasets}
    environment = {"cpu": {"model": "light", "cores": 2}, "packages": {}, "gpu": []}
    send(("answer", Catalog(archs=archs, datasets=cards, environment=environment)))


def work(send: Send, job: Job, *files: object) -> None:
    """Take the time of LIGHT_S, and send what a cost job does."""
    assert os.read(0, 1) == b""  # nobody's input
    for stage in ("build", "check", "parameters", "macs"):
        send(("stage", stage))
        time.sleep(float(os.environ.get("LIGHT_S", "0.01")) / 4)
    send(("measurement", count("parameters", 10 + job.seed)))
    send(("measurement", count("macs", 100 + job.seed, "MAC")))
    send(("stage", "done"))
    send(("outcome", ("ok", None)))
