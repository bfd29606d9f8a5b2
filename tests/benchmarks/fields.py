"""Receptive fields against gradients: the unit in the middle of many layers, of all torchvision's classifiers and more.

    python tests/benchmarks/fields.py [--layers N] [PATTERN ...]

Without a pattern, torchvision's 80, and of timm, where it is installed, the smallest network of each family. Images are
tall and narrow, for large fields to fit in, where a network takes them. Each line says of how many calls of modules a
bounded field is claimed, how many were compared, what differs, and what is not known, by the operator's name. None may
differ: the exit code is 1 otherwise.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent))

from gradients import Comparison, compare

from bench.archs.naming import expand_names, resolve

TALL = (512, 96)


def families() -> list[str]:
    """Return the name of the network with the fewest parameters, by name alone the first, of each of timm's families."""
    try:
        from timm.models import list_models, list_modules
    except ImportError:
        return []
    members = (list_models(module=module) for module in list_modules())
    return [f"timm:{min(models, key=_guess)}" for models in members if models]


def _guess(name: str) -> tuple[bool, int, str]:
    small = (
        "test",
        "atto",
        "femto",
        "pico",
        "nano",
        "tiny",
        "small",
        "_s",
        "_t",
        "18",
        "xxs",
        "xs",
        "b0",
        "050",
    )
    return not any(word in name for word in small), len(name), name


def fields(name: str, layers: int) -> tuple[str, Comparison]:
    """Compare a network on a tall image, or on its own size where it takes no other."""
    arch = resolve(name)
    try:
        return "×".join(map(str, TALL)), compare(arch, (1, arch.card.in_channels, *TALL), layers)
    except Exception:
        return "own size", compare(arch, None, layers)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("patterns", nargs="*")
    parser.add_argument("--layers", type=int, default=6)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    names = (
        expand_names(arguments.patterns)
        if arguments.patterns
        else [*expand_names(["torchvision:*"]), *families()]
    )
    compared = differing = failing = 0
    for name in names:
        start = time.perf_counter()
        try:
            shape, found = fields(name, arguments.layers)
        except Exception as error:
            failing += 1
            print(
                f"{name:42} not compared: {type(error).__name__}: {str(error).splitlines()[:1]}", flush=True
            )
            continue
        compared += found.compared
        differing += bool(found.differences)
        seconds = time.perf_counter() - start
        print(
            f"{name:42} {shape:>8}  local {found.local:4}  compared {found.compared:3}  "
            f"differing {len(found.differences)}  {seconds:5.1f} s",
            flush=True,
        )
        for layer, text in found.differences.items():
            print(f"    {layer}: {text}")
        for reason, calls in found.unknown.items():
            print(f"    not known of {calls} calls: {reason}")
    print(
        f"{len(names)} networks, {compared} layers compared; {differing} networks differ, {failing} not compared"
    )
    return int(differing > 0)


if __name__ == "__main__":
    sys.exit(main())
