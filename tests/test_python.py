"""Python: what `bench.<tab>` and `help` show, and whether each example there, in the guide and in the notebook works."""

from __future__ import annotations

import ast
import doctest
import inspect
import json
import pydoc
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest
from stand_in import instead_of_all
from typer.testing import CliRunner

import bench
from bench import claims
from bench.cli.app import app
from bench.errors import install_tip
from bench.report.figures import _drawing
from reports import drawing_only

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "bench" / "docs"
NOTEBOOK = DOCS / "notebook.ipynb"
FUNCTIONS = [name for name in bench.__all__ if inspect.isfunction(getattr(bench, name))]
MEASURING = (
    "choose",
    "compare",
    "engines",
    "evaluate",
    "gate",
    "pull",
    "push",
    "selftest",
    "time_layers",
    "train",
)  # which take minutes or a hub, and have tests of their own


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give an empty folder with stored runs in `results`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "results").mkdir()
    for run in ("cpu-reference", "study-ensembles"):
        (tmp_path / "results" / run).symlink_to(ROOT / "results" / run)
    yield tmp_path
    plt.close("all")


@pytest.fixture
def claims_of_alexnet(inline_jobs: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `bench verify` know the claims about AlexNet, and those that need no network: all need a hundred counted."""
    every = claims.claims_of
    some = [c for c in every() if c.id.startswith("alexnet.") or not claims.networks_of([c])]
    monkeypatch.setattr(claims, "claims_of", lambda path=None: some if path is None else every(path))


@pytest.fixture
def one_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let reports have one figure, drawn in this process."""
    monkeypatch.setattr(_drawing, "_draw", drawing_only("macs_accuracy"))
    monkeypatch.setattr(_drawing, "_MANY_RECORDS", 1_000_000)


def examples(text: str | None) -> list[doctest.Example]:
    return doctest.DocTestParser().get_examples(inspect.cleandoc(text or ""))


def works(name: str, text: str | None) -> None:
    """Run the examples of a text, and fail with what they give otherwise."""
    report: list[str] = []
    test = doctest.DocTestParser().get_doctest(inspect.cleandoc(text or ""), {"bench": bench}, name, None, 0)
    doctest.DocTestRunner(verbose=False).run(test, out=report.append)
    assert not report, "".join(report)


def test_what_there_is_shows_before_it_is_used() -> None:
    assert set(bench.__all__) <= set(dir(bench))
    assert all(getattr(bench, name) is not None for name in dir(bench))
    shown = pydoc.plain(pydoc.render_doc(bench))
    assert all(f"    {name}(" in shown for name in FUNCTIONS)
    lines = re.findall(r"^[A-Z][^:\n]*: +((?:\w+, )*\w+)$", bench.__doc__ or "", re.MULTILINE)
    listed = {name for line in lines for name in line.split(", ")}
    assert set(FUNCTIONS) == listed


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_function_says_what_it_takes_and_has_an_example(name: str) -> None:
    function = getattr(bench, name)
    text = inspect.getdoc(function) or ""
    assert all(
        parameter in text
        for parameter in inspect.signature(function).parameters
        if parameter not in TOLD_BY_RUN
    )
    assert "Raises:" in text
    assert any(f"bench.{name}(" in example.source for example in examples(text))


TOLD_BY_RUN = {"names", "overrides", "name", "results", "executor", "observer", "argv"}


@pytest.mark.parametrize("name", MEASURING)
def test_examples_that_take_minutes_are_calls_that_the_function_takes(name: str) -> None:
    text = "".join(example.source for example in examples(getattr(bench, name).__doc__))
    calls = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == f"bench.{name}"
    ]
    for call in calls:
        given = [ast.literal_eval(argument) for argument in call.args]
        named = {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
        inspect.signature(getattr(bench, name)).bind(*given, **named)
    assert calls


@pytest.mark.parametrize(
    "name", ["choose_from", "columns", "diff", "ensembles", "explain", "export", "figure", "load", "merge"]
)
def test_examples_of_reading_give_what_they_say(name: str, stored: Path) -> None:
    works(name, getattr(bench, name).__doc__)


def test_the_example_of_a_query_gives_what_it_says(stored: Path) -> None:
    pytest.importorskip("duckdb", reason="duckdb is not installed")
    works("query", bench.query.__doc__)


def test_python_says_of_a_change_and_of_an_export_what_the_commands_say(stored: Path) -> None:
    run = "results/cpu-reference"
    said = CliRunner().invoke(app, ["diff", run, run, "-q", "macs,latency", "--json"])
    (change,) = bench.diff(run, run, quantities=["macs", "latency"]).values()
    assert json.loads(said.stdout) == json.loads(json.dumps(change.to_json()))
    for form in ("csv", "json"):
        said = CliRunner().invoke(app, ["export", run, "--format", form, "--where", "arch == 'lenet5'"])
        assert said.stdout.strip() == str(bench.export(run, form=form, where="arch == 'lenet5'")).strip()


def said(*words: str) -> str:
    """Return what a command prints."""
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == 0, done.output
    return done.stdout


def without_seconds(plan: Any) -> Any:
    """Return a plan without its seconds, which go by how fast the machine was at that moment."""
    jobs = [{key: value for key, value in job.items() if key != "estimate_s"} for job in plan["jobs"]]
    return {key: value for key, value in plan.items() if key not in ("jobs_s", "estimate_s")} | {"jobs": jobs}


@pytest.mark.usefixtures("claims_of_alexnet")
def test_python_counts_and_plans_what_the_commands_do(stored: Path) -> None:
    findings = [one.to_json() for one in bench.verify("results/study-ensembles")]
    assert json.loads(said("verify", "study-ensembles", "--json")) == json.loads(json.dumps(findings))
    plan = bench.jobs("smoke", ["lenet5", "vgg16"])
    told = json.loads(said("plan", "lenet5", "vgg16", "--config", "smoke", "--json"))
    assert plan.seconds > plan.jobs_s
    assert told["jobs_s"] < told["estimate_s"]  # in which is how long it took to begin
    assert without_seconds(told) == without_seconds(json.loads(json.dumps(plan.to_json())))
    assert plan.frame["job_id"].tolist() == [one["job"]["id"] for one in told["jobs"]]
    assert plan.frame["estimate_s"].sum() <= plan.jobs_s
    assert json.loads(said("env", "--json")).keys() == bench.env().keys()
    assert json.loads(said("list", "exports", "--json")) == bench.list_units("exports")
    cost = json.loads(said("show", "lenet5", "--training", "--batch", "8", "--json"))
    assert cost == json.loads(json.dumps(bench.training_cost("lenet5", batch=8)))


@pytest.mark.usefixtures("one_figure")
def test_python_writes_what_the_commands_write(stored: Path) -> None:
    asked = {"where": "arch == 'lenet5'", "formats": ["md", "csv"], "figures": "macs_*"}
    words = ("--where", "arch == 'lenet5'", "--format", "md,csv", "--figure", "macs_*")
    said("report", "cpu-reference", *words, "--out", "told")
    folder = bench.write_report("results/cpu-reference", out="drawn", **asked)
    files = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert len(files) > 2
    assert all((stored / "told" / name).read_bytes() == content for name, content in files.items())
    with pytest.raises(bench.BenchError, match="no job of cpu-reference fits"):
        bench.write_report("results/cpu-reference", where="arch == 'none'")

    merged = bench.merge("results/cpu-reference", "results/study-ensembles", name="one")
    told = json.loads(said("merge", "cpu-reference", "study-ensembles", "--name", "two", "--json"))
    assert (merged.records, merged.machines) == (told["records"], told["machines"])
    records = [(stored / "results" / name / "records.jsonl").read_bytes() for name in ("one", "two")]
    assert records[0] == records[1]


def test_python_explains_and_chooses_as_the_commands_do(stored: Path) -> None:
    for word in ("noisy", "start", "undecided"):
        assert said("explain", word).strip() == bench.explain(word).strip()
    choice, candidates = bench.choose_from("rtx4090", "resnet*", latency="1ms")
    told = json.loads(said("choose", "resnet*", "--on", "rtx4090", "--latency", "1ms", "--json"))
    assert choice.best is not None
    assert told["best"]["network"] == choice.best["network"]
    assert set(candidates.table["network"]) >= {one["network"] for one in told["front"]}


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("train", {"names": ["mlp"], "dataset": "digits", "epochs": 0}, "epochs: input should be"),
        ("train", {"names": ["mlp"], "dataset": "digits", "seeds": 0}, "seeds: 0 is no number from 1 on"),
        ("evaluate", {"names": ["mlp"], "data": "digits", "precision": "fp8"}, "precision: input should be"),
        ("evaluate", {"names": [], "data": "digits"}, "no network is named"),
        ("time_layers", {"network": "mlp", "precision": "fp8"}, "precision: input should be"),
        ("time_layers", {"network": "mlp", "processes": 0}, "processes: 0 is no number from 1 on"),
        ("compare", {"names": ["mlp", "lenet5"], "batch_size": 0}, "batch_size: 0 is no number from 1 on"),
        ("engines", {"names": ["mlp"], "batch_size": "x"}, "batch_size: 'x' is no number from 1 on"),
        ("engines", {"names": ["mlp"], "processes": 0}, "processes: 0 is no number from 1 on"),
        ("selftest", {"comparisons": 0}, "comparisons: 0 is no number from 1 on"),
        ("selftest", {"processes": 5}, "processes: 5 is no number from 6 on"),
        ("selftest", {"runs": 1}, "runs: 1 is no number from 2 on"),
    ],
)
def test_a_wrong_argument_is_told_by_its_name(
    name: str, arguments: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    instead_of_all(monkeypatch)
    with pytest.raises(bench.BenchError) as caught:
        getattr(bench, name)(**arguments, results=tmp_path / "r")
    assert caught.value.message.startswith(said)
    assert caught.value.tip
    assert not (tmp_path / "r").exists()


def test_an_export_from_python_loses_no_file_and_says_what_is_not_there(stored: Path) -> None:
    (stored / "kept.csv").write_text("mine")
    with pytest.raises(bench.BenchError, match="is there already"):
        bench.export("results/cpu-reference", out="kept.csv")
    assert (stored / "kept.csv").read_text() == "mine"
    assert bench.export("results/cpu-reference", out="kept.csv", force=True) == Path("kept.csv")
    assert (stored / "kept.csv").read_text() == bench.export("results/cpu-reference")
    with pytest.raises(bench.BenchError, match="has no option"):
        bench.export("results/cpu-reference", options={"dataset": "x"})
    with pytest.raises(bench.BenchError, match="no job of cpu-reference fits"):
        bench.export("results/cpu-reference", where="arch == 'none'")
    with pytest.raises(bench.BenchError, match="quantity"):
        bench.diff("results/cpu-reference", "results/cpu-reference", quantities=["none"])


def test_a_frame_that_is_no_more_one_of_measurements_is_told_what_it_lacks(stored: Path) -> None:
    frame = bench.load("results/cpu-reference")
    part, renamed = frame[["arch", "measurement", "value"]], frame.rename(columns={"arch": "net"})
    for table, lacks in ((part, "run"), (renamed, "arch")):
        with pytest.raises(bench.BenchError, match=f"has no column {lacks}"):
            _ = table.comparison
        with pytest.raises(bench.BenchError, match=f"has no column {lacks}"):
            bench.figure("macs_accuracy", table)
        assert "arch" in repr(part)
    with pytest.raises(bench.BenchError, match="is of type list"):
        bench.figure("macs_accuracy", [frame])  # type: ignore[arg-type]


def test_a_run_that_is_given_by_its_name_alone_or_not_at_all_is_asked_for(stored: Path) -> None:
    with pytest.raises(bench.BenchError, match="no run in cpu-reference") as caught:
        bench.load("cpu-reference")
    assert caught.value.tip == "a run of that name is in results/cpu-reference"
    with pytest.raises(bench.BenchError, match="no run was given"):
        bench.load()


@pytest.mark.usefixtures("claims_of_alexnet", "one_figure")
@pytest.mark.parametrize(
    "name", ["bench", "env", "jobs", "list_units", "run", "show", "training_cost", "verify", "write_report"]
)
def test_examples_of_counting_give_what_they_say(name: str, stored: Path) -> None:
    works(name, bench.__doc__ if name == "bench" else getattr(bench, name).__doc__)


@pytest.mark.usefixtures("inline_jobs")
def test_what_a_run_is_shows(stored: Path) -> None:
    run = bench.run("smoke", ["lenet5"], tasks=["cost"])
    assert repr(run) == "<run 'results/smoke': 1 ok>"
    assert "lenet5" in run._repr_html_()
    assert run.comparison["parameters"].item() == 61_706
    assert len(run.ratios) == 0


def test_the_guide_works_as_it_is_written(stored: Path) -> None:
    blocks = re.findall(
        r"^```python\n(.*?)^```", (DOCS / "python.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    space: dict[str, object] = {"bench": bench}
    elsewhere = ("bench.run(", "bench.query(", "bench.jobs(")  # measured, of an extra, and counted
    reading = [block for block in blocks if not any(call in block for call in elsewhere)]
    for block in reading:
        exec(block, space)
    assert len(reading) == len(blocks) - len(elsewhere)
    assert (stored / "measurements.parquet").is_file()
    assert len(space["sound"]) > 3  # type: ignore[arg-type]


# The notebook.


def test_the_notebook_is_small_and_has_no_outputs() -> None:
    document = json.loads(NOTEBOOK.read_text("utf-8"))
    code = [cell for cell in document["cells"] if cell["cell_type"] == "code"]
    assert len(code) > 5
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)
    assert all(compile("".join(cell["source"]), "cell", "exec") for cell in code)
    assert NOTEBOOK.stat().st_size < 20_000


@pytest.mark.timeout(900)
def test_the_notebook_runs(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nbclient = pytest.importorskip("nbclient", reason=f"nbclient is not installed: {install_tip('dev')}")
    import nbformat

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    document = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(
        document, timeout=240, kernel_name="python3", resources={"metadata": {"path": stored}}
    ).execute()
    outputs = [output for cell in document.cells for output in cell.get("outputs", ())]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    tables = [output for output in outputs if "<table" in output.get("data", {}).get("text/html", "")]
    assert (len(pictures), len(tables)) == (2, 6)
    assert (stored / "results" / "notebook" / "records.jsonl").is_file()
