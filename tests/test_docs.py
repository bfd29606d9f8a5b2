"""What `bench explain` shows: each word that is used is explained, and each promise and command there is what it says."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import get_args

import pytest
from commands import lines_of, read
from typer.testing import CliRunner

from bench.analysis import engines
from bench.claims import _finding as finding
from bench.cli.app import app
from bench.docs import _EXIT_CODES, topic, topics
from bench.errors import UnknownNameError
from bench.facts import reproduction
from bench.plan.task import tasks
from bench.records.flags import FLAGS
from bench.records.record import STATUSES, Status
from bench.records.verdicts import VERDICT_WORDS
from bench.stats import effects

ROOT = Path(__file__).parent.parent
GUIDES = {
    file.name: file.read_text("utf-8") for file in files("bench.docs").iterdir() if file.name.endswith(".md")
}
TEXTS = {**GUIDES, **{name: (ROOT / name).read_text("utf-8") for name in ("README.md", "CONTRIBUTING.md")}}


def explain(*words: str) -> str:
    result = CliRunner().invoke(app, ["explain", *words])
    assert result.exit_code == 0, result.output
    return result.output


def test_each_word_of_the_registries_is_explained():
    words = [*FLAGS, *STATUSES, *tasks(), *(q.name for task in tasks().values() for q in task.quantities)]
    for word in words:
        assert len(topic(word).about) > 5, word
        assert f"# {word}: " in explain(word)


def test_verdicts_and_statuses_are_all_there_are():
    words = (effects.Verdict, finding.Verdict, reproduction._Verdict, engines._Worth)
    assert set(VERDICT_WORDS) == {word for each in words for word in get_args(each)}
    assert set(STATUSES) == set(get_args(Status))


def test_a_word_of_two_kinds_has_both_texts():
    assert "a task" in explain("accuracy")
    assert "a quantity of the task `accuracy`" in explain("accuracy")


@pytest.mark.parametrize("words", [["launch_bound"], ["launch", "bound"], ["launch-bound"], ["Launch_Bound"]])
def test_a_word_may_be_spelled_in_several_ways(words):
    assert explain(*words) == explain("launch_bound")


def test_the_nearest_word_is_named():
    with pytest.raises(UnknownNameError) as raised:
        topic("nosy")
    assert "noisy" in str(raised.value.tip)


def test_without_a_word_all_are_listed():
    listed = explain()
    assert all(re.search(rf"^{re.escape(name)} ", listed, re.MULTILINE) for name in topics())


def test_exit_codes_are_explained():
    assert all(f"`{code}`" in explain("exit codes") for code in _EXIT_CODES)


@pytest.mark.parametrize("name", TEXTS)
def test_commands_are_read_as_they_stand_there(name):
    for line in lines_of(TEXTS[name]):
        read(line)


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
