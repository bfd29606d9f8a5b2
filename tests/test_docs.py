"""What `bench explain` shows: each word that is used is explained, and each promise and command there is what it says."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import get_args

import pytest
import yaml
from commands import COMMANDS, lines_of, read
from typer.testing import CliRunner

import bench
from bench.analysis import engines, versus
from bench.claims import _finding as finding
from bench.cli.app import app
from bench.docs import (
    EXIT_CODES,
    Topic,
    explained,
    names_of_reports,
    sentence,
    topics,
    word,
    words_of_reports,
)
from bench.errors import UnknownNameError
from bench.execution import EXECUTORS
from bench.facts import reproduction
from bench.plan.config import _BLOCK, _TOP
from bench.plan.files import configs_dir, experiments
from bench.plan.recipe import Recipe
from bench.plan.task import all_keys, tasks
from bench.records.flags import FLAGS
from bench.records.record import STATUSES, Status
from bench.records.verdicts import VERDICT_WORDS
from bench.report.figures import FIGURES
from bench.report.write import _FORMATS
from bench.stats import effects

ROOT = Path(__file__).parent.parent
GUIDES = {
    file.name: file.read_text("utf-8") for file in files("bench.docs").iterdir() if file.name.endswith(".md")
}
OUTSIDE = ("README.md", "CONTRIBUTING.md", "SECURITY.md")
TEXTS = {**GUIDES, **{name: (ROOT / name).read_text("utf-8") for name in OUTSIDE}}


def explain(*words: str) -> str:
    result = CliRunner().invoke(app, ["explain", *words])
    assert result.exit_code == 0, result.output
    return result.output


@cache
def without_torch() -> tuple[Topic, ...]:
    """Return all that `bench explain` looks through before it imports torch."""
    from bench.api.naming import words_of_executors
    from bench.cli import _topics

    root = next(_topics.commands(__import__("typer").main.get_command(app)))[1]
    return (*topics(), *_topics.words_of_commands(root), *words_of_executors(), *words_of_reports())


def of(name: str) -> list[Topic]:
    return [each for each in without_torch() if each.means(name)]


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("doubts", list(FLAGS)),
        ("statuses", list(STATUSES)),
        ("tasks", list(tasks())),
        ("quantities", [q.name for task in tasks().values() for q in task.quantities]),
        ("verdict-words", list(VERDICT_WORDS)),
        ("keys", list(all_keys())),
        ("recipe-keys", list(Recipe.model_fields)),
        ("recipes", [file.stem for file in (configs_dir() / "recipes").glob("*.yaml")]),
        ("shipped", experiments()),
        ("figures", FIGURES.names()),
        ("executors", EXECUTORS.names()),
        ("commands", list(COMMANDS)),
        ("exit-codes", list(map(str, EXIT_CODES))),
    ],
)
def test_each_word_of_a_registry_has_a_topic_of_its_kind(kind, names):
    for name in names:
        topics_of_it = [topic for topic in of(name) if topic.kind == kind]
        assert topics_of_it, name
        for topic in topics_of_it:
            assert len(topic.about) > 5, name
            assert topic.text.startswith(f"# {topic.name}: ")


def test_each_option_of_each_command_has_a_topic_that_says_what_it_is_there():
    for path, command in COMMANDS.items():
        context = command.make_context(path, [], resilient_parsing=True)
        for option in command.get_params(context):
            for spelling in (*option.opts, *option.secondary_opts):
                if option.param_type_name == "option":
                    assert any(f"`bench {path}`" in topic.text for topic in of(spelling)), (path, spelling)


def test_an_option_is_explained_as_it_is_written():
    assert explain("--fail-above").startswith("# --fail-above: an option")
    assert explain("fail above") == explain("--fail-above")
    assert "`--report / --no-report`" in explain("--no-report")
    assert explain("-n") == explain("--name")


@pytest.mark.parametrize(
    "word",
    [
        *_FORMATS,
        *("parquet", "timm", "rich", "json"),  # what commands print
        *_TOP,
        *_BLOCK,
        *("fp32", "tf32", "bf16", "fp16", "amp_bf16", "amp_fp16", "int8", "channels_last"),
        *(
            "BENCH_DATA",
            "BENCH_LOCKS",
            "BENCH_JOBS",
            "BENCH_CACHE",
            "BENCH_FACTS",
            "BENCH_PLUGINS",
            "BENCH_SLURM",
        ),
        *("NO_COLOR", "imagefolder", "hubconf.py", "KubeRay", "check_arch", "records.jsonl"),
    ],
)
def test_a_word_without_a_topic_is_found_where_it_stands(word):
    shown = explained(word, without_torch())
    assert any(word.lower() in topic.text.lower() for topic in shown)


def test_each_variable_of_the_environment_that_the_package_reads_stands_in_a_guide():
    """But for those that bench sets itself, for its own processes."""
    own = {"BENCH_COPIES", "BENCH_OBJECTS", "BENCH_SERVER_OF"}
    code = "".join(file.read_text("utf-8") for file in (ROOT / "bench").rglob("*.py"))
    read_there = set(re.findall(r"\"(BENCH_[A-Z_]+)\"", code)) - own
    assert read_there == set(re.findall(r"^\| `(BENCH_[A-Z_]+)`", GUIDES["start.md"], re.MULTILINE))


@pytest.mark.parametrize(
    ("name", "heading"),
    [("resnet18", "a network"), ("digits", "a data set"), ("cuda_graph", "a backend")],
)
def test_units_of_the_measuring_half_are_explained(name, heading):
    assert explain(name).startswith(f"# {name}: {heading}")


def test_the_precisions_of_a_backend_are_those_that_it_is_tried_in():
    """Eager has more than fp32, and ONNX Runtime others on a card."""
    assert "- precisions that `bench engines` tries: fp32" in explain("compiled")


@pytest.mark.parametrize("word", ["front", "Pareto front", "band", "process", "pending", "in turn"])
def test_each_word_of_the_first_guide_s_vocabulary_is_a_topic(word):
    (row,) = (row for row in GUIDES["start.md"].splitlines() if re.match(rf"\| (.+, )?{word}[ ,]", row))
    means = row.strip("| ").split(" | ")[1]
    assert means[1:] in explain(word)


def test_a_quantity_says_in_which_table_it_is():
    """As stored: `measurements` has no throughput, and `networks` no step time."""
    frame = bench.load(ROOT / "results" / "cpu-reference")
    measured, columns = set(frame["measurement"]), set(frame.comparison)
    for name in ("throughput", "step_time", "latency", "roofline_share", "accuracy", "top1"):
        text = next(each.text for each in topics() if each.kind == "quantities" and each.name == name)
        assert ("A row of `measurements`" in text) == (name in measured), name
        assert ("olumn of `networks`" in text) == (name in columns), name
    assert "made of the measurement `step_time`" in explain("throughput")


def test_a_column_is_explained_by_what_the_dictionary_says_of_it():
    heads = "\n".join(explain("latency_flags").splitlines()[:6])
    assert "columns: comparison" in heads
    assert "doubts and remarks on `latency`" in heads


@pytest.mark.parametrize(
    ("half", "whole"),
    [
        ("left out on purpose", "Left out on purpose."),
        ("cuDNN tries all", "cuDNN tries all."),
        ("bf16 is short", "bf16 is short."),
        ("px of a side", "px of a side."),
        ("`crop` cuts", "`crop` cuts."),
    ],
)
def test_a_sentence_begins_with_a_capital_but_for_names_and_units(half, whole):
    assert sentence(half) == whole


def test_verdicts_and_statuses_are_all_there_are():
    words = (effects.Verdict, finding.Verdict, reproduction._Verdict, engines._Worth, versus._Overall)
    assert set(VERDICT_WORDS) == {word for each in words for word in get_args(each)}
    assert set(STATUSES) == set(get_args(Status))


def test_a_word_of_two_kinds_has_both_texts():
    assert "a task" in explain("accuracy")
    assert "a quantity of the task `accuracy`" in explain("accuracy")
    assert "--accuracy: an option" in explain("accuracy")


@pytest.mark.parametrize("words", [["launch_bound"], ["launch", "bound"], ["launch-bound"], ["Launch_Bound"]])
def test_a_word_may_be_spelled_in_several_ways(words):
    assert explain(*words) == explain("launch_bound")


def test_the_nearest_word_is_named_of_all_that_are_known():
    others = [word("resnet18", "networks", "a residual one", "a network", "")]
    for name, near in (
        ("nosy", "noisy"),
        ("--fail-abov", "--fail-above"),
        ("rooflin", "roofline"),
        ("resnet19", "resnet18"),
    ):
        with pytest.raises(UnknownNameError) as raised:
            explained(name, without_torch(), lambda: others)
        assert near in str(raised.value.tip)


def test_what_takes_time_to_know_is_left_alone_where_a_word_is_known():
    def never() -> Iterator[Topic]:
        raise AssertionError

    assert explained("noisy", topics(), never)


def test_names_of_figures_are_known_before_these_are_imported():
    """Each is of a figure, under its title; `bench explain` adds the texts where one is asked for."""
    known = [(each.name, each.kind, each.about) for each in words_of_reports()]
    assert sorted(known) == sorted((each.name, each.kind, each.about) for each in names_of_reports())
    assert "`bench report RUN --figure roofline`" in explain("roofline")


def test_a_guide_is_shown_without_pandas_and_matplotlib():
    code = """
import sys
from typer.testing import CliRunner
from bench.cli.app import app
for words in (["explain"], ["explain", "noisy"]):
    assert CliRunner().invoke(app, words).exit_code == 0
    assert not {"pandas", "matplotlib", "scipy", "torch"} & {*sys.modules}, words
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_passages_that_have_a_word_as_code_come_first():
    known = [
        Topic(
            "a",
            "guides",
            "A",
            "# A\n\nIts pace is plain.\n\n## How\n\n| key | is |\n| --- | --- |\n| `pace` | steps |\n",
        )
    ]
    (shown,) = explained("pace", known)
    assert (
        shown.text
        == "# pace: where it stands\n\n## a: How\n\n- `pace`: steps\n\n## a: A\n\nIts pace is plain.\n"
    )


def test_without_a_word_all_are_listed():
    listed = explain()
    assert all(re.search(rf"^{re.escape(topic.name)} ", listed, re.MULTILINE) for topic in without_torch())


def test_a_list_has_a_line_a_word_without_blanks_at_its_end():
    kinds = explain().split("\n\n")
    lines = [line for kind in kinds for line in kind.splitlines()]
    assert not [line for line in lines if line != line.rstrip()]
    assert max(map(len, lines)) < 350
    for kind in kinds[:-1]:  # the last one is a sentence
        names = [re.split(" {2,}", line)[0] for line in kind.splitlines()]
        assert len(names) == len(set(names)), kind
    (steps,) = [line for line in lines if line.startswith("step_time ")]
    assert all(
        q.about in steps for task in tasks().values() for q in task.quantities if q.name == "step_time"
    )


def test_exit_codes_are_explained():
    assert all(f"`{code}`" in explain("exit codes") for code in EXIT_CODES)


@pytest.mark.parametrize("name", TEXTS)
def test_commands_are_read_as_they_stand_there(name):
    for line in lines_of(TEXTS[name]):
        read(line)


@pytest.mark.parametrize("name", GUIDES)
def test_a_line_of_code_fits_a_page_of_the_site(name):
    """122 letters, by the site's style, in a window of 1440 px; of longer ones the ends were cut off."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", GUIDES[name], re.DOTALL | re.MULTILINE)
    assert [line for block in blocks for line in block.splitlines() if len(line) > 122] == []


@pytest.mark.parametrize("name", [*GUIDES, *(topic.name for topic in topics() if topic.kind == "lists")])
def test_each_column_of_a_table_has_a_head(name):
    text = GUIDES[name] if name in GUIDES else next(iter(of(name))).text
    for head in re.findall(r"^\|(.*)\|\n\|[ |:-]+\|$", text, re.MULTILINE):
        assert all(cell.strip() for cell in head.split("|")), head


def test_the_site_has_each_guide_where_the_first_one_has_it():
    named = re.findall(r"^## (.+?)$(.*?)(?=^## |\Z)", GUIDES["index.md"], re.DOTALL | re.MULTILINE)
    first = {title: set(re.findall(r"\]\(([\w-]+\.md)\)", text)) for title, text in named}
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"]
    sections = {title: set(pages) for entry in nav for title, pages in entry.items() if title in first}
    assert sections == first


@pytest.mark.parametrize("name", TEXTS)
def test_links_and_files_that_are_named_are_there(name):
    text = TEXTS[name]
    folder = ROOT / "bench" / "docs" if name in GUIDES else ROOT
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        assert "://" in target or (folder / target).exists(), target
    for path in re.findall(r"`(?:python )?((?:tests|configs)/[\w/.-]+)", text):
        assert (ROOT / path).exists(), path


def test_each_guide_is_reached_from_the_first():
    reached = set(re.findall(r"\]\(([\w-]+\.md)\)", GUIDES["index.md"]))
    assert reached == set(GUIDES) - {"index.md"}


def test_the_vocabulary_is_of_forty_words_at_most_and_knows_the_tasks():
    table = TEXTS["CONTRIBUTING.md"].partition("| word | means |\n| --- | --- |\n")[2].partition("\n\n")[0]
    rows = dict(line.strip("| ").split(" | ", 1) for line in table.splitlines())
    words = [word for row in rows for word in row.split(", ")]
    assert len(words) == len(set(words)) <= 40
    assert set(rows["task"].partition(": ")[2].split(", ")) == set(tasks())


# --- promises ---


def promises() -> list[tuple[str, str, str]]:
    """Return the rows of the table of promises: the text that it is in, its words, and what holds it."""
    rows = re.findall(r"^\| (.+) \| (.+) \| `(.+)` \|$", GUIDES["promises.md"], re.MULTILINE)
    linked = [(re.search(r"\((.+)\)", where), where, words, held) for where, words, held in rows]
    return [(link[1] if link else f"{where}.md", words, held) for link, where, words, held in linked]


def plain(markdown: str) -> str:
    """Return the words of a text, without what marks them."""
    return " ".join(
        re.sub(r"\[([^\]]+)\]\([^)]+\)|[`*]|^\|\s*|^- ", r"\1", markdown, flags=re.MULTILINE).split()
    )


def test_every_row_of_the_table_of_promises_is_read():
    rows = GUIDES["promises.md"].count("\n| ") - 2  # without the head and the line below it
    assert len(promises()) == rows > 20


@pytest.mark.parametrize(("place", "words", "held"), promises(), ids=lambda text: text[:40])
def test_a_promise_stands_where_it_is_made_and_what_holds_it_is_there(place, words, held):
    assert plain(words) in plain(TEXTS[place])
    file, _, name = held.removeprefix("python ").partition("::")
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    if name:
        assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    else:
        assert file.startswith("tests/benchmarks/")


def test_each_guide_that_promises_something_has_a_row():
    """Sentences that begin with *Promised and tested* name what they mean, and stand in the table."""
    made = {name for name, text in GUIDES.items() if "Promised and tested" in text}
    assert made <= {place for place, _, _ in promises()}
