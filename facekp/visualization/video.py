"""Writing videos frame by frame."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from facekp.core.errors import ConfigError, FacekpError
from facekp.core.geometry import Size

VIDEO_SUFFIXES = (".mp4", ".gif")


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

    Raises:
        ConfigError: another suffix, or the video extra is missing.
        FacekpError: the file cannot be written.
    """

    def __init__(self, path: str | Path, size: Size, fps: float) -> None:
        try:
            import av
        except ImportError as error:
            raise ConfigError(
                "writing a video needs the video extra: pip install 'facekp[video]'"
            ) from error
        self.path = Path(path)
        suffix = self.path.suffix.lower()
        if suffix not in VIDEO_SUFFIXES:
            raise ConfigError(f"{path}: choose a name that ends in {' or '.join(VIDEO_SUFFIXES)}")
        is_gif = suffix == ".gif"
        height, width = size
        self._more = (height % 2, width % 2) if not is_gif else (0, 0)
        self._av, self._number = av, 0
        self._scratch = self.path.with_name(f".{self.path.stem}.part{suffix}")
        if is_gif:
            fps = min(fps, 50)  # its clock has 1/100 s, and players do not show frames of one tick
        rate = Fraction(fps).limit_denominator(1001)
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
        self._palettes = _palette_filter(av, size, 1 / rate) if is_gif else None

    def write(self, frame: np.ndarray) -> None:
        """Add a frame (height, width, 3) uint8 RGB."""
        if any(self._more):
            frame = np.pad(frame, ((0, self._more[0]), (0, self._more[1]), (0, 0)), mode="edge")
        picture = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        picture.pts, self._number = self._number, self._number + 1
        if self._palettes is not None:
            self._palettes.push(picture)
            picture = self._palettes.pull()
        else:
            picture = picture.reformat(format="yuv420p", dst_colorspace="ITU709")
        self._encode(picture)

    def _encode(self, picture: Any) -> None:
        try:
            self._file.mux(self._stream.encode(picture))
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
                self._file.close()
                self._scratch.replace(self.path)
            else:
                self._file.close()
        finally:
            self._scratch.unlink(missing_ok=True)


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
