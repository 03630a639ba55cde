"""Readers and writers, one module per annotation file format."""
