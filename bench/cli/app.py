"""The command line: one module a command; nothing here or there imports torch, pandas or matplotlib at the start."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import typer

from bench import __version__
from bench.cli import (
    choose,
    compare,
    diff,
    engines,
    ensemble,
    env,
    evaluate,
    explain,
    export,
    facts,
    gate,
    merge,
    plan,
    pull,
    push,
    report,
    run,
    selftest,
    show,
    sql,
    train,
    verify,
)
from bench.cli import list as list_
from bench.cli._common import EXIT_USAGE, examples_of
from bench.cli._help import Command, Group, UsageError
from bench.cli._interrupts import EXIT_CANCELLED
from bench.cli._streams import open_standard_streams, show_error
from bench.errors import meant
from bench.registry import PLUGINS


@dataclass(frozen=True, slots=True)
class _Entry:
    """A command in the list of commands.

    Attributes:
        group: of commands, in which it stands.
        command: what it does, or commands below it.
        examples: at the end of its --help, the first one in the list as well.
    """

    group: str
    command: Callable[..., None] | typer.Typer
    examples: tuple[str, ...]

    @property
    def about(self) -> str:
        """What it does, in a sentence."""
        text = self.command.info.help if isinstance(self.command, typer.Typer) else self.command.__doc__
        return re.split(r"(?<=\.)\s", " ".join(str(text).split()))[0]

    def built(self, name: str) -> Any:
        """Return typer's command."""
        command = self.command
        if not isinstance(command, typer.Typer):
            explains = {
                "ignore_unknown_options": command is explain.explain
            }  # options of others are words to it
            command = typer.Typer(add_completion=False, rich_markup_mode=None)
            command.command(name, cls=Command, epilog=examples_of(*self.examples), context_settings=explains)(
                self.command
            )
        made = typer.main.get_command(command)
        made.name = name
        return made


class _Built(Mapping[str, Any]):
    """Commands by name, each built once it is asked for: to build all of them takes longer than most of them do."""

    def __init__(self, entries: Mapping[str, _Entry]) -> None:
        self._entries = entries
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = self._entries[name].built(name)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


_ENTRIES: dict[str, _Entry] = {}


class _Groups(Group):
    """Commands by what they are for, with the first example of each; wrong words end as all other errors do."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run the command that the words name; leave with its exit code."""
        if not extra.get("standalone_mode", True):
            return super().main(*args, **extra)
        try:
            code = super().main(*args, **{**extra, "standalone_mode": False})
        except UsageError as error:
            if type(error).__name__ == "NoArgsIsHelpError":
                error.show()  # type: ignore[attr-defined] # of typer's own
            else:
                show_error(*_words_of(error))
            code = EXIT_USAGE
        except typer.Abort:
            show_error("cancelled", None)
            code = EXIT_CANCELLED
        sys.exit(code if isinstance(code, int) else 0)

    def __init__(self, *args: Any, **extra: Any) -> None:
        super().__init__(*args, **extra)
        self.commands: Any = _Built(_ENTRIES)

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 # types that move with typer's version
        """Return the names of commands, in the order in which they were added."""
        return list(self.commands)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Write a section for each group of commands, in the order in which they were added."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for name, entry in _ENTRIES.items():
            groups.setdefault(entry.group, []).extend([(name, entry.about), ("", entry.examples[0])])
        for group, rows in groups.items():
            with formatter.section(group):
                formatter.write_dl(rows)


def _words_of(error: Any) -> tuple[str, str]:
    """Return what is wrong with the words of a command line, and the next step: the nearest word, or an example."""
    path = error.ctx.command_path if error.ctx else "bench COMMAND"
    message, _, suggested = error.format_message().replace("Value error, ", "").partition(" Did you mean ")
    close = re.findall(r"'([^']+)'", suggested)
    tips = []
    if error.ctx and message.startswith("No such option"):
        message = message.partition(" (Possible")[0]
        options = [option for p in error.ctx.command.params for option in (*p.opts, *p.secondary_opts)]
        close = _meant(error.option_name, options, _TASKS.get(str(error.ctx.command.name)))
    elif message.startswith("No such command"):
        word = message.split("'")[1]
        close = get_close_matches(word, _ENTRIES, 1, _CLOSE)
        tips = [] if close else [f"`bench explain {word}` tells where the word stands;"]
    elif error.ctx and message.startswith("Missing"):
        example = str(error.ctx.command.epilog).splitlines()[2:3]
        tips = [f"such as {line.strip()};" for line in example]
    elif error.ctx and message.startswith("Got unexpected extra"):
        usage = " ".join(error.ctx.command.collect_usage_pieces(error.ctx))
        tips = [f"it is called as {path} {usage};"]
    elif message.startswith("Invalid value for") and (about := getattr(error.param, "help", None)):
        tips = [f"{error.param.opts[0]}: {about}"]
    tips += [f"did you mean {' or '.join(close)}?"] if close else []
    message = message.partition(", unable to parse")[0].rstrip(".")
    return message[:1].lower() + message[1:], " ".join([*tips, f"`{path} --help` has all"])


def _meant(name: str, options: Sequence[str], tasks: Sequence[str] | None) -> list[str]:
    """Return the option that was meant, or the setting of these tasks, or else of any, that `--set` takes."""
    by_word = {option.lstrip("-"): option for option in options}
    if word := meant(name.lstrip("-"), by_word, _CLOSE):
        return [by_word[word]]
    if "--set" not in options:
        return []
    from bench.plan.task import TASKS, all_keys

    keys = all_keys() if tasks is None else [key for task in tasks for key in TASKS.get(task).key_names]
    key = meant(name.lstrip("-"), keys, _CLOSE)
    return [f"--set {key}=..."] if key else []


_CLOSE = 0.75  # how much alike two words are of which one was meant, from 0 to 1

_TASKS: Mapping[str, Sequence[str]] = {
    "train": ("accuracy",),
    "evaluate": ("evaluate",),
    "show": ("layers",),
    "compare": ("cost", "infer", "accuracy", "layers"),
    "choose": ("cost", "infer"),
    "engines": ("infer", "evaluate"),
    "gate": ("cost", "infer"),
    "selftest": ("infer",),
    "export": (),  # whose --set is of formats
}
"""The tasks whose settings `--set` takes; of commands that do not stand here, all."""

app = typer.Typer(
    name="bench",
    cls=_Groups,
    help="Benchmark image architectures: their cost, their speed here, what they learn, and how sure that is.",
    epilog="First: bench run smoke. The options of a command: bench run --help.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # boxes and colours would double the time of --help
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _add(group: str, name: str, command: Callable[..., None] | typer.Typer, *examples: str) -> None:
    """Add a command to a group of the list; its --help ends with the examples."""
    _ENTRIES[name] = _Entry(group, command, examples)


_MEASURE, _COMPARE, _READ, _MACHINE = "Measure", "Compare", "Read what is stored", "This machine"

_add(_MEASURE, "run", run.run, "bench run smoke", "bench run my_net.py:Net resnet18 --set batch_size=8")
_add(
    _MEASURE,
    "train",
    train.train,
    "bench train lenet5 mlp -d digits",
    "bench train resnet20 -d cifar10 --seeds 5",
)
_add(
    _MEASURE,
    "evaluate",
    evaluate.evaluate,
    "bench evaluate torchvision:resnet50 --data imagefolder:PATH",
    "bench evaluate train-digits  # after bench train ... --keep-weights",
)
_add(_MEASURE, "plan", plan.plan, "bench plan", "bench plan resnet18 --config modern")
_add(_MEASURE, "show", show.show, "bench show vgg16", "bench show resnet18 --time --depth 2")
_add(
    _COMPARE,
    "compare",
    compare.compare,
    "bench compare my_net.py:Net resnet18",
    "bench compare resnet34 plain34 --processes 8",
)
_add(
    _COMPARE,
    "choose",
    choose.choose,
    'bench choose --latency 20ms --minutes 10 "torchvision:*"',
    "bench choose --on rtx4090 --latency 1ms",
)
_add(
    _COMPARE,
    "engines",
    engines.engines,
    "bench engines resnet18",
    "bench engines torchvision:resnet18 -e openvino -d imagenette --download",
)
_add(_COMPARE, "diff", diff.diff, "bench diff before after", "bench diff before after --fail-above 5%")
_add(
    _COMPARE,
    "gate",
    gate.gate,
    "bench gate main HEAD nets/mine.py:Net",
    "bench gate v1.0 HEAD nets/mine.py:Net --fail-above 10%",
)
_add(_COMPARE, "verify", verify.verify, "bench verify", "bench verify results/study-depth")
_add(
    _COMPARE,
    "ensemble",
    ensemble.ensemble,
    "bench ensemble smoke",
    "bench ensemble study-ensembles --networks 'lenet5*'",
)
_add(
    _READ,
    "report",
    report.report,
    "bench report smoke",
    "bench report smoke --where \"family == 'resnet'\" --format md,latex",
)
_add(
    _READ,
    "export",
    export.export,
    "bench export smoke --out smoke.csv",
    "bench export smoke --format tensorboard --out events",
)
_add(
    _READ,
    "sql",
    sql.sql,
    'bench sql "select network, latency from networks order by latency"',
    'bench sql "describe measurements" smoke -f csv',
)
_add(
    _READ,
    "merge",
    merge.merge,
    "bench merge laptop server --name both",
    "bench merge a b c --name all --json",
)
_add(
    _READ,
    "push",
    push.push,
    "bench push smoke hf://OWNER/NAME",
    "bench push results/study-depth hf://OWNER/NAME/depth --weights --yes",
)
_add(
    _READ,
    "pull",
    pull.pull,
    "bench pull hf://OWNER/NAME/smoke",
    "bench pull hf://OWNER/NAME --results theirs",
)
_add(_READ, "explain", explain.explain, "bench explain noisy", "bench explain --fail-above")
_add(_READ, "facts", facts.app, "bench facts show resnet50")
_add(_MACHINE, "env", env.env, "bench env", "bench env --json")
_add(_MACHINE, "list", list_.list_, "bench list", 'bench list "torchvision:resnet*"')
_add(_MACHINE, "selftest", selftest.selftest, "bench selftest", "bench selftest --arch mobilenet_v2 --runs 3")


def _version(value: bool) -> None:
    if value:
        typer.echo(f"bench {__version__}")
        raise typer.Exit


@app.callback()
def _callback(
    version: Annotated[  # noqa: ARG001
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
    plugin: Annotated[
        list[Path] | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            metavar="FILE",
            help="A file that registers networks, data sets, backends, figures and so on.",
        ),
    ] = None,
) -> None:
    """Read what every command takes."""
    files = [str(file.resolve()) for file in plugin or ()]
    if files:  # in the environment, as jobs run in processes of their own
        os.environ[PLUGINS] = os.pathsep.join(filter(None, [*files, os.environ.get(PLUGINS, "")]))


def main() -> None:
    """Run the command line."""
    open_standard_streams()
    app(prog_name="bench")  # not `python -m bench`, also where it is begun so
