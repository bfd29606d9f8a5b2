"""Starting processes of Python without running the user's script anew in them."""

from __future__ import annotations

import contextlib
import sys
import threading
import types
from collections.abc import Iterator

_one_at_a_time = threading.Lock()


@contextlib.contextmanager
def bare_main() -> Iterator[None]:
    """Hide the main module while a process starts: multiprocessing would run it anew in the child.

    All that a child runs is in importable modules, so it needs no main; and a script that calls `bench.run`
    without a guard would otherwise start itself again and again.
    """
    with _one_at_a_time:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = types.ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main
