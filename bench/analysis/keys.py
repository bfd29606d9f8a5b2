"""Keys: by which columns numbers are told apart, with `network` for the frame's `arch`."""

from __future__ import annotations

from bench.plan.task import INPUT

SHAPE = ["run", "network", *INPUT]
"""What was measured."""

VARIANT = ["device", "precision", "memory_format", "backend", "cudnn_benchmark", "threads"]
"""How it was run."""

WAY = [*SHAPE, *VARIANT]
"""What tells rows of a comparison apart."""

CEILING = ["run", "device", "precision", "threads"]
"""Of what a machine's ceilings are."""
