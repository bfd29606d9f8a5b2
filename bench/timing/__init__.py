"""Timing: what is measured with a clock, or from the device's own counters."""
