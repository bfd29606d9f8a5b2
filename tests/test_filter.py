"""Conditions: what holds for which rows, what is not known, and that nothing is ever run."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make_records import NETS, by_name, counted, failed, job, make_run, record, records, speed, stepped

from bench.analysis.comparison import compare_table
from bench.analysis.filter import _parse, filter_runs
from bench.analysis.frame import to_frame
from bench.errors import BenchError, ConfigError, UnknownNameError

TABLE = pd.DataFrame(
    {
        "arch": ["vgg16", "resnet18", "resnet50", "mine"],
        "year": [2014.0, 2015.0, 2015.0, math.nan],
        "family": pd.Series(["vgg", "resnet", "resnet", None], dtype=object),
        "flags": [(), ("noisy",), (), ()],
    }
)


def select(table: pd.DataFrame, where: str) -> pd.DataFrame:
    return table[_parse(where).holds(table)]


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        ("arch == 'vgg16'", "vgg16"),
        ('arch != "vgg16"', "resnet18 resnet50 mine"),
        ("year < 2015", "vgg16"),
        ("year <= 2015", "vgg16 resnet18 resnet50"),
        ("year > 2.0145e3", "resnet18 resnet50"),
        ("year >= 2014", "vgg16 resnet18 resnet50"),
        ("year>=-1", "vgg16 resnet18 resnet50"),
        ("arch > 'n'", "vgg16 resnet18 resnet50"),
        ("arch ~ 'resnet*'", "resnet18 resnet50"),
        ("arch !~ 'resnet*'", "vgg16 mine"),
        ("arch in ['mine', 'vgg16']", "vgg16 mine"),
        ("arch not in ['mine', 'vgg16']", "resnet18 resnet50"),
        ("year in [2014]", "vgg16"),
        ("family == none", "mine"),
        ("year != none", "vgg16 resnet18 resnet50"),
        ("not arch ~ '*1?'", "resnet50 mine"),
        ("not not arch == 'mine'", "mine"),
        # `and` binds more tightly than `or`.
        ("arch == 'mine' or family == 'resnet' and arch ~ '*50'", "resnet50 mine"),
        ("(arch == 'mine' or family == 'resnet') and arch ~ '*50'", "resnet50"),
        ("not (family == 'vgg' or arch == 'mine')", "resnet18 resnet50"),
    ],
)
def test_rows_that_a_condition_holds_for(condition: str, names: str) -> None:
    assert select(TABLE, condition)["arch"].tolist() == names.split()


@pytest.mark.parametrize(
    "condition", ["year < 2015", "not (year < 2015)", "year in [2014]", "family !~ 'v*'"]
)
def test_of_a_missing_value_nothing_is_known(condition: str) -> None:
    assert _parse(condition).known(TABLE).isna().tolist() == [False, False, False, True]


def test_what_is_known_decides_where_it_can() -> None:
    assert _parse("year < 2015 or arch == 'mine'").known(TABLE)[3]
    assert not _parse("year < 2015 and arch != 'mine'").known(TABLE)[3]


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("", "expected a column, `not` or `(`, found the end"),
        ("arch", "expected one of == != < <= > >= ~ !~ in, found the end"),
        ("arch = 'a'", "found \"= 'a'\" at character 6"),
        ("arch == vgg", "expected a number, text in quotes or none, found 'vgg' at character 9"),
        ("arch == 'a", 'found "\'a" at character 9'),
        ("(arch == 'a'", "expected `)`, found the end"),
        ("arch == 'a')", "expected `and`, `or` or the end, found ')' at character 12"),
        ("arch == 'a' year > 1", "expected `and`, `or` or the end"),
        ("arch in 'a'", "expected `[`"),
        ("arch in []", "expected a number, text in quotes or none"),
        ("arch in ['a' 'b']", "expected `,` or `]`"),
        ("arch not == 'a'", "expected `in`"),
        ("arch ~ 3", "expected a pattern in quotes"),
        ("1 < year", "expected a column"),
        ("year < 2015 < 2016", "expected `and`, `or` or the end"),
        ("year < 3x", "found '3x' at character 8"),
        ("year < none", "has no order"),
        ("arch == 2015", "column arch has text, such as 'vgg16', and 2015.0 is of numbers"),
        ("year == 'x'", "column year has numbers, such as 2014, and 'x' is of text"),
        ("year ~ '20*'", "column year has numbers"),
        ("flags == 'noisy'", "neither text nor numbers"),
        ("flags == 1", "neither text nor numbers"),
        ("(" * 30 + "year > 1" + ")" * 30, "at most 20 parentheses in each other"),
        ("not " * 400, "at most 1000 are read"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(condition: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        select(TABLE, condition)
    assert message in caught.value.message or message in str(caught.value.tip)
    assert caught.value.tip


def test_wrong_column_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="unknown column 'famly'") as caught:
        select(TABLE, "famly == 'vgg'")
    assert "family" in str(caught.value.tip)


@pytest.mark.parametrize(
    "hostile",
    [
        "__import__('os').system('touch pwned')",
        "arch.__class__ == 'a'",
        "@TABLE == 1",
        "`arch` == 'a'",
        "[x for x in ().__class__.__base__.__subclasses__()]",
        "lambda: 1",
        "arch == 'a'; import os",
        "arch == f'{1}'",
        "arch == 'a' if 1 else 2",
        "arch := 'a'",
        "\0",
        "arch == 'a' \N{FULLWIDTH EQUALS SIGN}",
    ],
)
def test_code_is_no_condition(hostile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError):
        select(TABLE, hostile)
    assert list(tmp_path.iterdir()) == []


WORDS = [*("arch", "year", "flags", "==", "<", "~", "in", "not", "and", "or", "(", ")", "[", "]", ",")]
WORDS += ["'vgg*'", "2015", "none", "x"]


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(
        st.text(max_size=40),
        st.lists(
            st.sampled_from(WORDS),
            max_size=12,
        ).map(" ".join),
    )
)
def test_any_text_is_a_condition_or_an_error_with_a_tip(text: str) -> None:
    try:
        chosen = set(select(TABLE, text)["arch"])
    except BenchError as error:  # any other error fails the test
        tip, chosen = error.tip, set()
    else:
        tip = "none is needed"
    assert tip
    assert chosen <= set(TABLE["arch"])


@given(st.lists(st.tuples(st.sampled_from(["year", "arch"]), st.integers(0, 3)), min_size=1, max_size=4))
def test_de_morgan(parts: list[tuple[str, int]]) -> None:
    tests = [f"{c} == {TABLE[c].tolist()[i]!r}" for c, i in parts if not (c == "year" and i == 3)] or [
        "arch == 'mine'"
    ]
    one = _parse(f"not ({' or '.join(tests)})").known(TABLE)
    other = _parse(" and ".join(f"not {t}" for t in tests)).known(TABLE)
    pd.testing.assert_extension_array_equal(one, other)


def kept(conditions: list[str], **more: object) -> tuple[set[str], set[str]]:
    """Return the tasks and networks that are left of a run of all nets."""
    (run,) = filter_runs([make_run(**more)], conditions)  # type: ignore[arg-type]
    return {r.job.task for r in run.records}, {r.job.arch for r in run.records}


def test_runs_are_narrowed_with_what_was_planned() -> None:
    (run,) = filter_runs([make_run()], ["family == 'lenet'"])
    assert {j.arch for j in [*run.planned, *(r.job for r in run.records)]} == {"lenet5"}
    assert len(run.planned) > len(run.records)  # one of them is pending


def test_counts_stay_with_their_network_where_only_a_setting_is_asked_for() -> None:
    tasks, networks = kept(["batch_size == 64"])
    assert tasks == {"cost", "infer", "train_step"}
    assert networks == {net.name for net in NETS}
    assert kept(["task == 'infer'"])[0] == {"infer"}


def test_columns_of_the_comparison_choose_networks() -> None:
    tasks, networks = kept(["macs < 1e9"])
    assert networks == {"lenet5"}
    assert tasks == {"cost", "infer", "train_step", "accuracy"}


def test_ways_of_running_are_chosen_with_their_rows() -> None:
    both = [*records(NETS[:2], "cuda"), *records(NETS[:2], "cpu", threads=None)]
    run = make_run(both)
    rate = to_frame([run]).pipe(compare_table)
    slowest_gpu = float(rate.loc[rate["device"] == "cuda", "throughput"].min())
    (chosen,) = filter_runs([run], [f"device == 'cpu' and throughput >= {slowest_gpu * 0.5!r}"])
    assert {r.job.settings.device for r in chosen.records if r.job.task == "infer"} == {"cpu"}


def test_ceilings_stay_with_their_run() -> None:
    ceiling = record(replace(job(NETS[0], "infer", **speed()), task="ceiling", arch="ceiling"))
    runs = [make_run([*records(NETS[:1]), ceiling], name="a"), make_run([ceiling], name="b")]
    narrowed = filter_runs(runs, ["arch == 'lenet5'"])
    assert [sum(r.job.task == "ceiling" for r in run.records) for run in narrowed] == [1, 0]


def test_runs_of_one_name_are_told_apart() -> None:
    runs = [make_run(list(records(NETS[:1])))] * 2
    assert [len(r.records) > 0 for r in filter_runs(runs, ["run == 'synthetic #2'"])] == [False, True]


def test_all_conditions_must_hold() -> None:
    assert kept(["family == 'resnet'", "arch ~ '*50'", "task == 'cost'"]) == ({"cost"}, {"resnet50"})


def test_failures_are_chosen_like_any_job() -> None:
    (run,) = filter_runs([make_run([*failed()])], ["status == 'oom'"])
    assert [r.status for r in run.records] == ["oom"]


def test_jobs_and_networks_are_not_mixed_in_one_condition() -> None:
    with pytest.raises(ConfigError, match="`task` is of jobs and `macs` of networks"):
        filter_runs([make_run()], ["macs < 1e9 and task == 'infer'"])


@pytest.mark.parametrize("condition", ["arch == 'x'", "macs < 1", "year == 'text'"])
def test_nothing_is_narrowed_to_nothing(condition: str) -> None:
    assert filter_runs([], [condition]) == []
    assert filter_runs([make_run([])], [condition])[0].records == ()


def test_missing_threads_are_equal_to_missing_threads() -> None:
    import random

    net = by_name("vgg16")[0]
    asked = job(net, "infer", **{k: v for k, v in speed(batch_size=64).items() if k != "threads"})
    run = make_run(
        [record(job(net), net, counted(net)), record(asked, net, stepped(net, 64, random.Random(0)))]
    )
    assert len(filter_runs([run], ["throughput > 0"])[0].records) == 2
