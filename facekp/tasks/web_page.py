"""What tasks with a page in the browser share."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from facekp.core.errors import ConfigError

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from facekp.web.server import Pages


@dataclass(frozen=True)
class PageSettings:
    """How a page is served.

    Args:
        port: 0 for any that is free.
        idle: seconds after the page was closed at which the task ends; None: only with Ctrl-C.
        browser: open the page in the browser, if there is a screen.

    Raises:
        ConfigError: `browser` is not true or false.
    """

    port: int = 0
    idle: float | None = None
    browser: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.browser, bool):
            raise ConfigError(f"browser={self.browser}: give true or false")


def require_web() -> None:
    """Check that the packages of the web extra are installed.

    Raises:
        ConfigError: they are not.
    """
    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "pages in the browser need the web extra: pip install 'facekp[web]'"
        ) from error


def serve(app: Starlette, pages: Pages, settings: PageSettings, folder: Path) -> None:
    """Serve a page until it is ended.

    Args:
        app: of the page.
        pages: which of its pages are open.
        settings: see there.
        folder: for the file that opens the browser.

    Raises:
        ConfigError: see `LocalServer`.
    """
    from facekp.web.server import LocalServer, open_browser

    with LocalServer(app, pages, settings.port, settings.idle) as server:
        with suppress(KeyboardInterrupt):
            started = settings.browser and open_browser(server.address, folder)
            verb = "opened in the browser" if started else "open this address in a browser"
            print(f"{verb}: {server.address}\nCtrl-C ends it", flush=True)
            if not started:
                port = f"{server.port}:127.0.0.1:{server.port}"
                print(f"(from another machine, first: ssh -L {port} THIS_MACHINE)", flush=True)
            server.run()
        (folder / "open.html").unlink(missing_ok=True)
