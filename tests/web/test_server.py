from __future__ import annotations

import socket
import time
from collections.abc import Callable

import pytest

from facekp.core.errors import ConfigError
from facekp.web import server
from facekp.web.server import LocalServer, Pages, application
from tests.web.conftest import Client


def app(pages: Pages):
    return application([], ["annotate.html"], pages)


def test_only_this_machine_is_served(serve: Callable[..., Client]) -> None:
    pages = Pages()
    client = serve(app(pages), pages)
    others = {i[4][0] for i in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    for address in others - {"127.0.0.1"}:
        with pytest.raises(OSError, match=r"refused|unreachable|timed out"):
            socket.create_connection((address, client.port), timeout=1).close()


def test_it_ends_once_its_page_is_closed(serve: Callable[..., Client]) -> None:
    pages = Pages()
    pages.seen("page")
    client = serve(app(pages), pages, idle=0.3)
    time.sleep(0.9)
    assert client.thread.is_alive()  # the page is open
    assert client("POST", "closed/page")[0] == 200
    client.thread.join(5)
    assert not client.thread.is_alive()


def test_it_waits_for_its_first_page(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = Pages()
    now = time.monotonic()
    monkeypatch.setattr(server, "monotonic", lambda: now + 200)
    assert pages.idle_seconds() == 0
    pages.seen("page")
    pages.closed("page")
    monkeypatch.setattr(server, "monotonic", lambda: now + 205)
    assert pages.idle_seconds() == 5


def test_a_page_that_gives_no_sign_of_life_counts_as_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pages = Pages()
    pages.seen("page")
    assert pages.idle_seconds() == 0
    now = time.monotonic()
    monkeypatch.setattr(server, "monotonic", lambda: now + 200)
    assert pages.idle_seconds() > 150


def test_each_start_has_a_token_of_its_own() -> None:
    tokens = set()
    for _ in range(3):
        with LocalServer(app(Pages()), Pages()) as made:
            tokens.add(made.address.split("/")[3])
    assert len(tokens) == 3
    assert min(map(len, tokens)) >= 32


def test_settings_that_cannot_work() -> None:
    with LocalServer(app(Pages()), Pages()) as made, pytest.raises(ConfigError, match="port="):
        LocalServer(app(Pages()), Pages(), port=made.port)
    for settings in ({"idle": 0}, {"idle": "x"}, {"idle": True}, {"port": 70000}, {"port": "a"}):
        with pytest.raises(ConfigError, match=f"{next(iter(settings))}="):
            LocalServer(app(Pages()), Pages(), **settings)
