"""`bench report` of 1,000 records, as a whole process and without torch: at most 10 s is promised.

python tests/benchmarks/report.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from _side_by_side import in_turn, show  # noqa: E402
from make_records import make_run  # noqa: E402

from bench.records.store import Store  # noqa: E402

RECORDS = 1000
ROUNDS = 3

# Importing torch raises here; the command must not notice.
WITHOUT_TORCH = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "torchvision"}:
            raise ImportError("there is no torch here")
sys.meta_path.insert(0, Absent())
sys.argv = ["bench", "report", sys.argv[1], "--out", sys.argv[2]]
from bench.cli.app import main
main()
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        cases = {}
        for case in ("settings", "networks"):
            run = Path(folder) / case
            _write(run, case)
            cases[f"bench report, {RECORDS} records of many {case}"] = lambda run=run: _report(run)
        for name, seconds in in_turn(cases, ROUNDS).items():
            show(name, seconds)


def _write(run: Path, case: str) -> None:
    """Write the synthetic records again and again, under other settings or for networks of other names."""
    records = make_run().records
    with Store(run) as store:
        for i in range(RECORDS):
            record, again = records[i % len(records)], i // len(records)
            if case == "settings":
                job = replace(record.job, settings={**record.job.settings.content, "repeat": again})
            else:
                job = replace(record.job, arch=f"{record.job.arch}_v{again}")
            store.append(record.changed(job=job))


def _report(run: Path) -> None:
    words = [sys.executable, "-c", WITHOUT_TORCH, str(run), str(run.with_suffix(".report"))]
    subprocess.run(words, check=True, capture_output=True)


if __name__ == "__main__":
    main()
