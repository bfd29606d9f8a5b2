"""What a job leaves behind is ended, however much it is."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from bench.execution.executors._orphans import end_children

_MANY = 30
_PARENT = """
import os, sys, time
for number in range({many}):
    if os.fork() == 0:
        os.setsid()
        time.sleep(600)
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture
def parent() -> Iterator[psutil.Process]:
    """Yield a process with many children in sessions of their own."""
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT.format(many=_MANY)], stdout=subprocess.PIPE
    ) as started:
        assert started.stdout is not None
        started.stdout.readline()
        process = psutil.Process(started.pid)
        children = process.children()
        yield process
        for one in [process, *children]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()


def living(parent: psutil.Process) -> set[int]:
    return {child.pid for child in parent.children() if child.status() != psutil.STATUS_ZOMBIE}


def test_many_children_are_ended_at_few_looks(
    parent: psutil.Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, children = [], psutil.Process.children

    def counted(process: psutil.Process, **kwargs: bool) -> list[psutil.Process]:
        looks.append(process.pid)
        return children(process, **kwargs)

    assert len(living(parent)) == _MANY
    monkeypatch.setattr(psutil.Process, "children", counted)
    end_children(parent.pid)
    monkeypatch.undo()
    assert living(parent) == set()
    assert parent.status() != psutil.STATUS_ZOMBIE
    assert len(looks) < _MANY


def test_those_that_are_to_stay_do_with_all_that_is_below_them(parent: psutil.Process) -> None:
    kept = {child.pid for child in parent.children()[:3]}
    end_children(parent.pid, but=kept)
    assert living(parent) == kept


def test_nothing_is_below_what_has_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    end_children(ended.pid)
