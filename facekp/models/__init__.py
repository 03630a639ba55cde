"""Networks: images (B, C, H, W) float in [-0.5, 0.5] in, normalised keypoints (B, K, 2) out.

A network is a plain `nn.Module` in a file of its own; its constructor takes `num_keypoints` and the
settings of its file in `conf/model/`. It knows nothing of Lightning or Hydra.
"""
