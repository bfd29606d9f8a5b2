"""A campaign of faults: ``python -m tests.faults --faults 1000 --seed 0``.

Each is drawn by its number and the seed alone, so that ``--only NUMBER`` does one of them again.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from . import inject, load_kinds


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--faults", type=int, default=1000, help="how many")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="the number of the one to do")
    parser.add_argument("--kind", help="only faults of this kind")
    options = parser.parse_args()
    kinds = {name: fault for name, fault in load_kinds().items() if options.kind in (None, name)}
    done: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    begun = time.monotonic()
    for number in range(options.faults) if options.only is None else [options.only]:
        rng = random.Random(f"{options.seed} {number}")
        name = rng.choices(list(kinds), [fault.weight for fault in kinds.values()])[0]
        with tempfile.TemporaryDirectory(prefix="fault-", ignore_cleanup_errors=True) as folder:
            try:
                inject(name, rng.getrandbits(32), Path(folder) / "place")
            except Exception:  # whatever it is, the next fault follows
                failed[name] += 1
                print(f"fault {number}, {name}: FAILED\n{traceback.format_exc()}", flush=True)
        done[name] += 1
        if done.total() % 20 == 0:
            print(
                f"{done.total()} faults, {failed.total()} failed, {time.monotonic() - begun:.0f} s",
                flush=True,
            )
    for name, count in sorted(done.items()):
        print(f"{count:>6} {name}" + (f", {failed[name]} failed" if failed[name] else ""))
    print(f"{done.total()} faults, {failed.total()} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
