"""Two runs at once on one device wait for each other; on two devices they do not."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path

import pytest

from bench.execution.locks import device_lock


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def waited(first: str, second: str, *, visible: str | None = None, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Return whether `second`, asked for while `first` is held and CUDA shows `visible`, was waited for."""
    free, told = threading.Event(), []

    def waiting(device: str) -> None:
        told.append(device)
        free.set()

    def hold() -> None:
        with device_lock(second, waiting):
            free.set()

    with device_lock(first, lambda device: pytest.fail(f"{device} is not held yet")):
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        other = threading.Thread(target=hold)
        other.start()
        assert free.wait(10)
    other.join(10)
    assert not other.is_alive()
    assert told in ([], [second])
    return bool(told)


@pytest.mark.parametrize(
    ("first", "second", "visible", "expected"),
    [
        ("cpu", "cpu", None, True),
        ("cuda", "cuda:0", None, True),
        ("cuda:1", "cuda:1", None, True),
        ("cuda:0", "cuda:1", None, False),
        ("cpu", "cuda", None, False),
        ("cuda:1", "cuda", "1,0", True),  # the first that is visible is the second there is
        ("cuda:0", "cuda", "1", False),
    ],
)
def test_one_device_is_one_lock_however_it_is_named(
    first: str, second: str, visible: str | None, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert waited(first, second, visible=visible, monkeypatch=monkeypatch) is expected
