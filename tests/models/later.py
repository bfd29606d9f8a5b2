"""A sibling of good.py that is imported when a network is built."""

from __future__ import annotations

from torch import nn


class Layer(nn.Identity):
    """A layer."""
