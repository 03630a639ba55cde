"""Points on the camera's picture, live, on a page in the browser."""

from __future__ import annotations

from facekp.inference.predictor import Predictor
from facekp.tasks.common import is_on, output_folder
from facekp.tasks.web_page import PageSettings, require_web, serve


def camera(predictor: Predictor, smoothing: bool | str, output: str, page: PageSettings) -> None:
    """Serve a page that shows the camera's picture with the points, until it is ended.

    Args:
        predictor: finds the faces.
        smoothing: smooth points over time: a bool, `on` or `off`.
        output: folder of the stills that are saved.
        page: how it is served.

    Raises:
        ConfigError: a setting that cannot work, or the web extra is missing.
    """
    smooths = is_on("smoothing", smoothing)
    require_web()
    from facekp.web.camera import CameraSession, camera_application
    from facekp.web.server import Pages

    folder = output_folder(output)
    _ = predictor.detector  # its errors are not a frame's
    pages = Pages()
    session = CameraSession(predictor, smooths, folder)
    print(f"stills are saved in {folder}")
    serve(camera_application(session, pages), pages, page, folder)
