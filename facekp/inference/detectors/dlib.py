"""dlib's face detector."""

from __future__ import annotations

from threading import Lock

import numpy as np

from facekp.core.errors import ConfigError
from facekp.core.geometry import box_from_ltwh
from facekp.inference.detectors.base import Detections, Detector, check_max_side, downscaled


class DlibDetector(Detector):
    """dlib's frontal face detector (D. E. King, "Max-margin object detection", 2015).

    iBUG's boxes in dlib's packaging come from it.

    Args:
        upsample: number of times that the photo is doubled first; once finds faces from 40 px on.
        threshold: lowest score.
        max_side: longer photos are downscaled to it for detection.

    Raises:
        ConfigError: dlib is not installed, or a setting is out of range.
    """

    name = "dlib"
    # Medians over every 14th training face of iBUG that it finds (`benchmarks/detectors.py`).
    points_prior = (0.010, 0.094, 0.952, 0.944)
    remedy = "detector.upsample=2 finds smaller faces, detector=yunet more turned ones"

    def __init__(self, upsample: int = 1, threshold: float = 0.0, max_side: int = 1600) -> None:
        if not isinstance(upsample, int) or not 0 <= upsample <= 4:
            raise ConfigError(f"detector.upsample={upsample}: give a whole number from 0 to 4")
        if not isinstance(threshold, int | float):
            raise ConfigError(f"detector.threshold={threshold}: give a number, e.g. 0 or -0.5")
        check_max_side(max_side)
        try:
            import dlib
        except ImportError as error:
            raise ConfigError(
                "detector=dlib needs the detect extra: pip install 'facekp[detect]'; "
                "detector=yunet needs nothing"
            ) from error
        self.detector = dlib.get_frontal_face_detector()
        self.upsample, self.threshold, self.max_side = upsample, threshold, max_side
        self._lock = Lock()  # its buffers belong to the object: two calls at once crash

    def __call__(self, image: np.ndarray) -> Detections:
        """Faces of a photo (H, W, 3) uint8 RGB."""
        image, scale = downscaled(image, self.max_side)
        with self._lock:
            rectangles, scores, _ = self.detector.run(image, self.upsample, self.threshold)
        boxes = [box_from_ltwh(r.left(), r.top(), r.width(), r.height()) for r in rectangles]
        return Detections(
            (np.array(boxes).reshape(-1, 4) + 0.5) / scale - 0.5, np.array(scores, dtype=float)
        )
