from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from facekp.data.formats.corrected_csv import read_corrected_csv
from facekp.inference.predictor import Predictor
from facekp.web.session import AnnotationSession
from tests.web.conftest import Client


def opened(client: Client, number: int = 0) -> dict:
    status, photo = client("GET", f"photos/{number}")
    assert status == 200, photo
    return photo


def change(client: Client, photo: dict, number: int = 0, edited: bool = True) -> tuple[int, dict]:
    body = {"revision": photo["revision"], "edited": edited, "faces": photo["faces"]}
    return client("PUT", f"photos/{number}", body)


def test_a_photo_comes_with_the_points_that_prediction_gives(
    client: Client, predictor: Predictor, photos: list[Path]
) -> None:
    (face,) = opened(client)["faces"]
    np.testing.assert_allclose(face["points"], predictor(photos[0])[0].keypoints, atol=2e-3)
    assert opened(client, 2)["faces"] == []


def test_points_fitted_in_a_drawn_box_do_not_depend_on_how_well_it_is_drawn(
    client: Client,
) -> None:
    (face,) = opened(client)["faces"]
    left, top, right, bottom = face["box"]
    side = right - left
    sloppy = [left - 0.4 * side, top - 0.5 * side, right + 0.3 * side, bottom + 0.2 * side]
    status, answer = client("POST", "photos/0/fit", {"box": sloppy, "angle": 0})
    assert status == 200
    distances = np.linalg.norm(np.subtract(answer["points"], face["points"]), axis=1)
    assert distances.mean() < 0.02 * side


def test_a_turned_box_finds_a_turned_face(
    client: Client, session: AnnotationSession, photos: list[Path], astronaut: np.ndarray
) -> None:
    (face,) = opened(client)["faces"]
    turned = np.ascontiguousarray(np.rot90(astronaut, -1))  # clockwise
    cv2.imwrite(str(photos[2]), turned[..., ::-1])
    height = astronaut.shape[0]
    left, top, right, bottom = face["box"]
    centre = height - 1 - (top + bottom) / 2, (left + right) / 2
    half = (right - left) / 2
    box = [centre[0] - half, centre[1] - half, centre[0] + half, centre[1] + half]
    _, answer = client("POST", "photos/2/fit", {"box": box, "angle": 90})
    x, y = np.array(face["points"]).T
    expected = np.column_stack([height - 1 - y, x])
    distances = np.linalg.norm(expected - answer["points"], axis=1)
    assert distances.mean() < 0.02 * 2 * half


def test_a_change_is_in_the_file_before_it_is_confirmed(
    client: Client, session: AnnotationSession
) -> None:
    photo = opened(client)
    face = photo["faces"][0]
    face["points"][30], face["moved"], face["occluded"] = [12.25, 13.5], [30], [7]
    face["points"][8] = None
    status, answer = change(client, photo)
    assert (status, answer["revision"], answer["edited"]) == (200, 1, 1)
    (saved,) = read_corrected_csv(session.path, session.scheme.point_names)
    assert saved.edited
    assert saved.faces[0].keypoints[30].tolist() == [12.25, 13.5]
    assert (saved.faces[0].moved, saved.faces[0].occluded) == ({30}, {7})
    assert np.flatnonzero(np.isnan(saved.faces[0].keypoints[:, 0])).tolist() == [8]


def test_a_photo_without_faces_is_remembered(client: Client, session: AnnotationSession) -> None:
    assert change(client, opened(client, 2), 2)[0] == 200
    photo = opened(client)
    photo["faces"] = []
    assert change(client, photo)[0] == 200
    saved = read_corrected_csv(session.path, session.scheme.point_names)
    assert [(s.edited, s.faces) for s in saved] == [(True, ()), (True, ())]


def test_the_later_of_two_changes_is_refused_and_told_what_is_there(
    client: Client, session: AnnotationSession
) -> None:
    first, second = opened(client), opened(client)
    first["faces"][0]["points"][0] = [1, 2]
    assert change(client, first)[0] == 200
    second["faces"][0]["points"][0] = [3, 4]
    status, answer = change(client, second)
    assert status == 409
    assert "another window" in answer["error"]
    assert opened(client)["faces"][0]["points"][0] == [1, 2]
    second["revision"] = 1
    assert change(client, second)[0] == 200


@pytest.mark.parametrize(
    ("name", "value"),
    [("points", [[0, 0]]), ("points", [[0, "0"]] + [[0, 0]] * 67), ("box", [5, 5, 5, 9]), ("moved", [68]),
     ("occluded", [0.5]), ("angle", None), ("angle", 1000), ("points", [[0, 1e9]] + [[0, 0]] * 67)],
)  # fmt: skip
def test_faces_that_cannot_be_are_refused(client: Client, name: str, value: object) -> None:
    photo = opened(client)
    photo["faces"][0][name] = value
    status, answer = change(client, photo)
    assert status == 400, answer
    assert opened(client)["revision"] == 0


def test_a_broken_photo_is_named_and_does_not_stop_the_others(
    client: Client, photos: list[Path]
) -> None:
    photos[0].write_bytes(photos[0].read_bytes()[:500])
    status, answer = client("GET", "photos/0")
    assert status == 422
    assert "a.jpg" in answer["error"]
    assert opened(client, 1)["faces"]


def test_a_full_disk_keeps_what_was_saved(
    client: Client, session: AnnotationSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = opened(client)
    assert change(client, photo)[0] == 200
    before = session.path.read_bytes()

    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    photo["revision"], photo["faces"] = 1, []
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        status, answer = change(client, photo)
    assert status == 507
    assert "No space left" in answer["error"]
    assert session.path.read_bytes() == before
    assert change(client, photo)[0] == 200  # the page tries again


def test_a_file_that_another_program_changed_is_not_overwritten(
    client: Client, session: AnnotationSession
) -> None:
    photo = opened(client)
    assert change(client, photo)[0] == 200
    session.path.write_text("mine")
    photo["revision"] = 1
    status, answer = change(client, photo)
    assert status == 200
    assert answer["path"].endswith("corrected_2.csv")
    assert (session.path.parent / "corrected.csv").read_text() == "mine"


def test_a_deleted_folder_is_made_again_with_all_that_is_known(
    client: Client, session: AnnotationSession
) -> None:
    session.path = session.path.parent / "out" / "corrected.csv"
    for number in (0, 1):
        assert change(client, opened(client, number), number)[0] == 200
    shutil.rmtree(session.path.parent)
    assert change(client, opened(client, 1), 1)[0] == 200
    assert session.path.name == "corrected.csv"
    assert len(read_corrected_csv(session.path, session.scheme.point_names)) == 2


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'{"revision": 0, "edited": true, "faces": [' + b"1" * 5000 + b"]}"]
)
def test_hostile_json_is_refused(client: Client, body: bytes) -> None:
    assert client.raw("PUT", f"/{client.token}/photos/0", body)[0] == 400
    photo = opened(client)
    photo["faces"][0]["score"] = 10**400
    assert change(client, photo)[0] == 400


def test_large_photos_are_reduced_and_their_parts_are_not(
    client: Client, photos: list[Path], astronaut: np.ndarray
) -> None:
    cv2.imwrite(str(photos[0]), cv2.resize(astronaut, (4096, 3000))[..., ::-1])
    whole = cv2.imdecode(np.frombuffer(client("GET", "photos/0/view")[1], np.uint8), 1)
    assert whole.shape == (1500, 2048, 3)
    _, data = client("GET", "photos/0/part?left=1000&top=10&right=1300&bottom=210")
    assert cv2.imdecode(np.frombuffer(data, np.uint8), 1).shape == (200, 300, 3)
    assert client("GET", "photos/0/part?left=1000&top=10&right=9000&bottom=210")[0] == 400


def test_morphs_and_annotations_of_what_was_corrected(client: Client, tmp_path: Path) -> None:
    assert client("POST", "products", {"product": "mean", "photos": []})[0] == 400
    for number in (0, 1):
        assert change(client, opened(client, number), number)[0] == 200
    for product, name in (("mean", "mean.png"), ("midway", "midway.png"), ("morph", "morph.mp4")):
        numbers = [0, 1] if product == "midway" else []
        status, answer = client("POST", "products", {"product": product, "photos": numbers})
        assert (status, answer["name"]) == (200, name), answer
        assert len(client("GET", f"products/{name}")[1]) > 1000
    for product in ("coco", "csv", "dlib", "pts", "drawn"):
        status, answer = client("POST", "products", {"product": product, "photos": [0]})
        assert status == 200, answer
        assert Path(answer["path"]).exists()
    table = pd.read_csv(tmp_path / "csv/annotations.csv")
    assert list(table.file) == ["a.jpg", "b.jpg"]
    assert client("POST", "products", {"product": "rm", "photos": []})[0] == 400
    assert client("GET", "products/corrected.csv")[0] == 404


def test_progress_names_the_command_that_trains(client: Client, session: AnnotationSession) -> None:
    assert client("GET", "status/p")[1]["command"] is None
    change(client, opened(client))
    status = client("GET", "status/p")[1]
    assert status["edited"] == 1
    assert f"dataset.train={session.path}" in status["command"]
    assert "dataset.landmarks=ibug68" in status["command"]
    again = client("GET", f"status/p?known={status['known']}")[1]
    assert again["photos"] is None
