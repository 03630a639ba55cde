"""The camera page's requests: frames in, tracked faces out; stills on demand.

| request | answer |
|---|---|
| `GET scheme` | skeleton of the points |
| `POST frames/PAGE?seconds=T` | faces of a JPEG, the next frame of a page |
| `POST stills` | saves a JPEG, and a copy with its points |
| `GET status/PAGE` | heartbeat of the page |
"""

from __future__ import annotations

from collections import OrderedDict
from io import BytesIO
from math import isfinite
from pathlib import Path
from threading import Lock

import cv2
import numpy as np
from PIL import Image
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from facekp.core.errors import DataError
from facekp.core.files import atomic_write, atomic_write_text
from facekp.inference.faces import Faces
from facekp.inference.predictor import Predictor
from facekp.inference.tracking import FaceTracker
from facekp.visualization.overlay import draw_faces, save_image
from facekp.web.server import Pages, application, printable

FILES = ("camera.html", "camera.js", "api.js", "style.css")
MAX_PIXELS = 4096 * 4096
"""Of a frame."""
MAX_PAGES = 4
"""Whose faces are tracked at a time."""


class CameraSession:
    """Tracks the faces of each page's frames, and saves stills; several threads may use it.

    Args:
        predictor: finds the faces.
        smoothing: smooth points over time.
        folder: of the stills: `still_0001.jpg` with `still_0001_points.jpg`, and
            `predictions.csv`.
    """

    def __init__(self, predictor: Predictor, smoothing: bool, folder: Path) -> None:
        self.predictor, self.smoothing, self.folder = predictor, smoothing, folder
        self._trackers: OrderedDict[str, tuple[FaceTracker, Lock]] = OrderedDict()
        self._lock, self._saving = Lock(), Lock()
        self._table = folder / "predictions.csv"

    def faces(self, page: str, data: bytes, seconds: float) -> Faces:
        """Faces of a page's next frame.

        Args:
            page: the page.
            data: a JPEG file.
            seconds: the frame's time.

        Raises:
            DataError: not a JPEG, or too large.
        """
        image = decode_jpeg(data)
        with self._lock:
            if page not in self._trackers:
                self._trackers[page] = FaceTracker(self.predictor, self.smoothing), Lock()
            self._trackers.move_to_end(page)
            while len(self._trackers) > MAX_PAGES:
                self._trackers.popitem(last=False)
            tracker, lock = self._trackers[page]
        with lock:
            return tracker(image, seconds)

    def save(self, data: bytes) -> Path:
        """Save a frame, a copy with its points, and its faces; returns the frame's file.

        Raises:
            DataError: not a JPEG, or too large.
            FacekpError: it cannot be written.
        """
        import pandas as pd  # takes a quarter of a second

        image = decode_jpeg(data)
        faces = self.predictor(image)
        with self._saving:
            number = 1
            while (path := self.folder / f"still_{number:04d}.jpg").exists():
                number += 1
            with atomic_write(path) as stream:
                stream.write(data)
            drawn = draw_faces(image, faces, self.predictor.output_scheme)
            save_image(path.with_name(f"{path.stem}_points.jpg"), drawn, 95)
            table = faces.to_dataframe()
            table.insert(0, "file", printable(path))
            tables = [pd.read_csv(self._table), table] if self._table.exists() else [table]
            text = pd.concat(tables).to_csv(index=False, float_format="%.3f")
            atomic_write_text(self._table, text)
        return path


def decode_jpeg(data: bytes) -> np.ndarray:
    """A JPEG file as (H, W, 3) uint8 RGB.

    Raises:
        DataError: not a JPEG, or more than `MAX_PIXELS`.
    """
    try:
        with Image.open(BytesIO(data), formats=("JPEG",)) as header:
            width, height = header.size
    except Exception as error:  # Pillow's readers raise anything
        raise DataError("frame", "not a JPEG", "send one") from error
    if width * height > MAX_PIXELS:
        raise DataError("frame", f"more than {MAX_PIXELS:,} pixels", "send a smaller one")
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise DataError("frame", "the JPEG cannot be decoded", "send another")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def camera_application(session: CameraSession, pages: Pages) -> Starlette:
    """The application of a session.

    Args:
        session: finds the faces.
        pages: is told which pages are open.
    """
    predictor = session.predictor
    scheme = predictor.output_scheme

    def about(_request: Request) -> Response:
        return JSONResponse({"skeleton": scheme.skeleton})

    def status(request: Request) -> Response:
        pages.seen(request.path_params["page"])
        return JSONResponse({})

    async def frame(request: Request) -> Response:
        page = request.path_params["page"]
        seconds = float(request.query_params.get("seconds", "nan"))
        if not isfinite(seconds):
            raise ValueError("seconds: give the frame's time")
        pages.seen(page)
        faces = await run_in_threadpool(session.faces, page, await request.body(), seconds)
        return JSONResponse(
            [
                {
                    "number": getattr(face, "number", 0),
                    "box": np.round(face.bbox, 2).tolist(),
                    "points": np.round(face.keypoints, 2).tolist(),
                }
                for face in faces
            ]
        )

    async def still(request: Request) -> Response:
        path = await run_in_threadpool(session.save, await request.body())
        return JSONResponse({"path": printable(path)})

    routes = [
        Route("/scheme", about),
        Route("/status/{page}", status),
        Route("/frames/{page}", frame, methods=["POST"]),
        Route("/stills", still, methods=["POST"]),
    ]
    return application(routes, FILES, pages)
