"""Reading stored records into a frame: 10,000 are promised within 1 s, 100,000 within 8 s; imports not counted.

python tests/benchmarks/frame.py [RECORDS ...]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from _side_by_side import show  # noqa: E402
from make_records import make_run  # noqa: E402

from bench.records.line import encode  # noqa: E402
from bench.records.store import RECORDS  # noqa: E402

ROUNDS = 3

# Each round in a process of its own, as a command has it: a second reading in one would find memory ready.
LOAD = """
import sys, time
from bench.analysis.frame import to_frame
from bench.records.store import read_run
begin, start = time.process_time(), time.perf_counter()
run = read_run(sys.argv[1])
read = time.perf_counter()
to_frame([run])
print(read - start, time.perf_counter() - read, time.process_time() - begin)
"""


def main() -> None:
    for count in map(int, sys.argv[1:] or ("10000", "100000")):
        with tempfile.TemporaryDirectory() as folder:
            _write(Path(folder), count)
            taken = [_load(folder) for _ in range(ROUNDS)]
        show(f"{count:,} records: read", [read for read, _, _ in taken])
        show(f"{count:,} records: to frame", [made for _, made, _ in taken])
        show(f"{count:,} records: both", [read + made for read, made, _ in taken])
        show(f"{count:,} records: both, CPU alone", [cpu for _, _, cpu in taken])


def _write(run: Path, count: int) -> None:
    """Write the synthetic records again and again, for networks of other names."""
    records = make_run().records
    with (run / RECORDS).open("wb") as file:
        for i in range(count):
            record, again = records[i % len(records)], i // len(records)
            file.write(encode(record.changed(job=replace(record.job, arch=f"{record.job.arch}_v{again}"))))


def _load(run: str) -> tuple[float, float, float]:
    done = subprocess.run([sys.executable, "-c", LOAD, run], check=True, capture_output=True, text=True)
    read, made, cpu = map(float, done.stdout.split())
    return read, made, cpu


if __name__ == "__main__":
    main()
