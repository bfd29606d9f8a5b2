"""A page of each kind, for the tests that hold for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from evaluated import evaluated, right_so_often, run_of
from figure_records import engine_records, listed, race
from make_records import NETS, by_name, make_run, records
from test_versus import TIMES
from test_versus import run_of as compared

from bench.records.store import Run, read_run
from bench.report.figures._drawing import Picture
from bench.report.page._content import Content
from reports import content_of, doubtful_run

ROOT = Path(__file__).parent.parent
KINDS = ("all", "doubts", "own", "studies", "race", "evaluations", "engines", "one", "empty")
DRAWN = Picture(
    *("mine", "Mine", "How to read it.", "infer jobs"),
    {"svg": b'<svg width="72pt" height="36pt" viewBox="0 0 72 36"><path id="p"/></svg>'},
)


def _runs(kind: str, folder: Path) -> Iterator[Run]:
    """Yield the runs that a page of this kind is of; evaluations keep their answers in the folder."""
    if kind == "all":
        yield make_run([*records(), *listed()])
        yield compared(TIMES)
    elif kind == "doubts":
        yield doubtful_run()
    elif kind == "own":
        own = replace(NETS[6], name="my_net.py:Net", family="Net")
        yield make_run(records([own, *by_name("alexnet", "vgg16", "resnet18")]))
    elif kind == "studies":
        yield read_run(ROOT / "results" / "study-depth")
    elif kind == "race":
        nets = by_name("resnet18", "resnet34", "resnet50", "vgg16", "vgg19")
        run = make_run(records(nets[:-1]))
        kept = race(nets)
        kept["networks"][0]["why"], kept["networks"][-1]["why"] = "the choice", "never measured"
        yield replace(run, info={**run.info, "race": kept})
    elif kind == "evaluations":
        labels = np.repeat(np.arange(10), 30)
        shares = {"a": 0.9, "b": 0.7}
        seen = [evaluated(folder, net, right_so_often(labels, s, 10), labels) for net, s in shares.items()]
        yield run_of(folder, *seen)
    elif kind == "engines":
        yield make_run(engine_records(NETS[0]))
    elif kind == "one":
        yield make_run(list(records(NETS[:1]))[:1])
    else:
        yield make_run([])


def content_of_kind(kind: str, folder: Path) -> Content:
    """Return all of a page of one of `KINDS`, with a small figure."""
    return replace(content_of(*_runs(kind, folder)), figures=[DRAWN, replace(DRAWN, name="not", files={})])
