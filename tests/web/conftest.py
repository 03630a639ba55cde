"""A server in a thread, and requests to it that a browser would not send."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import cv2
import numpy as np
import pytest
from starlette.applications import Starlette

from facekp.core.image import read_image
from facekp.inference.predictor import Predictor
from facekp.tasks.corrected_products import Products, train_command
from facekp.web.annotate import annotation_application
from facekp.web.server import LocalServer, Pages
from facekp.web.session import AnnotationSession, PhotoState
from tests.conftest import ROOT


class Client:
    """Sends requests to a server; its own headers can be replaced."""

    def __init__(self, address: str) -> None:
        self.port = int(address.split(":")[2].split("/")[0])
        self.token = address.rstrip("/").rpartition("/")[2]

    def raw(
        self, method: str, path: str, body: Any = None, **headers: str | None
    ) -> tuple[int, bytes, dict[str, str]]:
        host = f"127.0.0.1:{self.port}"
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        sent = {"Host": host, "Origin": f"http://{host}"} | headers
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.putrequest(method, path, skip_host=True)
        length = {} if body is None else {"Content-Length": str(len(body))}
        for name, value in (length | sent).items():
            if value is not None:
                connection.putheader(name, value)
        connection.endheaders()
        if body is not None:
            connection.send(body)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, content, {k.lower(): v for k, v in answer.getheaders()}

    def __call__(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        status, content, headers = self.raw(method, f"/{self.token}/{path}", body)
        is_json = headers.get("content-type", "").startswith("application/json")
        return status, json.loads(content) if is_json else content


@contextmanager
def served(app: Starlette, pages: Pages, **settings: Any) -> Iterator[Client]:
    with LocalServer(app, pages, **settings) as server:
        thread = Thread(target=server.run, daemon=True)
        thread.start()
        client = Client(server.address)
        client.thread = thread  # type: ignore[attr-defined]
        yield client
        server.stop()
        thread.join(10)


@pytest.fixture(scope="session")
def predictor() -> Predictor:
    return Predictor.load()


@pytest.fixture(scope="session")
def astronaut() -> np.ndarray:
    return read_image(ROOT / "docs/astronaut.webp")


@pytest.fixture
def photos(tmp_path: Path, astronaut: np.ndarray) -> list[Path]:
    """Three photos: a face, the same mirrored, and none."""
    folder = tmp_path / "photos"
    folder.mkdir()
    empty = np.full((120, 160, 3), 90, np.uint8)
    for name, image in (("a", astronaut), ("b", astronaut[:, ::-1]), ("c", empty)):
        cv2.imwrite(str(folder / f"{name}.jpg"), image[..., ::-1])
    return sorted(folder.iterdir())


@pytest.fixture
def session(predictor: Predictor, photos: list[Path], tmp_path: Path) -> AnnotationSession:
    states = [PhotoState(file, str(file)) for file in photos]
    path = tmp_path / "corrected.csv"
    scheme, source = predictor.scheme, predictor.description.box_source
    return AnnotationSession(states, scheme, predictor, path, source)


@pytest.fixture
def client(session: AnnotationSession, tmp_path: Path) -> Iterator[Client]:
    products, pages = Products(session, tmp_path), Pages()
    app = annotation_application(
        session, pages, products.names, products.make, lambda: train_command(session, tmp_path)
    )
    with served(app, pages) as made:
        yield made


@pytest.fixture
def serve() -> Iterator[Callable[..., Client]]:
    with ExitStack() as stack:
        yield lambda *arguments, **settings: stack.enter_context(served(*arguments, **settings))
