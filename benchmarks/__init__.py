"""Measurements: `make bench` runs them all but the comparison of face detectors."""
