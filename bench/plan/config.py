"""Experiment files: YAML, read, overridden and checked; every error says the key's path.

name: mine
about: what it answers
device: auto                      # any setting here is the default of all blocks that know it
blocks:
  - task: infer
    on_request: true              # only where --task names it
    precision: fp32               # a scalar holds for the block
    grid:                         # the only place where lists multiply
      arch: [resnet18, vgg16]
      batch_size: [1, {cpu: 4, cuda: 64}]     # a value may differ by device
skip:
  - {arch: vgg16, batch_size: 64} # exact matches are left out, and listed as skipped
study: {hypothesis: ..., tests: [...]}   # what the runs are to decide, see bench.plan.study
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.errors import ConfigError, suggestion, together
from bench.plan._yaml import find_yaml, is_by_device, load_yaml, read_yaml
from bench.plan.files import configs_dir
from bench.plan.settings import NetworkKeys
from bench.plan.study import Study
from bench.plan.task import TASKS, all_keys, tasks

_TOP = ("name", "about", "blocks", "skip", "study")
_BLOCK = ("task", "grid", "on_request")
_LIBRARIES = ("torchvision:", "timm:")  # whose networks have trained weights


@dataclass(frozen=True, slots=True)
class Block:
    """One grid of an experiment: `axes` multiply, `fixed` holds for all of its points."""

    task: str
    axes: Mapping[str, Sequence[object]]
    fixed: Mapping[str, object]
    path: str
    on_request: bool = False
    overridden: frozenset[str] = frozenset()  # keys that `--set` gave

    def place(self, key: str) -> str:
        """Return where a key was given, for messages: ``--set batch_size``, ``blocks[0].batch_size``, or its name.

        Its name alone is of a block that a command has made, whose user has given an argument of that name.
        """
        return f"--set {key}" if key.partition(".")[0] in self.overridden else self.path + key

    @property
    def archs(self) -> list[str]:
        """The names and patterns of architectures, with the arguments that keys of the block add to each."""
        return [name for name, _ in self.networks]

    @property
    def networks(self) -> list[tuple[str, dict[str, object]]]:
        """The same with the values of those keys, `NetworkKeys.in_name`: they multiply as all others do."""
        own = {key: values for key in NetworkKeys.in_name if (values := self._values(key))}
        points = [dict(zip(own, values, strict=True)) for values in itertools.product(*own.values())]
        names = [self._weighted(str(name)) for name in self._values("arch")]
        return [(_named(name, point), point) for name in names for point in points]

    def _weighted(self, name: str) -> str:
        """Return a library's name with its default weights, where the task takes networks with theirs."""
        if not TASKS.get(self.task).weighted or "weights" in self.fixed or "weights" in self.axes:
            return name
        plain = name.strip().startswith(_LIBRARIES) and not re.search(r"[(,\s]weights\s*=", name)
        return _named(name, {"weights": "DEFAULT"}) if plain else name

    def _values(self, key: str) -> Sequence[object]:
        return self.axes.get(key, [self.fixed[key]] if key in self.fixed else [])


def _named(name: str, values: Mapping[str, object]) -> str:
    """Return a network's name with further arguments."""
    arguments = ", ".join(f"{key}={value!r}" for key, value in values.items() if value not in (None, False))
    if not arguments:
        return name
    name = name.strip()
    if name.startswith("pattern:") and values.get("reparam"):
        message = f"the layers of a pattern take no reparam: {name}"
        raise ConfigError(message, "give it no such key")
    if name.startswith("pattern:"):
        return f"{name} ({arguments})"
    if not name.endswith(")"):
        return f"{name}({arguments})"
    head = name[:-1].rstrip()
    return f"{head}{'' if head.endswith('(') else ', '}{arguments})"


@dataclass(frozen=True, slots=True)
class Experiment:
    """A checked experiment; values are validated when it is expanded, as they may depend on the device."""

    name: str
    about: str
    blocks: tuple[Block, ...]
    skip: tuple[Mapping[str, object], ...] = ()
    study: Study | None = None

    def to_json(self) -> dict[str, object]:
        """Return plain JSON values for `run.json`."""
        blocks = [{"task": b.task, "grid": dict(b.axes), **b.fixed} for b in self.blocks]
        return {
            "name": self.name,
            "about": self.about,
            "blocks": blocks,
            "skip": [dict(s) for s in self.skip],
            **({} if self.study is None else {"study": self.study.to_json()}),
        }

    @classmethod
    def load(cls, name: str) -> Experiment:
        """Read an experiment: a shipped one by its name, or a YAML file by its path.

        Raises:
            ConfigError: with the key's path and the nearest valid one.
        """
        path = find_yaml(name, "experiment", configs_dir())
        return cls.parse(load_yaml(path), default_name=path.stem)

    @classmethod
    def parse(cls, data: object, default_name: str = "experiment") -> Experiment:
        """Check the shape and the keys of an experiment.

        Raises:
            ConfigError: with the key's path and the nearest valid one.
        """
        if not isinstance(data, dict):
            raise ConfigError(
                f"{default_name}: an experiment is a mapping of keys, "
                + ("and there is nothing in it" if data is None else f"not {type(data).__name__}"),
                "see configs/smoke.yaml",
            )
        if "blocks" not in data and (outside := [key for key in ("task", "grid", "arch") if key in data]):
            message = f"{' and '.join(outside)}: {'they stand' if outside[1:] else 'it stands'} in a block"
            raise ConfigError(message, "write blocks: [{task: infer, grid: {arch: [resnet18]}}]")
        _known_keys(data, "", (*_TOP, *all_keys()))
        blocks = data.get("blocks")
        if isinstance(blocks, dict):
            raise ConfigError(
                "blocks: a block begins with a dash", f"write - {next(iter(blocks), 'task')}: ..."
            )
        if not isinstance(blocks, list) or not blocks:
            raise ConfigError("blocks: give a list with at least one block", "see configs/smoke.yaml")
        shared = {k: v for k, v in data.items() if k not in _TOP}
        for key, value in shared.items():
            _no_list(key, value)
        skip = data.get("skip") or []
        if not isinstance(skip, list) or not all(isinstance(s, dict) and s for s in skip):
            raise ConfigError("skip: give a list of mappings such as {arch: vgg16, batch_size: 64}")
        for i, match in enumerate(skip):
            _known_keys(match, f"skip[{i}].", ("task", *all_keys()))
        return cls(
            name=str(data.get("name") or default_name),
            about=str(data.get("about") or "").strip(),
            blocks=tuple(_parse_block(b, f"blocks[{i}].", shared) for i, b in enumerate(blocks)),
            skip=tuple(skip),
            study=None if data.get("study") is None else Study.parse(data["study"]),
        )

    @classmethod
    def made(cls, name: str, blocks: Sequence[object]) -> Experiment:
        """Return an experiment that a command makes: what is wrong is told by the name of its argument alone.

        Raises:
            ConfigError: as `parse` does.
        """
        return cls(name, "", tuple(_parse_block(block, "", {}) for block in blocks))

    def narrowed(
        self,
        *,
        archs: Sequence[str] = (),
        tasks: Sequence[str] = (),
        overrides: Sequence[str] = (),
    ) -> Experiment:
        """Return the experiment with other networks, fewer tasks and other values.

        Args:
            archs: instead of its line-up, in every block; none keeps it.
            tasks: keep only blocks of these; none keeps all but those that wait for a request.
            overrides: `key=value`, `task.key=value` or `timing.key=value`; a list becomes an axis.

        Raises:
            ConfigError: with the key's path and the nearest valid one.
        """
        experiment = replace(self, blocks=_of_tasks(self, tasks))
        if archs:
            named = {b.task for b in experiment.blocks if TASKS.get(b.task).has_network}
            blocks = (_with(b, "arch", list(archs)) if b.task in named else b for b in experiment.blocks)
            experiment = replace(experiment, blocks=tuple(blocks))
        wrong: list[ConfigError] = []
        for text in overrides:
            try:
                experiment = _override(experiment, text)
            except ConfigError as error:
                wrong.append(error)
        if wrong:
            raise together(wrong)
        return experiment


def _parse_block(data: object, path: str, shared: Mapping[str, object]) -> Block:
    if not isinstance(data, dict):
        raise ConfigError(f"{path[:-1]}: a block is a mapping with a task, not {type(data).__name__}")
    task = _task(data.get("task"), f"{path}task")
    valid = TASKS.get(task).key_names
    _known_keys(data, path, (*_BLOCK, *valid))
    grid = data.get("grid") or {}
    if not isinstance(grid, dict):
        raise ConfigError(f"{path}grid: give keys with lists, such as arch: [resnet18, vgg16]")
    _known_keys(grid, f"{path}grid.", valid)
    axes = {k: _axis(v, f"{path}grid.{k}") for k, v in grid.items()}
    on_request = data.get("on_request", False)
    if not isinstance(on_request, bool):
        raise ConfigError(f"{path}on_request: give true or false, not {on_request!r}")
    own = {k: v for k, v in data.items() if k not in _BLOCK}
    for key, value in own.items():
        _no_list(path + key, value)
        if key in axes:
            raise ConfigError(f"{path}{key}: given both in the block and in its grid", "keep one of them")
    fixed = {k: v for k, v in shared.items() if k in valid and k not in axes} | own
    return Block(task, axes, fixed, path, on_request)


def _task(value: object, path: str) -> str:
    known = [name for name, task in tasks().items() if task.keys is not None]
    if value in known:
        return str(value)
    measured = [name for name, task in tasks().items() if value in {q.name for q in task.quantities}]
    tip = f"the task {measured[0]} measures it" if measured else suggestion(str(value), known)
    raise ConfigError(f"{path}: unknown task {value!r}", tip)


def _known_keys(data: Iterable[object], path: str, valid: Sequence[str]) -> None:
    wrong = [key for key in data if key not in valid]
    if wrong:
        tips = (suggestion(str(key), valid, prefix=path) for key in wrong)
        raise together(
            [ConfigError(f"unknown key {path}{key}", tip) for key, tip in zip(wrong, tips, strict=True)]
        )


def _axis(value: object, path: str) -> list[object]:
    values = value if isinstance(value, list) else [value]
    if not values:
        raise ConfigError(f"{path}: an empty list multiplies to no job", "give at least one value")
    _no_halves(values, path)
    return values


def _no_halves(values: Sequence[object], path: str) -> None:
    """Refuse the parts of a name that YAML has split at a comma: ``[Net(width=2, num_classes=3)]``."""
    for i, value in enumerate(values):
        whole = str(value) if isinstance(value, str) else ""
        for j, more in enumerate(values[i + 1 :], i + 2):
            if whole.count("(") <= whole.count(")"):
                break
            whole = f"{whole}, {more}"
            if whole.count("(") == whole.count(")"):
                message = f"{path}: a comma of {whole} ends an entry of the list, which has {j - i} for it"
                raise ConfigError(message, f"write it in quotes: {json.dumps(whole, ensure_ascii=False)}")


def _no_list(path: str, value: object) -> None:
    if isinstance(value, list):
        raise ConfigError(f"{path}: a list stands outside grid", "lists multiply in grid only; move it there")


def _of_tasks(experiment: Experiment, tasks: Sequence[str]) -> tuple[Block, ...]:
    """Return the blocks of some tasks, or those that wait for no request where none is named."""
    if not tasks:
        return tuple(b for b in experiment.blocks if not b.on_request)
    wanted = dict.fromkeys(_task(t, "--task") for t in tasks)
    has = dict.fromkeys(b.task for b in experiment.blocks)
    if lacking := [task for task in wanted if task not in has]:
        message = f"experiment {experiment.name} has no block of task {', '.join(lacking)}"
        raise ConfigError(message, f"it has {', '.join(has)}; --config names another experiment")
    return tuple(replace(b, on_request=False) for b in experiment.blocks if b.task in wanted)


def _override(experiment: Experiment, text: str) -> Experiment:
    """Apply one `--set`: to every block that knows the key, or to those of the task that it names."""
    key, equals, raw = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {text}: expected key=value", "such as --set device=cpu")
    value = read_yaml(raw, f"--set {text}")
    steps = key.strip().split(".")
    task = steps.pop(0) if steps[0] in TASKS and len(steps) > 1 else None
    keys = {b.task: TASKS.get(b.task).key_names for b in experiment.blocks if task in (None, b.task)}
    if not any(steps[0] in names for names in keys.values()):
        valid = dict.fromkeys(itertools.chain(*keys.values()))
        asked = f" of those that run ({', '.join(keys)})" if keys else ""
        message = f"--set {key}: no block of experiment {experiment.name} knows {steps[0]!r}{asked}"
        raise ConfigError(message, suggestion(steps[0], valid))

    def overridden(block: Block) -> Block:
        given = block.overridden | {steps[0]}
        known = steps[0] in keys.get(block.task, ())
        return replace(_with_at(block, steps, value), overridden=given) if known else block

    return replace(experiment, blocks=tuple(map(overridden, experiment.blocks)))


def _with_at(block: Block, steps: Sequence[str], value: object) -> Block:
    head, *rest = steps
    if not rest:
        return _with(block, head, value)
    if head in block.axes:
        return replace(block, axes={**block.axes, head: [_put(one, rest, value) for one in block.axes[head]]})
    return _with(block, head, _put(block.fixed.get(head), rest, value))


def _put(whole: object, steps: Sequence[str], value: object) -> object:
    """Return a value with another one at the end of some steps into it, whichever device it is for."""
    if not steps:
        return value
    inner = dict(whole) if isinstance(whole, Mapping) else {}
    if is_by_device(inner):
        return {kind: _put(one, steps, value) for kind, one in inner.items()}
    return {**inner, steps[0]: _put(inner.get(steps[0]), steps[1:], value)}


def _with(block: Block, key: str, value: object) -> Block:
    """Return the block with one key set: a list becomes an axis, anything else is fixed."""
    axes = {k: v for k, v in block.axes.items() if k != key}
    fixed = {k: v for k, v in block.fixed.items() if k != key}
    if isinstance(value, list):
        axes = {key: _axis(value, f"--set {key}"), **axes}
    else:
        fixed[key] = value
    return replace(block, axes=axes, fixed=fixed)
