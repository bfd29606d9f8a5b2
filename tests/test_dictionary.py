"""The data dictionary: each column of each frame that people get is described, has its dtype, and survives a file."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
import pytest
from make_records import NETS, by_name, counted, failed, job, make_run, record, records, speed

import bench
from bench.analysis.comparison import compare_table
from bench.analysis.dictionary import FRAMES, dictionary, typed, untyped
from bench.analysis.ensembles import Ensemble
from bench.analysis.entry import Entry, documented
from bench.analysis.frame import to_frame
from bench.analysis.layer_costs import to_table as layers_table
from bench.analysis.versus import Ratio
from bench.errors import BenchError, UnknownNameError
from bench.plan.settings import OfNetwork, Timed
from bench.plan.task import summarised
from bench.records.record import Measurement
from bench.records.store import RECORDS, Run, read_run
from bench.report.notebook import Records
from bench.report.tables._columns import COMPARISON
from bench.report.tables._csv import csv_text, with_units
from bench.units import DASH, UNITS

RESULTS = Path(__file__).parent.parent / "results"
RUNS = sorted(file.parent.name for file in RESULTS.glob(f"*/{RECORDS}"))
RESNET, VGG = by_name("resnet18", "vgg16")[::-1]


def everything() -> Run:
    """Return a run with what stored ones may lack: failures, pending jobs, odd texts, and numbers that are none."""
    odd = Measurement(
        name="odd", unit="1", better="neither", samples=(1, math.nan, 1e-300),
        detail={"file": "net\udcff.py", "none": None}, flags=("noisy", "unsteady"),
    )  # fmt: skip
    asked = job(RESNET, "infer", **speed(batch_size=2))
    return make_run(
        [*records(NETS[:3]), record(asked, RESNET, [odd]), *failed()],
        planned=[job(VGG, "infer", **speed(batch_size="max"))],
    )


def frames_of(*runs: Run) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield each frame that is read of some runs, by its name in the dictionary."""
    frame = Records.of(to_frame(runs))
    yield "measurements", frame
    yield "comparison", frame.comparison
    yield "ratios", typed(Ratio.table([ratio for run in runs for ratio in Ratio.in_run(run)]), "ratios")
    together = [one for run in runs for one in ensembles_of(run)]
    yield "ensembles", typed(Ensemble.table(together), "ensembles")


def ensembles_of(run: Run) -> Sequence[Ensemble]:
    try:
        return Ensemble.in_run(run)
    except BenchError:
        return []


def back(table: pd.DataFrame) -> pd.DataFrame:
    """Return what a Parquet file gives back of a frame."""
    file = io.BytesIO()
    table.to_parquet(file)
    file.seek(0)
    return pd.read_parquet(file)


def held_to(name: str, table: pd.DataFrame) -> None:
    """Hold a frame to the dictionary, and to what comes back from a file."""
    entries = FRAMES[name]
    assert list(table.columns) == [entry.column for entry in entries]
    assert {c: str(dtype) for c, dtype in table.dtypes.items()} == {e.column: e.dtype for e in entries}
    again = back(table)
    assert again.dtypes.equals(pd.DataFrame(table).dtypes)
    pd.testing.assert_frame_equal(typed(again, name), pd.DataFrame(table))


@pytest.mark.parametrize(
    "runs", [RUNS, ["cpu-reference"], ["study-ensembles"]], ids=["all", "cpu-reference", "study-ensembles"]
)
def test_each_column_of_stored_runs_is_as_the_dictionary_says(runs: Sequence[str]) -> None:
    """Of all together, as a column may have another dtype for one value; and of runs that lack whole columns."""
    for name, table in frames_of(*(read_run(RESULTS / run) for run in runs)):
        held_to(name, table)


@pytest.mark.parametrize("run", [everything(), make_run([])], ids=["everything", "nothing"])
def test_and_so_is_what_stored_runs_lack(run: Run) -> None:
    for name, table in frames_of(run):
        held_to(name, table)


def test_each_entry_has_a_dtype_a_unit_and_says_what_it_is() -> None:
    table = bench.columns()
    assert set(table["frame"]) == set(FRAMES)
    assert (table[["column", "dtype", "unit", "about"]].map(len) > 0).all(axis=None)
    assert set(table["unit"]) <= {*UNITS, DASH, "`unit`"}
    numbers = table["dtype"].isin(["Int64", "float64"]) | table["each"].isin(["Int64", "float64"])
    assert (numbers == (table["unit"] != DASH)).all()
    assert ((table["dtype"] == "object") == (table["each"] != "")).all()
    assert not table.duplicated(["frame", "column"]).any()


def test_one_frame_may_be_asked_for_and_an_unknown_one_is_told() -> None:
    assert set(dictionary("ratios")["frame"]) == {"ratios"}
    with pytest.raises(UnknownNameError) as raised:
        bench.columns("measurement")
    assert "measurements" in str(raised.value.tip)


def test_quantities_and_settings_say_it_themselves() -> None:
    comparison = {entry.column: entry for entry in FRAMES["comparison"]}
    for _, _, quantity in summarised("shape", "image", "rate", "batch", "derived", "seeds", "images"):
        entry = comparison[quantity.name]
        assert entry.unit == quantity.unit
        assert entry.about.endswith(quantity.about)
        assert {*quantity.ends} <= comparison.keys()
    told = {entry.column: entry.about for entry in FRAMES["measurements"]}
    assert told["threads"] == documented(OfNetwork)["threads"]
    assert told["backend"] == documented(Timed)["backend"]


def test_what_classes_say_of_their_fields_is_read() -> None:
    class First:
        """One.

        Attributes:
            a: the first. More of it.
            b: a long text
                on two lines, `x: y` included.

        Raises:
            c: nothing.
        """

    class Second(First):
        """Two.

        Attributes:
            a: its own
        """

    assert documented(First) == {"a": "the first", "b": "a long text on two lines, `x: y` included"}
    assert documented(Second)["a"] == "its own"
    assert documented(First, Second)["a"] == "the first"
    assert documented(type("Third", (), {"__doc__": None})) == {}


def test_what_leaves_the_analysis_comes_back_as_it_was() -> None:
    for run in (everything(), make_run([])):
        frame = to_frame([run])
        table = typed(frame, "measurements")
        for seen in (untyped(table), untyped(back(table)), untyped(frame)):
            same = seen.drop(columns="started_at")
            pd.testing.assert_frame_equal(same, frame.drop(columns="started_at"))
            pd.testing.assert_frame_equal(compare_table(seen), compare_table(frame))


def test_whole_numbers_are_not_rounded() -> None:
    told = [counted(RESNET)[0].changed(samples=(n,)) for n in (1, 2)]
    frame = to_frame([make_run([record(job(RESNET), RESNET, told[:1])])])
    table = compare_table(frame)
    assert typed(table, "comparison")["parameters"].tolist() == [1]
    table["parameters"] = 1.5
    assert typed(table, "comparison")["parameters"].tolist() == [1.5]
    table["parameters"] = math.inf
    assert typed(table, "comparison")["parameters"].tolist() == [math.inf]


def test_times_are_times_and_a_value_is_there() -> None:
    frame = Records.of(to_frame([everything()]))
    seen = [record for record in everything().records if record.measurements]
    assert frame["started_at"].min() == pd.Timestamp(min(r.started_at for r in seen))
    pd.testing.assert_series_equal(frame["value"], frame["median"], check_names=False)
    odd = frame[frame.measurement == "odd"].iloc[0]
    assert (odd["samples"][0], odd["samples"][2], odd["flags"]) == (1.0, 1e-300, ("noisy", "unsteady"))
    assert (odd.value, odd.n) == ((1 + 1e-300) / 2, 2)


def test_the_comparison_is_the_table_of_a_report() -> None:
    frame = bench.load(RESULTS / "cpu-reference")
    table = frame.comparison
    written = pd.read_csv(io.StringIO(csv_text(with_units(compare_table(untyped(frame)), COMPARISON))))
    for name in ("latency", "latency_low", "latency_high", "throughput", "macs", "accuracy", "tensor_memory"):
        column = next(
            c for c in written if c in (name, f"{name}_s", f"{name}_MAC", f"{name}_B", f"{name}_images_per_s")
        )
        assert written[column].dropna().tolist() == table[name].dropna().tolist()
    assert written["latency_flags"].astype("string").fillna("").tolist() == table["latency_flags"].tolist()


def test_what_a_selection_is_and_what_figures_take() -> None:
    frame = bench.load(RESULTS / "cpu-reference", where="task != 'accuracy'")
    table = frame.comparison
    by_query = frame.query("family == 'resnet'")
    selections = [frame[frame.family == "resnet"], by_query, frame.loc[by_query.index]]
    for selected in (*selections, frame.iloc[:40], frame.sort_values("value"), pd.concat([*selections])):
        assert type(selected) is Records
        assert selected.comparison.columns.tolist() == table.columns.tolist()
    for selected in (selections[0], back(by_query)):
        assert bench.figure("throughput_accuracy", selected) is not None
    assert set(by_query.comparison["family"]) == {"resnet"}
    assert type(table[table.latency > 0.001]) is type(table)


def test_a_part_of_the_columns_is_shown_as_it_stands() -> None:
    frame = bench.load(RESULTS / "h100-ways")
    part = frame[["arch", "value"]]
    assert repr(part) == repr(pd.DataFrame(part)).replace("DataFrame", "Records")
    assert "<th>arch</th>" in part._repr_html_()
    table = frame.comparison
    assert "Throughput" in repr(table)
    assert "Throughput" not in repr(table[["network", "throughput"]])
    assert "<th>network</th>" in table[["network", "throughput"]]._repr_html_()


def test_a_figure_of_another_frame_is_refused() -> None:
    table = bench.load(RESULTS / "h100-ways").comparison
    with pytest.raises(bench.BenchError, match="drawn of measurements"):
        bench.figure("macs_accuracy", table)


def test_layers_have_one_type_a_column() -> None:
    layer = {
        "name": "conv", "type": "Conv2d", "depth": 1, "input": [1, 3, 8, 8], "output": [1, 4, 4, 4], "kernel": [3, 3],
        "stride": [2, 2], "padding": [1, 1], "dilation": [1, 1], "groups": 1, "in_channels": 3, "out_channels": 4,
        "parameters": 112, "macs": 1728, "activations": 64, "activation_bytes": 256,
    }  # fmt: skip
    fields = [(3, 2.0, 1), ([3, 5], [2, 0.5], [1, 2]), ("global", None, None), (None, None, None)]
    keys = ("receptive_field", "receptive_field_stride", "receptive_field_padding")
    rows = [{**layer, **dict(zip(keys, field, strict=True))} for field in fields]
    rows.append({**rows[-1], **dict.fromkeys(("kernel", "stride", "padding", "dilation", "groups"))})
    table = typed(layers_table(rows), "layers")  # type: ignore[arg-type]
    held_to("layers", table)
    assert table["receptive_field"].tolist() == [3, 5, pd.NA, pd.NA, pd.NA]
    assert table["receptive_field_sides"].tolist() == [(3, 3), (3, 5), None, None, None]
    assert table["reach"].tolist() == ["local", "local", "global", "unknown", "unknown"]
    assert table["receptive_field_stride"].tolist()[:2] == [(2.0, 2.0), (2.0, 0.5)]
    assert table["input"].tolist() == [(1, 3, 8, 8)] * 5


def test_an_entry_says_so() -> None:
    assert Entry("x") == Entry("x", "string", DASH, "", "")
