"""Reading videos frame by frame."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from facekp.core.errors import ConfigError, DataError

_REMEDY = "convert it to mp4"
_LISTS = {"concat", "hls", "dash", "imf", "sdp"}
"""Formats of files that name others, which would be read in their place."""
_INTERLEAVED = 2
"""Seconds by which the tracks of a recording can be apart where they are in the file."""


@dataclass(frozen=True, eq=False)
class Frame:
    """A frame of a video.

    Args:
        number: from 1, counted from the beginning of the file.
        seconds: time from the beginning of the video.
        pixels: (H, W, 3) uint8 RGB, upright.
    """

    number: int
    seconds: float
    pixels: np.ndarray


def check_frames(every: int, start: float, end: float | None) -> None:
    """Check which frames of a video are chosen, see `VideoReader`.

    Raises:
        ConfigError: a setting out of range.
    """
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        raise ConfigError(f"every={every}: give a whole number, at least 1")
    limits = {"start": start} if end is None else {"start": start, "end": end}
    for name, value in limits.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (number and 0 <= value < math.inf):
            raise ConfigError(f"{name}={value}: give seconds from the beginning")
    if end is not None and end <= start:
        raise ConfigError(f"end={end}: give more than start={start}")


class VideoReader:
    """Frames of a video: phone videos upright, at the times that the file states, also variable.

        with VideoReader("clip.mp4", every=5) as video:
            for frame in video:
                print(frame.number, frame.seconds, frame.pixels.shape)

    Of several video tracks the one that players choose is read. Frames that cannot be decoded are
    left out, see `damaged`.

    Args:
        path: the file.
        every: give each n-th frame.
        start: seconds from which frames are given.
        end: seconds at which they end; None: at the end of the video.

    Raises:
        ConfigError: a setting out of range, or the video extra is missing.
        DataError: not a video.
    """

    def __init__(
        self, path: str | Path, every: int = 1, start: float = 0.0, end: float | None = None
    ) -> None:
        check_frames(every, start, end)
        try:
            import av
        except ImportError as error:
            raise ConfigError(
                "reading a video needs the video extra: pip install 'facekp[video]'"
            ) from error
        self.path, self.every, self.start, self.end = Path(path), every, float(start), end
        self._error: Any = av.error.FFmpegError
        try:
            # A relative name with a colon would be a protocol's to FFmpeg.
            self._file: Any = av.open(str(self.path.absolute()))
        except (self._error, OSError, ValueError) as error:
            raise DataError(path, "not a video that can be decoded", _REMEDY) from error
        if _LISTS & set(self._file.format.name.split(",")):
            self._file.close()
            raise DataError(path, "a list of other files", "give a video")
        best: Any = self._file.streams.best("video")
        if best is None:
            self._file.close()
            raise DataError(path, "it has no video track", "give a video")
        best.thread_type = "AUTO"
        self.stream = best
        self.time_base: Fraction = self.stream.time_base or Fraction(1, 90000)
        self.damaged = 0
        """Packets that could not be decoded."""
        self.frames_read = 0
        """Frames that were decoded or passed over."""
        self._clock, self._last, self._quarters = _Clock(), 0.0, 0

    @property
    def rate(self) -> Fraction:
        """Frames per second, on average."""
        return self.stream.average_rate or self.stream.guessed_rate or Fraction(25)

    @property
    def audio(self) -> list[Any]:
        """The audio tracks, as PyAV's streams."""
        return list(self._file.streams.audio)

    @property
    def stated_frames(self) -> int | None:
        """Number of frames by the track's header, which may be wrong; None if it does not say."""
        if self.stream.frames:
            return int(self.stream.frames)
        if self.stream.duration:
            return round(float(self.stream.duration * self.time_base * self.rate))
        return None

    @property
    def pixel_aspect(self) -> Fraction | None:
        """Width of an upright frame's pixel over its height; None if the file does not say."""
        aspect = self.stream.sample_aspect_ratio
        return 1 / aspect if aspect and self._quarters % 2 else aspect or None

    @property
    def expected_frames(self) -> int | None:
        """About how many frames are given; None if the header does not say."""
        total, rate = self.stated_frames, float(self.rate)
        if total is None and self._file.duration is not None:  # of the longest track
            total = round(self._file.duration / 1e6 * rate)
        if total is None:
            return None
        last = total if self.end is None else min(total, self.end * rate)
        return max(0, round((last - self.start * rate) / self.every))

    def __iter__(self) -> Iterator[Frame]:
        """The frames in order; what follows a damage is read as far as it can be."""
        return self.with_audio(False)

    def with_audio(self, audio: bool = True) -> Iterator[Any]:
        """The frames, and between them the packets of the audio tracks in the same span."""
        streams = [self.stream, *(self.audio if audio else ())]
        for packet in self._from_start(self._packets(streams)):
            if packet.stream is not self.stream:
                if self._is_wanted(packet):
                    yield packet
                continue
            for frame in self._decode(packet):
                self.frames_read += 1
                seconds = self._seconds(frame)
                if self.end is not None and seconds >= self.end:
                    return
                chosen = (self.frames_read - 1) % self.every == 0
                if chosen and seconds >= self.start - 1e-6:
                    yield Frame(self.frames_read, seconds, self._upright(frame))
        if not self.frames_read:
            raise DataError(self.path, "not a video that can be decoded", _REMEDY)

    def _from_start(self, packets: Iterator[Any]) -> Iterator[Any]:
        """Packets from the last key frame before the start on; those before it are only counted."""
        waiting: list[Any] = []
        # A second early: frames are shown in another order than they are stored in.
        first = self._origin() + (self.start - 1) / self.time_base
        for packet in packets:
            if packet.stream is not self.stream:
                yield packet
                continue
            if packet.is_keyframe:
                self.frames_read += len(waiting)
                waiting = []
            waiting.append(packet)
            time = packet.dts if packet.pts is None else packet.pts
            if self.start == 0 or time is None or time >= first:
                break
        yield from waiting
        yield from packets

    def _packets(self, streams: list[Any]) -> Iterator[Any]:
        packets = self._file.demux(*streams)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except self._error:  # the tail of the file is broken
                self.damaged += 1
                return
            self._clock.correct(packet, 1 / self.rate)
            yield packet

    def _decode(self, packet: Any) -> list[Any]:
        try:
            return packet.decode()
        except self._error:
            self.damaged += 1
            return []

    def _origin(self) -> int:
        return self.stream.start_time or 0

    def _seconds(self, frame: Any) -> float:
        seconds = (self.frames_read - 1) / float(self.rate)
        if frame.pts is not None:
            seconds = float((frame.pts - self._origin()) * (frame.time_base or self.time_base))
        self._last = max(seconds, self._last)
        return self._last

    def _is_wanted(self, packet: Any) -> bool:
        if packet.pts is None:
            return False
        start = self._origin() * self.time_base
        seconds = float(packet.pts * packet.time_base - start)
        return self.start <= seconds and (self.end is None or seconds < self.end)

    def _upright(self, frame: Any) -> np.ndarray:
        pixels = frame.to_ndarray(format="rgb24")
        self._quarters = round(frame.rotation / 90) % 4  # counterclockwise, by the display matrix
        return np.ascontiguousarray(np.rot90(pixels, self._quarters)) if self._quarters else pixels

    def origin_seconds(self) -> Fraction:
        """Time of the file's clock at which the video begins."""
        return self._origin() * self.time_base

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


@dataclass(eq=False)
class _Recording:
    """A part of a file whose clock runs through.

    Args:
        offset: seconds to add to its clock.
        seconds: its clock at its latest packet.
    """

    offset: Fraction
    seconds: Fraction


class _Clock:
    """Lets the clock of a file run on where it is set back, as where recordings were joined.

    Decoding times rise within a recording. The track that is first in the next one decides by how
    much all of that is shifted.
    """

    def __init__(self) -> None:
        self._newest = _Recording(Fraction(0), Fraction(0))
        self._tracks: dict[int, tuple[_Recording, Fraction]] = {}  # with their latest time
        self._end: Fraction | None = None  # of all frames and sound so far

    def correct(self, packet: Any, frame: Fraction) -> None:
        """Shift the times of a packet.

        Args:
            packet: the next one of the file.
            frame: duration of a frame, also of packets that do not state theirs.
        """
        recording = self._recording_of(packet, frame)
        shift = round(recording.offset / packet.time_base)
        if packet.dts is not None:
            packet.dts += shift
        if packet.pts is not None:
            packet.pts += shift
            length = (packet.duration or 0) * packet.time_base or frame
            end = packet.pts * packet.time_base + length
            self._end = end if self._end is None else max(self._end, end)

    def _recording_of(self, packet: Any, frame: Fraction) -> _Recording:
        """The recording that a packet belongs to: that of its track's latest packet, or a later."""
        recording, last = self._tracks.get(packet.stream.index, (self._newest, None))
        if packet.dts is None:
            return recording
        seconds = packet.dts * packet.time_base
        set_back = last is not None and seconds < last - 2 * frame  # less is only uneven
        distance = abs(seconds - self._newest.seconds)
        nearer = distance < abs(seconds - recording.seconds)
        if recording is not self._newest and distance < _INTERLEAVED and (set_back or nearer):
            recording = self._newest
        elif set_back and self._end is not None:
            start = packet.dts if packet.pts is None else packet.pts
            offset = self._end - start * packet.time_base
            recording = self._newest = _Recording(offset, seconds)
        recording.seconds = seconds
        self._tracks[packet.stream.index] = recording, seconds
        return recording
