"""Layers against the whole, a planted delay, and the ways of timing layers against each other, on a CPU.

    python tests/benchmarks/layers.py [NETWORK ...]

For twenty networks of torchvision, at batch 1 and 8: the sum of the layers over the whole, and the same with what modules
do between their layers, which tables have as a row from 2 % on (they free there what layers have put out): that should be
within 5 % for 18 of 20; and whether a delay of a tenth of the whole, planted in a layer that is drawn, is the layer that is
found, in 20 of 20. The whole with stamps taken away again should take what it took before: no cost is left on timed
paths. At the end, for four networks at batch 1, the same sum by hooks of modules, by torch's profiler, and by replay
of each operator on its recorded shapes, and what each adds to a pass. About eight minutes on an idle machine; a busy
one shows in the spread.

    python tests/benchmarks/layers.py --memory [BATCH ...] [NETWORK ...]

The forecast of a training step's memory against the measured peak, the median of three processes, at batch 8 and 32:
within 10 % for 18 of 20. It does not depend on the machine's load, and takes about an hour.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from bench.archs.naming import resolve
from bench.backends import BACKENDS
from bench.costs.calls import Followed, Key
from bench.costs.work import Call, Step, count_pass
from bench.plan.job import Job
from bench.plan.task import Hooks
from bench.tasks._step import ready_step
from bench.tasks.layers import LayersSettings
from bench.timing._watch import HostWatch
from bench.timing.clock import HostClock
from bench.timing.layers import HostStamps, Layered, LayerTimes, measure_layers
from bench.timing.steps import Instruments
from bench.training.step_cost import training_table

NETWORKS = (
    *("alexnet", "squeezenet1_0", "shufflenet_v2_x1_0", "mnasnet1_0", "mobilenet_v2", "mobilenet_v3_large"),
    *(
        "resnet18",
        "googlenet",
        "regnet_y_400mf",
        "regnet_x_800mf",
        "efficientnet_b0",
        "resnet50",
        "densenet121",
    ),
    *("convnext_tiny", "swin_t", "inception_v3", "resnext50_32x4d", "wide_resnet50_2", "vit_b_32", "vgg11"),
)
COMPARED = ("resnet18", "mobilenet_v3_large", "vit_b_32", "densenet121")
TIMING = LayersSettings.model_fields["timing"].default
DELAY, WITHIN, MEMORY_WITHIN = 0.1, 0.05, 0.1
PROCESSES = 3  # whose peaks differ by up to a third, by what the heap keeps
TOLD_FROM = 0.02  # of the network, what modules do between their layers: as in `bench.analysis.layers`
ROUNDS = 12

Sums = dict[Key, float]


def main() -> None:
    names = [name for name in sys.argv[1:] if not name.startswith("-")] or list(NETWORKS)
    if "--peak" in sys.argv:
        print(json.dumps(peak(names[0], int(names[1]))))
    elif "--memory" in sys.argv:
        batches = [int(name) for name in sys.argv[1:] if name.isdecimal()] or [8, 32]
        memory([name for name in names if not name.isdecimal()] or list(NETWORKS), batches)
    else:
        times(names)
        for name in COMPARED:
            ways(name)


def prepared(name: str, batch: int) -> tuple[nn.Module, Tensor]:
    card = resolve(f"torchvision:{name}").card
    size = card.input_size
    return resolve(f"torchvision:{name}").build().eval(), torch.randn(batch, 3, size, size)


def calls_of(model: nn.Module, images: Tensor) -> tuple[Callable[[], None], Followed, dict[Key, Call]]:
    def call() -> None:
        model(images)

    followed = Followed(model)
    with torch.no_grad():
        return call, followed, count_pass(followed, Step(call)).calls


def layered(call: Callable[[], None], followed: Followed) -> LayerTimes:
    stamped = Layered(followed, Step(call), HostStamps())
    with torch.inference_mode():
        return measure_layers(call, stamped, HostClock(), TIMING, watch=HostWatch(), device="cpu")


def laps_of(times_: LayerTimes, calls: dict[Key, Call]) -> dict[Key, list[float]]:
    """Return the s of what is a layer, as the task tells it, round by round."""
    return {
        key: laps
        for (key, _), laps in times_.laps.items()
        if key in calls and (calls[key].leaf or calls[key].forward.operators)
    }


def layers_of(times_: LayerTimes, calls: dict[Key, Call]) -> Sums:
    return {key: median(laps) for key, laps in laps_of(times_, calls).items()}


def explained_share(times_: LayerTimes, calls: dict[Key, Call]) -> list[float]:
    """Return the sum of the layers over the whole, round by round, as the task does."""
    sums = map(sum, zip(*laps_of(times_, calls).values(), strict=True))
    return [part / whole for part, whole in zip(sums, times_.whole.seconds, strict=True)]


def inner_share(times_: LayerTimes, calls: dict[Key, Call]) -> float:
    """Return what modules without an operator take beyond calling others over the whole, as tables have it."""
    layers = laps_of(times_, calls)
    own = {key: laps for (key, _), laps in times_.laps.items() if key in calls and key not in layers}
    children = Counter(call.parent for call in calls.values())
    stretches = sum(children[key] + 1 for key in own)
    inner = [sum(each) - stretches * times_.between_s for each in zip(*own.values(), strict=True)]
    share = median(inner) / median(times_.whole.seconds) if inner else 0.0
    return share if share >= TOLD_FROM else 0.0


def times(names: list[str]) -> None:
    explained: dict[int, list[float]] = {1: [], 8: []}
    found = 0
    for name in names:
        for batch, shares in explained.items():
            model, images = prepared(name, batch)
            call, followed, calls = calls_of(model, images)
            made = layered(call, followed)
            whole, each = median(made.whole.seconds), sorted(explained_share(made, calls))
            inner = inner_share(made, calls)
            shares.append(median(each) + inner)
            line = f"{name:22} batch {batch}: whole {1e3 * whole:8.2f} ms, layers {100 * median(each):6.1f} %"
            line += f" ({len(each)} rounds, {100 * each[0]:.0f} to {100 * each[-1]:.0f} %)"
            line += f", {100 * shares[-1]:.1f} % with what is inside modules"
            if batch == 1:
                is_found, left = planted(model, images, calls, whole)
                found += is_found
                line += f", planted delay {'found' if is_found else 'MISSED'}, whole afterwards {left:.3f} x"
            print(line, flush=True)
    for batch, shares in explained.items():
        near = sum(abs(share - 1) <= WITHIN for share in shares)
        print(f"batch {batch}: what is told is within {WITHIN:.0%} of the whole for {near} of {len(shares)}")
    print(f"planted delays found: {found} of {len(names)}")


def planted(model: nn.Module, images: Tensor, calls: dict[Key, Call], whole_s: float) -> tuple[bool, float]:
    """Return whether a delay planted in a layer is the largest difference, and what the whole takes afterwards."""
    call, followed = (lambda: model(images)), Followed(model)
    leaves = sorted(key for key, one in calls.items() if one.leaf and one.forward.operators and key[1] == 0)
    chosen = random.Random(len(leaves)).choice(leaves)
    module = followed.modules[chosen[0]]
    before = layers_of(layered(call, followed), calls)
    own = module.forward

    def slow(*args: object, **kwargs: object) -> object:
        output = own(*args, **kwargs)
        end = time.perf_counter() + DELAY * whole_s
        while time.perf_counter() < end:
            pass
        return output

    module.__dict__["forward"] = slow
    after = layers_of(layered(call, followed), calls)
    del module.__dict__["forward"]
    differences = {key: after.get(key, 0.0) - s for key, s in before.items()}
    again = median(layered(call, followed).whole.seconds)
    return max(differences, key=differences.__getitem__)[0] == chosen[0], again / whole_s


# --- ways of timing layers ---


def ways(name: str) -> None:
    """Print the sum of layers over the whole, and what a pass takes longer, by each way."""
    model, images = prepared(name, 1)
    with torch.inference_mode():
        bare = lambda: model(images)  # noqa: E731
        made = {"stamps": stamps, "hooks": hooks, "profiler": profiled, "replay": replayed}
        for kind, way in made.items():
            shares, longer = [], []
            for _ in range(ROUNDS):
                whole = seconds(bare)
                took, layers = way(model, images)
                shares.append(layers / whole)
                longer.append(took / whole)
            spread = f"{100 * min(shares):.0f} to {100 * max(shares):.0f} %"
            print(
                f"{name:22} {kind:9} layers {100 * median(shares):6.1f} % ({spread}), a pass {median(longer):.3f} x"
            )


def seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def stamps(model: nn.Module, images: Tensor) -> tuple[float, float]:
    stamped = Layered(Followed(model), Step(lambda: _quiet(model, images)), HostStamps())
    return seconds(stamped), sum(segment.seconds for segment in stamped.segments())


def _quiet(model: nn.Module, images: Tensor) -> None:
    model(images)


def hooks(model: nn.Module, images: Tensor) -> tuple[float, float]:
    begun: list[float] = []
    sums = [0.0]
    leaves = [module for module in model.modules() if not any(module.children())]
    before = [m.register_forward_pre_hook(lambda *_: begun.append(time.perf_counter())) for m in leaves]
    after = [
        m.register_forward_hook(lambda *_: sums.append(time.perf_counter() - begun.pop())) for m in leaves
    ]
    took = seconds(lambda: model(images))
    for hook in (*before, *after):
        hook.remove()
    return took, sum(sums)


def profiled(model: nn.Module, images: Tensor) -> tuple[float, float]:
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        took = seconds(lambda: model(images))
    return took, sum(event.self_cpu_time_total for event in profile.key_averages()) * 1e-6


class _Record(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[Callable[[], object]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.calls.append(lambda: func(*args, **(kwargs or {})))
        return func(*args, **(kwargs or {}))


def replayed(model: nn.Module, images: Tensor) -> tuple[float, float]:
    record = _Record()
    with record:
        took = seconds(lambda: model(images))
    for call in record.calls:
        call()
    return took, sum(map(seconds, record.calls))


# --- memory ---


def memory(names: list[str], batches: list[int]) -> None:
    near = dict.fromkeys(batches, 0)
    for batch in near:
        for name in names:
            command = [sys.executable, "-W", "ignore", __file__, "--peak", name, str(batch)]
            peaks = []
            for _ in range(PROCESSES):
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                peaks.append(json.loads(done.stdout.splitlines()[-1]))
            measured = median(peaks)
            arch = resolve(f"torchvision:{name}")
            made = training_table(arch, batch, None, {})["memory"]
            ratio = made["process"] / measured
            near[batch] += abs(ratio - 1) <= MEMORY_WITHIN
            print(
                f"{name:22} batch {batch:2}: measured {measured / 1e6:7.0f} MB, forecast {made['process'] / 1e6:7.0f} MB "
                f"({ratio:.3f}), tensors {made['peak'] / 1e6:7.0f} MB; from process to process "
                f"{min(peaks) / 1e6:.0f} to {max(peaks) / 1e6:.0f} MB",
                flush=True,
            )
    for batch, count in near.items():
        print(
            f"batch {batch}: forecast within {MEMORY_WITHIN:.0%} of the measured peak for {count} of {len(names)}"
        )


def peak(name: str, batch: int) -> float:
    """Return the peak of this process in training steps, as the task train_step measures it."""
    size = resolve(f"torchvision:{name}").card.input_size
    settings: Any = {"device": "cpu", "batch_size": batch, "threads": torch.get_num_threads()}
    job: Job[Any] = Job(task="train_step", arch=f"torchvision:{name}", input_size=size, settings=settings)
    tools = Instruments.of("cpu")
    phases, _ = ready_step(BACKENDS.get("eager"), job, Hooks(), tools.latency)
    return float(tools.memory.peak(phases).samples[0])


if __name__ == "__main__":
    main()
