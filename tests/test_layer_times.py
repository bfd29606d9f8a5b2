"""Where the time goes: work that is counted, stamps that are faked, and the command that tells of them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from conftest import Bench, make_job, make_record
from fake_card import FakeCard, FakeHost
from fake_clock import FakeClock
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from bench.archs.naming import resolve
from bench.cli.show import _Format, _print_times
from bench.costs import prepare
from bench.costs.calls import Followed
from bench.costs.work import OUTSIDE, Call, Step, Work, count_pass
from bench.errors import UnsupportedError
from bench.execution._worker import _measure
from bench.plan.job import Job
from bench.plan.settings import Timing
from bench.plan.task import Hooks
from bench.records.record import Measurement
from bench.records.store import Run
from bench.timing._watch import HostWatch
from bench.timing.layers import OPTIMISER, HostStamps, Layered, _laps, _Segment, _Stamp, measure_layers

# --- what is counted ---


def counted(network: nn.Module, images: Tensor, *, training: bool = False) -> dict[str, Call]:
    """Return the calls of a network by name, that of the network itself as ``""``."""
    loss = torch.zeros(())

    def forward() -> Tensor | None:
        nonlocal loss
        loss = network(images).sum()
        return loss if training else None

    step = Step(forward, (lambda: loss.backward()) if training else None)  # noqa: PLW0108
    with torch.set_grad_enabled(training):
        counting = count_pass(Followed(network), step)
    return {call.name: call for key, call in counting.calls.items() if key != OUTSIDE}


def macs_of(calls: Mapping[Any, Call]) -> int:
    """Return the multiply-accumulates of all forward passes."""
    return sum(call.forward.macs for call in calls.values())


class Small(nn.Module):
    """Two convolutions with a sum around the second, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, bias=False)
        self.second = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.head = nn.Linear(4 * 6 * 6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return self.head((self.second(x) + x).flatten(1))  # type: ignore[no-any-return]


IMAGES = torch.zeros(2, 3, 8, 8)
FIRST, SECOND, HEAD = 2 * 4 * 36 * 27, 2 * 4 * 36 * 18, 2 * 5 * 144  # multiply-accumulates of two images


def test_work_is_of_the_call_that_does_it() -> None:
    calls = counted(Small(), IMAGES)
    assert [calls[name].forward.macs for name in ("first", "second", "head", "")] == [FIRST, SECOND, HEAD, 0]
    # images, weights and output of the convolution; both operands and the sum of the addition; in single precision
    assert calls["first"].forward.bytes == 4 * (2 * 3 * 64 + 4 * 27 + 2 * 4 * 36)
    assert calls[""].forward == Work(0, 4 * 3 * (2 * 4 * 36), 1)
    assert (calls[""].leaf, calls["head"].leaf, calls["head"].parent, calls["head"].depth) == (
        False,
        True,
        (0, 0),
        1,
    )


def test_a_gradient_of_weights_and_one_of_the_input_but_for_the_first_layer() -> None:
    calls = counted(Small(), IMAGES, training=True)
    backward = {name: calls[name].backward.macs for name in ("first", "second", "head")}
    assert backward == {"first": FIRST, "second": 2 * SECOND, "head": 2 * HEAD}


@pytest.mark.parametrize(
    ("frozen", "macs"),
    [
        (("first",), {"first": 0, "second": SECOND, "head": 2 * HEAD}),
        (("second",), {"first": FIRST, "second": SECOND, "head": 2 * HEAD}),
        (("first", "second"), {"first": 0, "second": 0, "head": HEAD}),
    ],
)
def test_what_is_frozen_costs_no_gradient_of_its_weights(
    frozen: tuple[str, ...], macs: dict[str, int]
) -> None:
    network = Small()
    for name in frozen:
        getattr(network, name).requires_grad_(False)
    calls = counted(network, IMAGES, training=True)
    assert {name: calls[name].backward.macs for name in macs} == macs


def test_a_transposed_convolution_and_a_module_that_is_called_twice() -> None:
    shared = nn.ConvTranspose2d(3, 3, 2)
    network = nn.Sequential(shared, nn.ReLU(), shared)
    loss = torch.zeros(())

    def forward() -> Tensor:
        nonlocal loss
        loss = network(IMAGES).sum()
        return loss

    calls = count_pass(Followed(network), Step(forward, lambda: loss.backward())).calls  # noqa: PLW0108
    once, again = (calls[1, number] for number in (0, 1))
    assert (once.forward.macs, again.forward.macs) == (2 * 3 * 64 * 12, 2 * 3 * 81 * 12)
    assert (once.backward.macs, again.backward.macs) == (once.forward.macs, 2 * again.forward.macs)
    assert (once.parameters, again.parameters) == (3 * 3 * 4 + 3, 0)


def test_attention_in_one_kernel_counts_as_in_parts() -> None:
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True).eval()
    tokens = torch.zeros(2, 5, 16)
    sums = []
    for fast in (True, False):
        torch.backends.mha.set_fastpath_enabled(fast)
        try:
            with torch.no_grad():
                counting = count_pass(Followed(layer), Step(lambda: _run(layer, tokens)))
        finally:
            torch.backends.mha.set_fastpath_enabled(True)
        sums.append(macs_of(counting.calls))
    tokens_in_all, width = 2 * 5, 16
    attention = tokens_in_all * (4 * width * width + 2 * 5 * width)
    assert sums == [attention + 2 * tokens_in_all * width * 32] * 2


def _run(network: nn.Module, images: Tensor) -> None:
    network(images)


@pytest.mark.parametrize(
    "name", ["lenet5", "resnet18", "torchvision:mobilenet_v3_small", "torchvision:vit_b_32"]
)
def test_forward_counts_are_those_of_the_table_of_layers(name: str) -> None:
    subject = prepare(resolve(name))
    images = torch.empty(3, *subject.shape[1:], device="meta")
    with torch.no_grad():
        counting = count_pass(Followed(subject.model), Step(lambda: _run(subject.model, images)))
    assert macs_of(counting.calls) == 3 * subject.trace.first


class Branches(Small):
    """Takes one of two ways by an operator that takes functions, as programs of torch.export have it."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        ways = (lambda x: (self.second(x),)), (lambda x: (x + 0,))
        (x,) = torch.ops.higher_order.cond(x.sum() >= 0, *ways, (x,))
        return self.head(x.flatten(1))  # type: ignore[no-any-return]


def test_an_operator_that_takes_functions_is_counted_as_what_runs() -> None:
    calls = counted(Branches(), IMAGES)
    assert [calls[name].forward.macs for name in ("first", "second", "head", "")] == [FIRST, SECOND, HEAD, 0]


def test_forwards_are_as_they_were_also_after_a_failure() -> None:
    network = Small()
    own = lambda x: x  # noqa: E731
    network.second.__dict__["forward"] = own
    with pytest.raises(RuntimeError), Followed(network).through(lambda _, forward: forward):
        network(torch.zeros(2, 5, 8, 8))
    assert network.second.__dict__["forward"] is own
    assert all("forward" not in m.__dict__ for m in network.modules() if m is not network.second)


@pytest.mark.parametrize("reentrant", [False, True])
def test_what_a_checkpoint_computes_again_is_told_apart_from_gradients(reentrant: bool) -> None:
    class Checkpointed(Small):
        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x)
            again = checkpoint(lambda y: self.second(y).relu(), x, use_reentrant=reentrant)
            return self.head((again + x).flatten(1))  # type: ignore[no-any-return]

    network, loss = Checkpointed(), torch.zeros(())

    def forward() -> Tensor:
        nonlocal loss
        loss = network(IMAGES).sum()
        return loss

    calls = count_pass(Followed(network), Step(forward, lambda: loss.backward())).calls  # noqa: PLW0108
    assert sum(call.again for call in calls.values()) == SECOND
    gradients = FIRST + 2 * SECOND + 2 * HEAD
    assert sum(call.backward.macs for call in calls.values()) == gradients + SECOND


def steps_of(network: nn.Module, images: Tensor) -> Step:
    """Return the forward and backward pass of a network on the sum of what it returns."""
    loss = torch.zeros(())

    def forward() -> Tensor:
        nonlocal loss
        loss = network(images).sum()
        return loss

    return Step(forward, lambda: loss.backward())  # noqa: PLW0108


class Remade(nn.Module):
    """Modules that a checkpoint calls, `act` more than once, and a layer behind it."""

    def __init__(self, inner: nn.Module, act: nn.Module, last: nn.Module, *, reentrant: bool) -> None:
        super().__init__()
        self.inner, self.act, self.last, self.reentrant = inner, act, last, reentrant

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(2):
            x = checkpoint(lambda y: self.act(self.inner(y).cos()).sin(), x, use_reentrant=self.reentrant)
        return self.last(x)  # type: ignore[no-any-return]


@pytest.mark.parametrize("reentrant", [False, True])
def test_what_a_checkpoint_computes_again_is_of_the_layer_that_computed_it(reentrant: bool) -> None:
    inner = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    network = Remade(inner, nn.Linear(4, 4), nn.Linear(4, 1), reentrant=reentrant)
    images = torch.zeros(3, 4, requires_grad=True)
    calls = count_pass(Followed(network), steps_of(network, images)).calls
    every = [(call.name, call.backward.macs, call.again) for call in calls.values() if call.backward.macs]
    each = [("inner.0", 3 * 48, 48), ("act", 3 * 48, 48)]  # 3 x 4 x 4 again, and for either gradient
    assert every == [*each, *each, ("last", 2 * 12, 0)]


def test_no_node_of_a_checkpoint_stamps_the_next_pass() -> None:
    stamps = FakeStamps()
    network = Remade(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 1), reentrant=True)
    images, losses = torch.zeros(3, 4, requires_grad=True), list[Tensor]()

    def forward() -> Tensor:
        losses.append(network(images).sum())
        return losses[-1]

    layered = Layered(Followed(network), Step(forward, lambda: losses[0].backward(), losses.clear), stamps)  # noqa: PLW0108
    layered()
    marks = len(layered._marks)
    forward().backward()
    assert len(layered._marks) == marks


@pytest.mark.parametrize("rows", [5, 500])
def test_of_a_table_the_rows_that_are_taken_are_read(rows: int) -> None:
    taken = torch.tensor([[0, 3]])
    work = counted(nn.Embedding(rows, 8), taken)[""].forward
    assert (work.operators, work.bytes) == (1, 2 * (2 * 8 * 4) + taken.nbytes)


def test_what_is_overwritten_is_not_read() -> None:
    class Filling(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            torch.empty_like(x).copy_(x)
            return torch.empty_like(x).zero_()

    x = torch.ones(6)
    assert counted(Filling(), x)[""].forward == Work(0, 3 * x.nbytes, 2)


def test_a_parameter_that_two_modules_share_is_counted_once() -> None:
    network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    network[1].weight = network[0].weight
    calls = counted(network, torch.zeros(1, 3))
    assert [calls[name].parameters for name in ("", "0", "1")] == [0, 9 + 3, 3]


class Using(nn.Module):
    """Uses parameters that are not its own, through views as well, and has some of its own that nobody uses."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.child = nn.Linear(4, 3)
        self.several = nn.ParameterList([torch.zeros(4), torch.zeros(4)])
        self.token = nn.Parameter(torch.zeros(1, 1, 4))
        self.beside = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.several[0] * self.several[1]
        x = self.attention(x, x, x, need_weights=False)[0]
        return F.linear(x, self.child.weight)


def test_parameters_are_of_whoever_uses_them_and_add_up() -> None:
    network, images = Using().eval(), torch.zeros(2, 3, 4)
    with torch.no_grad():
        counting = count_pass(Followed(network), Step(lambda: network(images)))
    calls = {call.name: call.parameters for call in counting.calls.values()}
    attention = sum(p.numel() for p in network.attention.parameters())
    assert calls["attention"] == attention == 4 * (16 + 4)
    assert calls[""] == 4 + 2 * 4 + 12  # the token, the list, the weight of the child
    unused = [p.numel() for p in counting.unused.values()]
    assert sorted(unused) == [3, 5, 20]  # the child's bias, and the layer beside
    assert sum(calls.values()) + sum(unused) == sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize("sides", [(3, 5, 2), (4, 2, 7)])
def test_gradients_of_a_product_of_three(sides: tuple[int, int, int]) -> None:
    n, m, o = sides

    class Product(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.both = nn.Linear(2, n), nn.Linear(2, m), nn.Bilinear(n, m, o)

        def forward(self, x: Tensor) -> Tensor:
            return self.both(self.first(x), self.second(x))  # type: ignore[no-any-return]

    both = counted(Product(), torch.zeros(6, 2), training=True)["both"]
    assert both.forward.macs == 6 * o * m * (n + 1)
    assert both.backward.macs == 6 * (n * m * (o + 1) + o * n * (m + 1) + o * m * (n + 1))


def test_counting_leaves_no_gradient_behind() -> None:
    network = Small()
    counted(network, IMAGES, training=True)
    assert all(parameter.grad is None for parameter in network.parameters())


# --- stamps ---


class FakeStamps(HostStamps):
    """Stamps of a clock that passes by what modules say they take."""

    def __init__(self) -> None:
        self.ns = 0

    def take(self) -> _Stamp:
        return _Stamp(None, self.ns)


class _Passing(torch.autograd.Function):
    """The identity, which takes a while in each direction."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, stamps: FakeStamps, forward: int, backward: int) -> Tensor:
        ctx.stamps, ctx.backward_ns = stamps, backward
        stamps.ns += forward
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        ctx.stamps.ns += ctx.backward_ns
        return gradients[0], None, None, None


class Takes(nn.Module):
    """A module that takes so many ns itself, and calls others."""

    def __init__(self, stamps: FakeStamps, forward: int, backward: int = 0, *inner: nn.Module) -> None:
        super().__init__()
        self.stamps, self.ns = stamps, (forward, backward)
        self.inner = nn.ModuleList(inner)

    def forward(self, x: Tensor) -> Tensor:
        for module in self.inner:
            x = module(x)
        return _Passing.apply(x, self.stamps, *self.ns)  # type: ignore[no-any-return, no-untyped-call]


def test_the_own_time_of_each_call_forward_and_backward() -> None:
    stamps = FakeStamps()
    leaf = Takes(stamps, 100, 7)
    network = Takes(stamps, 30, 5, leaf, Takes(stamps, 200, 11, Takes(stamps, 4, 13)), leaf)
    x = torch.zeros(2, requires_grad=True)
    loss = torch.zeros(())

    def forward() -> Tensor:
        nonlocal loss
        loss = network(x).sum()
        stamps.ns += 1000
        return loss

    def update() -> None:
        stamps.ns += 50

    layered = Layered(Followed(network), Step(forward, lambda: loss.backward(), update), stamps)  # noqa: PLW0108
    for _ in range(2):  # the second time as the first
        layered()
        sums: dict[tuple[str, int, bool], int] = {}
        for (number, which), backward, seconds, _ in layered.segments():
            names = {OUTSIDE[0]: "loss", OPTIMISER[0]: "optimiser", 0: "network"}
            key = (names.get(number) or layered.followed.names[number], which, backward)
            sums[key] = sums.get(key, 0) + round(seconds * 1e9)
    assert {key: ns for key, ns in sums.items() if ns} == {
        ("inner.0", 0, False): 100,
        ("inner.0", 1, False): 100,
        ("inner.1", 0, False): 200,
        ("inner.1.inner.0", 0, False): 4,
        ("network", 0, False): 30,
        ("loss", 0, False): 1000,
        ("network", 0, True): 5,
        ("inner.0", 0, True): 7,
        ("inner.0", 1, True): 7,
        ("inner.1", 0, True): 11,
        ("inner.1.inner.0", 0, True): 13,
        ("optimiser", 0, False): 50,
    }


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_checkpoint_takes_the_time_of_a_layer_again(reentrant: bool) -> None:
    stamps = FakeStamps()
    inner, act = Takes(stamps, 40, 3, Takes(stamps, 100, 7)), Takes(stamps, 20, 1)
    network = Remade(inner, act, Takes(stamps, 5, 2), reentrant=reentrant)
    layered = Layered(Followed(network), steps_of(network, torch.zeros(2, requires_grad=True)), stamps)
    for _ in range(2):
        layered()
        sums: dict[tuple[str, int], list[int]] = {}
        for (number, which), backward, seconds, _ in layered.segments():
            if number > 0:
                name = layered.followed.names[number]
                sums.setdefault((name, which), [0, 0])[backward] += round(seconds * 1e9)
        assert sums == {
            **{("inner", which): [40, 40 + 3] for which in (0, 1)},
            **{("inner.inner.0", which): [100, 100 + 7] for which in (0, 1)},
            **{("act", which): [20, 20 + 1] for which in (0, 1)},
            ("last", 0): [5, 2],
        }


def test_a_call_that_a_clock_reads_nothing_of_was_made_all_the_same() -> None:
    short, rare = (1, 0), (2, 0)
    rounds = [[_Segment(short, False, 5e-7 * (n % 2), 0.0)] for n in range(6)]
    rounds[0].append(_Segment(rare, False, 0.0, 0.0))
    laps = _laps(rounds, lambda segment: segment.seconds)
    assert all(0 < s <= 5e-7 for s in laps[short, False])
    assert [s > 0 for s in laps[rare, False]] == [True, *[False] * 5]


class _Branches(nn.Module):
    """Gives its layers to threads of its own: one after the other, all at once, or one beside a layer of its own."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.first, self.second = _Waits(), _Waits()
        self.how = how

    def forward(self, x: Tensor) -> Tensor:
        begun, through = self.first.begun, self.first.through
        begun.clear()
        through.clear()
        with ThreadPoolExecutor(2) as pool:
            if self.how == "in turn":
                through.set()
                return self.second(pool.submit(self.first, x).result())  # type: ignore[no-any-return]
            one = pool.submit(self.first, x)
            begun.wait(10)
            other = pool.submit(self.second, x) if self.how == "at once" else None
            x = self.second(x) if other is None else other.result()
            through.set()
            return x + one.result()


class _Waits(nn.Module):
    """A layer that ends when it is told to; what does not wait for that is through at once."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.through = threading.Event(), threading.Event()
        self.through.set()

    def forward(self, x: Tensor) -> Tensor:
        self.begun.set()
        self.through.wait(10)
        return x


@pytest.mark.parametrize(("how", "told"), [("in turn", False), ("at once", True), ("beside", True)])
def test_layers_on_several_threads_at_the_same_time_are_told(how: str, told: bool) -> None:
    x = torch.zeros(1)
    network = _Branches(how)
    layered = Layered(Followed(network), Step(lambda: network(x)), FakeStamps())
    layered()
    layered()
    assert layered.on_threads is told
    assert not layered._busy


def test_a_thread_that_begins_within_a_layer_of_the_own_one_is_told() -> None:
    """The first layer has another thread run the second one, and both are at work."""
    x = torch.zeros(1)

    class Starts(nn.Module):
        def __init__(self, other: list[nn.Module]) -> None:
            super().__init__()
            self.other = other

        def forward(self, x: Tensor) -> Tensor:
            with ThreadPoolExecutor(1) as pool:
                return pool.submit(self.other[0], x).result()  # type: ignore[no-any-return]

    other = nn.Identity()
    network = nn.Sequential(Starts([other]), other)
    layered = Layered(Followed(network), Step(lambda: network(x)), FakeStamps())
    layered()
    assert layered.on_threads


@dataclass
class _Clocked(FakeClock):
    """A clock whose calls take what the stamps say."""

    stamps: FakeStamps

    def __init__(self, stamps: FakeStamps) -> None:
        super().__init__([0.0])
        self.stamps = stamps

    def now(self) -> float:
        return self.stamps.ns * 1e-9

    def seconds(self, call: Callable[[], object], calls: int) -> float:
        begin = self.stamps.ns
        for _ in range(calls):
            call()
        return (self.stamps.ns - begin) * 1e-9


def test_each_round_has_the_laps_of_its_own_stamped_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    stamps = FakeStamps()
    passes = [0]

    class Slowing(nn.Module):
        """Takes a µs more from pass to pass."""

        def forward(self, x: Tensor) -> Tensor:
            stamps.ns += 1_000_000 + 1000 * passes[0]
            return x

    network = nn.Sequential(Slowing(), nn.Identity())
    x = torch.zeros(1)
    seen: list[tuple[str, int]] = []

    def whole() -> None:
        passes[0] += 1
        seen.append(("whole", passes[0]))
        network(x)

    def forward() -> None:
        passes[0] += 1
        seen.append(("layered", passes[0]))
        network(x)

    layered = Layered(Followed(network), Step(forward), stamps)
    timing = Timing(warmup_s=1e-3, min_s=0.0, limit_s=0.001, min_samples=6, max_samples=6)
    times = measure_layers(whole, layered, _Clocked(stamps), timing, watch=HostWatch(), device="cpu")  # type: ignore[arg-type]
    last = seen[-12:]  # six rounds of two passes
    assert [kind for kind, _ in last[:4]] == ["whole", "layered", "layered", "whole"]
    own = [1e-3 + number * 1e-6 for kind, number in last if kind == "layered"]
    assert times.laps[(1, 0), False] == pytest.approx(own)
    assert list(times.whole.seconds) == pytest.approx(
        [1e-3 + number * 1e-6 for kind, number in last if kind == "whole"]
    )
    assert times.laps[(2, 0), False] == [1e-9] * 6  # a tick, since it was called
    assert times.host_laps == {}
    assert sum(s.seconds for s in times.segments) == pytest.approx(sorted(own)[2])


# --- a card ---

KERNEL_S = 1e-3
TIMING = {"warmup_s": 0.05, "min_s": 0.0, "limit_s": 0.5, "min_samples": 6, "max_samples": 8}


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHost]:
    host = FakeHost(FakeCard("NVIDIA H100", "cccc")).install(monkeypatch)
    with host.device.at_work():
        yield host


def layers_job(device: str, arch: str = "lenet5", **settings: Any) -> Job:
    own = {"device": device, "threads": 1, "timing": TIMING, "batch_size": 4, **settings}
    return Job(task="layers", arch=arch, input_size=32, in_channels=1, num_classes=10, settings=own)


def measured(job: Job) -> dict[str, Measurement]:
    return {m.name: m for m in _measure(job, Hooks())}


def test_layers_on_a_card_are_timed_by_events(host: FakeHost) -> None:
    host.device.launch_s = KERNEL_S / 100
    results = measured(layers_job("cuda:0"))
    layers = results["layers_time"].detail
    own = {row[0]: median(samples) for row, samples in zip(layers["rows"], layers["forward_s"], strict=True)}
    assert results["network_time"].detail["clock"] == "cuda_event"
    kernels = {row[0]: row[10] for row in layers["rows"]}
    assert (
        sum(kernels.values()) == 2 * 3 + 2 * 2 + 1
    )  # convolution, activation, pooling; layer, activation; layer
    for name, seconds in own.items():
        assert seconds == pytest.approx(KERNEL_S * kernels[name], abs=0.02 * KERNEL_S)
    assert median(results["explained_share"].samples) == pytest.approx(1.0, abs=0.02)
    assert max(layers["forward_host_s"]) < 0.1 * KERNEL_S


def test_a_training_step_on_a_card(host: FakeHost) -> None:
    results = measured(layers_job("cuda:0", training=True))
    layers = results["layers_time"].detail
    assert [row[1] for row in layers["rows"][-2:]] == ["loss", "optimiser"]
    backward = {row[0]: median(s) for row, s in zip(layers["rows"], layers["backward_s"], strict=True)}
    convolutions = [row[0] for row in layers["rows"] if row[1] == "Conv2d"]
    assert convolutions
    assert all(backward[name] > 0 for name in convolutions)
    assert results["peak_memory"].detail["meter"] == "cuda allocator"
    assert median(results["explained_share"].samples) == pytest.approx(1.0, abs=0.05)


def test_a_training_is_timed_in_eager_alone() -> None:
    with pytest.raises(UnsupportedError, match="in eager alone"):
        measured(layers_job("cpu", training=True, backend="compiled"))


FOLLOWED = """
from torch import nn


class Net(nn.Module):
    def __init__(self, num_classes=3, in_channels=1):
        super().__init__()
        self.fc = nn.Linear(in_channels, num_classes)

    def forward(self, x):
        if "forward" in vars(self.fc):
            raise NotImplementedError("fc is followed")
        return self.fc(x.mean((2, 3)))
"""


@pytest.mark.parametrize("training", [None, True])
def test_a_network_that_cannot_be_followed_is_at_no_fault(training: bool | None, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(FOLLOWED)
    settings = {"training": training} if training else {}
    job = layers_job("cpu", arch=f"{tmp_path}/net.py:Net", **settings)
    with pytest.raises(
        UnsupportedError, match="following the calls of its layers failed: .*fc is followed"
    ) as caught:
        measured(job)
    assert "as a whole" in str(caught.value.tip)


# --- the command ---


def test_the_command_that_times(run: Bench, inline_jobs: None, tmp_path: Path) -> None:
    short = ["--set", "timing.limit_s=0.05", "--set", "timing.warmup_s=0.01", "--set", "timing.min_s=0"]
    words = ["show", "lenet5", "--time", "--batch", 2, "--processes", 2, "--set", "threads=1", *short]
    made = json.loads(run(*words, "--json", "--trace", tmp_path / "trace.json").stdout)
    assert made["processes"] == 2
    assert {layer["type"] for layer in made["layers"]} >= {"Conv2d", "Linear"}
    assert json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    printed = run(*words)
    assert "between layers" in printed.stdout  # the same command measures nothing twice
    # Three processes of the ceilings, and two of the layers.
    assert "5 jobs were measured before" in printed.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--precision", "bf16"], "add --time"),
        (["--trace", "t.json"], "add --time"),
        (["--batch", "4"], "add --time or --training"),
    ],
)
def test_options_that_mean_nothing_alone(
    run: Bench, inline_jobs: None, words: list[str], message: str
) -> None:
    refused = run("show", "lenet5", *words)
    assert refused.exit_code == 2
    assert message in refused.output


def test_json_is_a_document_also_where_all_failed(capsys: pytest.CaptureFixture[str]) -> None:
    failed = make_record(job=make_job(task="layers"), status="crashed", measurements=())
    _print_times(Run("r", Path("r"), (failed,)), None, _Format.json, None)
    assert json.loads(capsys.readouterr().out) is None
