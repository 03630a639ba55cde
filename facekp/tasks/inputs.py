"""Finding the photos and videos that a user names."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from facekp.core.errors import ConfigError

PHOTO_SUFFIXES = {
    ".jpg", ".jpeg", ".jfif", ".jpe", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".ppm",
    ".pgm", ".heic", ".heif", ".avif", ".jp2",
}  # fmt: skip
VIDEO_SUFFIXES = {
    ".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".3gp", ".ogv",
    ".mts", ".m2ts",
}  # fmt: skip


def find_inputs(paths: str | Sequence[str] | None) -> list[Path]:
    """Photo and video files named by paths, folders (not recursively) and globs, each once.

    Raises:
        ConfigError: nothing was given or found.
    """
    if not paths:
        raise ConfigError("input= is missing: give a photo, folder, glob or video")
    found: dict[Path, Path] = {}  # by resolved path
    for entry in [paths] if isinstance(paths, str | int) else list(paths):
        path = Path(str(entry))
        if path.is_dir():
            files = sorted(p for p in path.iterdir() if p.is_file())
            named = [p for p in files if p.suffix.lower() in PHOTO_SUFFIXES | VIDEO_SUFFIXES]
            others = [p.name for p in files if p not in named]
            if others:
                print(f"{path}: {len(others)} files are no photos or videos by name: {others[:5]}")
        elif path.exists():
            named = [path]
        else:
            # Path.glob does not take an absolute pattern.
            names = sorted(glob.glob(str(entry), recursive=True))  # noqa: PTH207
            named = [Path(name) for name in names if Path(name).is_file()]
        if not named:
            raise ConfigError(f"input={entry}: no photo or video there")
        for file in named:
            found.setdefault(file.resolve(), file)
    return list(found.values())
