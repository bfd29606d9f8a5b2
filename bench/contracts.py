"""Contract tests: what every registered unit must keep, for those who write units of their own, and for ours.

Each function takes the name of a unit that is registered, and raises AssertionError with what is wrong with it. One
that returns text could check a part only, and says why. No test framework is needed:

    def test_my_network() -> None:
        check_arch("my_network")
"""

from __future__ import annotations

import math
import pickle
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing
    from torch import Tensor, nn

    from bench.archs import Arch
    from bench.backends import Backend, Runnable
    from bench.plan.job import Job
    from bench.plan.settings import Timed
    from bench.records.store import Run

_LARGE = 2e6  # parameters, from which a network is built without storage: that costs time, but no memory
_OTHER_CLASSES = 7


def check_arch(name: str) -> None:
    """Check that a network has the declared parameters, and gives logits [B, classes] in the shapes it declares."""
    import torch

    from bench.archs import ARCHS

    arch = ARCHS.get(name)
    card = arch.card
    assert card.name == name, f"its card is called {card.name}"
    assert 1 <= card.min_input <= card.input_size, "its least input is larger than its own"
    place = torch.device("meta" if (card.parameters or 0) > _LARGE else "cpu")
    with place:
        model = arch.build()
        images = torch.zeros(2, card.in_channels, card.input_size, card.input_size)
    assert model.training, "it is built in evaluation mode"
    counted = sum(p.numel() for p in model.parameters())
    assert card.parameters in (None, counted), f"it has {counted:,} parameters, declared {card.parameters:,}"
    with torch.no_grad():
        logits = model.eval()(images)
    expected = (2, *logits.shape[1:]) if card.num_classes is None else (2, card.num_classes)
    assert tuple(logits.shape) == expected, f"it gives {tuple(logits.shape)}, expected {expected}"
    _check_least_shape(arch)


def _check_least_shape(arch: Arch) -> None:
    """Check a network at its least input, with other classes and channels; below, it must refuse."""
    import torch
    from torch import Tensor

    from bench.errors import UnsupportedError

    card = arch.card
    least, channels = card.min_input, card.in_channels
    if card.any_channels:
        channels = 3 if channels == 1 else 1
    classes = _OTHER_CLASSES if card.num_classes else None
    with torch.device("meta"):
        model = arch.build(num_classes=classes, in_channels=channels, input_size=least)
    model.to_empty(device="cpu")  # without the time to draw weights
    for tensor in model.state_dict().values():
        tensor.fill_(1)  # what happens to lie in memory may be denormal, and then takes ages
    for training, batch in ((True, 2), (False, 1)):
        with torch.no_grad():
            outputs = model.train(training)(torch.zeros(batch, channels, least, least))
        shapes = [
            tuple(o.shape) for o in ([outputs] if isinstance(outputs, Tensor) else outputs) if o is not None
        ]
        wrong = [shape for shape in shapes if classes and shape != (batch, classes)]
        assert shapes, f"at {least} px it gives no tensor"
        assert not wrong, f"at {least} px with {classes} classes it gives {wrong}"
    with suppress(UnsupportedError):
        arch.build(input_size=least - 1)
        raise AssertionError(f"it is built for {least - 1} px, below its least input")


def check_dataset(name: str, tolerance: float = 0.005) -> str | None:
    """Check a data set's card, and its images where they are on this machine.

    Args:
        name: of the data set.
        tolerance: of the declared mean and standard deviation of each channel, in 0..1.

    Returns:
        Why its images were not looked at; None where they were.
    """
    from bench.datasets import DATASETS, find, is_here, read

    dataset = DATASETS.get(name)
    card = dataset.card
    assert card.name == name, f"its card is called {card.name}"
    assert card.source, "its card does not say whose it is"
    assert len(dataset.mean) == len(dataset.std) == card.in_channels, "mean and std are not of its channels"
    assert all(0 < m < 1 for m in dataset.mean), "its mean is not of values in 0..1"
    assert all(0 < s <= 0.5 for s in dataset.std), "no values in 0..1 spread so wide"
    names = dataset.class_names
    assert len(set(names)) == len(names) == card.num_classes, "its class names are not those of its classes"
    assert 0 <= card.pad < card.size, "its border is larger than its images"
    assert 0 <= card.cutout < card.size, "what is hidden is larger than its images"
    try:
        pickle.loads(pickle.dumps(dataset))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise AssertionError(f"it cannot be sent to another process: {error}") from error
    if not is_here(name):
        return f"the files of {name} are not on this machine"
    sized = find(name, 32)
    train, test = read(sized, "train"), read(sized, "test")  # these check shape, type and classes
    assert (len(train), len(test)) == (sized.card.train, sized.card.test), (
        "its counts are not those of its card"
    )
    if dataset.at is None:  # a folder's own mean is not known before it is decoded; ImageNet's is used
        _check_scale(train.images[:], dataset.mean, dataset.std, tolerance)
    return None


def _check_scale(images: Tensor, means: tuple[float, ...], stds: tuple[float, ...], tolerance: float) -> None:
    import torch

    values = torch.arange(256).double() / 255
    for number, (channel, mean, std) in enumerate(zip(images.unbind(1), means, stds, strict=True)):
        shares = channel.flatten().bincount(minlength=256).double() / channel.numel()  # of each value
        actual = (shares @ values).item(), (shares @ (values - mean) ** 2).sqrt().item()
        near = all(math.isclose(a, b, abs_tol=tolerance) for a, b in zip(actual, (mean, std), strict=True))
        assert near, f"channel {number} has the mean {actual[0]:.4f} and the std {actual[1]:.4f}"


def check_backend(name: str) -> str | None:
    """Check that a backend says what it is and why it cannot, and that a small network gives what it gives under eager.

    So it does also where the backend loads what it has left in a folder.

    Returns:
        Why it was not run on this machine; None where it was.
    """
    import torch
    from torch.multiprocessing.reductions import StorageWeakRef

    from bench.backends import BACKENDS
    from bench.tasks._agreement import agreement
    from bench.tasks._placing import DTYPES

    backend = BACKENDS.get(name)
    assert backend.about and "\n" not in backend.about, "`about` is to be one line"  # noqa: PT018
    for precision in DTYPES:
        reason = backend.unsupported(_small_job(name, precision=precision))
        assert reason is None or reason.strip(), f"it cannot do {precision}, and gives no reason"
    fp32 = _small_job(name)
    precision = "int8" if backend.unsupported(fp32) and "int8" in backend.precisions else "fp32"
    job = _small_job(name, precision=precision)
    if reason := backend.unsupported(job):
        return reason
    model = _small_network().eval()
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        backend.load()
        ready = _ready(backend, model, images, job)
        eager = BACKENDS.get("eager").prepare(model, images, job)
        measured = [agreement(eager.call, one.call, precision, images) for one in ready]
        images.copy_(torch.randn(images.shape, generator=torch.Generator().manual_seed(1)))
        of_others = [agreement(eager.call, one.call, precision, images) for one in ready]
    for one, what in zip(measured, ("it", "what it loads"), strict=False):
        assert not one.flags, f"{what} differs from eager: {', '.join(one.flags)}"
        assert one.samples[0] < 1e-5 or precision == "int8", (
            f"{what} differs from eager by {one.samples[0]:g}"
        )
    assert not any(one.flags for one in of_others), (
        "it does not read the images that lie where it was prepared with them"
    )
    kept = StorageWeakRef(images.untyped_storage())
    prepared = ready.pop(0)
    del model, images, eager, ready
    assert not kept.expired(), (
        "it does not keep the images that its call reads: their memory is given to others"
    )
    seconds = {key: value for key, value in prepared.detail.items() if key.endswith("_s")}
    assert all(value >= 0 for value in seconds.values()), f"its preparation took {seconds}"
    return None


def _ready(backend: Backend, model: nn.Module, images: Tensor, job: Job[Timed]) -> list[Runnable]:
    """Return what a backend prepares of a network, and then what it loads of that, where it does."""
    if backend.prepare_in is None:
        return [backend.prepare(model, images, job)]
    with tempfile.TemporaryDirectory() as folder:
        return [backend.prepare_in(model, images, job, Path(folder)) for _ in range(2)]


def _small_job(backend: str, **settings: object) -> Job[Timed]:
    from bench.plan.job import Job

    given = {
        "device": "cpu",
        "threads": 1,
        "batch_size": 2,
        "precision": "fp32",
        "memory_format": "contiguous",
    }
    return Job(
        task="infer",
        arch="small",
        input_size=8,
        num_classes=10,
        settings={**given, "backend": backend, **settings},  # type: ignore[arg-type]
    )


def _small_network() -> nn.Module:
    """Return a network of ten classes for images [B, 3, 8, 8]: a convolution, a batch norm and a linear layer."""
    import torch
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 6, 10)
        )


def check_cost(name: str) -> None:
    """Check that what is counted of a small network is a known quantity, finite, and the same twice."""
    from bench.costs import COSTS, Subject
    from bench.plan.task import quantities

    first, again = (
        {m.name: m for m in COSTS.get(name)(Subject(_small_network().eval(), (1, 3, 8, 8)))} for _ in range(2)
    )
    assert first, "it counts nothing"
    for key, measurement in first.items():
        known = quantities().get(key)
        assert known is not None, f"no task has the quantity {key}: add a line to its `_QUANTITIES`"
        assert measurement.unit == known[0], f"{key} is in {measurement.unit}, not in {known[0]}"
        assert all(math.isfinite(sample) for sample in measurement.samples), f"{key} is not finite"
        assert measurement.samples == again[key].samples, f"{key} is another number the second time"


def check_task(name: str) -> None:
    """Check that a task's quantities are the same things as in other tasks, and that it has a place of its own."""
    from bench.plan.task import tasks

    task = tasks()[name]
    names = [quantity.name for quantity in task.quantities]
    assert len(set(names)) == len(names), "it has a quantity twice"
    columns = {q.name for q in task.quantities if q.title and not q.beside}
    beside = {q.beside for q in task.quantities} - {""}
    assert beside <= columns, f"quantities stand beside {beside - columns}, which have no columns"
    for other, rival in tasks().items():
        if other == name:
            continue
        assert task.place != rival.place, f"it stands in the place of {other}"
        ours, theirs = ({q.name: q for q in t.quantities if not q.of} for t in (task, rival))
        for key in ours.keys() & theirs.keys():
            kinds = [(q.unit, q.better) for q in (ours[key], theirs[key])]
            assert kinds[0] == kinds[1], f"{key} is {kinds[0]} here and {kinds[1]} in {other}"


def check_executor(name: str) -> None:
    """Check that an executor hands events on in order and whole, says how a call ended, and lets go."""
    from bench.execution import EXECUTORS, Event

    kind = EXECUTORS.get(name)
    assert kind.about and "\n" not in kind.about, "`about` is to be one line"  # noqa: PT018
    executor = kind.make()
    try:
        assert executor.at_once >= 1, "it runs nothing at once"
        executor.cancel()  # nothing is under way
        for size in (1, 3_000_000):
            events: list[Event] = []
            ended = executor.call("bench.contracts:_answer", (size,), timeout_s=120.0, on_event=events.append)
            assert events == [("begun", size), ("ended", "x" * size)], (
                f"of {size} bytes came {len(events)} events"
            )
            assert (ended.exitcode, ended.timed_out) == (0, False), f"it ended as {ended}"
    finally:
        executor.close()


def _answer(send: Callable[[tuple[str, object]], None], size: int) -> None:
    """Send two events, the second of so many bytes: what `check_executor` calls."""
    send(("begun", size))
    send(("ended", "x" * size))


def check_figure(name: str, *runs: Run) -> None:
    """Check that a figure says what it is and draws nothing of nothing.

    Args:
        name: of the figure.
        runs: it must be drawn of these, with a name at each axis, and no text on top of another.
    """
    from bench.report.figures import FIGURES

    figure = FIGURES.get(name)
    assert figure.title, "it has no title"
    assert figure.caption.endswith("."), "its caption is no sentence"
    assert figure.needs and not figure.needs.endswith("."), "`needs` is to be a few words"  # noqa: PT018
    assert _drawn(name) is None, "it draws something of nothing"
    if runs:
        drawing = _drawn(name, *runs)
        assert drawing is not None, f"nothing is drawn of {', '.join(run.name for run in runs)}"
        _check_drawing(drawing)


def check_export(name: str, *runs: Run) -> str | None:
    """Check that a format says what it writes, and that it writes something of some runs.

    Args:
        name: of the format.
        runs: of which it can write something without an option.

    Returns:
        Why nothing was written; None where something was.
    """
    import tempfile
    from pathlib import Path

    from bench.errors import UnsupportedError
    from bench.report.exports import EXPORTS, Results

    unit = EXPORTS.get(name)
    assert unit.about and "\n" not in unit.about, "`about` is to be one line"  # noqa: PT018
    assert all(unit.options.values()), "an option does not say what it is"
    if not runs:
        return "no runs were given"
    try:
        made = unit.make(Results(runs))
    except UnsupportedError as error:  # its library is not installed
        return error.message
    if isinstance(made, str | bytes):
        assert made, "it is empty"
        return None
    with tempfile.TemporaryDirectory() as folder:
        made(Path(folder))
        assert any(path.is_file() for path in Path(folder).rglob("*")), "it writes no file"
    return None


def _drawn(name: str, *runs: Run) -> Drawing | None:
    from bench.analysis.comparison import compare_table
    from bench.analysis.frame import to_frame
    from bench.report.figures import FIGURES
    from bench.report.figures._style import styled

    frame = to_frame(runs)
    with styled():
        return FIGURES.get(name).draw(compare_table(frame), frame)


def _check_drawing(drawing: Drawing) -> None:
    import numpy as np

    from bench.report.figures._labels import overlaps
    from bench.report.figures._style import freeze, renderer

    for axes in drawing.axes:
        if axes.axison:  # else a picture
            assert axes.get_xlabel(), "an axis has no name"
            named = axes.get_ylabel() or all(t.get_text() for t in axes.get_yticklabels())
            assert named, "neither an axis nor its ticks have names"
            assert axes.get_title("left"), "a panel has no title"
    freeze(drawing)
    drawing.draw_without_rendering()  # which puts names at axes whose sides have a fixed ratio
    texts = []
    for axes in drawing.axes:
        low, high = axes.get_xlim()
        ticks = [t for t in axes.get_xticklabels() if low <= t.get_position()[0] <= high]
        texts += [t for t in (*axes.texts, *ticks, axes.title, axes.xaxis.label) if t.get_text()]
    boxes = np.array([t.get_window_extent(renderer(drawing)).extents for t in texts])
    pairs = [(i, j) for i, j in zip(*np.nonzero(overlaps(boxes, boxes)), strict=True) if i < j]
    mutual = [(texts[i].get_text(), texts[j].get_text()) for i, j in pairs]
    assert not mutual, f"texts lie on top of each other: {mutual[:3]}"
