"""The words that tables, experiments and recipes use, each as the registries and the models say of it themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files

from pydantic import BaseModel

from bench.analysis.entry import documented
from bench.docs._topic import Topic, sentence, table, word
from bench.plan.config import Experiment
from bench.plan.files import configs_dir, experiments
from bench.plan.recipe import Augment, Cosine, Plateau, Recipe, Steps
from bench.plan.settings import Processes, Timing
from bench.plan.task import Quantity, tasks
from bench.records.flags import FLAGS, doubts
from bench.records.record import STATUSES
from bench.records.verdicts import VERDICT_WORDS

EXIT_CODES: Mapping[int, str] = {
    0: "all that was asked for is there; a change that is merely suspected is no failure",
    1: "some jobs failed, or a folder or file cannot be read or written; what could be measured is kept",
    2: "the request cannot be carried out as written; the message says why, and what to do",
    3: "`bench diff --fail-above` and `bench gate`: something became slower for certain",
    130: "ended by Ctrl-C, SIGTERM or the end of the terminal; what has been measured is kept, and the same command "
    "goes on",
}
"""What a command's exit code says; every command has these and no others."""


_DOUBT = "a doubt: never the best"
_UNITS = {"1": "a number or a share", "op": "operations"}


def lists() -> Iterator[Topic]:
    """Yield the lists of all words of a kind."""
    measured = [
        (q.name, name, _UNITS.get(q.unit, q.unit), q.better, q.about)
        for name, task in tasks().items()
        for q in task.quantities
    ]
    yield table("quantities", "what is measured", ("quantity", "task", "unit", "better", "is"), measured)
    doubted = [(flag, says, "yes" if kind == _DOUBT else "no") for flag, says, kind in _flags()]
    yield table("doubts", "codes that travel with a number", ("code", "says", _DOUBT), doubted)
    yield table("statuses", "how a job may end", ("status", "means"), STATUSES.items())
    yield table(
        "verdict-words", "what a comparison or a claim comes to", ("verdict", "says"), VERDICT_WORDS.items()
    )
    yield table(
        "tasks", "what a job may do", ("task", "what it does"), [(n, t.about) for n, t in tasks().items()]
    )
    codes = [(str(code), means) for code, means in EXIT_CODES.items()]
    yield table("exit-codes", "what a command's exit code says", ("code", "means"), codes)
    yield table("keys", "what a block of an experiment may give", ("key", "of", "is"), _keys())
    yield table("recipe-keys", "what a recipe of training says", ("key", "of", "is"), _recipe_keys())
    recipes = [(name, head.partition(". ")[0]) for name, head, _ in _recipes()]
    yield table("recipes", "how networks are trained", ("recipe", "is"), recipes)
    shipped = [(name, Experiment.load(name).about) for name in experiments()]
    yield table("shipped", "the experiments and studies of the package", ("experiment", "is"), shipped)


def _flags() -> Iterator[tuple[str, str, str]]:
    for flag, says in FLAGS.items():
        yield flag, says, _DOUBT if doubts([flag]) else "told, and no doubt"


def _keys() -> Iterator[tuple[str, str, str]]:
    """Yield the keys of blocks, each with the tasks that know it and what its class says of it."""
    owners: dict[tuple[str, str], list[str]] = {}
    for name, task in tasks().items():
        for key, says in _attributes(task.keys).items() if task.keys else ():
            owners.setdefault((key, says), []).append(name)
    for (key, says), names in owners.items():
        yield key, ", ".join(names), says
    for section, model in (("timing", Timing), ("processes", Processes)):
        for key, says in _attributes(model).items():
            yield f"{section}.{key}", section, says


def _recipe_keys() -> Iterator[tuple[str, str, str]]:
    """Yield the keys of a recipe, with the section that has them and what its class says of them."""
    schedules = {f"schedule {model.__name__.lower()}": model for model in (Cosine, Steps, Plateau)}
    for section, model in {"the whole": Recipe, "augment": Augment, **schedules}.items():
        place = "" if model is Recipe else f"{section.partition(' ')[0]}."
        for key, says in _attributes(model).items():
            yield place + key, section, says


def _recipes() -> Iterator[tuple[str, str, str]]:
    """Yield the recipes of training: the name, the comment at the top of its file, and its values."""
    for file in sorted((configs_dir() / "recipes").glob("*.yaml")):
        head, _, values = file.read_text("utf-8").partition("\nname:")
        yield file.stem, head.replace("\n# ", " ").removeprefix("# "), f"name:{values}"


def _attributes(model: type[BaseModel]) -> dict[str, str]:
    """Return by field what the docstrings of a class, and of those that it is made of, say of it."""
    says = documented(model, whole=True)
    return {name: says[name].replace("``", "`").rstrip(".") for name in model.model_fields if name in says}


def words() -> Iterator[Topic]:
    """Yield what is said of each word."""
    yield from _of_tasks()
    for flag, says, kind in _flags():
        yield word(flag, "doubts", says, kind, sentence(says))
    for status, means in STATUSES.items():
        yield word(status, "statuses", means, "a status of a job", sentence(means))
    for verdict, says in VERDICT_WORDS.items():
        yield word(verdict, "verdict-words", says, "a verdict", sentence(says))
    for code, means in EXIT_CODES.items():
        yield word(str(code), "exit-codes", means, "an exit code", sentence(means))
    yield from _of_experiments()
    yield from _of_the_vocabulary()


def _of_tasks() -> Iterator[Topic]:
    for name, task in tasks().items():
        measures = ", ".join(f"`{q.name}`" for q in task.quantities)
        keys = ", ".join(f"`{key}`" for key in task.key_names) or "nothing: commands alone plan it"
        text = f"It {task.about}.\n\n- Measures {measures}.\n- A block of an experiment may give {keys}."
        yield word(name, "tasks", task.about, "a task", text)
        for q in task.quantities:
            text = f"{sentence(q.about)} Unit: {_UNITS.get(q.unit, q.unit)}. Better: {q.better}. {_place(q)}"
            yield word(q.name, "quantities", q.about, f"a quantity of the task `{name}`", text)
    for key, names, says in _keys():
        yield _key(key, "keys", f"a key of a block ({names})", says)


def _place(q: Quantity) -> str:
    """Return in which of the tables of SQL a quantity stands, and of which measurement it is made."""
    if q.summary is None:
        return "A row of `measurements`."
    column = "column of `networks`, in Python of `comparison`"
    if q.summary == "derived":
        return f"A {column}; no measurement has this name."
    if q.of:
        return f"A {column}, made of the measurement `{q.of}`."
    return f"A row of `measurements`, and a {column}."


def _key(name: str, kind: str, what: str, says: str) -> Topic:
    """Return the topic of a key; one of a section is known by its last part as well."""
    return word(name, kind, says, what, sentence(says), others=(name.rpartition(".")[2],))


def _of_experiments() -> Iterator[Topic]:
    """Yield the topics of shipped experiments, of recipes, and of what a recipe says."""
    for name in experiments():
        about = Experiment.load(name).about
        text = f"{sentence(about)}\n\n`bench run --config {name}` runs it, `bench plan --config {name}` shows its jobs."
        yield word(name, "shipped", about, "an experiment", text, others=(name.rpartition("/")[2],))
    for key, section, says in _recipe_keys():
        yield _key(key, "recipe-keys", f"a key of a recipe ({section})", says)
    for name, head, values in _recipes():
        use = f"`recipe: {name}` in an experiment, or `bench train NET --recipe {name}`."
        text = f"{head}\n\n{use}\n\n```yaml\n{values}```"
        yield word(name, "recipes", head.partition(". ")[0], "a recipe of training", text)


def _of_the_vocabulary() -> Iterator[Topic]:
    """Yield the words of the table in the first guide, which tables and messages use and no registry has."""
    first = (files("bench.docs") / "start.md").read_text("utf-8")
    rows = first.partition("| word | means |\n| --- | --- |\n")[2].partition("\n\n")[0]
    for row in rows.splitlines():
        names, means = row.strip("| ").split(" | ")
        name, *others = names.split(", ")
        yield word(name, "vocabulary", means, "a word", sentence(means), others=tuple(others))


_FIGURE = re.compile(r'^@figure\(\s*"(\w+)",\s*title="([^"]+)"', re.MULTILINE)
_FIGURES_ABOUT = "what a report draws"


def names_of_reports() -> Iterator[Topic]:
    """Yield the topics of `words_of_reports` without their text, and without what plug-ins draw.

    The names of figures are read from their files, as to import these takes seconds.
    """
    from bench.docs._columns import ABOUT

    yield Topic("columns", "lists", ABOUT, "")
    yield Topic("figures", "lists", _FIGURES_ABOUT, "")
    for file in sorted((files("bench.report") / "figures").iterdir(), key=lambda f: f.name):
        if file.name.endswith(".py"):
            for name, title in _FIGURE.findall(file.read_text("utf-8")):
                yield Topic(name, "figures", title, "")


def words_of_reports() -> Iterator[Topic]:
    """Yield the lists of columns and of figures, and each figure; pandas and matplotlib are imported for that."""
    from bench.docs._columns import ABOUT, columns_page
    from bench.report.figures import in_order

    yield Topic("columns", "lists", ABOUT, columns_page())
    drawn = [(name, figure.title, figure.needs) for name, figure in in_order()]
    yield table("figures", _FIGURES_ABOUT, ("figure", "shows", "where there is"), drawn)
    for name, figure in in_order():
        text = f"{figure.caption}\n\n- Drawn where there is: {figure.needs}.\n- `bench report RUN --figure {name}`."
        yield word(name, "figures", figure.title, "a figure", text)
