"""The figures of a report between two processes: each drawn once, whatever becomes of the helper."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from typing import Any

import pandas as pd
import pytest

from bench.report.figures import _drawing as drawing

NAMES = tuple("abcdefgh")
Finish = Callable[[Executor], list[Any]]


@pytest.fixture
def finish(monkeypatch: pytest.MonkeyPatch) -> Finish:
    """Return what draws figures, which are capitals, with a helper."""
    monkeypatch.setattr(drawing, "in_order", lambda: [(name, None) for name in NAMES])
    monkeypatch.setattr(drawing, "_draw", lambda name, table, frame, options: name.upper())
    nothing = pd.DataFrame()
    return lambda helper: drawing._shared_out(helper, nothing, nothing, drawing.DrawingOptions())()


def test_each_figure_is_drawn_once_and_in_order(finish: Finish) -> None:
    for _ in range(50):
        with ThreadPoolExecutor(1) as helper:
            assert finish(helper) == [name.upper() for name in NAMES]


class Killed(ThreadPoolExecutor):
    def submit(self, *_: Any, **__: Any) -> Future[Any]:  # type: ignore[override]
        broken: Future[Any] = Future()
        broken.set_exception(BrokenExecutor("killed"))
        return broken


def test_a_helper_that_was_killed_leaves_its_figures_to_the_other(finish: Finish) -> None:
    with Killed(1) as helper:
        assert finish(helper) == [name.upper() for name in NAMES]


def test_a_helper_that_takes_nothing_more_leaves_them_too(finish: Finish) -> None:
    helper = ThreadPoolExecutor(1)
    helper.shutdown()
    assert finish(helper) == [name.upper() for name in NAMES]


def test_an_interruption_ends_the_helper_in_the_midst_of_a_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[object] = []
    monkeypatch.setattr(drawing, "usable_cores", lambda: 2)
    monkeypatch.setattr(drawing, "ProcessPoolExecutor", lambda *_, **__: ThreadPoolExecutor(1))
    monkeypatch.setattr(drawing, "_end", ended.append)
    with pytest.raises(KeyboardInterrupt), drawing.drawing(1000):
        raise KeyboardInterrupt
    assert len(ended) == 1
