"""Face detectors, one per module; a package of one's own may hold another."""

from facekp.inference.detectors.base import Detections, Detector
from facekp.inference.detectors.centerface import CenterFaceDetector
from facekp.inference.detectors.dlib import DlibDetector
from facekp.inference.detectors.whole_image import WholeImage
from facekp.inference.detectors.yunet import YuNetDetector

__all__ = [
    "POINTS_PRIORS",
    "CenterFaceDetector",
    "Detections",
    "Detector",
    "DlibDetector",
    "WholeImage",
    "YuNetDetector",
]

POINTS_PRIORS = {
    detector.name: detector.points_prior
    for detector in (WholeImage, YuNetDetector, DlibDetector, CenterFaceDetector)
}
"""`Detector.points_prior` by the detector's name."""
