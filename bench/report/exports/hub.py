"""Hugging Face: evaluation results for a model's repository, and a model card with a table; no library is needed.

The fields are those of https://huggingface.co/docs/hub/eval-results and, of a card's `model-index`, of
https://github.com/huggingface/hub-docs/blob/main/modelcard.md. Neither has a place for an interval or a doubt: these
stand in `notes` of the one, and in the table of the other.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import yaml

from bench import __version__
from bench.analysis.evaluations import Evaluation
from bench.analysis.flags import Row
from bench.errors import ConfigError
from bench.records.flags import doubts, explain
from bench.report.exports import Files, Results, export
from bench.report.exports._numbers import Number, file_names, numbers_of, rows_of, settings_of
from bench.report.tables._view import flagged
from bench.report.tables.cells import Cell, Fields, Head, view_of
from bench.report.tables.formats import to_markdown
from bench.report.text import markdown
from bench.units import DASH, Scale, digits_for, fixed, percent, significant

_DATASET = {"dataset": "id of the data set on the Hub, OWNER/NAME, that was evaluated on"}
_SOURCE = {"source": "address of what the numbers come from, such as a repository with the run"}
_EXAMPLE = "ILSVRC/imagenet-1k"


# --- .eval_results ---


@export(
    "eval-results",
    about="FOLDER/NETWORK/.eval_results/*.yaml for Hugging Face: top-1 of weights, by `bench evaluate`",
    options={
        **_DATASET,
        "task_id": "id of the task in that data set's eval.yaml",
        "revision": "of that data set: a commit",
        "scale": "of the leaderboard: fraction (the default) or percent",
        **_SOURCE,
    },
)
def _eval_results(results: Results) -> Files:
    """Return the function that writes a file for each network."""
    named, task = results.required(dataset=_EXAMPLE, task_id="default")
    dataset = _hub_id(named)
    scale = _SCALES.get(results.options.get("scale", "fraction"))
    if scale is None:
        raise ConfigError(f"scale {results.options['scale']} is none", f"one of {', '.join(_SCALES)}")
    given = {"id": dataset, "task_id": task, "revision": results.options.get("revision")}
    of_networks: dict[str, list[dict[str, object]]] = {}
    for one in _evaluations(results):
        entry = {
            "dataset": {key: value for key, value in given.items() if value},
            "value": scale * one.top1.value,
            "date": _date(results, one),
            **({"source": {"url": url}} if (url := results.options.get("source")) else {}),
            "notes": _notes(one, scale),
        }
        of_networks.setdefault(one.network, []).append({k: v for k, v in entry.items() if v is not None})
    name = f".eval_results/{dataset.partition('/')[2]}.yaml"
    return partial(_write, {network: {name: _yaml(entries)} for network, entries in of_networks.items()})


_SCALES = {"fraction": 1.0, "percent": 100.0}


def _hub_id(text: str) -> str:
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", text, re.ASCII):
        raise ConfigError(
            f"dataset {text} is no id of the Hub", f"write OWNER/NAME: --set dataset={_EXAMPLE}"
        )
    return text


def _evaluations(results: Results) -> list[Evaluation]:
    """Return the plain evaluations, all on the same images.

    Raises:
        ConfigError: where there is none, or where they are on several data sets.
    """
    plain = results.evaluations
    if len(data := dict.fromkeys(one.data for one in plain)) > 1:
        tip = "choose one: --where \"evaluation ~ '*DATA*'\""
        raise ConfigError(f"one data set is named, and evaluations are on {', '.join(data)}", tip)
    return plain


def _date(results: Results, one: Evaluation) -> str | None:
    """Return when an evaluation began, as ISO 8601."""
    frame = results.frame
    times = frame.loc[(frame["run"] == one.run) & (frame["job_id"] == one.job), "started_at"]
    return next((time for time in times if isinstance(time, str)), None)


def _notes(one: Evaluation, scale: float) -> str:
    """Return what stands beside a top-1: its interval, images, conditions, and what is doubted of it."""
    low, high = (f"{scale * end:.6g}" for end in one.top1.interval)
    said = [
        f"top-1 on {_public(one.data)}: 95 % interval {low} to {high}, of {one.top1.images:,} images",
        ", ".join(one.conditions.values()),
        f"bench {__version__}",
    ]
    if one.is_part:
        said.append(f"images of {one.detail['classes']} of {one.detail['network_outputs']} classes")
    said += [f"in doubt, {flag}: {explain(flag)}" for flag in doubts(one.flags)]
    return "; ".join(said)


# --- model card ---


@export(
    "model-card",
    about="FOLDER/NETWORK/README.md for Hugging Face: a table of all numbers, and evaluations as `model-index`",
    options={**_DATASET, **_SOURCE},
)
def _model_card(results: Results) -> Files:
    """Return the function that writes a card for each network; without a data set's id none has a `model-index`."""
    rows: dict[str, list[Row]] = {}
    for row in rows_of(results):
        if numbers_of(row):
            rows.setdefault(row["network"], []).append(row)
    if not rows:
        raise results.nothing_measured
    index: dict[str, list[dict[str, object]]] = {}
    if "dataset" in results.options:
        dataset = _hub_id(results.options["dataset"])
        for one in _evaluations(results):
            index.setdefault(one.network, []).append(_result(one, dataset, results.options.get("source")))
    cards = {network: _card(network, own, index.get(network, ())) for network, own in rows.items()}
    return partial(_write, {network: {"README.md": card} for network, card in cards.items()})


def _result(one: Evaluation, dataset: str, source: str | None) -> dict[str, object]:
    """Return a result of a `model-index`; accuracies are fractions, as the Hub's metric `accuracy` is."""
    shares = (("Top-1 accuracy", one.top1), ("Top-5 accuracy", one.top5))
    return {
        "task": {"type": "image-classification"},
        "dataset": {"type": dataset, "name": _public(one.data)},
        "metrics": [{"type": "accuracy", "value": s.value, "name": name} for name, s in shares if s.images],
        **({"source": {"name": "bench", "url": source}} if source else {}),
    }


def _card(network: str, rows: Sequence[Row], results: Sequence[dict[str, object]]) -> str:
    """Return a model card: a `model-index` where there are results, and a table for each way in which it was run."""
    name = _public(network)
    index = {"model-index": [{"name": name, "results": [*results]}]}
    parts = [f"---\n{_yaml(index)}---\n"] if results else []
    parts.append(f"# {markdown(name)}\n\nMeasured by bench {__version__}; intervals are of 95 %.\n")
    for row in rows:
        titled = [number for number in numbers_of(row) if number.quantity.title]
        settings = (f"{key.replace('_', ' ')}: {value}" for key, value in settings_of(row).items())
        told = " · ".join(markdown(_public(text)) for text in settings)
        parts.append(f"{told}\n\n{to_markdown(view_of(titled, _FIELDS))}")
    return "\n".join(parts)


def _interval(number: Number) -> str:
    if number.low is None or number.high is None:
        return DASH
    return f"{_shown(number, number.low)} – {_shown(number, number.high)}"


def _shown(number: Number, end: float) -> str:
    """Return a number, or an end of its interval, in the same unit and with the same decimals."""
    value, unit = number.value, number.quantity.unit
    if number.quantity.is_share:
        return percent(end)
    low, high = (value if one is None else one for one in (number.low, number.high))
    digits, scale = digits_for(value, low, high), Scale.of(value, unit)
    shown = value / scale.factor
    text = significant(shown, digits) if end == value else fixed(end / scale.factor, shown, digits)
    if number.quantity.is_whole and scale.factor == 1:
        text = f"{end:,.0f}"  # 3 px, and not 3.00
    return f"{text} {scale.symbol}".rstrip()


_FIELDS: Fields[Number] = [
    (Head("Quantity"), lambda number: number.quantity.title),
    (Head("Value", numeric=True), lambda one: flagged(Cell(_shown(one, one.value)), one.flags)),
    (Head("95 % interval", numeric=True), _interval),
]


# --- both ---


def _public(text: str) -> str:
    """Return the text without the folders above images, weights and networks, which are nobody else's business."""
    images = re.sub(r"imagefolder:.*/(?=[^/\s])", "imagefolder:", text)
    return re.sub(r"(?<![\w:/])/(?:[^/'\"]+/)+", "", images)


def _yaml(content: object) -> str:
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _write(files: dict[str, dict[str, str]], folder: Path) -> None:
    """Write files, by network and by their path within its folder."""
    folders = file_names(files)
    for network, contents in files.items():
        for name, text in contents.items():
            path = folder / folders[network] / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
