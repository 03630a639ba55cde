"""Annotation file formats, one module each.

Each reader converts the pixel convention of its format to facekp's; nothing else knows about it.
"""
