"""The version of facekp, its only source."""

__version__ = "0.2.0"
