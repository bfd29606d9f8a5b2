"""What somebody has written, checked."""

from __future__ import annotations

from pydantic import BaseModel


class Frozen(BaseModel, extra="forbid", frozen=True, allow_inf_nan=False):
    """What somebody has written: a key that is not known is an error."""
