"""Drawn faces: a random 3D model with exactly known points, and its painter."""
