"""Tasks: one file each, with what a block may give, how its jobs run, how long they take and what comes of it.

The public modules are read by both halves: torch, and whatever imports it, they import only where a job runs. What
several tasks share there is in the modules whose names begin with an underscore.
"""
