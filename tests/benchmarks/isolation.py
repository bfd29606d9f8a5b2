"""What a process for each job costs over running it inline, once the server is warm: at most 0.1 s is promised.

python tests/benchmarks/isolation.py
"""

from __future__ import annotations

from statistics import median

from _side_by_side import in_turn, show

from bench.execution import EXECUTORS
from bench.plan.job import Job

ROUNDS = 15


def main() -> None:
    job = Job(task="cost", arch="linear", input_size=32, num_classes=10, in_channels=3)
    process, inline = EXECUTORS.get("process").make(), EXECUTORS.get("inline").make()

    def run(executor: object) -> None:
        executor.call("bench.execution._worker:work", (job,), timeout_s=60, on_event=lambda _: None)  # type: ignore[attr-defined]

    taken = in_turn({"process": lambda: run(process), "inline": lambda: run(inline)}, ROUNDS)
    for name, values in taken.items():
        show(f"a cost job of linear, {name}", values)
    print(f"isolation: {median(taken['process']) - median(taken['inline']):.4f} s a job")


if __name__ == "__main__":
    main()
