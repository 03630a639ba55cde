"""Downloading the official archives: mirrors in turn, verified, moved into place at the end."""

from __future__ import annotations

import gzip
import hashlib
import logging
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pooch

from facekp.core.errors import DataError
from facekp.data.formats.dlib_xml import read_dlib_xml
from facekp.data.registry import IBUG, IBUG_TEST_XMLS, IBUG_TRAIN_XML, IMM

log = logging.getLogger(__name__)

MAX_UNPACKED = 20 * 2**30
MAX_MEMBERS = 200_000


@dataclass(frozen=True)
class Archive:
    """An official archive.

    Args:
        urls: where it is, tried in order.
        marker: a file in the data set's top folder, wherever that lies in the archive.
        verify: called with the unpacked top folder; raises DataError unless it is the data set.
    """

    urls: tuple[str, ...]
    marker: str
    verify: Callable[[Path], None]


def verify_imm(folder: Path) -> None:
    """Compare the 240 images and annotations with the published ones, byte for byte.

    Raises:
        DataError: anything is missing, changed or surplus.
    """
    digest = hashlib.sha256()
    files = sorted(path for path in folder.iterdir() if path.suffix in (".asf", ".jpg"))
    for path in files:
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    if digest.hexdigest() != _IMM_SHA256:
        raise DataError(folder, f"not the IMM Face Database ({len(files)} of 480 files)")


def verify_ibug(folder: Path) -> None:
    """Check the counts of both XML files and that every image exists.

    Raises:
        DataError: a file or an image is missing, or the counts are not the official ones.
    """
    tests = [name for name in IBUG_TEST_XMLS if (folder / name).is_file()]
    for name, count in ((IBUG_TRAIN_XML, 6666), ((*tests, IBUG_TEST_XMLS[0])[0], 1008)):
        faces = read_dlib_xml(folder / name)
        if len(faces) != count:
            raise DataError(folder / name, f"{len(faces)} entries, not {count}")
        missing = [face.file for face in faces if not (folder / face.file).is_file()]
        if missing:
            raise DataError(folder, f"{len(missing)} images are missing, {missing[0]} first")


_IMM_SHA256 = "17815afe5424dff5e1edf9417c80ec3b3982230fe7e914f331296395fd6b27b1"

IMM_ARCHIVE = Archive(IMM.urls, marker="01-1m.asf", verify=verify_imm)
IBUG_ARCHIVE = Archive(IBUG.urls, marker=IBUG_TRAIN_XML, verify=verify_ibug)


def fetch_archive(archive: Archive, folder: Path) -> None:
    """Download, unpack and verify an archive, then move it to `folder`.

    Everything happens in a temporary folder beside it: after a failure, `folder` does not exist.

    Raises:
        DataError: no mirror has the archive (the message says what each one returned), or the
            folder cannot be written.
    """
    failures = []
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent)
    except OSError as error:
        remedy = "choose another data_dir="
        raise DataError(folder.parent, f"cannot be written ({error.strerror})", remedy) from error
    with scratch as name:
        for number, url in enumerate(archive.urls):
            try:
                log.info("downloading %s", url)
                packed = pooch.retrieve(
                    url, None, fname=f"{number}-archive", path=name, progressbar=True
                )
                unpacked = Path(name) / f"{number}-unpacked"
                unpack(Path(packed), unpacked)
                found = sorted(unpacked.rglob(archive.marker))
                if not found:
                    raise DataError(url, f"the archive has no {archive.marker}")
                archive.verify(found[0].parent)
                found[0].parent.rename(folder)
                return
            except Exception as error:  # whatever the server or the archive does, try the next
                log.warning("%s failed: %s", url, error)
                failures.append(f"{url}: {error}")
    raise DataError(
        folder,
        "the data could not be downloaded: " + " | ".join(failures),
        "fetch it by hand, or check the network",
    )


def unpack(packed: Path, target: Path) -> None:
    """Unpack a zip or tar file; every member is checked before the first byte is written.

    Raises:
        DataError: neither zip nor tar, truncated, a member that would leave `target`, a link or
            device, more than `MAX_MEMBERS` members or `MAX_UNPACKED` bytes.
    """
    try:
        if zipfile.is_zipfile(packed):
            with zipfile.ZipFile(packed) as archive:
                infos = archive.infolist()
                for info in infos:
                    file_type = stat.S_IFMT(info.external_attr >> 16)
                    plain = file_type in (0, stat.S_IFREG, stat.S_IFDIR)
                    _check_member(packed, info.filename, plain)
                _check_volume(packed, [info.file_size for info in infos])
                archive.extractall(target)
        elif tarfile.is_tarfile(packed):
            _read_through(packed)
            with tarfile.open(packed) as archive:
                members = archive.getmembers()
                for member in members:
                    _check_member(packed, member.name, member.isfile() or member.isdir())
                _check_volume(packed, [member.size for member in members])
                archive.extractall(target, filter="data")
        else:
            raise DataError(
                packed, "neither a zip nor a tar file", "the server sent something else"
            )
    except DataError:
        raise
    except Exception as error:  # each compression raises its own
        raise DataError(packed, f"the archive is broken ({error})", "download it again") from error


def _read_through(packed: Path) -> None:
    """Check a gzip file against its checksum, which unpacking a tar file never reaches."""
    with packed.open("rb") as stream:
        if stream.read(2) != b"\x1f\x8b":
            return
    with gzip.open(packed) as content:
        while content.read(2**20):
            pass


def _check_member(packed: Path, name: str, plain: bool) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in name:
        raise DataError(packed, f"the member {name!r} would leave the folder", "do not use it")
    if not plain:
        raise DataError(packed, f"the member {name!r} is not a plain file", "do not use it")


def _check_volume(packed: Path, sizes: list[int]) -> None:
    if len(sizes) > MAX_MEMBERS or sum(sizes) > MAX_UNPACKED:
        problem = f"{len(sizes)} members of {sum(sizes) / 2**30:.0f} GiB are too many"
        raise DataError(packed, problem, "this is not the official archive")
