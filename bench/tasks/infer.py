"""The task `infer`: latency, step time, peak memory and energy of the forward pass."""

from __future__ import annotations

from collections.abc import Iterator

from bench.plan.estimate import called_s
from bench.plan.job import Job
from bench.plan.settings import Timed, TimedKeys
from bench.plan.task import TASKS, Hooks, Quantity, Task
from bench.records.record import Measurement

_GUESS_S = {"cpu": 3.8, "cuda": 3.6}
_FORWARDS = 5  # what warming up and the passes for memory call at least

_QUANTITIES = (
    Quantity(
        "latency",
        "s",
        "lower",
        "Latency, batch 1",
        "image",
        marked=True,
        about="time of a call that is waited for; tables have that of one image",
    ),
    Quantity(
        "step_time",
        "s",
        "lower",
        about="time of a call of the batch among others, without waiting between them",
    ),
    Quantity(
        "throughput",
        "1/s",
        "higher",
        "Throughput",
        "rate",
        of="step_time",
        marked=True,
        about="images per second at the largest batch that was timed: the batch over the time of a call",
    ),
    Quantity(
        "tensor_memory",
        "B",
        "lower",
        "Memory of tensors",
        "batch",
        marked=True,
        exact=True,
        about="most bytes of tensors alive at once, counted; the same on every device",
    ),
    Quantity(
        "peak_memory",
        "B",
        "lower",
        "Peak memory",
        "batch",
        about="most bytes in a pass of its own, libraries' memory included",
    ),
    Quantity(
        "energy",
        "J",
        "lower",
        "Energy of an image",
        "batch",
        about="energy of one image, idle power included",
    ),
    Quantity(
        "roofline_share",
        "1",
        "higher",
        "Of the roofline",
        "derived",
        cell="share",
        narrow=False,
        about="share of what this machine's ceilings allow at such an intensity",
    ),
    Quantity(
        "intensity",
        "MAC/B",
        "neither",
        "Operational intensity",
        "derived",
        beside="roofline_share",
        about="MACs a byte that has to be moved",
    ),
    Quantity("max_batch", "1", "higher", about="the largest batch that goes through all that the job does"),
    Quantity("prepare_time", "s", "lower", about="what a backend takes to compile, capture or export"),
    Quantity(
        "load_time",
        "s",
        "lower",
        about="what a backend takes in a process that finds what an earlier one of the run has prepared",
    ),
    Quantity(
        "output_difference",
        "1",
        "lower",
        about="largest difference from eager outputs (logits, or else the first tensor) over the largest of these",
    ),
    Quantity(
        "mean_difference",
        "1",
        "lower",
        about="mean difference from eager outputs on further images, as a share of the largest of these",
    ),
    Quantity("other_answers", "1", "lower", about="share of further images whose largest output is another"),
    Quantity("artefact_size", "B", "lower", about="bytes of an engine's files on disk"),
    Quantity(
        "precision_share",
        "1",
        "neither",
        about="share of an engine's operators that multiply which runs in the precision of the row",
    ),
    Quantity(
        "threads_used", "1", "neither", about="CPU time of all threads of a call over that of the busiest"
    ),
    Quantity(
        "clipped_share",
        "1",
        "lower",
        about="share of the values of a quantised tensor beyond its range, in the worst tensor",
    ),
)


def _run(job: Job[Timed], hooks: Hooks) -> Iterator[Measurement]:
    """Time the network's calls as its backend runs it, then their energy and the tensors that they hold."""
    import torch

    from bench.tasks._agreement import soundness
    from bench.tasks._calls import (
        backend_of,
        doubts_of_memory,
        doubts_of_results,
        ready,
        tensors,
        with_doubts,
        with_energy,
    )
    from bench.tasks._engines import inspected
    from bench.tasks._networks import check
    from bench.tasks._placing import noise
    from bench.timing.steps import Instruments, measure_inference

    backend = backend_of(job)
    # Before the network is built: the memory meter takes its zero here.
    tools = Instruments.of(job.device, blocks_host=backend.blocks_host)
    with torch.inference_mode():
        prepared, results = ready(backend, job, hooks, tools.latency)
        yield from results
        doubts = {"s": doubts_of_results(results), "B": doubts_of_memory(backend, job)}
        output: object = None

        def inspect(first: object) -> None:
            nonlocal output
            check(first, job, job.settings.batch)
            output = first

        look = None if results else inspect
        times: list[Measurement] = []
        measured = measure_inference(prepared.call, job.settings.timing, tools, hooks.stage, look)
        for measurement in with_energy(measured, prepared.call, job, hooks, tools):
            if times or measurement.unit == "s":
                times.append(measurement)
            else:
                yield with_doubts(measurement, doubts)
        # Only now, as what is computed here leaves the allocator in another state: it made the calls of this one
        # process up to 14 % faster. Of eager the other processes would find the same.
        if not results and prepared.held is not None and not job.settings.replicate:
            *held, images = prepared.held()
            doubts["s"] += soundness(
                prepared.call, output, held, job.settings.precision, (images, noise(job))
            )
        if prepared.engine is not None:  # each process has made its own
            hooks.stage("inspect")
            of_engine = tuple(inspected(prepared.engine, job))
            doubts["s"] += doubts_of_results(of_engine)
            yield from of_engine
        yield from (with_doubts(measurement, doubts) for measurement in times)
        yield from tensors(prepared.call, prepared.held, job, hooks)


TASKS.add(
    "infer",
    Task(
        place=2,
        about="times the forward pass, and measures its memory and energy",
        keys=TimedKeys,
        settings=Timed,
        run=_run,
        estimate=lambda job, work: called_s(job, _GUESS_S, work, _FORWARDS, shares=True),
        quantities=_QUANTITIES,
        batch_column="batch_size",
        batch_title="Batch of all but latency",
    ),
)
