"""`python -m bench` is `bench`: the command line, which an early Ctrl-C ends with one line too."""

from __future__ import annotations

import os
import signal


def main() -> None:
    """Run the command line."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    from bench.cli.app import main as run

    run()


def _leave(number: int, frame: object) -> None:  # noqa: ARG001 (a signal handler's signature)
    """Leave before there is anything to end: while the command line is imported."""
    os.write(2, b"cancelled\n")
    os._exit(130)


if __name__ == "__main__":
    main()
