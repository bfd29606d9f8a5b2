"""The columns of the result files of pytorch-image-models (timm): speeds, and accuracies of weights.

What timm keeps in the name of a file (machine, precision, layout, versions) is not in its columns. Under the names that
timm gives its files, `bench facts update` reads them, see `bench.facts.convert`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import pandas as pd

from bench.analysis.evaluations import Evaluation
from bench.analysis.keys import VARIANT
from bench.analysis.machine import dig, torch_version
from bench.errors import listed
from bench.plan.task import INPUT
from bench.records.flags import doubts
from bench.records.store import Run
from bench.report.exports import Results, export
from bench.report.tables._csv import csv_text

_WAYS = ("run", "network", *INPUT[1:], "device_name", *VARIANT)
_LAYOUTS = {"contiguous": "nchw", "channels_last": "nhwc"}
_COMPILED = {"eager": "", "compiled": "-dynamo"}


# --- speeds ---


@export("timm", about="speeds and costs in the columns of timm's benchmark-*.csv; medians, without intervals")
def _speeds(results: Results) -> str:
    """Return `_timm_csv`, and say what its columns do not."""
    table = results.table
    if _timm_frame(table).empty:
        raise results.nothing_measured
    lost = _variants(table)
    _tell_lost(results, lost)
    if not lost and (name := _file_name(results.runs, table)):
        results.remark(f"timm would call the file {name}")
    _tell_doubts(results, _in_doubt(table))
    return _timm_csv(table)


def _tell_lost(results: Results, lost: Sequence[str]) -> None:
    """Say in what rows differ that have one name and size."""
    if lost:
        results.remark(f"timm's columns do not tell apart rows that differ in {', '.join(lost)}: see --where")


def _tell_doubts(results: Results, networks: Sequence[str]) -> None:
    """Say of which networks numbers are in doubt, for which timm's columns have no place."""
    if networks:
        results.remark(f"timm's columns have no place for doubts: in doubt are {', '.join(networks)}")


def _timm_frame(table: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of timm's benchmark files, one row a network and way of running it, fastest first.

    Names and units are timm's: images/s, ms, 10^9 multiply-accumulates, 10^6 activations and 10^6 parameters. Speeds
    are at the largest batch, medians and not means; nothing is rounded. What timm keeps in the name of its file
    (device, precision, ...) is not in its columns: `_variants` names what would be lost.
    """
    speed, trained, sizes = (table[key] for key in ("throughput", "train_throughput", "input_size"))
    frame = pd.DataFrame(
        {
            "model": _models(table),
            "infer_img_size": sizes,
            "infer_samples_per_sec": speed,
            "infer_step_time": 1e3 * table["batch_size"] / speed,
            "infer_batch_size": table["batch_size"],
            "infer_gmacs": table["macs"] / 1e9,
            "infer_macts": table["matrix_activations"] / 1e6,
            "param_count": table["parameters"] / 1e6,
            "train_samples_per_sec": trained,
            "train_step_time": 1e3 * table["train_batch_size"] / trained,
            "train_batch_size": table["train_batch_size"],
            "train_img_size": sizes.where(trained.notna()),
        }
    )
    known = frame[["infer_samples_per_sec", "train_samples_per_sec", "param_count"]].notna().any(axis=1)
    order = ["infer_samples_per_sec", "train_samples_per_sec"]
    return frame[known].sort_values(order, ascending=False, kind="stable").reset_index(drop=True)


def _timm_csv(table: pd.DataFrame) -> str:
    """Return `_timm_frame` as CSV; training columns are left out where no training step was timed."""
    frame = _timm_frame(table)
    keep = [c for c in map(str, frame) if not c.startswith("train_") or frame[c].notna().any()]
    return csv_text(frame[keep])


def _models(table: pd.DataFrame) -> list[str]:
    """Return what timm's columns call the networks: a library's and one of this package may have one name."""
    return [n.removeprefix("timm:").removeprefix("torchvision:") for n in table["network"]]


def _variants(table: pd.DataFrame) -> list[str]:
    """Return in what rows of one name and size differ, which timm's columns do not tell apart."""
    return _lost(table[list(_WAYS)], zip(_models(table), table["input_size"], strict=True))


def _lost(ways: pd.DataFrame, names: Iterable[object]) -> list[str]:
    """Return the columns in which rows differ whose names are equal."""
    name = pd.Series(list(names), ways.index, object)
    return [c for c in map(str, ways) if len(ways) and ways[c].groupby(name).nunique().max() > 1]


def _in_doubt(table: pd.DataFrame) -> list[str]:
    flags = table[["throughput_flags", "train_throughput_flags"]].fillna("")
    doubted = [any(doubts(text.split(";")) for text in row if text) for row in flags.itertuples(index=False)]
    return list(dict.fromkeys(table.loc[doubted, "network"]))


def _file_name(runs: Sequence[Run], table: pd.DataFrame) -> str | None:
    """Return what timm calls a file of speeds of one way of running; None where it has no name for it.

    Such as ``benchmark-infer-fp32-nchw-pt2150-cpu-intel_xeon_gold_6430.csv``, see `bench.facts.convert`.
    """
    timed = table[table["throughput"].notna()]
    records = [record for run in runs for record in run.records if record.job.task == "infer"]
    if timed.empty or not records:
        return None
    row, environment = timed.iloc[0], records[-1].environment
    layout, compiled = _LAYOUTS.get(row["memory_format"]), _COMPILED.get(row["backend"])
    torch, cuda = (_digits(v) for v in (torch_version(environment), dig(environment, "torch", "cuda")))
    machine = re.sub(r"[^a-z0-9]+", "_", str(row["device_name"] or "").lower()).strip("_")
    if layout is None or compiled is None or not torch or not machine:
        return None
    where = "cpu" if str(row["device"]).startswith("cpu") else f"cu{cuda}"
    return f"benchmark-infer-{row['precision']}-{layout}-pt{torch}-{where}-{machine}{compiled}.csv"


def _digits(version: object) -> str:
    """Return ``2150`` of ``2.15.0+cpu``."""
    return re.sub(r"\D", "", str(version or "").partition("+")[0])


# --- accuracies ---


@export(
    "timm-accuracy",
    about="accuracies of weights, by `bench evaluate`, in the columns of timm's results-*.csv",
)
def _accuracies(results: Results) -> str:
    """Return one row a network and its weights, the most accurate first, and say what its columns do not."""
    plain = results.evaluations
    for images in dict.fromkeys(f"{one.data}, {one.top1.images:,} images" for one in plain):
        results.remark(f"tested on {images}")
    _tell_doubts(results, [one.label for one in plain if doubts(one.flags)])
    counts = results.table.dropna(subset="parameters").set_index("network")["parameters"].to_dict()
    sizes = results.frame.set_index("job_id")["input_size"].to_dict()
    if lacking := [one.label for one in plain if one.network not in counts]:
        some = listed(lacking)
        results.remark(f"param_count is empty of {some}: export a run beside that counts them (--task cost)")
    rows = pd.DataFrame([_accuracy_row(one, counts.get(one.network), sizes[one.job]) for one in plain])
    names = zip(rows["model"], rows["img_size"], strict=True)
    _tell_lost(results, _lost(pd.DataFrame(map(_way, plain)), names))
    return csv_text(rows.sort_values("top1", ascending=False, kind="stable"))


def _way(one: Evaluation) -> dict[str, str]:
    """Return how weights were evaluated, as far as timm's columns do not say it."""
    named = {key: str(value) for key, value in one.conditions.items()}
    who = {"run": one.run, "network": one.network, "data": one.data}
    return {**who, **named, "transform": str(one.transform)}


def _accuracy_row(one: Evaluation, parameters: float | None, size: float) -> dict[str, object]:
    """Return a row of timm's; images that are not cropped are seen whole, at the size (px) that the network takes."""
    crop, resize = one.transform.get("crop"), one.transform.get("resize")
    side = crop[0] if crop else size
    whole = min(resize) if isinstance(resize, list | tuple) else resize
    top1, top5 = 100 * one.top1.value, 100 * one.top5.value
    return {
        "model": one.weights_name or one.label,
        "top1": top1,
        "top1_err": 100 - top1,
        "top5": top5,
        "top5_err": 100 - top5,
        "param_count": None if parameters is None else parameters / 1e6,
        "img_size": side,
        "crop_pct": 1.0 if not crop else side / whole if whole else None,
        "interpolation": one.transform.get("interpolation"),
    }
