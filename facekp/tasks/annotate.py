"""Correcting boxes and points of photos by hand, on a page in the browser."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facekp.core.errors import ConfigError, DataError
from facekp.data.formats.corrected_csv import CorrectedPhoto, is_corrected_csv
from facekp.data.formats.recognition import writable_format
from facekp.inference.predictor import Predictor
from facekp.tasks.common import output_folder
from facekp.tasks.corrected_products import Products, train_command
from facekp.tasks.inputs import find_inputs, is_video
from facekp.tasks.starting_points import StartingPoints, photos_of_records
from facekp.tasks.web_page import PageSettings, require_web, serve

if TYPE_CHECKING:
    from facekp.data.datamodule import FaceDataModule
    from facekp.web.session import AnnotationSession, PhotoState

FILE = "corrected.csv"
RELATIVE_SHAPES = 1000
"""Faces whose mean shape a drawn box gets if the network has other points."""


def annotate(
    predictor: Predictor,
    input: str | Sequence[str] | None,  # noqa: A002  # the command line's name
    dataset: FaceDataModule | None,
    points: str | None,
    format: str | None,  # noqa: A002  # the same
    output: str,
    page: PageSettings,
    arguments: Sequence[str] = (),
) -> Path:
    """Serve a page on which a person corrects boxes and points, until it is ended.

    Every change is saved at once, atomically, in `corrected.csv`: `predictions.csv` with a few
    more columns (see `facekp.data.formats.corrected_csv`), which `boxes=`, `points=` and
    `dataset=annotations` read. It holds the photos that were looked through, and all those that
    annotations of people in `points` or `dataset` brought.

    Args:
        predictor: finds faces and fits points.
        input: photo, folder, glob, or a list of these.
        dataset: a data set in place of photos.
        points: what was saved, to go on with: a `corrected.csv` is edited in place, and made if it
            is missing; other annotations are where the work starts.
        format: of annotations that are also written at the end, see `writable_format`.
        output: folder of the files.
        page: how it is served.
        arguments: of the command line, for the command that goes on.

    Returns:
        The file.

    Raises:
        FacekpError: a setting or a file that cannot be used.
    """
    require_web()
    from facekp.web.annotate import annotation_application
    from facekp.web.server import Pages

    if format is not None:
        writable_format(format)
    session = open_session(predictor, input, dataset, points, output)
    folder = output_folder(output)
    products = Products(session, folder)
    pages = Pages()
    app = annotation_application(
        session, pages, products.names, products.make, lambda: train_command(session, folder)
    )
    print(f"{len(session.photos)} photos; changes are saved at once in {session.path}")
    session.start_analysis()
    try:
        serve(app, pages, page, folder)
    finally:
        session.end()
    print(f"{session.edited_count} of {len(session.photos)} photos corrected")
    if session.path.exists():
        print(f"go on with: {_go_on(session, arguments)}")
        if format is not None:
            print(*products.make(format, ())[1], sep="\n")
    return session.path


def open_session(
    predictor: Predictor,
    input: str | Sequence[str] | None,  # noqa: A002
    dataset: FaceDataModule | None,
    points: str | None,
    output: str,
) -> AnnotationSession:
    """The photos with their faces as far as they are known; see `annotate`.

    Raises:
        FacekpError: a setting or a file that cannot be used.
    """
    from facekp.web.session import AnnotationSession, matching_points

    if dataset is not None and input:
        raise ConfigError("input= and dataset= are both given: choose one")
    scheme = predictor.output_scheme
    box_source = predictor.description.box_source
    known: dict[Path, CorrectedPhoto] = {}
    if dataset is not None:
        dataset.prepare_data()
        dataset.read()
        print(dataset.summary())
        scheme, box_source = dataset.scheme, dataset.box_source
        known = photos_of_records(dataset.splits, scheme.count)
        files = list(known)
    else:
        files = _photos(input)
    fits = matching_points(predictor.point_names, scheme.point_names) is not None
    path, starts = Path(output) / FILE, None
    if points is None and path.exists():
        points = str(path)
        print(f"going on with {path}")
    if points is not None:
        start = Path(points)
        if start.exists() or start.suffix.lower() != ".csv":
            description = predictor.description
            prior = description.box_prior if fits else None
            same = box_source == description.box_source
            starts = StartingPoints(start, scheme, prior, predictor.training_box if same else None)
        elif not start.absolute().parent.is_dir():
            raise ConfigError(f"points={points}: there is neither such a file nor its folder")
        else:
            print(f"points={points}: a new file")
        if not start.exists() or is_corrected_csv(start):
            path = start
    states, others = _states(files, known, starts)
    if starts is not None and all(state.faces is None and state.error is None for state in states):
        raise ConfigError(
            f"points={points}: none of the {len(files)} photos is in it; give its photos, too, as "
            "input=[FOLDER,NEW], or another points= or output="
        )
    in_place = starts is not None and starts.path == path
    shape = None if fits else _mean_shape(known)
    return AnnotationSession(
        states, scheme, predictor, path, box_source, others if in_place else (), shape
    )


def _photos(input: str | Sequence[str] | None) -> list[Path]:  # noqa: A002
    found = find_inputs(input)
    videos = [file for file in found if is_video(file)]
    for video in videos:
        print(f"skipped: {video}: a video; only photos can be annotated")
    photos = [file for file in found if not is_video(file)]
    if not photos:
        raise ConfigError(f"input={input}: no photo there")
    return photos


def _states(
    files: Sequence[Path], known: dict[Path, CorrectedPhoto], starts: StartingPoints | None
) -> tuple[list[PhotoState], list[CorrectedPhoto]]:
    """States of the photos, and the photos of the file that are not among them."""
    from facekp.web.session import PhotoState

    states = []
    if starts is not None:
        starts.expect(files)
    for file in files:
        entry, found, problem = known.get(file), None, None
        try:
            found = starts.find(file) if starts is not None else None
        except DataError as error:  # the page shows it; the other photos can be corrected
            problem = error
        if found is not None and entry is not None:
            found = CorrectedPhoto(found.file, found.faces, found.edited, entry.split, entry.group)
        entry = found or entry
        state = PhotoState(file, str(file)) if entry is None else PhotoState.of(file, entry)
        state.error = problem
        states.append(state)
    return states, starts.others() if starts is not None else []


def _mean_shape(known: dict[Path, CorrectedPhoto]) -> np.ndarray | None:
    """Mean (K, 2) of faces' points relative to their boxes; None without faces."""
    faces = [face for photo in known.values() for face in photo.faces][:RELATIVE_SHAPES]
    if not faces:
        return None
    relative = [
        (face.keypoints - face.bbox[:2]) / (face.bbox[2:] - face.bbox[:2]) for face in faces
    ]
    return np.nanmedian(relative, axis=0)


def _go_on(session: AnnotationSession, arguments: Sequence[str]) -> str:
    """The command that continues a session."""
    kept = [argument for argument in arguments if not argument.startswith(("points=", "output="))]
    words = [*kept, f"points={session.path}"]
    return "python predict.py " + " ".join(map(shlex.quote, words))
