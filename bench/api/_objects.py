"""Networks that are objects of a session, such as of a notebook: they get a name, like a network in a file.

Jobs run in processes of their own, to which an object goes by cloudpickle: its classes too, where no file defines them.
The file that stands for it lies among temporary ones, see `bench.archs.naming.session`; a run that measured it cannot
be repeated from its name alone.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from bench.archs.naming.session import file_of, name_for
from bench.archs.naming.sources import is_users
from bench.errors import ConfigError, InvalidModelError, StoreError, typed_text
from bench.io import atomic_write

if TYPE_CHECKING:
    from torch import nn

Network: TypeAlias = "str | nn.Module | Callable[..., nn.Module]"

_FILE = '''"""An object of a session; it cannot be made again from this file."""

from pathlib import Path

import cloudpickle

{name} = cloudpickle.loads((Path(__file__).parent / "network.pkl").read_bytes())
'''


def name_of(network: Network) -> str:
    """Return the name of a network: itself, or that of an object, for which a file is written.

    Args:
        network: a name, a `torch.nn.Module`, or a class or function that returns one.

    Raises:
        ConfigError: for anything else.
        InvalidModelError: if it cannot be sent to another process.
        StoreError: if its file cannot be written.
    """
    if isinstance(network, str):
        return network
    if not callable(network):
        message = f"{network!r:.80} is no network"
        raise ConfigError(message, "give a name, a torch.nn.Module, or a function that returns one")
    name = getattr(network, "__name__", type(network).__name__)
    name = name if name.isidentifier() else "network"
    try:
        content = _pickled(network)
    except Exception as error:  # pickling fails in many ways
        message = f"{name} cannot be sent to another process: {typed_text(error)}"
        raise InvalidModelError(message, "define it in a file, and give path/to/file.py:NAME") from error
    full = name_for(content, name)
    file = file_of(full)
    folder = file.parent
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path, text in ((folder / "network.pkl", content), (file, _FILE.format(name=name).encode())):
            with atomic_write(path) as draft:
                draft.write(text)
    except OSError as error:
        message = f"{name} cannot be written to {folder}: {error.strerror or error}"
        raise StoreError(message, "free space there, or begin anew with another folder in TMPDIR") from error
    return str(full)


def _modules(network: Callable[..., nn.Module]) -> set[str]:
    """Return the names of the modules that define a network and its parts."""
    parts = network.modules() if hasattr(network, "modules") and not isinstance(network, type) else ()
    return {getattr(thing, "__module__", "") for thing in (network, *map(type, parts), type(network))}


def _pickled(network: Callable[..., nn.Module]) -> bytes:
    """Return a network as bytes, with all that the user's modules hold: a job's process may not find them by name."""
    import cloudpickle

    modules = [sys.modules[name] for name in _modules(network) if name in sys.modules and name != "__main__"]
    own = [m for m in modules if getattr(m, "__file__", None) and is_users(Path(str(m.__file__)))]
    with contextlib.ExitStack() as stack:
        for module in own:
            cloudpickle.register_pickle_by_value(module)
            stack.callback(cloudpickle.unregister_pickle_by_value, module)
        return bytes(cloudpickle.dumps(network))


def names_of(networks: Network | Sequence[Network]) -> list[str]:
    """Return the name of each of some networks, or of the one that is given."""
    if isinstance(networks, str) or not isinstance(networks, Sequence):  # as `nn.Sequential` is none
        return [name_of(networks)]
    return [name_of(network) for network in networks]
