"""Benchmarks: `make bench` runs all except those of accuracy, detectors and stability."""
