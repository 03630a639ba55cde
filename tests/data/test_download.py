"""Downloads from a server on loopback: complete and verified, or not there at all."""

from __future__ import annotations

import io
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from facekp.core.errors import DataError
from facekp.data import download
from facekp.data.download import Archive, fetch_archive, unpack, verify_ibug, verify_imm


class Server(BaseHTTPRequestHandler):
    files: ClassVar[dict[str, bytes]] = {}
    cut: ClassVar[dict[str, int]] = {}
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        content = self.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: self.cut.get(self.path, len(content))])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    Server.files, Server.cut, Server.asked = {}, {}, []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def zipped(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def tarred(members: dict[str, bytes], change: Callable = lambda info: info) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(change(info), io.BytesIO(content))
    return stream.getvalue()


GOOD = {"set/marker.txt": b"real", "set/a.txt": b"a" * 5000}


def verify(folder: Path) -> None:
    if (folder / "marker.txt").read_bytes() != b"real":
        raise DataError(folder, "not the real thing")


def archive(*urls: str) -> Archive:
    return Archive(urls=urls, marker="marker.txt", verify=verify)


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_good_archive(url: str, tmp_path: Path, pack: Callable) -> None:
    Server.files["/good"] = pack(GOOD)
    fetch_archive(archive(f"{url}/good"), tmp_path / "data/set")
    assert (tmp_path / "data/set/a.txt").read_bytes() == b"a" * 5000
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["set"]


def test_mirrors_are_tried_in_order(url: str, tmp_path: Path) -> None:
    Server.files = {
        "/broken": zipped(GOOD),
        "/wrong": zipped({"set/marker.txt": b"fake"}),
        "/page": b"<html>moved</html>",
        "/good": zipped(GOOD),
    }
    Server.cut["/broken"] = 300
    names = ("/gone", "/broken", "/page", "/wrong", "/good", "/never")
    fetch_archive(archive(*(url + name for name in names)), tmp_path / "set")
    assert list(dict.fromkeys(Server.asked)) == list(names[:-1])
    assert (tmp_path / "set/marker.txt").exists()


def test_nothing_is_left_of_a_failure(url: str, tmp_path: Path) -> None:
    Server.files = {"/wrong": zipped({"set/marker.txt": b"fake"}), "/other": zipped({"x": b""})}
    with pytest.raises(DataError, match=r"/gone: .*404.*/wrong: .*not the real.*/other: .*marker"):
        fetch_archive(archive(f"{url}/gone", f"{url}/wrong", f"{url}/other"), tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zipped({"../evil": b"x"}), "would leave the folder"),
        (zipped({"/etc/evil": b"x"}), "would leave the folder"),
        (zipped({"a/..\\..\\evil": b"x"}), "would leave the folder"),
        (tarred({"../evil": b"x"}), "would leave the folder"),
        (tarred({"link": b""}, lambda i: setattr(i, "type", tarfile.SYMTYPE) or i), "not a plain file"),
        (tarred({"dev": b""}, lambda i: setattr(i, "type", tarfile.CHRTYPE) or i), "not a plain file"),
        (b"nothing at all", "neither a zip nor a tar"),
        (zipped(GOOD)[:-40], "neither|broken"),
        (tarred(GOOD)[:60], "neither|broken"),
    ],
    ids=["zip_up", "zip_absolute", "zip_windows", "tar_up", "tar_link", "tar_device", "nothing",
         "zip_cut", "tar_cut"],
)  # fmt: skip
def test_bad_archives_write_nothing(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "packed").write_bytes(content)
    with pytest.raises(DataError, match=message):
        unpack(tmp_path / "packed", tmp_path / "deep/er/out")
    assert not (tmp_path / "deep").exists()


def test_damaged_bytes_never_pass(tmp_path: Path) -> None:
    for pack in (zipped, tarred):
        good = pack({"a.txt": bytes(range(256)) * 40})
        for at in range(30, len(good) - 8, 7):
            (tmp_path / "packed").write_bytes(good[:at] + bytes([good[at] ^ 0x55]) + good[at + 1 :])
            try:
                unpack(tmp_path / "packed", tmp_path / f"out{at}")
            except DataError:
                continue
            for path in (tmp_path / f"out{at}").rglob("a.txt"):
                assert path.read_bytes() == bytes(range(256)) * 40


def test_absurd_volume_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "MAX_UNPACKED", 1000)
    (tmp_path / "packed").write_bytes(zipped(GOOD))
    with pytest.raises(DataError, match="too many"):
        unpack(tmp_path / "packed", tmp_path / "out")


def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written"):
        fetch_archive(archive("http://127.0.0.1:9/x"), tmp_path / "file/set")


def test_drawn_faces_are_not_taken_for_the_official_ones(imm_data: Path, ibug_data: Path) -> None:
    with pytest.raises(DataError, match=r"48 of 480 files"):
        verify_imm(imm_data / "imm_face_db")
    with pytest.raises(DataError, match="42 entries, not 6666"):
        verify_ibug(ibug_data / "ibug_300W_large_face_landmark_dataset")
