"""The command line: one module a command; nothing here or there imports torch, pandas or matplotlib at the start."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import typer

from bench import __version__
from bench.cli._common import EXIT_USAGE, examples_of
from bench.cli._help import Command, Group, UsageError
from bench.cli._interrupts import EXIT_CANCELLED
from bench.cli._streams import open_standard_streams, show_error
from bench.errors import meant
from bench.registry import PLUGINS


class _Built(Mapping[str, object]):
    """Commands by name, each built once it is asked for: to build all of them takes longer than most of them do."""

    def __getitem__(self, name: str) -> object:
        if name not in _COMMANDS:
            raise KeyError(name)
        return _built(name)

    def __iter__(self) -> Iterator[str]:
        return iter(_COMMANDS)

    def __len__(self) -> int:
        return len(_COMMANDS)


def _command(name: str) -> Callable[..., None] | typer.Typer:
    """Return the function of a command, or the commands below it: `_run` of the module `run`."""
    command: Callable[..., None] | typer.Typer = vars(import_module(f"bench.cli.{name}"))[f"_{name}"]
    return command


@cache
def _built(name: str) -> object:
    """Return typer's command."""
    command = _command(name)
    if not isinstance(command, typer.Typer):
        explains = {"ignore_unknown_options": name == "explain"}  # options of others are words to it
        single, ending = (
            typer.Typer(add_completion=False, rich_markup_mode=None),
            examples_of(*_examples(name)),
        )
        single.command(name, cls=Command, epilog=ending, context_settings=explains)(command)
        command = single
    made = typer.main.get_command(command)
    made.name = name
    return made


def _about(name: str) -> str:
    """Return what a command does, in a sentence."""
    command = _command(name)
    text = command.info.help if isinstance(command, typer.Typer) else command.__doc__
    return re.split(r"(?<=\.)\s", " ".join(str(text).split()))[0]


def _examples(name: str) -> list[str]:
    """Return the examples of a command: they end its --help, and the first stands in the list of commands."""
    return [line for line in _EXAMPLES.splitlines() if line.split()[1] == name]


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
        self.commands: Any = _Built()

    def list_commands(self, ctx: object) -> list[str]:  # noqa: ARG002 # types that move with typer's version
        """Return the names of commands, in the order of the list."""
        return list(self.commands)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Write a section for each group of commands."""
        for group, commands in _GROUPS.items():
            with formatter.section(group):
                rows = [((name, _about(name)), ("", _examples(name)[0])) for name in commands]
                formatter.write_dl(list(chain(*rows)))


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
        close = get_close_matches(word, _COMMANDS, 1, _CLOSE)
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


_GROUPS: Mapping[str, Sequence[str]] = {
    "Measure": ("run", "train", "evaluate", "plan", "show"),
    "Compare": ("compare", "choose", "engines", "diff", "gate", "verify", "ensemble"),
    "Read what is stored": ("report", "export", "sql", "merge", "push", "pull", "explain", "facts"),
    "This machine": ("env", "list", "selftest"),
}
"""The commands by what they are for; each is a module of its name."""

_COMMANDS = [name for names in _GROUPS.values() for name in names]

_EXAMPLES = """\
bench run smoke
bench run my_net.py:Net resnet18 --set batch_size=8
bench train lenet5 mlp -d digits
bench train resnet20 -d cifar10 --seeds 5
bench evaluate torchvision:resnet50 --data imagefolder:PATH
bench evaluate train-digits  # after bench train ... --keep-weights
bench plan
bench plan resnet18 --config modern
bench show vgg16
bench show resnet18 --time --depth 2
bench compare my_net.py:Net resnet18
bench compare resnet34 plain34 --processes 8
bench choose --latency 20ms --minutes 10 "torchvision:*"
bench choose --on rtx4090 --latency 1ms
bench engines resnet18
bench engines torchvision:resnet18 -e openvino -d imagenette --download
bench diff before after
bench diff before after --fail-above 5%
bench gate main HEAD nets/mine.py:Net
bench gate v1.0 HEAD nets/mine.py:Net --fail-above 10%
bench verify
bench verify results/study-depth
bench ensemble smoke
bench ensemble study-ensembles --networks 'lenet5*'
bench report smoke
bench report smoke --where "family == 'resnet'" --format md,latex
bench export smoke --out smoke.csv
bench export smoke --format tensorboard --out events
bench sql "select network, latency from networks order by latency"
bench sql "describe measurements" smoke -f csv
bench merge laptop server --name both
bench merge a b c --name all --json
bench push smoke hf://OWNER/NAME
bench push results/study-depth hf://OWNER/NAME/depth --weights --yes
bench pull hf://OWNER/NAME/smoke
bench pull hf://OWNER/NAME --results theirs
bench explain noisy
bench explain --fail-above
bench facts show resnet50
bench env
bench env --json
bench list
bench list "torchvision:resnet*"
bench selftest
bench selftest --arch mobilenet_v2 --runs 3
"""


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
