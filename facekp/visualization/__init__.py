"""Overlays, charts, network inspection, video, morphs and reports."""
