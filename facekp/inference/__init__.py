"""Trained networks on photos: detectors, predictor, test-time augmentation, backends."""
