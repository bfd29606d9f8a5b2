"""What jobs took on the reference machines: writes bench/plan/durations.csv from stored runs.

python tests/benchmarks/durations.py results/cpu-reference results/h100-line-up ...
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median

import bench.plan
from bench.plan.estimate import _RATE_OF, _filed
from bench.records.store import read_run


def main() -> None:
    seconds: dict[str, list[float]] = defaultdict(list)
    rates: dict[str, list[float]] = defaultdict(list)
    for path in sys.argv[1:]:
        for record in read_run(path).records:
            if record.job.task == "ceiling" and record.job.settings.precision == "fp32":
                rates[record.job.device_kind] += record.measurement(_RATE_OF).samples
            if record.status == "ok" and record.role == "measured":
                seconds[_filed(record.job)].append(record.duration_s / record.job.settings.length)
    # What matrix products reach on these machines stands beside the seconds, to tell how fast another one is.
    seconds |= {f"{kind} {_RATE_OF}": all_of_it for kind, all_of_it in rates.items()}
    file = Path(bench.plan.__file__).parent / "durations.csv"
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["job", "seconds"])
        writer.writerows((job, f"{median(each):.3g}") for job, each in sorted(seconds.items()))
    print(f"{len(seconds)} kinds of jobs in {file}")


if __name__ == "__main__":
    main()
