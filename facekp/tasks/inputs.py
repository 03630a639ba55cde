"""Finding the photos and videos that a user names."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from pathlib import Path

from facekp.core.errors import ConfigError
from facekp.core.files import IMAGE_SUFFIXES

VIDEO_SUFFIXES = {
    ".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".3gp", ".ogv",
    ".mts", ".m2ts",
}  # fmt: skip

ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
"""Beginning of a name that is no file's."""


def find_inputs(paths: str | Sequence[str] | None) -> list[Path]:
    """Photo and video files named by paths, folders (not recursively) and globs, each once.

    Raises:
        ConfigError: nothing was given or found.
    """
    if isinstance(paths, int | float) and not Path(str(paths)).exists():
        camera = "" if isinstance(paths, bool | float) else "; for a camera use task=camera"
        raise ConfigError(f"input={paths}: no such file{camera}")
    if (not paths and paths != 0) or paths is None:
        raise ConfigError("input= is missing: give a photo, folder, glob or video")
    found: dict[Path, Path] = {}  # by resolved path
    for entry in [paths] if isinstance(paths, str | int) else list(paths):
        path = Path(str(entry))
        if path.is_dir():
            files = sorted(p for p in path.iterdir() if p.is_file())
            named = [p for p in files if p.suffix.lower() in (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES)]
            others = sorted({p.name for p in files} - {p.name for p in named})
            if others:
                print(f"{path}: {len(others)} files are no photos or videos by name: {others[:5]}")
        elif path.exists() and not path.is_char_device():
            named = [path]
        else:
            # Path.glob does not take an absolute pattern.
            names = sorted(glob.glob(str(entry), recursive=True))  # noqa: PTH207
            named = [Path(name) for name in names if Path(name).is_file()]
        if not named:
            raise ConfigError(f"input={entry}: {_reason(str(entry))}")
        for file in named:
            found.setdefault(file.resolve(), file)
    return list(found.values())


def is_video(file: Path) -> bool:
    """Whether a file is a video, by its name."""
    return file.suffix.lower() in VIDEO_SUFFIXES


def _reason(entry: str) -> str:
    """Why an input names no photo or video, and what would."""
    if re.match("rtsp|rtmp|udp", entry, re.IGNORECASE) and ADDRESS.match(entry):
        return "a stream; record a part of it as a video file, and give its name"
    if ADDRESS.match(entry):
        return "an address; download the file first, and give its name"
    if Path(entry).is_char_device():
        hint = "; task=camera shows its picture with the points" if "video" in entry else ""
        return f"a device, no photo or video{hint}"
    if re.match(r"/dev/video\d+$", entry):
        return "there is no such camera here; task=camera shows a camera's picture with the points"
    if Path(entry).is_dir():
        inner = sorted(path.name for path in Path(entry).iterdir() if path.is_dir())
        below = f"; folders in it are not searched, give {entry}/*" if inner else ""
        return f"no photo or video in this folder{below}"
    return "there is no such file or folder"
