"""The reading half: frames of records, statistics, comparisons. Never imports torch."""
