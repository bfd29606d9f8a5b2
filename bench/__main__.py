"""`python -m bench` is `bench`: the command line, which an early Ctrl-C ends with one line too."""

from __future__ import annotations

import os
import signal


def main() -> None:
    """Run the command line."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, _leave)
    try:
        from bench.cli.app import main as run

        run()
    finally:
        _rest()


def _rest() -> None:
    """Hear no signal any more: from here on the exit code stands, and what is left is to end the server of the jobs.

    With `-m`, Python ends by SIGINT where text that was executed, as of a dataclass, was interrupted, although that
    was caught, unless another text was executed after it.
    """
    exec("")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _leave(number: int, frame: object) -> None:  # noqa: ARG001 (a signal handler's signature)
    """Leave before there is anything to end: while the command line is imported."""
    os.write(2, b"cancelled before anything began\n")
    os._exit(130)


if __name__ == "__main__":
    main()
