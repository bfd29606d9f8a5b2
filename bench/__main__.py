"""`python -m bench` is `bench`."""

from __future__ import annotations

from bench.cli.app import main

if __name__ == "__main__":
    main()
