"""Imports a module that is not there."""

from __future__ import annotations

import a_module_that_is_not_installed  # noqa: F401
