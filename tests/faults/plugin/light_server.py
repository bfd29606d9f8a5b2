"""What the fork server of the light executor imports."""

from bench.execution.executors._server import importing

with importing():
    import light_jobs  # noqa: F401
