"""Writing videos frame by frame."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from facekp.core.errors import ConfigError, FacekpError
from facekp.core.geometry import Size

WRITTEN_SUFFIXES = (".mp4", ".gif")
MAX_GIF_FPS = 50
"""A GIF's clock has 1/100 s, and players do not show frames of one tick."""
CLOCK = Fraction(1, 90000)
"""Time base of videos whose frames come with their times."""
AAC_RATES = (48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
"""Samples per second that AAC has, of those in use."""
IN_MP4 = ("aac", "mp3", "mp2", "ac3", "eac3", "alac", "opus")
"""Names of audio codecs that players expect in an `.mp4`."""


def written_fps(path: str | Path, fps: float) -> float:
    """Frames per second that a file of this name can have, at most `MAX_GIF_FPS` for a `.gif`."""
    return min(fps, MAX_GIF_FPS) if Path(path).suffix.lower() == ".gif" else fps


class VideoWriter:
    """Writes `.mp4` (H.264, which browsers play) or `.gif` in constant memory.

        with VideoWriter("morph.mp4", (720, 720), fps=25) as video:
            video.write(frame)

    The file appears when the block ends without an error.

    Args:
        path: the file.
        size: (height, width) of all frames; H.264 only has even sizes, so the last row or column
            of an `.mp4` of odd size is doubled.
        fps: frames per second; at most 50 for a `.gif`.
        timed: each frame comes with its time, so that the rate may vary; for an `.mp4`.
        audio: audio tracks (PyAV's streams) of another video, whose packets will be written, too;
            copied if an `.mp4` can hold them, otherwise converted to AAC.
        pixel_aspect: width of a pixel over its height; None: 1.

    Raises:
        ConfigError: another suffix, or the video extra is missing.
        FacekpError: the file cannot be written.
    """

    def __init__(
        self,
        path: str | Path,
        size: Size,
        fps: float,
        timed: bool = False,
        audio: Sequence[Any] = (),
        pixel_aspect: Fraction | None = None,
    ) -> None:
        try:
            import av
        except ImportError as error:
            raise ConfigError(
                "writing a video needs the video extra: pip install 'facekp[video]'"
            ) from error
        self.path = Path(path)
        suffix = self.path.suffix.lower()
        if suffix not in WRITTEN_SUFFIXES:
            choices = " or ".join(WRITTEN_SUFFIXES)
            raise ConfigError(f"{path}: choose a name that ends in {choices}")
        is_gif = suffix == ".gif"
        height, width = size
        self._more = (height % 2, width % 2) if not is_gif else (0, 0)
        self._av, self._number = av, 0
        # A relative name with a colon would be a protocol's to FFmpeg.
        self._scratch = self.path.absolute().with_name(f".{self.path.stem[:60]}.part{suffix}")
        rate = Fraction(written_fps(path, fps)).limit_denominator(1001)
        try:
            self._file: Any = av.open(str(self._scratch), "w")
        except OSError as error:
            raise FacekpError(f"{path}: cannot be written ({error.strerror})") from error
        self._stream: Any = self._file.add_stream("gif" if is_gif else "libx264", rate=rate)
        self._stream.width, self._stream.height = width + self._more[1], height + self._more[0]
        self._stream.pix_fmt = "pal8" if is_gif else "yuv420p"
        if not is_gif:
            self._stream.options = {"crf": "18", "preset": "veryfast"}
            # BT.709, stated explicitly: otherwise players guess it from the size of the picture.
            context = self._stream.codec_context
            context.colorspace = context.color_primaries = context.color_trc = 1
            context.color_range = 1
            if pixel_aspect is not None:
                context.sample_aspect_ratio = pixel_aspect
        self._time_base = CLOCK if timed else 1 / rate
        if timed:
            self._stream.codec_context.time_base = CLOCK
        self._palettes = _palette_filter(av, size, 1 / rate) if is_gif else None
        self._audio: dict[int, _AudioTrack] = {}
        for track in audio:
            try:
                self._audio[track.index] = _AudioTrack(av, self._file, track)
            except ValueError as error:
                print(f"{path}: {error}; it is left out")

    def write(self, frame: np.ndarray, seconds: float | None = None) -> None:
        """Add a frame.

        Args:
            frame: (height, width, 3) uint8 RGB.
            seconds: its time, if the video is `timed`; not before that of the frame before.
        """
        if any(self._more):
            frame = np.pad(frame, ((0, self._more[0]), (0, self._more[1]), (0, 0)), mode="edge")
        picture = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        if seconds is not None:  # no two frames may have the same time
            self._number = max(self._number, round(seconds / self._time_base))
        picture.pts, self._number = self._number, self._number + 1
        picture.time_base = self._time_base
        if self._palettes is not None:
            self._palettes.push(picture)
            picture = self._palettes.pull()
        else:
            picture = picture.reformat(format="yuv420p", dst_colorspace="ITU709")
        self._encode(picture)

    def write_audio(self, packet: Any, shift: Fraction) -> None:
        """Add a packet of one of the audio tracks, `shift` seconds later than it says.

        A track that cannot be written is left out from there on, with a message.
        """
        index = packet.stream.index
        if index not in self._audio:
            return
        try:
            self._file.mux(self._audio[index].packets(packet, shift))
        except ValueError as error:  # FFmpeg's "invalid argument", from codec or container
            print(f"{self.path}: audio track {index} ends here: {error}")
            del self._audio[index]
        except OSError as error:
            raise FacekpError(f"{self.path}: cannot be written ({error.strerror})") from error

    def _encode(self, picture: Any) -> None:
        try:
            self._file.mux(self._stream.encode(picture))
        except OSError as error:
            raise FacekpError(f"{self.path}: cannot be written ({error.strerror})") from error

    def _end(self) -> None:
        try:
            for track in self._audio.values():
                self._file.mux(track.rest())
            self._file.close()
        except OSError as error:
            raise FacekpError(f"{self.path}: cannot be written ({error.strerror})") from error

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._encode(None)
                self._end()
                self._scratch.replace(self.path)
            else:
                self._file.close()
        finally:
            self._scratch.unlink(missing_ok=True)


class _AudioTrack:
    """An audio track of another file in an `.mp4`.

    Raises:
        ValueError: it cannot be decoded.
    """

    def __init__(self, av: Any, file: Any, track: Any) -> None:
        context = track.codec_context
        if context is None or not context.sample_rate:
            raise ValueError(f"audio track {track.index}: its codec is unknown")
        self._encoder: Any = None
        self._error = av.error.FFmpegError
        try:
            if context.codec.canonical_name not in IN_MP4:
                raise ValueError
            self._stream = file.add_stream_from_template(track)
        except ValueError:
            self._rate = context.sample_rate if context.sample_rate in AAC_RATES else 48000
            layout = {1: "mono"}.get(context.layout.nb_channels, "stereo")
            self._encoder = self._stream = file.add_stream("aac", rate=self._rate, layout=layout)
            self._resampler = av.AudioResampler("fltp", layout, self._rate)
            self._time_base, self._samples = Fraction(1, self._rate), -1

    def packets(self, packet: Any, shift: Fraction) -> list[Any]:
        """What to write for a packet of the other file.

        Args:
            packet: of the track.
            shift: seconds by which it is moved.
        """
        if self._encoder is None:
            offset = round(shift / packet.time_base)
            packet.pts += offset
            packet.dts = packet.pts if packet.dts is None else packet.dts + offset
            packet.stream = self._stream
            return [packet]
        try:
            frames = packet.decode()
        except self._error:  # a damage of some milliseconds
            return []
        if (
            self._samples < 0 and frames
        ):  # from there on samples are counted: packets' times are coarse
            self._samples = max(0, round((packet.pts * packet.time_base + shift) * self._rate))
        return [encoded for frame in frames for encoded in self._encoded(frame)]

    def _encoded(self, frame: Any) -> list[Any]:
        frame.pts = None
        return self._encoded_parts(self._resampler.resample(frame))

    def _encoded_parts(self, parts: Sequence[Any]) -> list[Any]:
        packets = []
        for part in parts:
            part.pts, part.time_base = self._samples, self._time_base
            self._samples += part.samples
            packets += self._encoder.encode(part)
        return packets

    def rest(self) -> list[Any]:
        """What is still to be written at the end."""
        if self._encoder is None or self._samples < 0:
            return []
        rest = self._encoded_parts(self._resampler.resample(None))
        return [*rest, *self._encoder.encode(None)]


def _palette_filter(av: Any, size: Size, time_base: Fraction) -> Any:
    """A filter that chooses 256 colours per frame.

    ffmpeg's single palette would have to see all frames first.
    """
    height, width = size
    graph = av.filter.Graph()
    source = graph.add_buffer(width=width, height=height, format="rgb24", time_base=time_base)
    split, make = graph.add("split"), graph.add("palettegen", "stats_mode=single")
    use, sink = graph.add("paletteuse", "new=1:dither=sierra2_4a"), graph.add("buffersink")
    source.link_to(split)
    split.link_to(use, 0, 0)
    split.link_to(make, 1, 0)
    make.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    return graph
