"""The annotation page's requests: an `AnnotationSession` over HTTP.

| request | answer |
|---|---|
| `GET project` | scheme, photos, what is possible |
| `GET status/PAGE` | photos, if they are not as in `?known=`, and progress; heartbeat of the page |
| `GET photos/N` | size, faces and revision of a photo |
| `PUT photos/N` | replaces its faces; 409 if it was changed since |
| `POST photos/N/fit` | points in a box |
| `GET photos/N/view`, `part`, `thumbnail` | its pixels as JPEG |
| `POST products` | makes a picture or video of the photos so far |
| `GET products/NAME` | what was made |

Coordinates are facekp's: pixels of the upright photo, the centre of the first one being (0, 0).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from facekp.core.errors import ConfigError
from facekp.core.geometry import check_boxes
from facekp.core.image import image_size
from facekp.data.formats.corrected_csv import CorrectedFace
from facekp.web.server import Pages, application, json_body, printable
from facekp.web.session import MAX_FACES, AnnotationSession, PhotoState

FILES = (
    "annotate.html", "annotate.js", "api.js", "editor.js", "geometry.js", "history.js", "keys.js",
    "strip.js", "view.js", "style.css",
)  # fmt: skip

MakeProduct = Callable[[str, Sequence[int]], tuple[Path, list[str]]]
"""Makes a picture or video of a kind (`drawn`, `morph`, ...) of photos, by their numbers; gives its
path, and what the user should know."""


def annotation_application(
    session: AnnotationSession,
    pages: Pages,
    products: Sequence[str],
    make_product: MakeProduct,
    train_command: Callable[[], str],
) -> Starlette:
    """The application of a session.

    Args:
        session: the photos.
        pages: is told which pages are open.
        products: kinds of pictures and videos that can be asked for.
        make_product: makes one.
        train_command: that trains on what was corrected so far.
    """
    requests = _Requests(session, pages, products, make_product, train_command)
    routes = [
        Route("/project", requests.project),
        Route("/status/{page}", requests.status),
        Route("/photos/{number:int}", requests.photo),
        Route("/photos/{number:int}", requests.change, methods=["PUT"]),
        Route("/photos/{number:int}/fit", requests.fit, methods=["POST"]),
        Route("/photos/{number:int}/view", requests.view),
        Route("/photos/{number:int}/part", requests.part),
        Route("/photos/{number:int}/thumbnail", requests.thumbnail),
        Route("/products", requests.make, methods=["POST"]),
        Route("/products/{name}", requests.product),
    ]
    return application(routes, FILES, pages)


class _Requests:
    def __init__(
        self,
        session: AnnotationSession,
        pages: Pages,
        products: Sequence[str],
        make_product: MakeProduct,
        train_command: Callable[[], str],
    ) -> None:
        self.session, self.pages = session, pages
        self.products, self.make_product = products, make_product
        self.train_command = train_command
        self.made: dict[str, Path] = {}
        self.making = Lock()

    def project(self, _request: Request) -> Response:
        session, scheme = self.session, self.session.scheme
        return JSONResponse(
            {
                "scheme": {"names": scheme.point_names, "skeleton": scheme.skeleton},
                "products": self.products,
                "photos": [_summary(photo) for photo in session.photos],
                **self._progress(),
            }
        )

    def _progress(self) -> dict[str, Any]:
        session = self.session
        return {
            "analysed": session.analysed_count,
            "edited": session.edited_count,
            "path": printable(session.path),
            "command": printable(self.train_command()) if session.edited_count else None,
        }

    def status(self, request: Request) -> Response:
        self.pages.seen(request.path_params["page"])
        photos = [_summary(photo) for photo in self.session.photos]
        known = request.query_params.get("known", "")
        digest = str(hash(str(photos)))  # of this process; it only says whether anything is new
        changed = photos if digest != known else None
        return JSONResponse({"photos": changed, "known": digest, **self._progress()})

    def photo(self, request: Request) -> Response:
        photo = self.session.open(self._number(request))
        return JSONResponse(_details(photo))

    async def change(self, request: Request) -> Response:
        number, body = self._number(request), await json_body(request)
        faces = _faces(body, self.session.scheme.count)
        revision, edited = body.get("revision"), body.get("edited")
        if not isinstance(revision, int) or not isinstance(edited, bool):
            raise ValueError("revision and edited are missing")
        photo = await run_in_threadpool(self.session.change, number, revision, faces, edited)
        answer = {"revision": revision + 1, "photo": _summary(photo), **self._progress()}
        return JSONResponse(answer)

    async def fit(self, request: Request) -> Response:
        number, body = self._number(request), await json_body(request)
        box, angle = _numbers(body.get("box"), 4), _numbers([body.get("angle")], 1)[0]
        check_boxes(box[None])
        if abs(angle) > 360:
            raise ValueError(f"angle {angle}")
        points = await run_in_threadpool(self.session.fit, number, box, float(angle))
        return JSONResponse({"points": _rounded(points)})

    def view(self, request: Request) -> Response:
        return _jpeg(self.session.store.view(self._number(request)))

    def part(self, request: Request) -> Response:
        query = request.query_params
        edges = [int(query.get(name, "")) for name in ("left", "top", "right", "bottom")]
        return _jpeg(self.session.store.part(self._number(request), *edges))

    def thumbnail(self, request: Request) -> Response:
        return _jpeg(self.session.store.thumbnail(self._number(request)))

    async def make(self, request: Request) -> Response:
        body = await json_body(request)
        product, numbers = str(body.get("product")), body.get("photos")
        if product not in self.products:
            raise ConfigError(f"product {product}: choose one of {', '.join(self.products)}")
        if not isinstance(numbers, list) or not all(map(self._is_number, numbers)):
            raise ValueError("photos: give their numbers")
        path, notes = await run_in_threadpool(self._make, product, numbers)
        answer = {"name": printable(path.name), "path": printable(path)}
        return JSONResponse({**answer, "notes": list(map(printable, notes))})

    def _make(self, product: str, numbers: Sequence[int]) -> tuple[Path, list[str]]:
        if not self.making.acquire(blocking=False):
            raise ConfigError("another picture or video is being made; wait for it")
        try:
            path, notes = self.make_product(product, numbers)
        finally:
            self.making.release()
        self.made[printable(path.name)] = path
        return path, notes

    def product(self, request: Request) -> Response:
        path = self.made.get(request.path_params["name"])
        if path is None:
            return JSONResponse({"error": "no such file"}, 404)
        return FileResponse(path, headers={"Cache-Control": "no-store"})

    def _is_number(self, number: Any) -> bool:
        return type(number) is int and 0 <= number < len(self.session.photos)

    def _number(self, request: Request) -> int:
        number = request.path_params["number"]
        if not self._is_number(number):
            raise ValueError(f"there are {len(self.session.photos)} photos")
        return number


def _jpeg(data: bytes) -> Response:
    # Photos do not change, and the address holds a token.
    return Response(data, headers={"Cache-Control": "max-age=3600"}, media_type="image/jpeg")


def _summary(photo: PhotoState) -> dict[str, Any]:
    """What the strip of photos shows."""
    return {
        "name": printable(photo.name),
        "edited": photo.edited,
        "revision": photo.revision,
        "faces": None if photo.faces is None else len(photo.faces),
        "disagreement": photo.disagreement,
        "labelled": photo.labelled,
        "error": "" if photo.error is None else printable(photo.error.problem),
    }


def _details(photo: PhotoState) -> dict[str, Any]:
    height, width = image_size(photo.file, upright=True)
    return {
        "width": width,
        "height": height,
        "revision": photo.revision,
        "edited": photo.edited,
        "faces": [
            {
                "box": _rounded(face.bbox),
                "angle": round(face.angle, 3),
                "score": round(face.score, 4),
                "points": _rounded(face.keypoints),
                "moved": sorted(face.moved),
                "occluded": sorted(face.occluded),
            }
            for face in photo.faces or ()
        ],
    }


def _rounded(values: np.ndarray) -> list[Any]:
    """As a list with three decimals; rows with nan become None."""
    if values.ndim == 1:
        return [round(value, 3) for value in values.tolist()]
    return [None if np.isnan(row).any() else _rounded(row) for row in values]


def _faces(body: dict[str, Any], count: int) -> list[CorrectedFace]:
    """The faces of a request.

    Raises:
        ValueError: they are not as `_details` gives them.
    """
    faces = body.get("faces")
    if not isinstance(faces, list) or len(faces) > MAX_FACES:
        raise ValueError(f"faces: give a list of at most {MAX_FACES}")
    try:
        return [_face(face, count) for face in faces]
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"not a face: {error}") from error


def _face(face: dict[str, Any], count: int) -> CorrectedFace:
    points = face["points"]
    if not isinstance(points, list) or len(points) != count:
        raise ValueError(f"points: give {count}")
    rows = [[float("nan")] * 2 if point is None else _numbers(point, 2) for point in points]
    return CorrectedFace(
        bbox=_numbers(face["box"], 4),
        keypoints=np.array(rows, dtype=float).reshape(count, 2),
        angle=float(_numbers([face["angle"]], 1)[0]),
        score=float(_numbers([face["score"]], 1)[0]),
        moved=frozenset(_indices(face["moved"])),
        occluded=frozenset(_indices(face["occluded"])),
    )


def _numbers(values: Any, count: int) -> np.ndarray:
    if not isinstance(values, list) or len(values) != count:
        raise ValueError(f"give {count} numbers")
    if not all(type(value) in (int, float) for value in values):
        raise ValueError("not a number")
    try:
        found = np.array(values, dtype=float)
    except OverflowError as error:
        raise ValueError("a number that is too large") from error
    if not np.isfinite(found).all():
        raise ValueError("a number that is not finite")
    return found


def _indices(values: Any) -> list[int]:
    if not isinstance(values, list) or not all(type(value) is int for value in values):
        raise ValueError("give numbers of points")
    return values
