"""What every request must satisfy before a page's own code sees it."""

from __future__ import annotations

import secrets
from asyncio import CancelledError
from contextlib import suppress
from typing import Any

from starlette.responses import JSONResponse

MAX_BODY = 16 << 20
"""Bytes of a request's body."""
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' blob: data:; media-src 'self' blob:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Of every response: a page loads nothing from elsewhere, and nobody may embed it."""


class Guard:
    """ASGI application in front of another one, which refuses what the page itself did not send.

    * The first part of the path is a random token, which only the printed address tells.
    * `Host` is this machine's, so that no other name leads here (DNS rebinding).
    * `Origin`, where a browser sends it, and always with a change, is the page's.
    * A body has at most `MAX_BODY` bytes.

    Args:
        app: gets the requests, with the token as their root path.
        port: of the server.
    """

    def __init__(self, app: Any, port: int) -> None:
        self._app, self.token = app, secrets.token_urlsafe(24)
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Refuse a request, or hand it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        headers = {str(name, "latin-1"): str(text, "latin-1") for name, text in scope["headers"]}
        if refusal := self._refusal(scope, headers):
            status, problem = refusal
            answer = JSONResponse({"error": problem}, status, HEADERS)
            await answer(scope, receive, send)
            return
        root = f"/{self.token}"
        inner = {**scope, "root_path": root}
        with suppress(CancelledError):  # the server ends while it is still being answered
            await self._app(inner, _limited(receive), _with_headers(send))

    def _refusal(self, scope: dict[str, Any], headers: dict[str, str]) -> tuple[int, str] | None:
        """Status and message; None if the request may pass."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if host not in self._hosts:
            return 403, "this server only answers to 127.0.0.1"
        first = scope["path"].removeprefix("/").partition("/")[0]
        if not secrets.compare_digest(first.encode(), self.token.encode()):
            return 403, "open the address that was printed in the terminal: it holds a token"
        changes = scope["method"] not in ("GET", "HEAD")
        if (origin is not None or changes) and origin != f"http://{host}":
            return 403, "the request does not come from this server's page"
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MAX_BODY:
            return 413, f"more than {MAX_BODY >> 20} MB"
        return None


class BodyTooLargeError(Exception):
    """A body without a stated length that turned out too large."""


def _limited(receive: Any) -> Any:
    """The same messages, but for those beyond `MAX_BODY` bytes."""
    left = MAX_BODY

    async def limited() -> Any:
        nonlocal left
        message = await receive()
        left -= len(message.get("body", b""))
        if left < 0:
            raise BodyTooLargeError
        return message

    return limited


def _with_headers(send: Any) -> Any:
    async def with_headers(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            known = {name.lower() for name, _ in message["headers"]}
            message["headers"] = [
                *message["headers"],
                *(
                    (name.lower().encode(), text.encode())
                    for name, text in HEADERS.items()
                    if name.lower().encode() not in known
                ),
            ]
        await send(message)

    return with_headers
