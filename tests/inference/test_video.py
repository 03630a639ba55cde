"""Reading videos."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facekp.core.errors import ConfigError, DataError
from facekp.inference.video import VideoReader

av = pytest.importorskip("av")


def write(path: Path, times: list[float], rotation: int = 0, audio: str = "") -> Path:
    """A video whose frames become brighter, a mark in the upper left, with a tone."""
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.options = {"crf": "10", "g": "10"}
        sound: Any = file.add_stream(audio, rate=16000, layout="mono") if audio else None
        if rotation:
            stream.set_display_rotation(rotation)
        for number, seconds in enumerate(times):
            pixels = np.full((64, 96, 3), 4 * number, np.uint8)
            pixels[:16, :16] = 255
            picture = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            picture.pts, picture.time_base = round(seconds * 1000), Fraction(1, 1000)
            file.mux(stream.encode(picture))
        file.mux(stream.encode(None))
        if sound is not None:
            wave = (8000 * np.sin(np.arange(16000) / 5)).astype(np.int16)[None]
            tone = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
            tone.sample_rate, tone.pts, tone.time_base = 16000, 0, Fraction(1, 16000)
            file.mux(sound.encode(tone))
            file.mux(sound.encode(None))
    return path


def test_frames_have_numbers_and_the_times_of_the_file(tmp_path: Path) -> None:
    times = [0, 0.04, 0.08, 0.5, 0.54, 1.2]
    with VideoReader(write(tmp_path / "a.mp4", times)) as video:
        frames = list(video)
        assert video.stated_frames == 6
    assert [frame.number for frame in frames] == [1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose([frame.seconds for frame in frames], times, atol=2e-3)
    assert [round(frame.pixels[40, 40, 0] / 4) for frame in frames] == [0, 1, 2, 3, 4, 5]


def test_every_start_and_end(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", [number / 25 for number in range(60)])
    with VideoReader(path, every=5) as video:
        assert [frame.number for frame in video] == list(range(1, 61, 5))
    with VideoReader(path, start=1.2, end=1.4) as video:
        frames = list(video)
        assert video.expected_frames == 5
    assert [frame.number for frame in frames] == [31, 32, 33, 34, 35]
    assert round(frames[0].pixels[40, 40, 0] / 4) == 30
    for settings in (dict(every=0), dict(start=-1), dict(start=2, end=1), dict(end="x")):
        with pytest.raises(ConfigError, match=next(iter(settings)) + "=|end="):
            VideoReader(path, **settings)  # type: ignore[arg-type]


def test_a_truncated_video_gives_what_is_there(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", [number / 25 for number in range(60)])
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    with VideoReader(path) as video:
        numbers = [frame.number for frame in video]
    assert 15 < len(numbers) < 60
    assert numbers == list(range(1, len(numbers) + 1))


def test_what_is_no_video_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(DataError, match="not a video"):
        VideoReader(tmp_path / "a.mp4")
    with av.open(str(tmp_path / "b.mp4"), "w") as file:
        sound: Any = file.add_stream("aac", rate=16000)
        tone = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        tone.sample_rate = 16000
        file.mux(sound.encode(tone))
        file.mux(sound.encode(None))
    with pytest.raises(DataError, match="no video track"):
        VideoReader(tmp_path / "b.mp4")


@pytest.mark.parametrize("rotation", [90, -90, 180])
def test_phone_videos_are_upright(tmp_path: Path, rotation: int) -> None:
    path = write(tmp_path / "a.mp4", [0, 0.04, 0.08], rotation)
    with VideoReader(path) as video:
        frames = list(video)
    plain = np.zeros((64, 96))
    plain[:16, :16] = 255
    expected = np.rot90(plain, rotation // 90)  # counterclockwise
    assert frames[0].pixels.shape[:2] == expected.shape
    assert np.abs(frames[0].pixels[..., 0] - expected).mean() < 8


def test_audio_of_the_same_span_comes_between_the_frames(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", [number / 25 for number in range(25)], audio="aac")
    with VideoReader(path, start=0.4, end=0.8) as video:
        assert len(video.audio) == 1
        items = list(video.with_audio())
    packets = [item for item in items if not hasattr(item, "pixels")]
    times = [float(packet.pts * packet.time_base) for packet in packets]
    assert 0.4 <= min(times) < 0.5
    assert 0.7 < max(times) < 0.8


def test_names_and_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("a.mp4"), [0, 0.04, 0.08]).rename("12:30.mp4")
    with VideoReader("12:30.mp4") as video:
        assert len(list(video)) == 3
    Path("list.mp4").write_text("ffconcat version 1.0\nfile 12:30.mp4\n")
    with pytest.raises(DataError, match=r"list\.mp4: (a list of other files|not a video)"):
        VideoReader("list.mp4")


def test_joined_recordings_run_on(tmp_path: Path) -> None:
    """Players show them one after the other, with their sound."""
    first = write(tmp_path / "a.ts", [number / 25 for number in range(50)], audio="aac")
    second = write(tmp_path / "b.ts", [number / 25 for number in range(25)], audio="aac")
    path = tmp_path / "joined.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes() + second.read_bytes())
    with VideoReader(path) as video:
        times = [frame.seconds for frame in video]
    np.testing.assert_allclose(times, np.arange(100) / 25, atol=2e-3)
    with VideoReader(path, start=2.4, end=2.8) as video:
        items = list(video.with_audio())
        start = float(video.origin_seconds())
    frames = [item for item in items if hasattr(item, "pixels")]
    assert [frame.number for frame in frames] == list(range(61, 71))
    assert [round(frame.pixels[40, 40, 0] / 4) for frame in frames] == list(range(10, 20))
    sound = [float(i.pts * i.time_base) - start for i in items if not hasattr(i, "pixels")]
    assert 2.4 <= min(sound) < 2.5
    assert 2.7 < max(sound) < 2.8


@pytest.mark.parametrize("length", [10, 50])
def test_joined_recordings_without_a_track(tmp_path: Path, length: int) -> None:
    """Each part keeps its pictures and its sound together, whatever the others have."""
    silent = write(tmp_path / "silent.ts", [number / 25 for number in range(length)])
    with_tone = write(tmp_path / "tone.ts", [number / 25 for number in range(length)], audio="aac")
    path = tmp_path / "joined.ts"
    path.write_bytes(with_tone.read_bytes() + silent.read_bytes() + with_tone.read_bytes())
    with VideoReader(path) as video:
        items = list(video.with_audio())
        start = float(video.origin_seconds())
    times = [item.seconds for item in items if hasattr(item, "pixels")]
    # The tone is of one second: it is longer than the pictures of the short parts.
    parts = [0, max(length / 25, 1.08), 0]
    parts[2] = parts[1] + length / 25
    expected = np.concatenate([np.arange(length) / 25 + part for part in parts])
    np.testing.assert_allclose(times, expected, atol=0.07)
    sound = [float(i.pts * i.time_base) - start for i in items if not hasattr(i, "pixels")]
    assert (np.diff(sound) > 0).all()
    assert min(abs(np.array(sound) - parts[2])) < 0.1


@pytest.mark.parametrize("fps", [1, 2, 5])
def test_slow_videos_are_one_recording(tmp_path: Path, fps: int) -> None:
    """Their first packets have no decoding times, and lie far apart."""
    path = write(tmp_path / "a.mkv", [number / fps for number in range(20)])
    with VideoReader(path) as video:
        times = [frame.seconds for frame in video]
    np.testing.assert_allclose(times, np.arange(20) / fps, atol=2e-3)


def test_uneven_times_do_not_shift_what_follows(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mkv", [number / 25 for number in range(20)])
    with VideoReader(path) as video:
        packets = video._packets

        def uneven(streams: list[Any]) -> Any:
            for packet in packets(streams):
                if packet.pts == 400:
                    packet.pts = 320
                yield packet

        video._packets = uneven  # type: ignore[method-assign]
        times = [frame.seconds for frame in video]
    assert (np.diff(times) >= 0).all()
    np.testing.assert_allclose(times[12:], np.arange(12, 20) / 25, atol=2e-3)
