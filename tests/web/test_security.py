from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from facekp.web.security import MAX_BODY
from tests.web.conftest import Client


def test_the_page_needs_nothing_from_elsewhere(client: Client) -> None:
    status, content, headers = client.raw("GET", f"/{client.token}/")
    assert status == 200
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
    assert b"http" not in content.replace(b"http-equiv", b"")
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/", "/{wrong}/", "/project", "/{wrong}/photos/0/view", "//x/"])
def test_without_the_token_nothing_is_answered(client: Client, path: str) -> None:
    status, content, _ = client.raw("GET", path.format(wrong=client.token[:-1] + "~"))
    assert status == 403
    assert b"address that was printed" in content


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1.nip.io:{port}", ""]
)
def test_another_host_is_refused(client: Client, host: str) -> None:
    path = f"/{client.token}/project"
    assert client.raw("GET", path, Host=host.format(port=client.port))[0] == 403


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:{port}", "http://127.0.0.1:1"]
)
def test_another_origin_is_refused(client: Client, origin: str) -> None:
    path, origin = f"/{client.token}/project", origin.format(port=client.port)
    assert client.raw("GET", path, Origin=origin)[0] == 403
    assert client.raw("GET", path, Origin=None)[0] == 200


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_a_change_without_origin_is_refused(client: Client, method: str) -> None:
    path = f"/{client.token}/photos/0"
    assert client.raw(method, path, {"revision": 0}, Origin=None)[0] == 403


@pytest.mark.parametrize(
    "path",
    ["static/../../annotate.py", "static/..%2fserver.py", "static/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
     "products/..%2f..%2fetc%2fpasswd", "static//etc/passwd", "photos/..%2f0/view"],
)  # fmt: skip
def test_no_path_leads_out(client: Client, path: str) -> None:
    assert client("GET", path)[0] == 404


@pytest.mark.parametrize("number", ["3", "99999999999999999999", "-1", "1.5", "a"])
def test_only_photos_that_were_given_can_be_asked_for(client: Client, number: str) -> None:
    for path in ("", "/view", "/thumbnail", "/part?left=0&top=0&right=9&bottom=9"):
        assert client("GET", f"photos/{number}{path}")[0] in (400, 404)


def test_a_huge_body_is_refused_before_it_is_read(client: Client) -> None:
    path = f"/{client.token}/photos/0/fit"
    host = f"127.0.0.1:{client.port}"
    with socket.create_connection(("127.0.0.1", client.port), timeout=10) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\n"
        connection.sendall(f"{head}Content-Length: {10**12}\r\n\r\n".encode())
        assert b" 413 " in connection.recv(4096)


def test_a_huge_body_without_a_length_is_refused(client: Client) -> None:
    host = f"127.0.0.1:{client.port}"
    with socket.create_connection(("127.0.0.1", client.port), timeout=20) as connection:
        head = f"POST /{client.token}/photos/0/fit HTTP/1.1\r\nHost: {host}\r\n"
        head += f"Origin: http://{host}\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode())
        chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
        with suppress(OSError):  # it may close the connection
            for _ in range(MAX_BODY // 0x100000 + 8):
                connection.sendall(chunk)
            connection.sendall(b"0\r\n\r\n")
        answer = b""
        with suppress(OSError):
            answer = connection.recv(4096)
        assert b" 413 " in answer or not answer
    assert client("GET", "project")[0] == 200


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b"\xff", b'{"box": [0, 0, 1]}', b'{"box": [0, 0, 1, "1"], "angle": 0}',
     b'{"box": [0, 0, 0, 5], "angle": 0}', b'{"box": [0, 0, 9, 9], "angle": 1e9}',
     b'{"box": [0, 0, 9, NaN], "angle": 0}', b'{"box": [0, 0, 9, 1e300], "angle": 0}'],
)  # fmt: skip
def test_nonsense_is_an_error_of_the_request(client: Client, body: bytes) -> None:
    status, content, _ = client.raw("POST", f"/{client.token}/photos/0/fit", body)
    assert status == 400
    assert b"error" in content


def test_ten_requests_at_once(client: Client) -> None:
    box = {"box": [150, 50, 300, 200], "angle": 0}
    with ThreadPoolExecutor(10) as pool:
        fits = list(pool.map(lambda _: client("POST", "photos/0/fit", box), range(10)))
        views = list(pool.map(lambda n: client("GET", f"photos/{n % 3}/view"), range(10)))
    assert {status for status, _ in fits + views} == {200}
    assert len({str(answer) for _, answer in fits}) == 1
