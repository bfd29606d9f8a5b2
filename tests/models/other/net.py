"""In another folder, with a sibling that has the same name as one of good.py's."""

from __future__ import annotations

from layers import Other as Net

__all__ = ["Net"]
