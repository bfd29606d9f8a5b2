"""Layer patterns, the grammar of the lectures: `_language` reads and writes them, `network` builds them."""

from bench.archs.pattern._language import fit_warnings, parse

__all__ = ["fit_warnings", "parse"]
