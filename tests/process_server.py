"""What the fork server of `test_process_executor.py` imports: all that its jobs need, and no torch."""

from bench.execution.executors._server import importing

with importing():
    import process_targets  # noqa: F401

    from bench.execution.executors import _child

_child.GRACE_S = 0.2
