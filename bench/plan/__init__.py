"""What to do: an experiment file becomes a tuple of jobs."""
