"""Networks: images in, normalised keypoints out; they know nothing of Lightning or Hydra.

A new one is a `KeypointNetwork` in a file of its own here, and a file in `conf/model/`.
"""
