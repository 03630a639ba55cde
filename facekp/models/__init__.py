"""Networks: images in, normalised keypoints out; plain modules without Lightning or Hydra.

A new network is a `KeypointNetwork` in a module of its own here, and a file in `conf/model/`.
"""
