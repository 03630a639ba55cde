"""Serving a page on this machine until it is ended."""

from __future__ import annotations

import os
import signal
import socket
import sys
import webbrowser
from collections.abc import Callable, Sequence
from contextlib import suppress
from html import escape
from importlib.resources import files
from pathlib import Path
from threading import Event, Lock, Thread, current_thread, main_thread
from time import monotonic
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from facekp.core.errors import ConfigError, ConflictError, DataError, FacekpError
from facekp.web.security import BodyTooLargeError, Guard

SILENT = 150.0
"""Seconds without a heartbeat after which a page counts as closed: browsers let the timers of a
hidden page run once per minute."""
MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html"}


class Pages:
    """Which pages are open, by their heartbeats."""

    def __init__(self) -> None:
        self._seen: dict[str, float] = {}
        self._lock = Lock()
        self._last: float | None = None

    def seen(self, page: str) -> None:
        """A page is open."""
        with self._lock:
            self._seen[page[:40]] = self._last = monotonic()

    def closed(self, page: str) -> None:
        """A page was closed."""
        with self._lock:
            self._seen.pop(page[:40], None)
            self._last = monotonic()

    def idle_seconds(self) -> float:
        """Seconds since the last page was closed; 0 while one is open, and before the first is."""
        with self._lock:
            now = monotonic()
            self._seen = {page: at for page, at in self._seen.items() if now - at < SILENT}
            return 0.0 if self._seen or self._last is None else now - self._last


def application(routes: Sequence[Route], static: Sequence[str], pages: Pages) -> Starlette:
    """An application with what all pages share: its files, heartbeats, errors as JSON.

    Args:
        routes: of the page itself.
        static: names of its files in `facekp/web/static`, the page first.
        pages: is told which pages are open.
    """

    def file(request: Request) -> Response:
        name = request.path_params.get("name", static[0])
        if name not in static:
            return JSONResponse({"error": "no such file"}, 404)
        content = (files("facekp.web") / "static" / name).read_bytes()
        headers = {"Cache-Control": "no-cache"}
        return Response(content, headers=headers, media_type=MEDIA_TYPES[Path(name).suffix])

    def closed(request: Request) -> Response:
        pages.closed(request.path_params["page"])
        return JSONResponse({})

    shared = [
        Route("/", file),
        Route("/static/{name}", file),
        Route("/closed/{page}", closed, methods=["POST"]),
    ]
    handlers = {
        ConflictError: _answer(409),
        DataError: _answer(422),
        ConfigError: _answer(400),
        FacekpError: _answer(507),
        BodyTooLargeError: _answer(413, "too large"),
        ValueError: _answer(400),
        Exception: _answer(500, "an error of the server, see its terminal"),
    }
    return Starlette(routes=[*shared, *routes], exception_handlers=handlers)


def _answer(status: int, text: str = "") -> Callable[[Request, Exception], Response]:
    def answer(_request: Request, error: Exception) -> Response:
        message = text or printable(" ".join(str(error).split()))
        return JSONResponse({"error": message}, status)

    return answer


class LocalServer:
    """Serves an application on 127.0.0.1 until Ctrl-C, or until its page has been closed.

        with LocalServer(app, pages) as server:
            print(server.address)
            server.run()

    Args:
        app: the application.
        pages: tells whether a page is open.
        port: 0 for any that is free.
        idle: seconds after the last page was closed at which the server ends; None: never.

    Raises:
        ConfigError: the port cannot be used; `idle` is no number above 0.
    """

    def __init__(
        self, app: Starlette, pages: Pages, port: int = 0, idle: float | None = None
    ) -> None:
        is_number = isinstance(idle, int | float) and not isinstance(idle, bool)
        if idle is not None and not (is_number and idle > 0):
            raise ConfigError(f"idle={idle}: give seconds above 0, or null")
        if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port < 65536:
            raise ConfigError(f"port={port}: give a whole number from 0 to 65535")
        self._pages, self._idle = pages, idle
        # With the protocol named, asyncio switches off Nagle's algorithm: 5 ms in place of 45.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind(("127.0.0.1", port))
            self._socket.listen(128)  # a browser may be quicker than the server's start
        except OSError as error:
            self._socket.close()
            raise ConfigError(
                f"port={port}: {error.strerror}; port=0 takes any that is free"
            ) from error
        self.port = self._socket.getsockname()[1]
        guard = Guard(app, self.port)
        self.address = f"http://127.0.0.1:{self.port}/{guard.token}/"
        config = uvicorn.Config(
            guard,
            log_level="warning",
            access_log=False,
            server_header=False,
            date_header=False,
            ws="none",
            lifespan="off",
            timeout_graceful_shutdown=2,
        )
        self._server = uvicorn.Server(config)
        self._ended = Event()

    def __enter__(self) -> LocalServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._socket.close()

    def run(self) -> None:
        """Serve until the end, which Ctrl-C is, too."""
        if self._idle is not None:
            Thread(target=self._watch, daemon=True).start()
        # From the first moment on, also before the server's own handler is there.
        previous = None
        if current_thread() is main_thread():
            previous = signal.signal(signal.SIGINT, lambda *_: self.stop())
        try:
            self._server.run(sockets=[self._socket])
        finally:
            if previous is not None:
                signal.signal(signal.SIGINT, previous)

    def stop(self) -> None:
        """End `run`, from another thread."""
        self._server.should_exit = True

    def _watch(self) -> None:
        while not self._ended.wait(0.2):
            if self._pages.idle_seconds() > (self._idle or 0):
                print(f"no page was open for {self._idle:g} s")
                self.stop()
                return


def open_browser(address: str, folder: Path) -> bool:
    """Open an address in the user's browser, if there is a screen; says whether one was started.

    It is handed over in a file that only the user can read, since other users of the machine see
    the arguments of programs.
    """
    screen = sys.platform in ("darwin", "win32") or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    if not screen:
        return False
    page = folder / "open.html"
    with suppress(OSError, webbrowser.Error):
        page.touch(mode=0o600)
        page.write_text(
            f'<meta http-equiv="refresh" content="0;url={escape(address)}">', encoding="utf-8"
        )
        return webbrowser.open(page.absolute().as_uri())
    return False


def printable(text: str | Path) -> str:
    """A name that may not be valid Unicode, as text that JSON can hold."""
    return str(text).encode("utf-8", "backslashreplace").decode()


async def json_body(request: Request) -> dict[str, Any]:
    """The object in a request's body.

    Raises:
        ValueError: it is not JSON, or no object.
    """
    try:
        body = await request.json()
    except RecursionError as error:
        raise ValueError("JSON that is nested too deeply") from error
    if not isinstance(body, dict):
        raise ValueError("not a JSON object")
    return body
