"""What loading costs an evaluation: 95 % of the network's own rate is promised, or the decoders' bound is shown beside it.

python tests/benchmarks/loader.py [FOLDER [NETWORK [PX]]]; the folder holds a folder of images for each class.
In turn: the evaluation's loop, from files to answers; the network alone on pixels that are in memory; and the decoders
alone, in threads as the harness has them, in torch's DataLoader with processes, and by torchvision's own decoder, whose
pixels are not Pillow's once they are resized.

Where network and decoders share the cores, no loop can be faster than both of them one after the other: the share that
is left then, by CPU time, is shown as the bound.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from types import SimpleNamespace
from typing import Any

import torch
from _side_by_side import in_turn
from torch.utils.data import DataLoader
from torchvision.io import ImageReadMode, decode_jpeg, read_file
from torchvision.transforms.v2 import functional

from bench.archs.naming import resolve
from bench.datasets.classes import ClassMap
from bench.datasets.evaluation import EvaluationSet
from bench.datasets.loader import Loader
from bench.datasets.transforms import Transform
from bench.plan.job import Job
from bench.plan.task import Hooks
from bench.records.environment import usable_cores
from bench.tasks._evaluate import _answer_all, _Network, _Progress

ROUNDS = 5
BATCH = 32


class Decoded:
    """The images as torch's `DataLoader` wants them."""

    def __init__(self, images: EvaluationSet, transform: Transform) -> None:
        self.loader = Loader(images, transform, 1)

    def __len__(self) -> int:
        return len(self.loader.images)

    def __getitem__(self, number: int) -> torch.Tensor:
        return self.loader.one(number)


def by_torchvision(file: str, size: int) -> torch.Tensor:
    """Return an image decoded and resized by torchvision alone."""
    pixels = decode_jpeg(read_file(file), mode=ImageReadMode.RGB)
    resized: torch.Tensor = functional.resize(pixels, [round(size / 0.875)], antialias=True)
    cut: torch.Tensor = functional.center_crop(resized, [size, size])
    return cut


def main(folder: str, name: str, size: int) -> None:
    images = EvaluationSet.of(f"imagefolder:{folder}", "val")
    transform, cores, count = Transform.assumed(size), usable_cores(), len(images)
    torch.set_num_threads(cores)
    settings = {"device": "cpu", "data": images.name, "batch_size": BATCH, "threads": cores}
    job: Job[Any] = Job(task="evaluate", arch=name, input_size=size, settings=settings)  # type: ignore[arg-type]
    network = _Network(resolve(name).build().eval(), job, transform, BATCH)
    classes = ClassMap(tuple(range(network.outputs))[: len(images.classes)], network.outputs, "order")
    loader = Loader(images, transform, cores)
    batches = list(loader.batches(range(count), BATCH))
    kept: Any = SimpleNamespace(batches=lambda *_: iter(batches))

    def evaluate(source: Any) -> Callable[[], None]:
        return lambda: _answer_all(network, source, classes, _Progress.resumed_from(None, "", count), Hooks())

    def decode() -> None:
        for _ in loader.batches(range(count), BATCH):
            pass

    def decode_in_processes() -> None:
        for _ in DataLoader(Decoded(images, transform), BATCH, num_workers=cores):  # type: ignore[arg-type]
            pass

    def decode_by_torchvision() -> None:
        for file in images.images:
            by_torchvision(str(file), size)

    with torch.inference_mode():
        ways = {
            "the evaluation": evaluate(loader),
            "the network alone": evaluate(kept),
            "decoding in threads": decode,
            "decoding in processes": decode_in_processes,
            "torchvision's decoder, one thread": decode_by_torchvision,
        }
        seconds, cpu = timed(ways)
    for way in ways:
        rate, of_cores = count / median(seconds[way]), median(cpu[way]) / count * 1e3
        print(f"{way:36} {rate:8.1f} images/s, {of_cores:6.2f} ms of this process's CPU time an image")
    share = median(
        a / b for a, b in zip(seconds["the network alone"], seconds["the evaluation"], strict=True)
    )
    alone, decoding = (median(cpu[way]) for way in ("the network alone", "decoding in threads"))
    print(f"the evaluation has {share:.1%} of the network's own rate; sharing {cores} cores, at most "
          f"{alone / (alone + decoding):.1%} by CPU time")  # fmt: skip


def timed(ways: dict[str, Callable[[], None]]) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Return the seconds of each round of each way, which take turns, and those of this process's CPU time."""
    cpu: dict[str, list[float]] = {way: [] for way in ways}

    def clocked(way: str) -> None:
        begun = time.process_time()
        ways[way]()
        cpu[way].append(time.process_time() - begun)

    return in_turn({way: partial(clocked, way) for way in ways}, ROUNDS), cpu


if __name__ == "__main__":
    given = sys.argv[1:]
    main(
        given[0] if given else "shared/data/imagenette-224-subset",
        given[1] if len(given) > 1 else "resnet18",
        int(given[2]) if len(given) > 2 else 224,
    )
