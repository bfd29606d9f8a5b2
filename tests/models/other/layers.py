"""Not the layers.py of good.py."""

from __future__ import annotations

from torch import nn


class Other(nn.Module):
    """A network."""
