"""Tasks and quantities: what can be measured, one file a task in `bench.tasks`, found by the registry.

A task says what a block may give, how its jobs run and how long that takes, and which quantities come of it. What a
quantity is - its unit, which direction is better, its column in tables - is said there and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Literal

from typing_extensions import TypeVar

from bench.io import JsonObject
from bench.plan.settings import Keys, NetworkKeys, Processes, Settings, TimedKeys
from bench.registry import Registry
from bench.units import Better

if TYPE_CHECKING:
    from bench.plan.card import ArchCard
    from bench.plan.expand import Catalog
    from bench.plan.job import Job
    from bench.records.record import Measurement


_WITH_INTERVAL = ("image", "rate", "seeds", "images")
_Summary = Literal["shape", "image", "batch", "rate", "seeds", "images", "derived"]


@dataclass(frozen=True, slots=True)
class Quantity:
    """What comes of a task: a number that is measured, or one that the comparison makes of what is measured.

    Attributes:
        name: of the measurement, and of its column in the comparison.
        unit: SI base unit, or `MAC`, `B`, `1`.
        better: which direction is an improvement.
        title: the head of its column; without one it is in no table and no chart.
        summary: how the comparison comes to one number; None where it has none.
            shape: counted, the same in every process.
            image: of a call with one image, with its interval over processes.
            batch: of a call with the largest batch that was timed.
            rate: images per second at that batch, with its interval over processes; `of` is the time.
            seeds: the mean over trainings that differ in their seeds alone, with its interval.
            images: a share of test images, with its interval over them.
            derived: `bench.analysis` computes it by a rule of its own.
        of: the measurement that it comes from, where that has another name.
        beside: the quantity in whose column it stands, for files alone.
        cell: how it is shown: as a number with a prefix, a whole one, a share in %, or a share with its spread.
        narrow: whether a terminal has room for it.
        marked: whether the best of those rows is marked that may be compared in it, see `Task.rivals`.
        exact: whether it is counted, so that it needs no interval; what has the summary `shape` is.
        about: what it is, in half a sentence; shown by `bench explain`.
    """

    name: str
    unit: str
    better: Better
    title: str = ""
    summary: _Summary | None = None
    of: str = ""
    beside: str = ""
    cell: Literal["number", "whole", "share", "spread"] = "number"
    narrow: bool = True
    marked: bool = False
    exact: bool = False
    about: str = ""

    @property
    def source(self) -> str:
        """The name of the measurement that it comes from."""
        return self.of or self.name

    @property
    def ends(self) -> tuple[str, ...]:
        """The columns of the comparison that have its spread and its interval."""
        spread = (f"{self.name}_sd",) if self.summary == "seeds" else ()
        interval = (f"{self.name}_low", f"{self.name}_high")
        return (*spread, *interval) if self.summary in _WITH_INTERVAL else ()

    @property
    def is_share(self) -> bool:
        """Whether it is shown in percent."""
        return self.cell in ("share", "spread")

    @property
    def is_whole(self) -> bool:
        """Whether it is counted in whole numbers."""
        return (self.exact or self.summary == "shape") and not self.is_share

    @property
    def has_flags(self) -> bool:
        """Whether the comparison has its doubts, in the column ``NAME_flags``."""
        return self.summary not in (None, "derived") and not self.beside


INPUT = ("input_size", "in_channels", "num_classes")
"""Keys of the shape of a network."""

_ALIKE = ("in_channels", "num_classes")
"""Keys in which rows agree whose counts are compared: small networks are no rivals of large ones."""

_SIMILAR = ("device_name", "device", *_ALIKE)
"""Keys in which rows agree whose costs are compared."""

TAUGHT = ("dataset", "recipe", "epochs")
"""Keys in which rows agree whose trainings are compared."""

_EVALUATED = ("evaluated_on",)
"""Keys in which rows agree whose evaluations are compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """Whom a running job tells how far it is, and where it keeps its files.

    Attributes:
        stage: told the name of each stage as it begins.
        progress: told the epochs done and the epochs in all.
        environment: told what the job has set in its process.
        flag: told what all that is measured of the job is flagged with.
        settle: called when the user's code has been imported, and when it has built the network: sets back what that
            changed of the process.
        checkpoint: file of how far it came, to go on from; None for none.
        outputs: file of the answers to each image; None for none.
        weights: file of the weights that a training ends with; None for none.
        artefacts: folder in which processes of this run find what backends have made in others; None for none.
    """

    stage: Callable[[str], None] = lambda _: None
    progress: Callable[[int, int], None] = lambda *_: None
    environment: Callable[[dict[str, object]], None] = lambda _: None
    flag: Callable[[str], None] = lambda _: None
    settle: Callable[[], None] = lambda: None
    checkpoint: Path | None = None
    outputs: Path | None = None
    weights: Path | None = None
    artefacts: Path | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """What is known beforehand of how much a job has to do.

    Attributes:
        images: of an epoch, or to be evaluated.
        tests: images on which a training is tested after each epoch.
        macs: multiply-accumulates of one image at the job's size; None where they are not known.
    """

    images: int = 0
    tests: int = 0
    macs: float | None = None


UNKNOWN = Work()
"""Of a job of which nothing is known beforehand."""


@dataclass(slots=True, kw_only=True)  # not frozen, which takes four times as long to make
class Outline:
    """What of a planned job follows from the network and the machine.

    Attributes:
        input_size: height and width of the images, in px.
        in_channels: of the images.
        num_classes: outputs; None for a network that is no classifier.
        settings: besides those that the block gives.
        work: how much there is to do, as far as the data tell.
        refusal: why the network cannot do it, where that is known beforehand.
        note: what a reader should know of the data.
    """

    input_size: int
    in_channels: int
    num_classes: int | None
    settings: JsonObject = field(default_factory=dict)
    work: Work = UNKNOWN
    refusal: str | None = None
    note: str = ""


def own_shape(keys: Keys, card: ArchCard, catalog: Catalog) -> Outline:  # noqa: ARG001 (one signature for all)
    """Return the outline of a job in the shape that is asked for, or in the network's own."""
    size, channels, classes = (getattr(keys, name, None) for name in INPUT)
    return Outline(
        input_size=card.input_size if size is None else size,
        in_channels=card.in_channels if channels is None else channels,
        num_classes=card.num_classes if classes is None else classes,
    )


def of_network(job: Job) -> str:
    """Return what a job is of, such as ``vgg16 224 px``."""
    return f" {job.arch} {job.input_size} px"


_KeysT = TypeVar("_KeysT", bound=Keys, default=Any)
_SettingsT = TypeVar("_SettingsT", bound=Settings, default=Any)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(Generic[_KeysT, _SettingsT]):
    """A kind of question that a job asks.

    Attributes:
        place: tasks and their columns stand in this order, the least first.
        keys: what a block of an experiment may give; None for a task that only commands plan.
        settings: those of its jobs.
        run: `(job, hooks)` measures; in the job's own process, where torch may be imported.
        estimate: `(job, work)` to the seconds of a job whose like has never run, by rule of thumb.
        quantities: what comes of it.
        about: what it does, in a line; shown by `bench explain`.
        batch_column: where the comparison has the largest batch that was timed, of a task that times several.
        batch_title: the head of that column.
        outline: `(keys, card, catalog)` to what a planned job has of the network and the machine.
        subject: `(job)` to what it is of, for its label.
        at_once: `(job, cores)` to how many such jobs may run side by side.
        alone: whether it holds its devices, so that nothing else runs there meanwhile.
        trained: whether its jobs are trainings: they differ in nothing but their seeds.
        keeps_files: whether its jobs keep files: how far they came, to go on from, and the answers to each image.
        steps: what a running job is told to have done, such as epochs; one of them.
        weighted: whether its networks have their weights: a library's name means the default ones.
        matched: whether jobs of two runs that ask the same are held against each other.
        processes: in how many its jobs are measured, of a task whose blocks do not say; None for one, without a number.
    """

    place: int
    keys: type[_KeysT] | None
    settings: type[_SettingsT]
    run: Callable[[Job[_SettingsT], Hooks], Iterator[Measurement]]
    estimate: Callable[[Job[_SettingsT], Work], float]
    quantities: tuple[Quantity, ...] = ()
    about: str = ""
    batch_column: str = ""
    batch_title: str = ""
    outline: Callable[[_KeysT, ArchCard, Catalog], Outline] = own_shape
    subject: Callable[[Job[_SettingsT]], str] = of_network
    at_once: Callable[[Job[_SettingsT], int], int] = lambda *_: 1
    alone: bool = True
    trained: bool = False
    keeps_files: bool = False
    steps: str = "epoch"
    weighted: bool = False
    matched: bool = True
    processes: Processes | None = None

    @property
    def has_network(self) -> bool:
        """Whether its jobs are of a network, rather than of the machine alone."""
        return self.keys is None or issubclass(self.keys, NetworkKeys)

    @property
    def timed(self) -> bool:
        """Whether its jobs are measured in rounds of fresh processes."""
        return self.keys is not None and issubclass(self.keys, TimedKeys)

    @property
    def key_names(self) -> tuple[str, ...]:
        """The keys that a block may give."""
        return () if self.keys is None else tuple(self.keys.model_fields)

    def rivals(self, quantity: Quantity) -> tuple[str, ...]:
        """Return the keys in which rows of the comparison agree that are compared in a quantity of a task."""
        alike = {"shape": _ALIKE, "seeds": TAUGHT, "images": _EVALUATED}
        if quantity.summary in alike:
            return alike[quantity.summary]
        of_a_batch = quantity.summary != "image" and self.batch_column
        return (*_SIMILAR, self.batch_column) if of_a_batch else _SIMILAR


TASKS: Registry[Task] = Registry("task", "bench.tasks")


def tasks() -> dict[str, Task]:
    """Return all tasks by name, in their order."""
    return dict(sorted(TASKS.items(), key=lambda named: named[1].place))


def summarised(*summaries: _Summary) -> Iterator[tuple[str, Task, Quantity]]:
    """Yield the quantities that have a column of such a kind in the comparison, with the name and the task of each."""
    for name, task in tasks().items():
        for quantity in task.quantities:
            if quantity.summary in summaries:
                yield name, task, quantity


@cache
def quantities() -> Mapping[str, tuple[str, Better]]:
    """Return the unit of all that is measured, and which direction is better, by name: the same in every task.

    What the comparison makes of it is left out.
    """
    return {q.name: (q.unit, q.better) for task in tasks().values() for q in task.quantities if not q.of}


@cache
def all_keys() -> tuple[str, ...]:
    """Return the keys that a block of any task may give."""
    return tuple(dict.fromkeys(key for task in tasks().values() for key in task.key_names))
