"""Data: annotation formats, data sets, data modules, splits, cache, augmentation, audit.

A new data set is a `FaceDataModule` in a module of its own here, and a file in `conf/dataset/`.
"""
