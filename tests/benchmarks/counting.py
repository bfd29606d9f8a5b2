"""Costs of all torchvision's classifiers against what FlopCounterMode alone takes, in turn, on meta tensors.

    python tests/benchmarks/counting.py [PATTERN]

CPU seconds of one thread, so that a neighbour does not count. At most 1 is promised for the ratio of counting, with
the audit, the receptive fields and the layer tables; and less than 1 GB for the process. Of torchvision's networks all
counts are held against torchvision's own, of which the tests do so for one of each family.
"""

from __future__ import annotations

import resource
import sys
import time
import warnings
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from bench.archs.naming import expand_names, resolve
from bench.costs import COSTS, Subject
from bench.costs._storage import without_storage
from bench.costs.layers import layer_table

sys.path.append(str(Path(__file__).parents[1]))
from torchvision_counts import check_counts


def seconds(call: object) -> float:
    start = time.process_time()
    call()  # type: ignore[operator]
    return time.process_time() - start


def main(pattern: str = "torchvision:*") -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    ours = theirs = building = 0.0
    for number, name in enumerate(expand_names([pattern])):
        card = resolve(name).card
        shape = (1, card.in_channels, card.input_size, card.input_size)

        start = time.process_time()
        with without_storage():
            model = resolve(name).build().eval()
        building += time.process_time() - start
        model.to("meta")

        def count(model: torch.nn.Module = model, shape: tuple[int, int, int, int] = shape) -> None:
            subject = Subject(model, shape)
            for name in COSTS:
                list(COSTS.get(name)(subject))
            layer_table(subject)

        def theirs_alone(model: torch.nn.Module = model, shape: tuple[int, ...] = shape) -> None:
            with FlopCounterMode(display=False), torch.no_grad():
                model(torch.zeros(shape, device="meta"))

        if number == 0:
            count(), theirs_alone()
        if number % 2:
            ours += seconds(count)
            theirs += seconds(theirs_alone)
        else:
            theirs += seconds(theirs_alone)
            ours += seconds(count)
        if name.startswith("torchvision:"):
            check_counts(name.removeprefix("torchvision:"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"building {building:.1f} s, FlopCounterMode {theirs:.1f} s, bench {ours:.1f} s")
    print(f"ratio {ours / theirs:.2f} x, peak memory of the process {peak:.0f} MB")


if __name__ == "__main__":
    main(*sys.argv[1:])
