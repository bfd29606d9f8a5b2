"""Executors: where calls run. One file each; `bench.execution.EXECUTORS` finds them."""
