"""The task `evaluate`: a network with its weights on images, batch by batch, and what it says of each."""

from __future__ import annotations

import contextlib
import io
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bench.archs import Arch
from bench.datasets import find
from bench.datasets.classes import ClassMap
from bench.datasets.evaluation import EvaluationSet
from bench.datasets.loader import Loaded, Loader
from bench.datasets.transforms import Transform
from bench.errors import BenchError, InvalidModelError, UnsupportedError, lacks_memory, reason
from bench.io import JsonObject, write_file
from bench.plan.job import Job
from bench.plan.settings import Timed
from bench.plan.task import Hooks
from bench.records.environment import usable_cores
from bench.records.outputs import Answers, save_outputs
from bench.records.record import Measurement, measured
from bench.tasks._agreement import soundness
from bench.tasks._calls import backend_of, working
from bench.tasks._given import (
    ASSUMED,
    corruption_of,
    declared_transform,
    planned_images,
    transform_of,
    vocabulary_of,
)
from bench.tasks._networks import built, drawn_parameters, imported
from bench.tasks._placing import place, place_network, with_autocast
from bench.training.config import LAYOUTS
from bench.training.outputs import mean_answers, outputs

if TYPE_CHECKING:
    from bench.tasks.evaluate import EvaluateSettings

_FOREMOST = 5
_TESTED = "test"  # the split that trainings are tested on
_BATCH = {"cpu": 32, "cuda": 256}  # images a call at first, where the job says `auto`
_TOLD = 1000  # images left out that the detail names; it counts all
_EVERY_S = 20.0  # between two times that what is done so far is kept
_ARRAYS = ("done", "top5", "among", "confidence")  # of what is kept, by the names of `_Progress`


def measure_evaluation(job: Job[EvaluateSettings], hooks: Hooks) -> Iterator[Measurement]:
    """Let the job's network say what is on each image of the job's data set.

    What it has said is kept every few seconds, so that the same job goes on where it was cut off.

    Yields:
        `top1` and `top5`, with the counts in their details; `left_out`, with a reason for each image;
        `evaluation_rate` and `decode_rate`.

    Raises:
        BenchError: for images, weights or a backend of no use, and for classes that the network has no outputs for.
    """
    hooks.stage("images")
    settings = job.settings
    whole = planned_images(settings)
    images = whole.limited(settings.limit, job.seed)
    arch = imported(job, hooks)
    model = built(job, hooks, in_full=True).eval()
    transform = transform_of(arch, model, job)
    hooks.stage("check")
    with torch.inference_mode():
        told = (arch.weights and arch.weights.training) or {}
        usual = int(told.get("batch_size", _BATCH[job.device_kind]))
        placed = _as_tested(model, str(told.get("views") or ""), job, hooks)
        network = _Network(placed, job, transform, usual, arch.card.batch)
        classes = ClassMap.of(images.classes, vocabulary_of(arch, model, network.outputs), images.folder)
        workers = settings.workers or usable_cores()
        loader = Loader(images, transform, workers, corruption_of(job))
        progress = _Progress.resumed_from(hooks.checkpoint, job.id, len(images))
        hooks.stage("evaluate")
        _answer_all(network, loader, classes, progress, hooks)
    try:
        planned_images(settings)  # still
    except UnsupportedError:
        progress.forget()  # which of the answers are to other images is not known
        raise
    stored, content = {}, None
    if hooks.outputs is not None:
        content, sha256 = progress.answers(images, classes).encode()
        stored = {"outputs": f"outputs/{hooks.outputs.name}", "outputs_sha256": sha256}
    declared, source = declared_transform(arch, model)
    detail = {
        **_told(images, transform, declared, source, classes),
        "batch": network.batch,
        **_of_training(told, whole),
        **_of_checkpoint(arch),
        **stored,
    }
    if network.flags:
        detail["asked_twice"] = network.twice
    if network.engine:
        detail["engine"] = network.engine
    if arch.card.weights is None and (drawn := drawn_parameters(arch, model, job, hooks)):
        detail["drawn"] = drawn[:_TOLD]
    yield from _scores(progress, images, detail, network.flags)
    yield from _rates(progress, workers)
    if hooks.outputs is not None and content is not None:
        save_outputs(hooks.outputs, content)


# --- the network ---


class _Averaged(nn.Module):
    """A network whose logits are means over views of each image, as those of the training that it is of."""

    def __init__(self, model: nn.Module, views: str, classes: int) -> None:
        super().__init__()
        self.model, self.views, self.classes = model, views, classes

    def forward(self, images: Tensor) -> Tensor:
        """Return the mean logits [B, K] of images [B, C, S, S]."""
        return mean_answers(self.model, images, self.classes, self.views)


def _as_tested(model: nn.Module, views: str, job: Job[EvaluateSettings], hooks: Hooks) -> nn.Module:
    """Return the network placed; one from a stored training looks at the views that were looked at there, if any."""
    placed = place_network(model, job, hooks)
    if views:
        placed = _Averaged(placed, views, job.num_classes or 1)
    return with_autocast(placed, job)


class _Network:
    """A network as the job's backend runs it; images come as pixels and go to the device.

    Attributes:
        batch: images a call.
        outputs: K, how many the network has.
        engine: what the backend's preparation came to; empty for eager.
        flags: doubts about whatever the backend answers.
        twice: how many of the images that were asked about twice got another answer; empty before that.
        twice_s: what asking again took.
    """

    def __init__(
        self,
        model: nn.Module,
        job: Job[EvaluateSettings],
        transform: Transform,
        usual: int,
        fixed: int | None = None,
    ) -> None:
        """Look at what the network returns; `fixed` is the one count of images that it takes, if it takes no other."""
        self.model, self.job, self.transform, self._fixed = model, job, transform, fixed
        asked = job.settings.batch_size
        self.batch = fixed or (usual if asked == "auto" else asked)
        self._shrinks = asked == "auto" and fixed is None
        size = transform.size or (job.input_size, job.input_size)
        pixels = torch.zeros(fixed or 2, transform.channels, *size, dtype=torch.uint8)
        self.outputs = self._count(pixels)
        self.engine: JsonObject = {}
        self.flags: tuple[str, ...] = ()
        self.twice: JsonObject = {}
        self.twice_s = 0.0
        self._call: Callable[[Tensor], Tensor] | None = None

    def _count(self, pixels: Tensor) -> int:
        """Return how many outputs the network has for such images.

        Raises:
            UnsupportedError: if it does not take images of a size that is not its own.
        """
        try:
            return int(outputs(self.model(self._images(pixels)), self.job.num_classes or 1)[0].shape[1])
        except Exception as error:  # whatever a network raises
            own, size = self.job.input_size, pixels.shape[-1]
            if size == own or lacks_memory(error):
                raise
            message = f"{self.job.arch} takes no images of {size} px, only of {own}: {reason(error)}"
            raise UnsupportedError(message, f"leave them at {own} px") from error

    def logits(self, pixels: Tensor) -> Tensor:
        """Return the logits [B, K] float32 of pixels [B, C, H, W] uint8, B up to `batch`, on the device.

        Raises:
            UnsupportedError: if the backend cannot run the network.
            InvalidModelError: if there is not a row for each image, with as many logits as when it was looked at.
        """
        images = self._images(pixels)
        if self._call is None:
            self._call = self._prepared(images)
        answer = self._call(images)
        if answer.shape != (len(images), self.outputs):
            message = f"{self.job.arch} returned {list(answer.shape)} for {len(images)} images"
            message += f", not {self.outputs} logits each" * (len(answer) == len(images))
            raise InvalidModelError(message, "return a row of logits for each image")
        return answer

    def ask_again(self, pixels: Tensor, first: Tensor) -> None:
        """Look whether a second call on the same pixels gives the same logits [B, K] as the first."""
        start = time.perf_counter()
        held, again = [*self.model.parameters(), *self.model.buffers()], []

        def call() -> Tensor:
            again.append(self.logits(pixels))
            return again[0]

        doubts = {*soundness(call, first, held, self.job.settings.precision)}
        if "not_deterministic" in doubts:
            self.flags += ("answers_vary",)
        if "changes_itself" in doubts:
            self.flags += ("changes_itself",)
        other = int((again[0].argmax(1) != first.argmax(1)).sum())
        self.twice = {"images": len(first), "other_answers": other}
        self.twice_s = time.perf_counter() - start

    def shrink(self) -> bool:
        """Halve the batch after one that did not fit; return whether that is left to be done."""
        self._call = None
        if not self._shrinks or self.batch == 1:
            return False
        self.batch = -(-self.batch // 2)
        return True

    def _images(self, pixels: Tensor) -> Tensor:
        """Return pixels as the network takes them."""
        images = self.transform.normalised(pixels.to(self.job.device, non_blocking=True))
        if images.shape[1] != self.job.in_channels:
            images = images.expand(-1, self.job.in_channels, -1, -1)
        return place(images.contiguous(), self.job)

    def _prepared(self, images: Tensor) -> Callable[[Tensor], Tensor]:
        """Return what answers images: eager as they come, and in batches of one size what takes no others."""
        job = cast("Job[Timed]", self.job)
        backend = backend_of(job)
        if job.settings.backend == "eager" and self._fixed is None:
            return lambda given: self._of(self.model(given))
        held = images.new_zeros((self.batch, *images.shape[1:])).to(
            memory_format=LAYOUTS[job.settings.memory_format]
        )
        runnable = working(lambda: backend.prepare(self.model, held, job), job)
        self.engine, self.flags = runnable.detail, runnable.flags

        def call(given: Tensor) -> Tensor:
            held[: len(given)].copy_(given)
            answer = runnable.call()
            if isinstance(answer, np.ndarray):
                answer = torch.from_numpy(answer)
            return self._of(answer)[: len(given)].clone()

        return call

    def _of(self, answer: object) -> Tensor:
        return outputs(answer, self.job.num_classes or 1)[0].float()


# --- the loop ---


@dataclass
class _Progress:
    """What the network has said so far, of N images.

    Attributes:
        key: of the job.
        file: in which it is kept; None for none.
        done: [N] bool, the images that it has seen or that were left out.
        top5: [N, 5] int32, classes of the data set; -1 for none.
        among: [N, 5] int32, the same among the data set's classes alone.
        confidence: [N] float32.
        left_out: numbers of images that could not be decoded, with the reason.
        resumed: images that an earlier process had done.
        seconds: of the loop, in this process, as `network_s`, `decode_s`, of all threads together, and `images`.
    """

    key: str
    file: Path | None
    done: npt.NDArray[np.bool_]
    top5: npt.NDArray[np.int32]
    among: npt.NDArray[np.int32]
    confidence: npt.NDArray[np.float32]
    left_out: dict[int, str] = field(default_factory=dict)
    resumed: int = 0
    loop_s: float = 0.0
    network_s: float = 0.0
    decode_s: float = 0.0

    @classmethod
    def resumed_from(cls, file: Path | None, key: str, count: int) -> _Progress:
        """Return how far the job came before, where that was kept; else nothing."""
        none = np.full((count, _FOREMOST), -1, dtype=np.int32)
        fresh = cls(
            key, file, np.zeros(count, dtype=np.bool_), none, none.copy(), np.zeros(count, dtype=np.float32)
        )
        if file is None or not file.is_file():
            return fresh
        try:
            with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as kept:
                if str(kept["key"]) != key or kept["done"].shape != (count,):
                    return fresh
                left_out = dict(zip(kept["left_out"].tolist(), kept["reasons"].tolist(), strict=True))
                arrays = {name: kept[name] for name in _ARRAYS}
                return cls(key, file, **arrays, left_out=left_out, resumed=int(arrays["done"].sum()))
        except Exception:  # a torn file fails in more ways than NumPy documents; what it held is done again
            return fresh

    def keep(self) -> None:
        """Write how far it came."""
        if self.file is None:
            return
        stream, arrays = io.BytesIO(), {name: getattr(self, name) for name in _ARRAYS}
        arrays["left_out"] = np.array([*self.left_out], dtype=np.int64)
        arrays["reasons"] = np.array([*self.left_out.values()], dtype=np.str_)
        np.savez(stream, key=np.array(self.key), **arrays)
        write_file(self.file, stream.getvalue(), what="what is evaluated so far ")

    def forget(self) -> None:
        """Leave nothing to go on from."""
        if self.file is not None:
            self.file.unlink(missing_ok=True)

    @property
    def seen(self) -> npt.NDArray[np.bool_]:
        """Which images [N] the network has seen."""
        seen = self.done.copy()
        seen[[*self.left_out]] = False
        return seen

    def answers(self, images: EvaluationSet, classes: ClassMap) -> Answers:
        """Return what was said of the images that were seen."""
        seen = self.seen
        return Answers(
            labels=images.labels.numpy().astype(np.int32)[seen],
            top5=self.top5[seen],
            confidence=self.confidence[seen],
            images=tuple(name for name, one in zip(images.names, seen, strict=True) if one),
            class_names=images.classes,
            among=self.among[seen] if classes.is_part else None,
        )


def _answer_all(
    network: _Network, loader: Loader, classes: ClassMap, progress: _Progress, hooks: Hooks
) -> None:
    """Ask the network about every image that it has not seen; what is done is kept, also where it ends before."""
    start = kept = time.perf_counter()
    total = len(progress.done)
    try:
        while not progress.done.all():
            todo = np.flatnonzero(~progress.done).tolist()
            try:
                for batch in loader.batches(todo, network.batch):
                    _answer(network, batch, classes, progress)
                    hooks.progress(int(progress.done.sum()), total)
                    if time.perf_counter() - kept > _EVERY_S:
                        progress.keep()
                        kept = time.perf_counter()
            except Exception as error:
                if not lacks_memory(error) or not network.shrink():
                    raise
                if network.job.device != "cpu":
                    torch.cuda.empty_cache()  # of what the batch that did not fit has left
    except BaseException:
        progress.keep()
        raise
    progress.loop_s = time.perf_counter() - start - network.twice_s


def _answer(network: _Network, batch: Loaded, classes: ClassMap, progress: _Progress) -> None:
    """Note what the network says of a batch."""
    progress.decode_s += batch.cpu_s
    for number, why in batch.left_out:
        progress.left_out[number] = why
        progress.done[number] = True
    if not batch.numbers:
        return
    start = time.perf_counter()
    logits = network.logits(batch.pixels)
    numbers = list(batch.numbers)
    progress.confidence[numbers] = logits.softmax(1).amax(1).cpu().numpy()
    meaning = torch.full((logits.shape[1],), -1, dtype=torch.int64, device=logits.device)
    of_classes = torch.tensor(classes.outputs, device=logits.device)
    meaning[of_classes] = torch.arange(len(of_classes), device=logits.device)
    progress.top5[numbers] = _five(meaning[_foremost(logits)])
    progress.among[numbers] = _five(_foremost(logits[:, of_classes]))
    progress.network_s += time.perf_counter() - start
    if not network.twice:
        network.ask_again(batch.pixels, logits)
    progress.done[numbers] = True


def _foremost(logits: Tensor) -> Tensor:
    return logits.topk(min(_FOREMOST, logits.shape[1])).indices


def _five(classes: Tensor) -> npt.NDArray[np.int32]:
    """Return numbers of classes [B, up to 5] with -1 in place of those that there are not."""
    five = np.full((len(classes), _FOREMOST), -1, dtype=np.int32)
    five[:, : classes.shape[1]] = classes.cpu().numpy()
    return five


# --- what is measured ---


def _told(
    images: EvaluationSet,
    transform: Transform,
    declared: JsonObject | None,
    source: str,
    classes: ClassMap,
) -> dict[str, object]:
    """Return what a number of this evaluation was computed from."""
    told: dict[str, object] = {
        "dataset": images.name,
        "classes": len(images.classes),
        "network_outputs": classes.count,
        "classes_by": classes.by,
        "transform": transform.model_dump(mode="json"),
        "transform_source": source,
    }
    if declared is not None and Transform.read(declared) != transform:
        told["declared_transform"] = Transform.read(declared).model_dump(mode="json")
    notes = {"classes_note": classes.note, "classes_doubt": classes.doubt, "note": images.note}
    return {**told, **{key: text for key, text in notes.items() if text}}


def _of_training(told: JsonObject, images: EvaluationSet) -> dict[str, object]:
    """Return what a stored training came to on its test images; nothing for other weights, or of other images."""
    if not told or not _are_tested(images, told["job"]["settings"].get("dataset")):
        return {}
    job = told["job"]
    now = None
    with contextlib.suppress(UnsupportedError):  # of a folder that is none to train on any more
        now = find(images.name).card.sha256
    since = "" if now == job["settings"].get("dataset_sha256") else ", and files there have changed since"
    trained = {"dataset": images.name, "source": f"job {job['id']}{since}"}
    return {"trained_top1": {"top1": told["top1"], "images": told["images"], **trained}}


def _are_tested(images: EvaluationSet, dataset: object) -> bool:
    """Return whether images of a folder are those on which trainings are tested: it may hold val as well as test."""
    if images.name != dataset or images.folder is None:
        return images.name == dataset
    try:
        tested = EvaluationSet.of(images.name, _TESTED)
    except BenchError:  # a folder that is none to test on any more
        return False
    return images.names == tested.names and images.folder == tested.folder


def _of_checkpoint(arch: Arch) -> dict[str, object]:
    """Return which weights of a checkpoint with several were taken, where none was asked for."""
    taken, *others = (arch.weights and arch.weights.taken) or ("",)
    return {"weights_taken": taken, "weights_left": others} if others else {}


def _scores(
    progress: _Progress, images: EvaluationSet, detail: dict[str, object], doubts: tuple[str, ...]
) -> Iterator[Measurement]:
    """Yield the accuracies, and how many images were left out."""
    seen = progress.seen
    count = int(seen.sum())
    labels = images.labels.numpy()[seen, None]
    right = progress.top5[seen] == labels
    among = progress.among[seen] == labels
    is_part = detail["classes"] != detail["network_outputs"]
    for name, first in (("top1", 1), ("top5", _FOREMOST)):
        correct = int(right[:, :first].sum())
        counts: dict[str, object] = {"correct": correct, "images": count}
        if is_part:
            of_them = int(among[:, :first].sum())
            counts["among_its_classes"] = {"correct": of_them, "images": count, name: _share(of_them, count)}
        yield measured(
            name, (_share(correct, count),), {**counts, **detail}, (*_flags(progress, detail), *doubts)
        )
    reasons = [{"image": images.names[n], "reason": why} for n, why in sorted(progress.left_out.items())]
    yield measured(
        "left_out", (len(reasons),), {"images": reasons[:_TOLD], "of": "images that could not be decoded"}
    )


def _flags(progress: _Progress, detail: dict[str, object]) -> tuple[str, ...]:
    """Return the doubts about an accuracy."""
    flags = {
        "assumed_transform": detail["transform_source"] == ASSUMED,
        "assumed_classes": "classes_doubt" in detail,
        "several_weights": "weights_left" in detail,
        "random_weights": "drawn" in detail,
        "images_left_out": bool(progress.left_out),
        "not_finite": bool(np.isnan(progress.confidence[progress.seen]).any()),
    }
    return tuple(flag for flag, holds in flags.items() if holds)


def _share(correct: int, count: int) -> float:
    return correct / count if count else math.nan


def _rates(progress: _Progress, workers: int) -> Iterator[Measurement]:
    """Yield how many images a second went through, and how many could have been decoded."""
    count = len(progress.done) - progress.resumed
    if not count:  # an earlier process had done all
        return
    flags = ("resumed",) if progress.resumed else ()
    detail: dict[str, object] = {
        "of": "decoding, transforming, copying and the network, at once",
        "network_s": progress.network_s,
        "waited_s": progress.loop_s - progress.network_s,
        "images": count,
    }
    yield measured("evaluation_rate", (count / progress.loop_s,), detail, flags)
    if progress.decode_s:
        rate = count / progress.decode_s
        yield measured(
            "decode_rate",
            (rate * min(workers, usable_cores()),),
            {
                "of": "what the threads could deliver alone, by their CPU time",
                "a_thread": rate,
                "workers": workers,
            },
            flags,
        )
