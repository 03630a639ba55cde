"""Predicting keypoints on a video, and writing a copy with the points."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from fractions import Fraction
from pathlib import Path
from typing import Any

from facekp.core.background import Behind, ahead
from facekp.core.landmarks import LandmarkScheme
from facekp.inference.faces import Faces
from facekp.inference.tracking import FaceTracker
from facekp.inference.video import Frame, VideoReader
from facekp.visualization.overlay import draw_faces
from facekp.visualization.video import VideoWriter

_QUEUE = 8
"""Frames that wait between the threads."""


def predict_video(
    tracker: FaceTracker, reader: VideoReader, drawn: Path | None
) -> Iterator[tuple[Frame, Faces]]:
    """The frames of a video with their faces; a copy with its sound has their points drawn on it.

    Frames are decoded, and drawn and encoded, in threads beside this one; few are in memory.

    Args:
        tracker: finds the faces.
        reader: of the video.
        drawn: `.mp4` of the copy; None: none is written.

    Raises:
        DataError: not a video.
        FacekpError: the copy cannot be written.
    """
    tracks = reader.audio if drawn is not None else []
    shift = -reader.origin_seconds() - Fraction(reader.start)
    scheme = tracker.predictor.output_scheme
    writer: VideoWriter | None = None
    later: Behind | None = None
    sound: list[Any] = []  # before the first frame
    with ExitStack() as stack:
        items = stack.enter_context(closing(ahead(reader.with_audio(bool(tracks)), _QUEUE)))
        for item in items:
            if not isinstance(item, Frame):
                if writer is None or later is None:
                    sound.append(item)
                else:
                    later(writer.write_audio, item, shift)
                continue
            faces = tracker(item.pixels, item.seconds)
            if drawn is not None:
                if writer is None or later is None:
                    size, rate = item.pixels.shape[:2], float(reader.rate) / reader.every
                    aspect = reader.pixel_aspect
                    copy = VideoWriter(drawn, size, rate, True, tracks, aspect)
                    writer = stack.enter_context(copy)
                    later = stack.enter_context(Behind(_QUEUE))
                    for packet in sound:
                        later(writer.write_audio, packet, shift)
                later(_write, writer, item, faces, scheme, item.seconds - reader.start)
            yield item, faces


def _write(
    writer: VideoWriter, frame: Frame, faces: Faces, scheme: LandmarkScheme, seconds: float
) -> None:
    writer.write(draw_faces(frame.pixels, faces, scheme), seconds)
