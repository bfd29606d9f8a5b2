"""Training: what a network learns, that a seed decides all, and that an interruption changes nothing."""

from __future__ import annotations

import errno
import itertools
import os
from collections import namedtuple
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.datasets import DATASETS, Dataset, Images
from bench.errors import DivergedError, InvalidModelError, StoreError, UnknownNameError, UnsupportedError
from bench.plan.card import DatasetCard
from bench.plan.job import Job
from bench.plan.recipe import Augment, Recipe, Schedule, load_recipe
from bench.records.flags import FLAGS
from bench.training import checkpoint as checkpoints
from bench.training.accuracy import init_seed, measure_accuracy
from bench.training.augment import decide
from bench.training.batches import Batches, Shape
from bench.training.learner import AUXILIARY_WEIGHT, outputs
from bench.training.loop import Fit, fit
from bench.training.optimiser import make_optimiser, rate
from bench.training.seeds import streams

CPU = torch.device("cpu")
SIZE = 6
CLASSES = 8


def no_reader(root: Path, split: str) -> Images:
    raise AssertionError("these tests bring their images")


PATCHES = Dataset(
    card=DatasetCard(
        name="patches", num_classes=CLASSES, in_channels=1, size=SIZE, train=160, test=80, source="made here"
    ),
    load=no_reader,
    mean=(0.5,),
    std=(0.25,),
    pad=1,
    flip=True,
    cutout=2,
    class_names=tuple("abcdefgh"),
)
PLAIN = Recipe(
    name="plain",
    version=1,
    optimiser="sgd",
    batch_size=32,
    learning_rate=0.1,
    momentum=0.9,
    nesterov=True,
    weight_decay=5e-4,
    label_smoothing=0.1,
    schedule=Schedule(warm_up=0.2, final=0.0),
    epochs=4,
)
STILL = Augment(pad=0, flip=False, cutout=0)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny networks are not faster with more, and beside other work far slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def patches(count: int, seed: int = 0) -> Images:
    """Return noisy images of a class each, told by where a bright patch of 2x2 px lies."""
    noise = torch.randint(0, 40, (count, 1, SIZE, SIZE), generator=torch.Generator().manual_seed(seed))
    labels = torch.arange(count) % CLASSES
    places = torch.eye(9)[labels].view(-1, 1, 3, 3).repeat_interleave(2, 2).repeat_interleave(2, 3)
    return Images((noise + 200 * places).to(torch.uint8), labels)


def network(channels: int = 1, size: int = SIZE, dropout: float = 0.0, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(8 * size**2, CLASSES),
    )


def trained(model: nn.Module | None = None, **change: Any) -> Fit:
    """Train a small network on a few patches, with any argument of `fit` changed."""
    arguments: dict[str, Any] = {
        "train": patches(160),
        "test": patches(80, seed=1),
        "dataset": PATCHES,
        "recipe": PLAIN,
        "epochs": 4,
        "seed": 0,
        "device": "cpu",
        "input_size": SIZE,
        "in_channels": 1,
    }
    return fit(network() if model is None else model, **(arguments | change))


def curves(seen: Fit) -> tuple[Any, ...]:
    return seen.train_loss, seen.train_error, seen.test_loss, seen.test_top1, seen.test_top5


# What is learned


def test_separable_classes_are_separated() -> None:
    seen = trained(epochs=12, recipe=PLAIN.model_copy(update={"augment": STILL}))
    assert seen.test_top1[-1] > 0.95
    assert seen.train_error[-1] < 0.05
    assert seen.test_loss[-1] < seen.test_loss[0]


def test_digits_are_learned_by_the_standard_recipe() -> None:
    job = accuracy_job("digits", epochs=None)  # as many as the recipe says
    torch.manual_seed(init_seed(job))
    model = nn.Sequential(nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(12 * 64, 10))
    assert scores(measure_accuracy(model, job, checkpoint=None))["top1"] > 0.95


def test_every_list_has_a_value_an_epoch() -> None:
    done: list[tuple[int, int]] = []
    seen = trained(epochs=3, on_epoch=lambda epoch, epochs: done.append((epoch, epochs)))
    assert seen.test_top5 is not None
    assert {len(x) for x in (*curves(seen), seen.epoch_time, seen.eval_time)} == {3}
    assert done == [(1, 3), (2, 3), (3, 3)]
    assert seen.resumed_from is None
    assert seen.checkpoint_ignored is None
    assert all(five >= one for five, one in zip(seen.test_top5, seen.test_top1, strict=True))


def test_a_loop_written_out_does_the_same() -> None:
    """The second way: everything by torch's own parts, for one epoch without chance but the order."""
    recipe = PLAIN.model_copy(update={"augment": STILL, "grad_clip": 0.5})
    model, by_hand = network(), network()
    seen = trained(model, recipe=recipe, epochs=1)

    data, test = patches(160), patches(80, seed=1)
    order = torch.randperm(160, generator=torch.Generator().manual_seed(streams(0).order))
    optimiser = torch.optim.SGD(by_hand.parameters(), lr=1.0, momentum=0.9, nesterov=True, weight_decay=5e-4)
    losses = []
    for step, part in enumerate(order.view(5, 32)):
        # 5 steps, the peak at 0.2: the first sixth lies on the way up, the others on the way down.
        share = [(1 / 6) / 0.2, (1 - 2 / 6) / 0.8, (1 - 3 / 6) / 0.8, (1 - 4 / 6) / 0.8, (1 - 5 / 6) / 0.8][
            step
        ]
        optimiser.param_groups[0]["lr"] = 0.1 * share
        optimiser.zero_grad()
        images = (data.images[part] / 255 - 0.5) / 0.25
        loss = F.cross_entropy(by_hand(images), data.labels[part], label_smoothing=0.1)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(by_hand.parameters(), 0.5)
        optimiser.step()
        losses.append(loss.item())
    by_hand.eval()
    logits = by_hand((test.images / 255 - 0.5) / 0.25)
    right = logits.topk(5).indices == test.labels[:, None]

    assert seen.train_loss == pytest.approx([sum(losses) / 5], rel=1e-5)
    assert seen.test_loss == pytest.approx([F.cross_entropy(logits, test.labels).item()], rel=1e-5)
    assert seen.test_top1 == pytest.approx([right[:, 0].float().mean().item()])
    assert seen.test_top5 == pytest.approx([right.any(1).float().mean().item()])
    for mine, theirs in zip(model.state_dict().values(), by_hand.state_dict().values(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-5)


def test_top5_needs_more_than_five_classes() -> None:
    few = replace(PATCHES, card=replace(PATCHES.card, num_classes=5))
    keep = patches(160).labels < 5
    data = Images(patches(160).images[keep], patches(160).labels[keep])
    assert trained(dataset=few, train=data, test=data, epochs=1).test_top5 is None


def test_times_are_of_the_clock_and_apart() -> None:
    ticks = iter([10.0, 12.0, 12.5, 20.0, 23.0, 23.25])  # start, trained, tested; twice
    seen = trained(epochs=2, clock=lambda: next(ticks))
    assert seen.epoch_time == [2.0, 3.0]
    assert seen.eval_time == [0.5, 0.25]


# Seeds


def test_the_same_seed_gives_the_same_curves_whatever_was_drawn_before() -> None:
    first = trained(network(dropout=0.5))
    model = network(dropout=0.5)
    torch.rand(17)
    assert curves(trained(model)) == curves(first)


def test_another_seed_gives_other_curves() -> None:
    model, twin = network(), network()
    assert curves(trained(model, seed=1)) != curves(trained(twin, seed=0))


def test_streams_are_apart_and_stay() -> None:
    seeds = streams(0)
    assert streams(0) == seeds
    every = [value for s in range(50) for value in vars_of(s)]
    assert len(set(every)) == 200
    assert all(0 <= value < 2**63 for value in every)
    # Records of other days are only comparable if a seed keeps its meaning.
    assert vars_of(0) == STREAMS_OF_0


def vars_of(seed: int) -> list[int]:
    seeds = streams(seed)
    return [seeds.init, seeds.order, seeds.augment, seeds.noise]


STREAMS_OF_0 = [4334430513956379144, 2440950710608614359, 8226343694796210948, 6619194650426729951]


# Interruptions


class Killed(BaseException):
    """Like a signal: nothing in the loop may catch it."""


@pytest.mark.parametrize("at", [1, 4, 7, 8])
def test_an_interrupted_training_goes_on_as_if_nothing_had_been(tmp_path: Path, at: int) -> None:
    """The clock is read three times an epoch, so that `at` also lies between training and its checkpoint."""
    whole = trained(network(dropout=0.3), recipe=PLAIN)
    file = tmp_path / "checkpoints" / "job.pt"
    readings = itertools.count()

    def clock() -> float:
        if next(readings) == at:
            raise Killed
        return 0.0

    with pytest.raises(Killed):
        trained(network(dropout=0.3), checkpoint=file, checkpoint_key="job", clock=clock)
    torch.manual_seed(99)
    resumed = trained(network(dropout=0.3, seed=5), checkpoint=file, checkpoint_key="job")
    done = at // 3
    assert resumed.resumed_from == (done or None)
    if done:
        assert curves(resumed) == curves(whole)
        assert len(resumed.epoch_time) == 4
    else:
        assert curves(resumed)[0] != curves(whole)[0]  # from the start, with the other initial parameters


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    file = tmp_path / "job.pt"
    model = network()
    whole = trained(model, checkpoint=file, checkpoint_key="job")
    other = network(seed=5)
    again = trained(
        other, checkpoint=file, checkpoint_key="job", on_epoch=lambda *_: pytest.fail("trained again")
    )
    assert curves(again) == curves(whole)
    assert again.resumed_from == 4
    for mine, theirs in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_adamw_goes_on_too(tmp_path: Path) -> None:
    recipe = PLAIN.model_copy(update={"optimiser": "adamw", "nesterov": False, "learning_rate": 0.01})
    whole = trained(recipe=recipe)
    file = tmp_path / "job.pt"

    def stop(epoch: int, epochs: int) -> None:
        if epoch == 2:
            raise Killed

    with pytest.raises(Killed):
        trained(recipe=recipe, checkpoint=file, on_epoch=stop)
    assert curves(trained(recipe=recipe, checkpoint=file)) == curves(whole)


def write_foreign_key(file: Path) -> None:
    checkpoints.save(file, "another job", {})


def write_torn(file: Path) -> None:
    checkpoints.save(file, "job", {"tensor": torch.zeros(1000)})
    file.write_bytes(file.read_bytes()[:-500])


def write_code(file: Path) -> None:
    torch.save({"key": "job", "state": Killed()}, file)


def write_other_network(file: Path) -> None:
    trained(network(size=4), input_size=4, epochs=1, checkpoint=file, checkpoint_key="job")


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (write_foreign_key, "of another training (another job)"),
        (write_torn, "cannot be read"),
        (write_code, "cannot be read (UnpicklingError)"),
        (lambda f: f.write_bytes(b""), "cannot be read"),
        (lambda f: f.write_bytes(b"no checkpoint at all"), "cannot be read"),
        (lambda f: torch.save([1, 2], f), "cannot be read"),
        (lambda f: f.mkdir(), "cannot be read"),
        (write_other_network, "of a network with other tensors"),
    ],
    ids=["key", "torn", "code", "empty", "text", "list", "folder", "network"],
)
def test_a_checkpoint_that_does_not_fit_is_not_used(
    tmp_path: Path, write: Callable[[Path], object], reason: str
) -> None:
    file = tmp_path / "job.pt"
    write(file)
    if file.is_dir():  # nothing can be written there either
        assert reason in (checkpoints.load(file, "job")[1] or "")
        return
    seen = trained(checkpoint=file, checkpoint_key="job")
    assert reason in (seen.checkpoint_ignored or "")
    assert seen.resumed_from is None
    assert curves(seen) == curves(trained())
    assert trained(checkpoint=file, checkpoint_key="job").resumed_from == 4


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "job.pt"
    checkpoints.save(file, "job", {"epoch": 1})

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreError, match=r"cannot write the checkpoint .*job\.pt.*No space left"):
        checkpoints.save(file, "job", {"epoch": 2})
    assert checkpoints.load(file, "job") == ({"epoch": 1}, None)
    assert list(tmp_path.iterdir()) == [file]


def test_no_checkpoint_is_no_reason(tmp_path: Path) -> None:
    assert checkpoints.load(tmp_path / "job.pt", "job") == (None, None)


# What goes wrong


@pytest.mark.parametrize("learning_rate", [1e25])
def test_a_loss_that_is_not_finite_ends_the_training(learning_rate: float) -> None:
    recipe = PLAIN.model_copy(update={"learning_rate": learning_rate})
    with pytest.raises(DivergedError, match=r"the training loss was (nan|inf) in epoch 1, step [2-5] of 5"):
        trained(recipe=recipe)


def test_a_test_loss_that_is_not_finite_ends_the_training() -> None:
    class BlindAtTest(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = self.net(images)
            return logits if self.training else logits * torch.inf

    with pytest.raises(DivergedError, match="the test loss was nan after epoch 1"):
        trained(BlindAtTest())


@pytest.mark.parametrize("precision", ["fp16", "tf32"])
def test_what_a_cpu_cannot_train_in(precision: str) -> None:
    with pytest.raises(UnsupportedError, match=f"no training in {precision} on cpu"):
        trained(precision=precision)


def test_an_unknown_precision() -> None:
    with pytest.raises(UnknownNameError, match="unknown precision 'fp61'"):
        trained(precision="fp61")


def test_bfloat16_trains_and_leaves_the_parameters_in_fp32() -> None:
    types = []
    model = network()
    model[0].register_forward_hook(lambda module, images, output: types.append(output.dtype))
    seen = trained(model, precision="bf16", epochs=8, recipe=PLAIN.model_copy(update={"augment": STILL}))
    assert set(types) == {torch.bfloat16}
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert seen.test_top1[-1] > 0.8


@pytest.mark.parametrize(
    ("returned", "shown"),
    [
        (torch.zeros(4, 7), r"\[4, 7\]"),
        (torch.zeros(4, 8, 1), r"\[4, 8, 1\]"),
        ([torch.zeros(4, 8)], "list"),
        (None, "NoneType"),
    ],
)
def test_what_is_no_logits_is_named(returned: object, shown: str) -> None:
    with pytest.raises(InvalidModelError, match=f"the network returned {shown}, not logits of 8 classes"):
        outputs(returned, 8)


# What the network is given


class Spy(nn.Module):
    """Keeps what it is given."""

    def __init__(self, size: int, channels: int) -> None:
        super().__init__()
        self.net = network(channels, size)
        self.given: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        self.given.append(images)
        logits: Tensor = self.net(images)
        return logits


def test_grey_images_are_repeated_and_resized() -> None:
    spy = Spy(9, 3)
    trained(spy, in_channels=3, input_size=9, epochs=1, memory_format="channels_last")
    test = patches(80, seed=1).images[:64]
    expected = F.interpolate((test / 255 - 0.5) / 0.25, size=(9, 9), mode="bilinear", align_corners=False)
    first_test = spy.given[5]  # after five batches of training
    torch.testing.assert_close(first_test, expected.expand(-1, 3, -1, -1))
    assert all(g.is_contiguous(memory_format=torch.channels_last) for g in spy.given)
    assert next(spy.parameters()).is_contiguous(memory_format=torch.channels_last)


def test_other_channels_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="takes 2 channels, and images of patches have 1") as caught:
        trained(network(channels=2), in_channels=2)
    assert caught.value.tip == "build it with in_channels=1"


@pytest.mark.parametrize(
    ("count", "size", "expected"),
    [
        (64, 32, [32, 32]),
        (65, 32, [32, 32]),  # one image has no variance
        (66, 32, [32, 32, 2]),
        (3, 32, [3]),
        (1, 32, [1]),  # or there would be nothing
        (3, 1, [1, 1, 1]),  # asked for
    ],
)
def test_an_epoch_is_every_image_once(count: int, size: int, expected: list[int]) -> None:
    numbered = Images(torch.zeros(count, 1, SIZE, SIZE, dtype=torch.uint8), torch.arange(count))
    batches = Batches(numbered, PATCHES, Shape(1, SIZE, torch.contiguous_format), size, CPU)
    epoch = list(batches.shuffled(decide(STILL, PATCHES), torch.Generator(), torch.Generator()))
    assert [len(images) for images, _ in epoch] == expected
    assert len(batches) == len(expected)
    seen = torch.cat([labels for _, labels in epoch]).tolist()
    assert len(set(seen)) == len(seen) == sum(expected)
    in_order = torch.cat([labels for _, labels in batches.in_order()])
    assert torch.equal(in_order, torch.arange(count))


def test_epochs_have_different_orders_and_crops() -> None:
    spy = Spy(SIZE, 1)
    trained(spy, epochs=2, train=patches(32), test=patches(32))
    first, _, second, _ = spy.given
    assert not torch.equal(first, second)


def test_a_batch_of_one_left_over_does_not_stop_batch_normalisation() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(SIZE**2, CLASSES), nn.BatchNorm1d(CLASSES))
    assert len(trained(model, train=patches(161), epochs=1).train_loss) == 1


Answer = namedtuple("Answer", ["logits", "aux_logits2", "aux_logits1"])


class TwoHeads(nn.Module):
    """Answers like torchvision's GoogLeNet: three heads in training, one otherwise."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body, self.head = nn.Flatten(), nn.Linear(SIZE**2, CLASSES)
        self.side = nn.Linear(SIZE**2, CLASSES)

    def forward(self, images: Tensor) -> Any:
        seen = self.body(images)
        return Answer(self.head(seen), self.side(seen), None) if self.training else self.head(seen)


def test_auxiliary_heads_are_part_of_the_loss() -> None:
    model = TwoHeads()
    recipe = PLAIN.model_copy(update={"augment": STILL, "batch_size": 160, "learning_rate": 1e-12})
    data = patches(160)
    images = ((data.images / 255 - 0.5) / 0.25).flatten(1)
    parts = [F.cross_entropy(h(images), data.labels, label_smoothing=0.1) for h in (model.head, model.side)]
    expected = parts[0].item() + 0.3 * parts[1].item()
    assert AUXILIARY_WEIGHT == 0.3
    assert trained(model, recipe=recipe, epochs=1).train_loss == pytest.approx([expected], rel=1e-5)


# Optimiser and schedule


@pytest.mark.parametrize("steps", [1, 2, 9, 100])
@pytest.mark.parametrize("warm_up", [0.0, 0.2, 0.5])
@pytest.mark.parametrize("final", [0.0, 0.1, 1.0])
def test_the_rate_is_a_triangle(steps: int, warm_up: float, final: float) -> None:
    schedule = Schedule(warm_up=warm_up, final=final)
    rates = [rate(step, steps, schedule) for step in range(steps)]
    times = [(step + 1) / (steps + 1) for step in range(steps)]
    for time, value in zip(times, rates, strict=True):
        up = time / warm_up if warm_up else 1.0
        down = (final * (time - warm_up) + 1 - time) / (1 - warm_up)
        assert value == pytest.approx(min(up, down))
        assert 0 < value <= 1


def test_the_peak_is_met_exactly() -> None:
    assert [rate(step, 9, Schedule(warm_up=0.2, final=0.0)) for step in (0, 1, 5)] == pytest.approx(
        [0.5, 1, 0.5]
    )


def test_frozen_parameters_are_left_alone() -> None:
    model = network()
    first = next(model.parameters()).requires_grad_(False)
    before = first.clone()
    trained(model, epochs=1)
    assert torch.equal(first, before)
    optimised = make_optimiser(model.parameters(), PLAIN).param_groups[0]["params"]
    assert len(optimised) == len(list(model.parameters())) - 1


def test_adamw_takes_its_numbers_from_the_recipe() -> None:
    recipe = PLAIN.model_copy(update={"optimiser": "adamw", "momentum": 0.8, "weight_decay": 0.05})
    optimiser = make_optimiser(network().parameters(), recipe)
    assert isinstance(optimiser, torch.optim.AdamW)
    assert optimiser.defaults["betas"] == (0.8, 0.999)
    assert optimiser.defaults["weight_decay"] == 0.05


# Measurements


def accuracy_job(dataset: str, epochs: int | None, **settings: Any) -> Job:
    card = DATASETS.get(dataset).card
    return Job(
        task="accuracy",
        arch="test",
        input_size=card.size,
        in_channels=card.in_channels,
        num_classes=card.num_classes,
        settings={
            "device": "cpu",
            "dataset": dataset,
            "recipe": load_recipe("std").model_dump(mode="json"),
            "epochs": epochs,
            "precision": "fp32",
            "memory_format": "contiguous",
            "threads": 1,
            **settings,
        },
    )


def scores(measurements: list[Any]) -> dict[str, float]:
    return {m.name: m.samples[0] for m in measurements}


def test_measurements_of_a_job(tmp_path: Path) -> None:
    job = accuracy_job("digits", epochs=2)
    file = tmp_path / "job.pt"
    measured = measure_accuracy(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), job, checkpoint=file)
    by_name = {m.name: m for m in measured}
    assert list(by_name) == [
        "top1",
        "top5",
        "train_error",
        "train_loss",
        "test_loss",
        "epoch_time",
        "train_time",
    ]
    for name in ("top1", "top5", "train_error", "train_loss", "test_loss"):
        m = by_name[name]
        assert m.unit == "1"
        assert m.better == ("higher" if name.startswith("top") else "lower")
        assert m.samples == (m.detail["by_epoch"][-1],)
        assert len(m.detail["by_epoch"]) == 2
        assert m.detail["dataset"] == "digits"
        assert (m.detail["split"], m.detail["n"]) == (("train", 1437) if "train" in name else ("test", 360))
    assert by_name["epoch_time"].unit == by_name["train_time"].unit == "s"
    assert len(by_name["epoch_time"].samples) == 2
    assert by_name["train_time"].samples == (sum(by_name["epoch_time"].samples),)
    assert {m.flags for m in measured} == {()}

    again = measure_accuracy(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), job, checkpoint=file)
    assert scores(again) == scores(measured)
    flagged = {m.name: m.flags for m in again if m.flags}
    assert flagged == {"epoch_time": ("resumed",), "train_time": ("resumed",)}
    assert "resumed" in FLAGS


def test_threads_are_of_the_job_and_put_back() -> None:
    before = torch.get_num_threads()
    seen: list[int] = []
    recipe = {**load_recipe("std").model_dump(mode="json"), "batch_size": 1437}
    job = accuracy_job("digits", epochs=1, threads=2, recipe=recipe)
    measure_accuracy(
        nn.Sequential(nn.Flatten(), nn.Linear(64, 10)),
        job,
        checkpoint=None,
        on_epoch=lambda *_: seen.append(torch.get_num_threads()),
    )
    assert seen == [2]
    assert torch.get_num_threads() == before


def test_epochs_that_are_not_given_are_the_recipes() -> None:
    recipe = {**load_recipe("std").model_dump(mode="json"), "epochs": 3}
    job = accuracy_job("digits", epochs=None, recipe=recipe)
    measured = measure_accuracy(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), job, checkpoint=None)
    assert len(measured[0].detail["by_epoch"]) == 3


def test_the_seed_of_the_initial_parameters() -> None:
    job = accuracy_job("digits", epochs=1)
    assert init_seed(job) == streams(0).init
    assert init_seed(replace(job, seed=1)) == streams(1).init
