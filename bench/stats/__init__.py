"""Statistics of plain numbers: samples, intervals, levels of variance, rank tests, effects, verdicts.

Nothing here knows a record, a job or a table; numbers come in as sequences and arrays, in the order they were taken.
"""
