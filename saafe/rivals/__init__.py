"""Simpler detectors on the same windows, for comparison."""
