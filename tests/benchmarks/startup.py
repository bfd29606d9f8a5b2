"""`bench --help` against importing its command-line libraries alone: at most 1.6 times the time is promised.

python tests/benchmarks/startup.py
"""

from __future__ import annotations

import subprocess
import sys

from _side_by_side import in_turn, show, show_ratio

ROUNDS = 15


def main() -> None:
    def run(*words: str) -> None:
        subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)

    taken = in_turn(
        {"help": lambda: run("-m", "bench", "--help"), "floor": lambda: run("-c", "import typer, rich")},
        ROUNDS,
    )
    show("bench --help", taken["help"])
    show("python -c 'import typer, rich'", taken["floor"])
    show_ratio("ratio", taken["help"], taken["floor"])


if __name__ == "__main__":
    main()
