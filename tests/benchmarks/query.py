"""`bench sql` over 1,000,000 measurements: at most 0.5 s is promised, once they have been read.

python tests/benchmarks/query.py [RUN]

The measurements are those of a stored run, repeated.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bench.analysis.frame import to_frame
from bench.api import _querying
from bench.records.store import read_run
from bench.report.exports.measurements import long_parquet

ROWS = 1_000_000
ROUNDS = 7
QUERIES = (
    "select count(*) from measurements",
    "select arch, measurement, median(median), count(*) from measurements where status = 'ok' group by all order by all",
    "select arch, min(median) from measurements where measurement = 'latency' and batch_size = 1 group by arch",
)


def main() -> None:
    run = Path(sys.argv[1] if len(sys.argv) > 1 else "results/cpu-reference")
    rows = pq.read_table(pa.BufferReader(long_parquet(to_frame([read_run(run)]))))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "all.parquet"
        pq.write_table(pa.concat_tables([rows] * (ROWS // len(rows) + 1)).slice(0, ROWS), file)
        _querying._table_of = lambda _: file
        for sql in QUERIES:
            taken = []
            for _ in range(ROUNDS):
                start = time.perf_counter()
                _querying.query(sql, [run])
                taken.append(time.perf_counter() - start)
            print(f"{statistics.median(taken):.3f} s (least {min(taken):.3f}, most {max(taken):.3f})  {sql}")


if __name__ == "__main__":
    main()
