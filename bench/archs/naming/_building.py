"""Building what a user's file defines: which native values it declares, and which of its arguments take them.

What the network says of itself comes first: attributes of the class, function or instance, then the defaults of its
arguments. A value is handed on only to an argument whose name cannot mean anything else: ``channels`` may be a width.
One that takes any keyword, ``def net(**kwargs)``, is given a value where another than its own is asked for or where it
does not do without, and goes without where what is behind it refuses the keyword.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import nn

from bench.archs._arguments import NATIVE, Parameters, is_count, with_fields
from bench.archs.naming._ways import NetworkName
from bench.errors import BenchError, InvalidModelError, lacks_memory, text_of, typed_text


def _by_name(**names: str) -> dict[str, str]:
    """Return the card's name by each of the names, in a text, that a parameter for it may have."""
    return {name: card for card, text in names.items() for name in text.split()}


_ALIASES = _by_name(
    num_classes="num_classes n_classes nb_classes num_class n_class nclass nclasses class_num num_labels "
    "number_of_classes nb_class n_labels",
    in_channels="in_channels in_chans in_chan in_ch input_channels image_channels img_channels num_input_channels "
    "n_input_channels in_channel input_channel img_channel image_channel num_in_channels",
    input_size="input_size image_size img_size input_resolution image_resolution img_resolution",
)
# What a parameter without a default may mean by such a name, which often means something else: the shapes of the first
# or the last weight decide, see `_Builder`.
_LIKELY = _by_name(
    in_channels="channels num_channels n_channels nchannels n_colors in_c c_in",
    num_classes="output_dim out_dim output_size num_outputs n_outputs n_out",
)
# Beside one of these `input_size` is the length of a vector, as in torch.nn.LSTM(input_size, hidden_size).
_OF_VECTORS = frozenset(("hidden_size", "hidden_sizes", "output_size", "hidden_dim"))
_PRETRAINED = "pretrained"
_NUMBERS = (*NATIVE, "min_input", "year")
_TEXTS = ("family", "paper")
_NO_NETWORK = "name a torch.nn.Module class, an instance, or a function that returns one"
_OWN_SIZE = 224  # of a network that declares none


@dataclass(frozen=True)
class _Builder:
    """Builds a network from what the user's file defines.

    Attributes:
        name: for messages.
        function: the class or function.
        importable: a context in which more of the user's modules may be imported.
        declared: what the card is to say.
        native: each parameter for a native value, and the card's name for that value.
        pairs: those of them that take height and width.
        written: the card's names of the native values that are among the arguments as they were written.
        any_keyword: whether a native value without a parameter may be handed on by the card's name.
        arguments: all other arguments.
        origins: for each native value that the network says itself, how it says it.
        likely: those parameters for a native value whose names do not tell; each build makes sure of them.
    """

    name: str
    function: Callable[..., object]
    importable: Callable[[], AbstractContextManager[None]]
    declared: Mapping[str, Any] = field(default_factory=dict)
    native: Mapping[str, str] = field(default_factory=dict)
    pairs: frozenset[str] = frozenset()
    written: frozenset[str] = frozenset()
    any_keyword: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)
    likely: tuple[str, ...] = ()

    def describe(self, shape: Mapping[str, int | None], used: Mapping[str, int | None]) -> list[str]:
        """Return a line for each native value: what it is, where from, and whether it is handed on; see `Describe`."""
        parameters = {n: p for p, n in self.native.items()}
        lines = []
        otherwise = "handed on where it is another" if self.any_keyword else "not handed on"
        for name in NATIVE:
            origin = "asked for" if shape.get(name) else self.origins.get(name, "nothing in the file says")
            handed = f"handed on as {parameters[name]}" if name in parameters else otherwise
            lines.append(f"{name} {'-' if used[name] is None else used[name]}: {origin}; {handed}")
        if self.arguments.get(_PRETRAINED) is False:
            lines.append(f"{_PRETRAINED} False: networks are measured with random weights")
        return lines

    def __call__(self, **values: int | None) -> nn.Module:
        """Return a new network; `values` are the native ones.

        Raises:
            InvalidModelError: if the user's code raises, or returns something else.
        """
        if self.likely and not self._means_it():
            raise _needs_arguments(self.name, self.likely)
        given = {p: (values[n],) * 2 if p in self.pairs else values[n]
                 for p, n in self.native.items() if values[n] is not None or n in self.written}  # fmt: skip
        model = self._called({**given, **self._by_keyword(values)}, values)
        if not isinstance(model, nn.Module):
            message = f"{self.name} returned {type(model).__name__}; expected a torch.nn.Module"
            raise InvalidModelError(message, _NO_NETWORK)
        return model

    def _means_it(self) -> bool:
        """Return whether the likely parameters are what they are taken for, by two builds with other values.

        The image's channels are the second dimension of the first weight, classes the first one of the last.
        """
        for tried in ({"in_channels": 3, "num_classes": 11}, {"in_channels": 5, "num_classes": 7}):
            unsure = {n: tried[n] for n in (self.native[p] for p in self.likely)}
            values = {**tried, "input_size": _OWN_SIZE, **self.declared, **unsure}
            try:
                with torch.device("meta"):
                    model = replace(self, likely=())(**{n: values[n] for n in NATIVE})
                weights = [p.shape for p in model.parameters() if p.dim() > 1]
                ends = {"in_channels": weights[0][1], "num_classes": weights[-1][0]}
            except Exception:  # then nothing is known
                return False
            if any(ends[n] != value for n, value in unsure.items()):
                return False
        return True

    def _by_keyword(self, values: Mapping[str, int | None]) -> dict[str, int | None]:
        """Return the values without a parameter that differ from the network's own, as far as those are known."""
        own = {"num_classes": None, "in_channels": 3, "input_size": _OWN_SIZE, **self.declared}
        others = (n for n in self._unnamed() if values[n] is not None)
        return {n: values[n] for n in others if values[n] != own[n] or n in self.written}

    def _unnamed(self) -> tuple[str, ...]:
        """Return the native values that can be handed on by the card's name alone."""
        return tuple(n for n in NATIVE if n not in self.native.values()) if self.any_keyword else ()

    def _called(self, given: dict[str, object], values: Mapping[str, int | None]) -> object:
        """Call the user's code; a keyword that it turns out not to know is left out, one that it lacks is added.

        Each of them is tried once; what the code raises then is what is wrong with it.
        """
        untried = set(self._unnamed()) - self.written
        while True:
            try:
                with self.importable():
                    return self.function(**given, **self.arguments)
            except (Exception, SystemExit) as error:
                # It may say that a keyword was given, or was not.
                is_about = isinstance(error, TypeError | KeyError)
                named = {n for n in untried if is_about and repr(n) in text_of(error)}
                refused, lacking = named & given.keys(), named - given.keys()
                if "unexpected" in text_of(error):
                    lacking = set()
                if not refused | lacking:
                    if isinstance(error, BenchError) or lacks_memory(error):
                        raise
                    message = f"building {self.name} raised {typed_text(error)}"
                    raise InvalidModelError(message, _tip(error)) from error
                untried -= named
                given = {n: v for n, v in given.items() if n not in refused} | {n: values[n] for n in lacking}


def _tip(error: BaseException) -> str | None:
    if isinstance(error, FileNotFoundError) and error.filename:
        return f"run bench in the folder from which {error.filename} is to be read"
    if isinstance(error, OSError):
        return (
            "where it loads weights, let it be built without them: what is measured does not depend on them"
        )
    return None


def builder_of(
    definition: object, name: NetworkName, importable: Callable[[], AbstractContextManager[None]]
) -> _Builder:
    """Return a builder of a class, a function or an instance of the user's, with its arguments checked.

    Raises:
        InvalidModelError: if it is no network, does not take an argument, or needs one that is not given.
    """
    if isinstance(definition, nn.Module):
        Parameters().check(name.bare, name.arguments)
        said = _Said(attributes=_attributes_of_instance(definition))
        copied = partial(_copied, definition)
        return _Builder(name.bare, copied, importable, said.card(), origins=said.origins())
    if not callable(definition):
        message = f"{name.bare} is of type {type(definition).__name__}; expected a torch.nn.Module"
        raise InvalidModelError(message, _NO_NETWORK)
    function = with_fields(definition)
    parameters = parameters_of(function)
    parameters.check(name.bare, name.arguments)
    written = {k: v for k, v in name.arguments.items() if _takes(k, v, parameters)}
    others = {k: v for k, v in name.arguments.items() if k not in written}
    named = [p for p in parameters.names if p in _aliases(parameters) and p not in others]
    defaults = {p: parameters.defaults.get(p) for p in named}
    native = {
        p: d for p, d in defaults.items() if p in written or d is None or type(d) is int or _is_side(p, d)
    }
    missing = [p for p in parameters.required if p not in native and p not in others]
    likely = _likely(missing, native)
    if missing := [p for p in missing if p not in likely]:
        raise _needs_arguments(name.bare, missing)
    native |= dict.fromkeys(likely)
    if parameters.defaults.get(_PRETRAINED) is True:
        others = {_PRETRAINED: False, **others}
    said = _Said(
        attributes=_attributes(definition),
        written={_ALIASES[p]: _pair(v) or v for p, v in written.items()},
        native=native,
        required=frozenset(parameters.required),
    )
    return _Builder(
        name=name.bare,
        function=function,
        importable=importable,
        declared=said.card(),
        native={p: _meaning(p) for p in native},
        pairs=frozenset(p for p, default in native.items() if _pair(written.get(p, default)) is not None),
        written=frozenset(said.written),
        any_keyword=parameters.any_keyword,
        arguments=others,
        origins=said.origins(),
        likely=likely,
    )


def _needs_arguments(name: str, missing: Sequence[str]) -> InvalidModelError:
    """Return the error of a network that cannot be built without these arguments."""
    written = ", ".join(f"{argument}=..." for argument in missing)
    message = f"{name} needs an argument {', '.join(map(repr, missing))}"
    return InvalidModelError(message, f"write {name}({written}), in quotes for a shell")


def _meaning(parameter: str) -> str:
    """Return the card's name for the native value that a parameter takes."""
    return _ALIASES.get(parameter) or _LIKELY[parameter]


def _likely(missing: Sequence[str], native: Mapping[str, object]) -> tuple[str, ...]:
    """Return which of the arguments that are missing may be native values; one at most of each kind."""
    meant = {_ALIASES[p] for p in native}
    likely = {_LIKELY[p]: p for p in reversed(missing) if p in _LIKELY and _LIKELY[p] not in meant}
    return tuple(likely.values())


def _aliases(parameters: Parameters) -> set[str]:
    """Return the names of native values for a function; beside some, `input_size` is the length of a vector."""
    return _ALIASES.keys() - ({"input_size"} if _OF_VECTORS & {*parameters.names} else ())


def _copied(network: nn.Module) -> nn.Module:
    """Return a copy of a network: a job may train it, and the next one must not see that.

    Networks with tensors that are computed from their parameters, as of weight norm, cannot be copied in memory.
    """
    try:
        return copy.deepcopy(network)
    except (RuntimeError, TypeError):
        import cloudpickle

        made: nn.Module = cloudpickle.loads(cloudpickle.dumps(network))
        return made


def _takes(argument: str, value: object, parameters: Parameters) -> bool:
    """Return whether an argument, as it was written, is a native value: by its name, and by what it is.

    One that goes to any keyword is a native value by the card's own name alone; else it is passed as it was written.
    """
    named = {*parameters.names, *(NATIVE if parameters.any_keyword else ())} & _aliases(parameters)
    if argument not in named:
        return False
    no_classifier = value is None and _ALIASES[argument] == "num_classes"
    return is_count(value) or no_classifier or _is_side(argument, value)


def parameters_of(function: object) -> Parameters:
    """Return what a class or function of the user's can be called with; an instance is not called at all."""
    if isinstance(function, nn.Module) or not callable(function):
        return Parameters()
    if inspect.isclass(function) and function.__init__ is nn.Module.__init__:
        return Parameters()  # its signature takes anything, and it refuses everything
    return Parameters.of(function)


def _is_side(parameter: str, value: object) -> bool:
    """Return whether a value is height and width, of a parameter for the size."""
    return _ALIASES[parameter] == "input_size" and _pair(value) is not None


def _pair(value: object) -> int | None:
    """Return the side of ``(224, 224)``; None for anything else."""
    if isinstance(value, list | tuple) and len(value) == 2 and value[0] == value[1] and is_count(value[0]):
        return int(value[0])
    return None


@dataclass(frozen=True)
class _Said:
    """What a network says of itself, by the card's names: in its attributes, in its name, in its parameters' defaults.

    Attributes:
        attributes: of the class, function or instance.
        written: native values among the arguments.
        native: the default of each parameter that takes a native value; None where it has none.
        required: parameters without a default.
    """

    attributes: Mapping[str, Any] = field(default_factory=dict)
    written: Mapping[str, Any] = field(default_factory=dict)
    native: Mapping[str, object] = field(default_factory=dict)
    required: frozenset[str] = frozenset()

    def card(self) -> dict[str, object]:
        """Return what the card is to say: as written, else as an attribute has it, else as a default has it."""
        defaults = {n: value for n, (_, value) in self._defaults().items()}
        declared = {**defaults, **self.attributes, **self.written}
        chosen = {_meaning(p) for p in self.native}
        outputs = "num_classes" in declared or "num_classes" in chosen
        return {
            **({} if outputs else {"num_classes": None}),
            **declared,
            "sized": "input_size" in declared,
            "any_channels": "in_channels" in chosen,
            "any_outputs": not outputs,
        }

    def origins(self) -> dict[str, str]:
        """Return how it says each native value that it says."""
        return {
            **{n: f"the default of {parameter}" for n, (parameter, _) in self._defaults().items()},
            **{n: "its attribute" for n in self.attributes if n in NATIVE},
            **dict.fromkeys(self.written, "written in its name"),
        }

    def _defaults(self) -> dict[str, tuple[str, int | None]]:
        """Return parameter and default of each native value; None of classes is no classifier."""
        said: dict[str, tuple[str, int | None]] = {}
        for parameter, default in self.native.items():
            value = _pair(default) or (default if isinstance(default, int) and is_count(default) else None)
            meaning = _meaning(parameter)
            if value is not None or (meaning == "num_classes" and parameter not in self.required):
                said.setdefault(meaning, (parameter, value))
        return said


def _attributes(definition: object) -> dict[str, object]:
    """Return the attributes that the card declares, where they are of the right type."""
    # Static look-up: a property of the user's must not run here.
    values = {n: inspect.getattr_static(definition, n, ...) for n in (*_NUMBERS, *_TEXTS)}
    numbers = {n: values[n] for n in _NUMBERS if is_count(values[n])}
    texts = {n: values[n] for n in _TEXTS if isinstance(values[n], str)}
    sides = {} if (side := _pair(values["input_size"])) is None else {"input_size": side}
    no_classifier = {"num_classes": None} if values["num_classes"] is None else {}
    return {**numbers, **sides, **texts, **no_classifier}


def _attributes_of_instance(network: nn.Module) -> dict[str, object]:
    """Return the attributes of a network that is there, without those of its own that its layers contradict.

    Networks count in such attributes while they are built: ``self.in_channels`` of a ResNet ends at that of its last
    block.
    """
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    convolutions = [m.in_channels for m in layers if isinstance(m, nn.Conv2d)]
    last = [m.out_channels if isinstance(m, nn.Conv2d) else m.out_features for m in layers]
    facts = {"in_channels": convolutions[:1], "num_classes": last[-1:]}
    said, own = _attributes(network), vars(network)
    wrong = {n for n, fact in facts.items() if fact and n in own and said.get(n) not in (None, *fact)}
    return {n: value for n, value in said.items() if n not in wrong}
