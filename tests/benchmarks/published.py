"""Counts of timm's networks against those that timm publishes with its own benchmarks.

    python tests/benchmarks/published.py BENCHMARK.csv [NETWORKS] [OUT.csv]

BENCHMARK.csv is a table of timm's folder `results`, with the columns model, infer_img_size, param_count (millions) and
infer_gmacs. NETWORKS, 400 by default, of its rows are taken at equal steps; 0 takes all. The table that is written has a
row a network: ours, published, their ratio, and what makes up a difference of more than 1 %. timm counts with fvcore,
which leaves out recurrent layers and counts norms and adaptive pooling in, and some networks in their fused form. Each of
these parts is counted here, from the shapes that go through it, and is a cause where all of them together come to the
published number; else the difference is `unexplained`. No time is measured.
"""

from __future__ import annotations

import contextlib
import csv
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from unittest.mock import patch

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.modules import rnn

from bench.archs.naming import resolve
from bench.costs import COSTS, Subject, prepare
from bench.errors import BenchError

TOLERATED = 0.01
LAST_DIGIT = 0.01  # of published numbers: millions of parameters, and thousands of millions of MACs
COLUMNS = (
    "network",
    "input_size",
    "parameters",
    "published_parameters",
    "gmacs",
    "published_gmacs",
    "ratio",
    "cause",
)


def norm(x: torch.Tensor, *_: object, **__: object) -> int:
    return 5 * x.numel()


def batch_norm(
    x: torch.Tensor, mean: object, var: object, weight: object = None, bias: object = None, training: bool = False, *_: object,
    **__: object,
) -> int:  # fmt: skip
    """Count as fvcore does; timm standardises weights by batch norm in training mode."""
    return x.numel() * (5 if training and weight is not None else 4 if training else 2)


def recurrent(x: torch.Tensor, _state: object, weights: list[torch.Tensor], *_: object, **__: object) -> int:
    return -(x.numel() // x.shape[-1]) * sum(w.numel() for w in weights if w.dim() == 2)


# What timm's counter does with some functions: its MACs beyond ours, from their arguments and what they return.
PARTS: dict[str, tuple[str, Callable[..., int]]] = {
    "batch_norm": ("batch norm counts as 2 an element, as 5 of weights", batch_norm),
    "layer_norm": ("layer norm counts as 5 an element", norm),
    "group_norm": ("group norm counts as 5 an element", norm),
    "instance_norm": ("instance norm counts as 5 an element", norm),
    "lstm": ("recurrent layers are left out", recurrent),
    "adaptive_avg_pool2d": ("adaptive pooling counts as 1 an element", lambda x, *_, **__: x.numel()),
}


@contextlib.contextmanager
def parts_of() -> Iterator[Counter[str]]:
    """Collect what goes through the functions of `PARTS` inside the block, by the cause that each is."""
    counts: Counter[str] = Counter()
    inside: set[str] = set()  # functions of torch call themselves by their names, once more

    def noted(place: object, name: str) -> Callable[..., object]:
        function, (cause, count) = getattr(place, name), PARTS[name]

        def call(*args: object, **kwargs: object) -> object:
            if name in inside:
                return function(*args, **kwargs)
            counts[cause] += count(*args, **kwargs)
            inside.add(name)
            try:
                return function(*args, **kwargs)
            finally:
                inside.discard(name)

        return call

    with contextlib.ExitStack() as stack:
        for name in PARTS:
            place = F if hasattr(F, name) else rnn._VF
            stack.enter_context(patch.object(place, name, noted(place, name), create=True))
        yield counts


def explain(ours: int, parts: Counter[str], published: float) -> str:
    """Return why two counts differ: nothing where they agree, the parts that make it up, or `unexplained`.

    All parts together have to come to the published number; those are named that are more than a thousandth of it.
    """

    def agrees(value: float) -> bool:
        return abs(value / 1e9 - published) <= max(TOLERATED * published, LAST_DIGIT / 2 * 1.001)

    if abs(ours / 1e9 / published - 1) <= TOLERATED:
        return ""
    if agrees(ours):
        return "published with two decimals"
    if not agrees(ours + sum(parts.values())):
        return "unexplained"
    named = sorted((c for c in parts if abs(parts[c]) > 1e6 * published), key=lambda c: -abs(parts[c]))
    return "; ".join(named)


def counted(model: nn.Module, shape: tuple[int, int, int, int]) -> tuple[int, int, Counter[str], str]:
    """Return parameters, MACs, the parts of `PARTS` and doubts of a network that is there."""
    with parts_of() as parts:
        subject = Subject(model, shape)
        if failure := subject.trace.failure:
            raise failure
    found = {m.name: m for key in ("parameters", "macs") for m in COSTS.get(key)(subject)}
    parameters, macs = (int(found[key].samples[0]) for key in ("parameters", "macs"))
    return parameters, macs, parts, ",".join(found["macs"].flags)


def row_of(published: dict[str, str]) -> dict[str, object]:
    """Return the row of a network; of one that is published in its fused form, which its parameters tell, of that."""
    from timm.utils.model import reparameterize_model

    name, size = published["model"], int(published["infer_img_size"])
    row: dict[str, object] = {"network": name, "input_size": size}
    try:
        prepared = prepare(resolve(f"timm:{name}"), input_size=size)
    except BenchError as error:
        return {**row, "cause": f"not in this timm: {error.message}"}
    millions, gmacs = (float(published[key].replace(",", "")) for key in ("param_count", "infer_gmacs"))

    def is_published(parameters: int) -> bool:
        return abs(parameters / 1e6 - millions) <= max(TOLERATED * millions, LAST_DIGIT)

    form = ""
    try:
        parameters, macs, parts, doubts = counted(prepared.model, prepared.shape)
        if not is_published(parameters):
            parameters, macs, parts, doubts = counted(
                reparameterize_model(resolve(f"timm:{name}").build(input_size=size).eval()), prepared.shape
            )
            form = "published in its fused form, and counted in it"
    except Exception as error:
        return {**row, "cause": f"unexplained: {type(error).__name__}: {error}"[:200]}
    if not is_published(parameters):
        form = "unexplained: other parameters"
    cause = "; ".join(filter(None, (form, explain(macs, parts, gmacs))))
    return {
        **row,
        "parameters": parameters,
        "published_parameters": millions,
        "gmacs": f"{macs / 1e9:.4g}",
        "published_gmacs": gmacs,
        "ratio": f"{macs / 1e9 / gmacs:.4f}",
        "cause": f"{cause} [{doubts}]" if doubts else cause,
    }


def main(file: str, networks: str = "400", out: str = "published.csv") -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    with open(file, newline="") as stream:  # noqa: PTH123
        rows = [r for r in csv.DictReader(stream) if float(r["infer_gmacs"].replace(",", "") or 0)]
    count = int(networks) or len(rows)
    chosen = [rows[i * len(rows) // count] for i in range(min(count, len(rows)))]
    start, table = time.monotonic(), []
    with open(out, "w", newline="") as stream:  # noqa: PTH123
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        for each in chosen:
            table.append(row_of(each))
            writer.writerow(table[-1])
            stream.flush()
    causes = [str(row["cause"]) for row in table]
    for row in table:
        if row["cause"]:
            print(" ".join(str(row.get(key, "")) for key in COLUMNS))
    there = [c for c in causes if not c.startswith("not in this timm")]
    wrong = [c for c in there if "unexplained" in c]
    print(
        f"{len(there)} networks counted in {time.monotonic() - start:.0f} s, {len(causes) - len(there)} not in this timm"
    )
    print(f"{sum(not c for c in there)} within 1 %, {len(wrong)} unexplained")


if __name__ == "__main__":
    main(*sys.argv[1:])
