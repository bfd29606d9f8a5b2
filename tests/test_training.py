"""Training: what a network learns, what it is given, that a seed decides all, and what goes wrong."""

from __future__ import annotations

import shutil
from collections import namedtuple
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from patches import CLASSES, PATCHES, PLAIN, SIZE, STILL, Spy, curves, network, patches, recipe_with, trained
from torch import Tensor, nn

from bench.datasets import DATASETS, Images
from bench.errors import DivergedError, InvalidModelError, UnknownNameError, UnsupportedError
from bench.plan.job import Job
from bench.plan.recipe import Recipe
from bench.plan.task import Hooks
from bench.tasks._accuracy import measure_accuracy
from bench.training._augment import decide
from bench.training._batches import Batches, Shape
from bench.training.config import streams
from bench.training.outputs import _AUXILIARY_WEIGHT, outputs

CPU = torch.device("cpu")
COMPILES = shutil.which("g++") or shutil.which("clang++")


# What is learned


def test_separable_classes_are_separated() -> None:
    seen = trained(epochs=12, recipe=recipe_with(augment=STILL))
    assert seen.test_top1[-1] > 0.95
    assert seen.train_error[-1] < 0.05
    assert seen.test_loss[-1] < seen.test_loss[0]


def test_digits_are_learned_by_the_standard_recipe() -> None:
    job = accuracy_job("digits", epochs=None)  # as many as the recipe says
    torch.manual_seed(streams(job.seed).init)
    model = nn.Sequential(nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(12 * 64, 10))
    assert scores(list(measure_accuracy(model, job, Hooks())))["top1"] > 0.91  # a linear model's


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
    ticks = iter([8.0, 9.0, 10.0, 12.0, 12.5, 20.0, 23.0, 23.25])  # loading; start, trained, tested; twice
    seen = trained(epochs=2, clock=lambda: next(ticks))
    assert seen.epoch_time == [2.0, 3.0]
    assert seen.eval_time == [0.5, 0.25]
    assert seen.load_time == 1.0


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


# What goes wrong


class FailsAtStep(nn.Module):
    """Answers NaN in the third step and after it."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.steps = network(), 0

    def forward(self, images: Tensor) -> Tensor:
        self.steps += self.training
        logits: Tensor = self.net(images)
        return logits * (torch.nan if self.steps >= 3 else 1)


def test_the_step_at_which_the_loss_is_lost_is_named() -> None:
    with pytest.raises(DivergedError, match="the training loss was nan in epoch 1, step 3 of 5") as caught:
        trained(FailsAtStep())
    assert caught.value.tip is not None


def test_validation_images_may_show_it_first() -> None:
    bright = Images(patches(8).images, patches(8).labels)

    class BlindForFew(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = self.net(images)
            return logits * torch.inf if len(images) == 8 else logits

    with pytest.raises(DivergedError, match="the validation loss was nan after epoch 1"):
        trained(BlindForFew(), validation=bright, test=patches(16))


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


@pytest.mark.parametrize("precision", ["amp_fp16", "tf32"])
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
    seen = trained(model, precision="amp_bf16", epochs=8, recipe=recipe_with(augment=STILL))
    assert set(types) == {torch.bfloat16}
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert seen.test_top1[-1] > 0.8


@pytest.mark.parametrize(
    ("returned", "shown"),
    [
        (torch.zeros(4, 7), r"\[4, 7\]"),
        (torch.zeros(4, 8, 1), r"\[4, 8, 1\]"),
        ([torch.zeros(4, 8)], r"list of \[4, 8\]"),
        (
            {"features": torch.zeros(4, 9), "scores": torch.zeros(4, 8)},
            r"dict of features \[4, 9\], scores \[4, 8\]",
        ),
        (None, "NoneType"),
    ],
)
def test_what_is_no_logits_is_named(returned: object, shown: str) -> None:
    with pytest.raises(InvalidModelError, match=f"the network returned {shown}, not logits of 8 classes"):
        outputs(returned, 8)


# What the network is given


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
    epoch = list(batches.shuffled(decide(STILL, PATCHES.card), torch.Generator(), torch.Generator()))
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
    assert _AUXILIARY_WEIGHT == 0.3
    assert trained(model, recipe=recipe, epochs=1).train_loss == pytest.approx([expected], rel=1e-5)


# Looking at a network before and after


def disturb(model: nn.Module) -> dict[str, float]:
    """Do all that a look at a network could leave behind."""
    model.train()
    torch.rand(5)
    F.cross_entropy(model(torch.rand(8, 1, SIZE, SIZE)), torch.arange(8)).backward()
    weight = next(model.parameters())
    with torch.no_grad():
        weight.add_(1)
    assert weight.grad is not None
    return {"norm": weight.grad.norm().item()}


def test_looks_are_kept_and_leave_nothing_behind() -> None:
    plain, looked_at = network(dropout=0.5), network(dropout=0.5)
    expected = trained(plain)
    seen = trained(looked_at, before=disturb, after=disturb)
    assert curves(seen) == curves(expected)
    assert seen.started != seen.ended
    assert seen.started["norm"] > 0
    assert [p.grad for p in looked_at.parameters()] == [None] * 6
    for mine, theirs in zip(looked_at.state_dict().values(), plain.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs)


def test_the_network_ends_with_the_weights_that_were_tested() -> None:
    model = network()
    seen = trained(model, recipe=recipe_with(ema=0.9), after=lambda m: logits_of(m).tolist())
    assert seen.logits is not None
    torch.testing.assert_close(logits_of(model), seen.logits, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(torch.tensor(seen.ended), seen.logits, rtol=1e-5, atol=1e-5)
    assert curves(trained(recipe=recipe_with(ema=0.9)))[:2] == curves(trained())[:2]  # learned as ever
    assert seen.test_loss != trained().test_loss


@torch.no_grad()
def logits_of(model: nn.Module) -> Tensor:
    logits: Tensor = model.eval()((patches(80, seed=1).images / 255 - 0.5) / 0.25)
    return logits


# Compiled


def test_other_backends_do_not_train() -> None:
    with pytest.raises(UnsupportedError, match="no training with backend onnx") as caught:
        trained(backend="onnx")
    assert caught.value.tip == "use one of eager, compiled"


def test_nothing_is_compiled_where_no_batch_is_whole() -> None:
    assert trained(backend="compiled", train=patches(31), epochs=1).compile_time is None
    assert trained(backend="eager", epochs=1).compile_time is None


@pytest.mark.skipif(not COMPILES, reason="no C++ compiler")
def test_a_compiled_training_learns_the_same() -> None:
    model, eager = network(), trained()
    seen = trained(model, backend="compiled", train=patches(160))
    assert seen.compile_time is not None
    assert seen.compile_time > 0
    assert seen.train_loss == pytest.approx(eager.train_loss, rel=1e-3)
    assert seen.test_loss == pytest.approx(eager.test_loss, rel=1e-3)


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
            "recipe": Recipe.load("std").model_dump(mode="json"),
            "epochs": epochs,
            "precision": "fp32",
            "memory_format": "contiguous",
            "threads": 1,
            **settings,
        },
    )


def scores(measurements: list[Any]) -> dict[str, float]:
    return {m.name: m.samples[0] for m in measurements}


def test_threads_are_of_the_job_and_put_back() -> None:
    before = torch.get_num_threads()
    seen: list[int] = []
    recipe = {**Recipe.load("std").model_dump(mode="json"), "batch_size": 1437}
    job = accuracy_job("digits", epochs=1, threads=2, recipe=recipe)
    flat = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    list(measure_accuracy(flat, job, Hooks(progress=lambda *_: seen.append(torch.get_num_threads()))))
    assert seen == [2]
    assert torch.get_num_threads() == before


def test_epochs_that_are_not_given_are_the_recipes() -> None:
    recipe = {**Recipe.load("std").model_dump(mode="json"), "epochs": 3}
    job = accuracy_job("digits", epochs=None, recipe=recipe)
    measured = list(measure_accuracy(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), job, Hooks()))
    assert len(measured[0].detail["by_epoch"]) == 3
