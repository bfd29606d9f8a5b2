"""What can be told of this machine and of networks without measuring.

Networks are looked at in a process of its own: they may be anyone's, and their code may do anything to the process that
imports it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from bench.api._objects import Network, name_of
from bench.api.runs import open_executor
from bench.errors import InvalidModelError
from bench.execution.catalog import ask
from bench.io import JsonObject
from bench.plan.expand import Catalog
from bench.records.environment import key, state

if TYPE_CHECKING:
    import pandas as pd

_AnswerT = TypeVar("_AnswerT")


def _probe(kind: type[_AnswerT], name: str, *args: object, executor: str = "process") -> _AnswerT:
    """Return the answer, of this type, of a function of `bench.execution._probe`."""
    with open_executor(executor) as opened:
        return ask(opened, kind, name, *args)


def env() -> dict[str, object]:
    """Return the machine as a record describes it, as plain values.

    Raises:
        UnsupportedError: where torch is not installed.

    Example:
        >>> machine = bench.env()
        >>> machine["places"]  # "cuda:0" where there is a GPU
        ['cpu']
    """
    # No code of others: no server is waited for.
    catalog = _probe(Catalog, "probe_machine", [], executor="inline")
    environment = catalog.environment
    return {
        "devices": list(catalog.devices),
        "places": [f"cuda:{i}" for i in catalog.equal_cards] or ["cpu"],
        "no_cuda": catalog.no_cuda,
        "key": {device: key(environment, [device]) for device in catalog.devices},
        **environment,
        "state": state(gpu["uuid"] for gpu in environment["gpu"] if gpu["uuid"]),
    }


def layers(arch: str, depth: int | None = None, **shape: int | None) -> JsonObject:
    """Return the layer table of a network, as plain values; see `bench.costs.layers`, and `show` for the arguments."""
    return _probe(dict[str, Any], "probe_layers", arch, depth, shape)


def training_cost(arch: str, batch: int = 1, depth: int | None = None, **shape: int | None) -> JsonObject:
    """Return what a training step of a network costs and holds, as plain values; see `bench.training.step_cost`.

    Args:
        arch: any name that `bench.run` takes.
        batch: images of a step.
        depth: how deep modules are opened; None is all.
        shape: `input_size`, `num_classes`, `in_channels`; what is left out is the network's own.

    Raises:
        BenchError: if the network cannot be built, or is not trained so.

    Example:
        >>> cost = bench.training_cost("lenet5", batch=8)
        >>> sorted(cost)
        ['arch', 'batches', 'input', 'layers', 'memory', 'totals']
    """
    return _probe(dict[str, Any], "probe_training", arch, batch, depth, shape)


def show(network: Network, depth: int | None = None, **shape: int | None) -> pd.DataFrame:
    """Return the layers of a network, one row a layer; `attrs` has the rest: `arch`, `input`, `totals`, `taken_from`.

    Args:
        network: any name that `bench.run` takes, a `torch.nn.Module`, or a function that returns one.
        depth: how deep modules are opened; None is all.
        shape: `input_size`, `num_classes`, `in_channels`; what is left out is the network's own.

    Raises:
        InvalidModelError: if it fails before its end.

    Example:
        >>> layers = bench.show("lenet5")
        >>> int(layers.macs.sum()) == layers.attrs["totals"]["macs"]
        True
    """
    from bench.analysis.dictionary import typed
    from bench.analysis.layer_costs import to_table

    table = layers(name_of(network), depth, **shape)
    if table["failure"]:
        raise InvalidModelError(f"{table['arch']} failed before its end: {table['failure']}")
    frame = typed(to_table(table["layers"]), "layers")
    frame.attrs = {key: table[key] for key in ("arch", "input", "totals", "taken_from")}
    return frame


def counts(networks: Sequence[str]) -> JsonObject:
    """Return what is counted of each network, for the claims about it; ``NAME_*`` means all such."""
    return _probe(dict[str, Any], "probe_facts", networks)


def units(prefixed: str | None = None) -> dict[str, list[JsonObject]]:
    """Return architectures, data sets and backends, as plain values.

    Args:
        prefixed: pattern with a library's prefix, such as ``timm:*``; None is what the package itself has.
    """
    executor = "process" if prefixed else "inline"  # libraries print what they like, and may fail
    return _probe(dict[str, list[JsonObject]], "probe_units", prefixed, executor=executor)
