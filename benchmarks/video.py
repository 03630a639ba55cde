"""Videos: speed, jitter, lag, faces that leave and cross, memory.

    python -m benchmarks.video [--before CHECKOUT] [--hour]

Clips are made of a portrait and a group photo of `FACEKP_DATA_DIR` (drawn faces without it), with
sensor noise of 2 grey levels. Each is given to `predict.py` of this checkout and of `--before`, one
after the other. Jitter is the standard deviation of the points' second difference in time; lag is
the slope of the points' error over the velocity of a pan to and fro. `--hour` also reads an hour of
video and reports its memory.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

import av
import cv2
import numpy as np
import pandas as pd
import psutil

from benchmarks.common import ROOT, show
from facekp.core.image import read_image
from facekp.data.synthetic import draw_ibug_face
from facekp.visualization.video import VideoWriter

FPS = 25.0
NOISE = 2.0
EYES = (36, 45)
SLOW, FAST = 1.0, 8.0
"""Pixels per frame of the pans."""
SPEED = {"640x480": (480, 640), "1280x720": (720, 1280)}
FRAMES = 300


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", type=Path, help="an installed checkout to compare with")
    parser.add_argument("--hour", action="store_true", help="read an hour of video, too")
    arguments = parser.parse_args()
    trees = {"now": ROOT} | ({"before": arguments.before.resolve()} if arguments.before else {})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        show("video_speed", [row for size in SPEED for row in speed(folder, size, trees)])
        show("video_steadiness", [steadiness(folder, *tree) for tree in trees.items()])
        show("video_faces", [coming_and_going(folder, *tree) for tree in trees.items()])
        if arguments.hour:
            show("video_hour", [an_hour(folder)])


def portrait() -> np.ndarray:
    """A photo (H, W, 3) of one face."""
    photo = Path(os.environ.get("FACEKP_DATA_DIR", ".")) / "photos/169346774.jpg"
    return read_image(photo) if photo.is_file() else draw_ibug_face(3, 0)[0]


def group() -> np.ndarray:
    """A photo (H, W, 3) of three faces."""
    photo = Path(os.environ.get("FACEKP_DATA_DIR", ".")) / "photos/2406586388.jpg"
    if photo.is_file():
        return read_image(photo)
    faces = [cv2.resize(draw_ibug_face(number, 0)[0], (400, 440)) for number in range(3)]
    return np.concatenate(faces, axis=1)


def write(path: Path, frame: Callable[[int], np.ndarray], count: int) -> Path:
    """Write a clip of `frame(0)` to `frame(count - 1)`, with noise."""
    rng = np.random.default_rng(0)
    first = frame(0)
    with VideoWriter(path, first.shape[:2], FPS) as video:
        for number in range(count):
            pixels = frame(number) + rng.normal(0, NOISE, first.shape)
            video.write(np.clip(pixels, 0, 255).astype(np.uint8))
    return path


def shifted(
    photo: np.ndarray, size: tuple[int, int], scale: float, at: Callable[[int], float]
) -> Callable[[int], np.ndarray]:
    """Frames that show the middle of a photo, moved to the right by `at(number)` pixels."""
    height, width = photo.shape[:2]
    small = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    left = (size[1] - width * scale) / 2
    top = (size[0] - height * scale) / 2

    def frame(number: int) -> np.ndarray:
        matrix = np.array([[1.0, 0, left + at(number)], [0, 1, top]])
        flags, border = cv2.INTER_CUBIC, cv2.BORDER_REPLICATE
        return cv2.warpAffine(small, matrix, size[::-1], flags=flags, borderMode=border)

    return frame


def predict(tree: Path, clip: Path, output: Path, *more: str) -> tuple[pd.DataFrame, float]:
    """`predictions.csv` of a checkout's `predict.py`, and its seconds."""
    command = [str(tree / ".venv/bin/python"), "predict.py", f"input={clip}", f"output={output}"]
    begin = perf_counter()
    subprocess.run([*command, *more], cwd=tree, check=True, capture_output=True)
    return pd.read_csv(output / "predictions.csv"), perf_counter() - begin


def speed(folder: Path, size: str, trees: dict[str, Path]) -> list[dict[str, object]]:
    """Frames per second on two photos, drawn and written, start excluded."""
    rows: list[dict[str, object]] = []
    for what, photo in (("1 face", portrait()), ("3 faces", group())):
        height, width = SPEED[size]
        scale = min(height / photo.shape[0], width / photo.shape[1])
        view = shifted(photo, (height, width), scale, lambda number: 5 * np.sin(number / 20))
        clips = {n: write(folder / f"{n}.mp4", view, n) for n in (10, FRAMES)}
        for name, tree in trees.items():
            seconds = {n: predict(tree, clip, folder / "out")[1] for n, clip in clips.items()}
            rate = (FRAMES - 10) / (seconds[FRAMES] - seconds[10])
            rows.append({"video": f"{size}, {what}", "checkout": name, "frames/s": rate})
    for row in rows:
        before = [r for r in rows if r["video"] == row["video"] and r["checkout"] == "before"]
        if before:
            row["times before"] = row["frames/s"] / before[0]["frames/s"]  # type: ignore[operator]
    return rows


def steadiness(folder: Path, name: str, tree: Path) -> dict[str, object]:
    """Jitter of a still and a slowly panned face, lag of a fast pan."""
    photo, size = portrait(), (480, 640)
    scale = 480 / photo.shape[0]

    def to_and_fro(speed: float, span: int) -> Callable[[int], float]:
        """A pan that turns back after `span` frames."""
        return lambda n: speed * (span / 2 - abs(n % (2 * span) - span))

    row: dict[str, object] = {"checkout": name}
    still = write(folder / "still.mp4", shifted(photo, size, scale, lambda _: 0.0), 100)
    row["jitter still %"] = jitter(points(predict(tree, still, folder / "out")[0]))
    pan = shifted(photo, size, scale, lambda n: SLOW * (n - 50))
    slow = write(folder / "slow.mp4", pan, 100)
    row["jitter slow pan %"] = jitter(points(predict(tree, slow, folder / "out")[0]))
    at = to_and_fro(FAST, 20)
    fast = write(folder / "fast.mp4", shifted(photo, size, scale, at), 200)
    found = points(predict(tree, fast, folder / "out")[0])
    row["lag fast pan ms"] = lag(found, np.array([at(n) for n in range(200)]))
    return row


def points(table: pd.DataFrame) -> np.ndarray:
    """Points (frames, K, 2) of the face that is first in each frame."""
    first = table.drop_duplicates("frame").sort_values("frame")
    columns = [column for k in range(68) for column in (f"x{k}", f"y{k}")]
    return first[columns].to_numpy().reshape(-1, 68, 2)


def jitter(found: np.ndarray) -> float:
    """Standard deviation of the second difference, % of the eye distance; the start left out."""
    eyes = np.linalg.norm(found[:, EYES[0]] - found[:, EYES[1]], axis=1).mean()
    return float(100 * np.diff(found[20:], n=2, axis=0).std() / eyes)


def lag(found: np.ndarray, shift: np.ndarray) -> float:
    """Milliseconds by which points follow a known movement."""
    velocity = np.gradient(shift)
    steady = np.abs(np.gradient(velocity)) < 1e-9  # not where it turns
    error = found[:, :, 0].mean(axis=1) - shift
    slope = np.polyfit(velocity[steady][10:], error[steady][10:], 1)[0]
    return float(-1000 * slope / FPS)


def coming_and_going(folder: Path, name: str, tree: Path) -> dict[str, object]:
    """A face that leaves and comes back; two that cross, one in front of the other."""
    gone, back, end = 40, 100, 140
    empty = np.full((480, 640, 3), 120, np.uint8)
    face = cv2.resize(draw_ibug_face(3, 0)[0], (300, 320))

    def visit(number: int) -> np.ndarray:
        frame = empty.copy()
        if number < gone or number >= back:
            frame[80:400, 170:470] = face
        return frame

    table, _ = predict(tree, write(folder / "visit.mp4", visit, end), folder / "out")
    frames = table["frame"].to_numpy() - 1
    away = frames[(frames >= gone) & (frames < back)]
    again = frames[frames >= back]
    row: dict[str, object] = {
        "checkout": name,
        "gone after": int(away.max() - gone + 1) if len(away) else 0,
        "found after": int(again.min() - back) if len(again) else end,
    }
    pictures = [cv2.resize(draw_ibug_face(number, 0)[0], (180, 190)) for number in (3, 8)]

    def at(who: int, number: int) -> int:
        return 20 + 4 * number if who == 0 else 440 - 4 * number

    def cross(number: int) -> np.ndarray:
        frame = empty.copy()
        for who in (1, 0):
            left = at(who, number)
            frame[140:330, left : left + 180] = pictures[who]
        return frame

    table, _ = predict(tree, write(folder / "cross.mp4", cross, 105), folder / "out")
    middle = table[[f"x{k}" for k in range(68)]].mean(axis=1)
    distances = [
        [abs(x - at(who, int(frame) - 1) - 90) for who in (0, 1)]
        for x, frame in zip(middle, table["frame"], strict=True)
    ]
    table = table[["face", "frame"]].assign(who=np.argmin(distances, axis=1))
    apart = table[(table["frame"] < 42) | (table["frame"] > 65)]
    swaps = sum(
        int(first != second)
        for _, track in apart.sort_values("frame").groupby("face")
        for first, second in pairwise(track["who"])
    )
    return row | {"numbers of two that cross": table["face"].nunique(), "swaps": swaps}


def an_hour(folder: Path) -> dict[str, object]:
    """Memory while an hour of video is read, tracked, drawn and written."""
    photo, size = portrait(), (240, 320)
    view = shifted(photo, size, 240 / photo.shape[0], lambda number: 5 * np.sin(number / 20))
    short = write(folder / "minute.mp4", view, 1500)
    hour = folder / "hour.mp4"
    with av.open(str(short)) as source, av.open(str(hour), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        demuxed: Any = source.demux(video=0)
        packets = [packet for packet in demuxed if packet.dts is not None]
        duration = 60 / float(packets[0].time_base)
        for _ in range(60):
            for packet in packets:
                packet.stream = stream
                target.mux(packet)
                packet.pts, packet.dts = packet.pts + duration, packet.dts + duration
    command = [str(ROOT / ".venv/bin/python"), "predict.py", f"input={hour}"]
    process = subprocess.Popen(
        [*command, f"output={folder}/out"], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    watched, begin = psutil.Process(process.pid), perf_counter()
    memory: list[float] = []
    while process.poll() is None:
        memory.append(watched.memory_info().rss / 2**20)
        time.sleep(1)
    third = len(memory) // 3
    rows = pd.read_csv(folder / "out/predictions.csv", usecols=["frame"])
    return {
        "frames": rows["frame"].nunique(),
        "minutes": (perf_counter() - begin) / 60,
        "MB, second third": float(np.median(memory[third : 2 * third])),
        "MB, last third": float(np.median(memory[2 * third :])),
        "MB at most": max(memory),
    }


if __name__ == "__main__":
    main()
