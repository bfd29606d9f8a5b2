"""Wall time a network of `bench run`, against a fresh interpreter a network that times 10 + 40 steps.

    python tests/benchmarks/wall_time.py

The second is the method of timm's benchmark.py started once for each network, as its bulk runner does: it imports,
builds, runs 10 steps of warm-up and 40 that count. `bench` samples until the 95 % interval of the median is within 1 %,
or its limit, and the start of its server is counted. At most a third of the time is promised.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

NETWORKS = {"resnet18": 8, "mobilenetv3_large_100": 8, "vgg16": 8}

FRESH = """
import sys, time, torch, timm
name, batch = sys.argv[1], int(sys.argv[2])
model = timm.create_model(name, pretrained=False).eval()
images = torch.randn(batch, 3, 224, 224)
with torch.no_grad():
    for _ in range(10):
        model(images)
    for _ in range(40):
        start = time.perf_counter()
        model(images)
        time.perf_counter() - start
"""


def main() -> None:
    fresh = {}
    for name, batch in NETWORKS.items():
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", FRESH, name, str(batch)], check=True)
        fresh[name] = time.perf_counter() - start
        print(f"{name} batch {batch}, fresh interpreter: {fresh[name]:.1f} s")
    with tempfile.TemporaryDirectory() as folder:
        names = [f"timm:{name}" for name in NETWORKS]
        options = [
            "--task",
            "infer",
            "--config",
            "smoke",
            "--set",
            "batch_size=8",
            "--set",
            "timing.limit_s=3",
        ]
        start = time.perf_counter()
        bench = Path(sys.executable).with_name("bench")
        subprocess.run(
            [bench, "run", *names, *options, "--no-report", "--results", folder],
            check=True,
            capture_output=True,
        )
        ours = time.perf_counter() - start
    print(f"all in one run of bench: {ours:.1f} s, ratio {sum(fresh.values()) / ours:.2f} x")


if __name__ == "__main__":
    main()
