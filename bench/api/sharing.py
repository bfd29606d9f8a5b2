"""Stored runs, to a data set of the Hugging Face Hub and from there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench.api.runs import run_folder
from bench.errors import ConfigError
from bench.records import sharing
from bench.records.sharing import Address, Pulled, Push


def push(
    run: Path | str, address: str, *, weights: bool = False, public: bool = False, send: bool = False
) -> Push:
    """Return what would go to a data set of the Hugging Face Hub of a stored run; send it where you say so.

    Args:
        run: the folder of a run.
        address: ``hf://OWNER/NAME`` or ``hf://OWNER/NAME/RUN``.
        weights: also the weights that trainings have kept.
        public: all may see a data set that is made; else its owners alone.
        send: send it; else it is only told, in `files`.

    Raises:
        ConfigError: for an address that is none.
        StoreError: for a folder that is no run, and where the hub does not take it.
        UnsupportedError: where `huggingface_hub` is not installed.

    Example:
        >>> ready = bench.push("results/cpu-reference", "hf://OWNER/NAME")
        >>> list(ready.files)  # all that would go, and nothing has gone
        >>> bench.push("results/cpu-reference", "hf://OWNER/NAME", send=True)
    """
    hub = sharing.HuggingFace()
    prepared = Push.of(Path(run), Address.read(address), hub, weights=weights, public=public)
    if send and prepared.files:
        prepared.send(hub)
    return prepared


def pull(address: str, *, name: str | None = None, results: Path | str = "results") -> list[Pulled]:
    """Fetch runs of a data set of the Hugging Face Hub, and return what each came to.

    Args:
        address: ``hf://OWNER/NAME/RUN``, or without the run for all that are there; ``NAME@COMMIT`` as it was.
        name: of the run here; None as it is called there.
        results: the folder that holds runs.

    Raises:
        ConfigError: for an address that is none, and for one name of several runs.
        StoreError: where there is no such data set or run, where files are damaged, or another run is in the folder.
        UnsupportedError: where `huggingface_hub` is not installed.

    Example:
        >>> [one] = bench.pull("hf://OWNER/NAME/smoke")
        >>> bench.load(one.path).comparison
    """
    return list(pulling(address, name, results))


def pulling(address: str, name: str | None, results: Path | str) -> Iterator[Pulled]:
    """Fetch what `pull` fetches, and yield each run once it is here."""
    hub = sharing.HuggingFace()
    start = Address.read(address)
    contents, runs = sharing.runs_of(start, hub)
    if name and len(runs) > 1:
        raise ConfigError(
            f"{start} has {len(runs)} runs, for one --name", f"name one of them: {', '.join(runs)}"
        )
    for run in runs:
        yield sharing.pull(start.of(run), contents, run_folder(results, name or run), hub)
