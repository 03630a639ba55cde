"""Predicting on photos and videos."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from facekp.core.columns import BOX_COLUMNS
from facekp.core.errors import ConfigError, FacekpError
from facekp.data.annotations import AnnotationsDataModule
from facekp.data.ibug import IBUGDataModule, read_ibug
from facekp.data.synthetic import draw_ibug_face
from facekp.inference.backends import load_backend
from facekp.inference.detectors import CenterFaceDetector, WholeImage
from facekp.inference.predictor import Predictor
from facekp.tasks.predict import Options, predict
from facekp.visualization.video import VideoWriter
from tests.helpers import run_photos


def test_one_odd_photo_takes_no_other_along(
    checkpoints: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    for name in ("a", "c"):
        Image.fromarray(draw_ibug_face(1, 0)[0]).save(tmp_path / f"{name}.jpg")

    class Fragile(WholeImage):
        def __call__(self, image: np.ndarray) -> Any:
            if image.shape[0] == 5:
                raise RuntimeError("a library's own trouble")
            return super().__call__(image)

    Image.new("RGB", (20000, 5)).save(tmp_path / "b.png")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(FacekpError, match=r"1 of 3 files skipped: .*b\.png.*own trouble"):
        run_photos(checkpoints["ibug"], tmp_path / "out", str(tmp_path), detector=Fragile)
    table = pd.read_csv(tmp_path / "out/predictions.csv")
    assert [Path(file).name for file in table["file"]] == ["a.jpg", "c.jpg"]
    assert list(table["picture"]) == ["a.jpg", "c.jpg"]
    assert "1 files are no photos or videos by name: ['notes.txt']" in capsys.readouterr().out


def test_a_detector_that_cannot_be_had_is_said_once(
    checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    Image.fromarray(draw_ibug_face(1, 0)[0]).save(tmp_path / "a.jpg")
    with pytest.raises(ConfigError, match=r"^detector\.model is missing"):
        run_photos(
            checkpoints["ibug"], tmp_path / "out", str(tmp_path), detector=CenterFaceDetector
        )


def test_predictions_are_boxes_of_the_same_faces(
    checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    for number in range(2):
        Image.fromarray(draw_ibug_face(number, 0)[0]).save(tmp_path / f"{number}.png")
    for network in ("imm", "ibug"):
        first = run_photos(checkpoints[network], tmp_path / f"{network}1", str(tmp_path / "*.png"))
        boxes = str(tmp_path / f"{network}1/predictions.csv")
        again = run_photos(
            checkpoints[network], tmp_path / f"{network}2", str(tmp_path / "*.png"), boxes=boxes
        )
        points = first.filter(regex="^[xy][0-9]").columns
        np.testing.assert_allclose(first[points], again[points], atol=2e-3)


def test_every_kind_of_photo(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    picture, _, _ = draw_ibug_face(1, 0)
    folder = tmp_path / "in"
    folder.mkdir()
    image = Image.fromarray(picture)
    exif = Image.Exif()
    exif[0x0112] = 6
    image.transpose(Image.Transpose.ROTATE_90).save(folder / "turned.jpg", exif=exif, quality=98)
    image.save(folder / "plain.jpg", quality=98)
    image.convert("L").save(folder / "grey.png")
    image.convert("RGBA").save(folder / "alpha.png")
    image.convert("CMYK").save(folder / "cmyk.jpg")
    deep = np.asarray(image.convert("L")).astype(np.uint16) * 257
    Image.fromarray(deep).save(folder / "deep.png")
    image.resize((4000, 4400)).save(folder / "large.jpg")
    image.resize((8, 9)).save(folder / "tiny.png")
    (folder / "notes.txt").write_text("no photo")
    table = run_photos(checkpoints["ibug"], tmp_path / "out", str(folder)).set_index("file")
    table.index = [Path(file).name for file in table.index]
    assert len(table) == 8
    columns = [f"{axis}{k}" for k in range(68) for axis in "xy"]
    plain = table.loc["plain.jpg", columns].to_numpy(float)
    turned = table.loc["turned.jpg", columns].to_numpy(float)
    np.testing.assert_allclose(turned, plain, atol=1.0)  # upright, in pixels as one sees them
    scale = np.tile([4000 / picture.shape[1], 4400 / picture.shape[0]], 68)
    np.testing.assert_allclose(
        table.loc["large.jpg", columns].to_numpy(float), plain * scale, atol=30
    )
    names = [path.suffix for path in (tmp_path / "out").iterdir()]
    assert (names.count(".png"), names.count(".jpg")) == (4, 4)  # as the input


def test_broken_file_is_reported_and_the_rest_goes_on(
    checkpoints: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    picture, _, _ = draw_ibug_face(1, 0)
    for name in ("a.jpg", "c.jpg"):
        Image.fromarray(picture).save(tmp_path / name)
    (tmp_path / "b.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:500])
    with pytest.raises(FacekpError, match=r"1 of 3 files skipped: .*b\.jpg"):
        run_photos(checkpoints["ibug"], tmp_path / "out", str(tmp_path / "*.jpg"))
    assert len(pd.read_csv(tmp_path / "out/predictions.csv")) == 2
    assert "skipped" in capsys.readouterr().out


def test_given_boxes_by_xml_and_csv(
    checkpoints: dict[str, Path], ibug_data: Path, tmp_path: Path
) -> None:
    folder = ibug_data / IBUGDataModule.info.folder_name
    record = read_ibug(folder / "labels_ibug_300W_test.xml")[0]
    (tmp_path / "b.csv").write_text(
        "file,left,top,right,bottom\n"
        + ",".join(map(str, [record.image.name, *record.bbox]))
        + "\n"
    )
    by_xml, by_csv = (
        run_photos(checkpoints["ibug"], tmp_path / f"out{n}", str(record.image), boxes=str(boxes))
        for n, boxes in enumerate((folder / "labels_ibug_300W_test.xml", tmp_path / "b.csv"))
    )
    assert len(by_xml) == 1
    pd.testing.assert_frame_equal(by_xml, by_csv)
    np.testing.assert_allclose(
        by_xml[["left", "top", "right", "bottom"]].iloc[0].to_numpy(float), record.bbox, atol=1e-3
    )


def test_video(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    import cv2

    picture = cv2.resize(draw_ibug_face(1, 0)[0], (320, 352))
    clip = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"mp4v"), 10, (320, 352))
    for _ in range(5):
        writer.write(picture[..., ::-1])
    writer.release()
    table = run_photos(checkpoints["ibug"], tmp_path / "out", str(clip))
    assert list(table["frame"]) == [1, 2, 3, 4, 5]
    drawn = cv2.VideoCapture(str(tmp_path / "out/clip.mp4"))
    assert int(drawn.get(cv2.CAP_PROP_FRAME_COUNT)) == 5
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    with pytest.raises(FacekpError, match=r"broken\.mp4: not a video"):
        run_photos(checkpoints["ibug"], tmp_path / "out2", str(tmp_path / "broken.mp4"))


def test_boxes_are_not_forgotten_in_silence(
    checkpoints: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    boxes = tmp_path / "b.csv"
    boxes.write_text("file,left,top,right,bottom\nother.jpg,1,2,30,40\n")
    Image.fromarray(draw_ibug_face(1, 0)[0]).save(tmp_path / "a.jpg")
    run_photos(checkpoints["ibug"], tmp_path / "out", str(tmp_path / "a.jpg"), boxes=str(boxes))
    assert "a.jpg: not in" in capsys.readouterr().out
    (tmp_path / "clip.mp4").touch()
    with pytest.raises(ConfigError, match="boxes are for photos"):
        run_photos(
            checkpoints["ibug"], tmp_path / "o", str(tmp_path / "clip.mp4"), boxes=str(boxes)
        )


@pytest.mark.parametrize("names", [None, "nowhere/*.jpg", []])
def test_no_input_is_said(checkpoints: dict[str, Path], tmp_path: Path, names: Any) -> None:
    with pytest.raises(ConfigError, match="input="):
        run_photos(checkpoints["ibug"], tmp_path, names)


@pytest.mark.parametrize("name", ["coco", "csv", "dlib", "pts"])
def test_predictions_are_written_as_annotations(
    checkpoints: dict[str, Path], tmp_path: Path, name: str
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(3):
        Image.fromarray(draw_ibug_face(number, 0)[0]).save(photos / f"{number}.jpg")
    predictor = Predictor.load(checkpoints["ibug"], WholeImage)
    predict(predictor, str(photos), None, str(tmp_path), name)
    table = pd.read_csv(tmp_path / "predictions.csv")
    suffix = {"coco": ".json", "csv": ".csv", "dlib": ".xml", "pts": ""}[name]
    data = AnnotationsDataModule(
        data_dir=tmp_path, input_size=(64, 64), train=f"annotations{suffix}", landmarks="ibug68",
        images=None if name == "pts" else str(photos),
    )  # fmt: skip
    data.setup()
    records = sorted((r for rs in data.splits.values() for r in rs), key=lambda r: r.image.name)
    points = table.filter(regex=r"^[xy]\d+$").to_numpy().reshape(3, 68, 2)
    np.testing.assert_allclose([record.keypoints for record in records], points, atol=1e-3)


@pytest.mark.parametrize(
    ("pictures", "suffixes"), [("auto", [".jpg", ".png"]), ("png", [".png"] * 2), ("none", [])]
)
def test_pictures(tmp_path: Path, pictures: str, suffixes: list[str]) -> None:
    for suffix in ("jpg", "png"):
        Image.fromarray(draw_ibug_face(1, 0)[0]).save(tmp_path / f"{suffix}.{suffix}", quality=98)
    predict(Predictor.load(), str(tmp_path), None, str(tmp_path / "out"), None, Options(pictures))
    written = sorted((tmp_path / "out").iterdir())
    assert [p.suffix for p in written if p.suffix != ".csv"] == suffixes
    table = pd.read_csv(tmp_path / "out/predictions.csv")
    points = table.filter(regex=r"^[xy]\d+$").to_numpy()
    assert np.abs(points[0] - points[1]).max() < 1
    for wrong in (dict(pictures="gif"), dict(smoothing="maybe")):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            Options(**wrong)  # type: ignore[arg-type]


def test_a_large_photo_is_read_reduced_where_nothing_is_drawn(tmp_path: Path) -> None:
    import cv2

    large = cv2.resize(draw_ibug_face(1, 0)[0], (3200, 3328), interpolation=cv2.INTER_CUBIC)
    Image.fromarray(large).save(tmp_path / "a.jpg", quality=95)
    predictor = Predictor.load()
    (reduced,), (whole,) = predictor(tmp_path / "a.jpg"), predictor(large)
    eyes = np.linalg.norm(whole.keypoints[36] - whole.keypoints[45])
    assert np.abs(reduced.keypoints - whole.keypoints).mean() < 0.01 * eyes
    small = np.full((3328, 3200, 3), 120, np.uint8)
    small[:220, :210] = cv2.resize(draw_ibug_face(1, 0)[0], (210, 220))
    Image.fromarray(small).save(tmp_path / "b.jpg", quality=95)
    (found,), (expected,) = predictor(tmp_path / "b.jpg"), predictor(small)
    assert np.abs(found.keypoints - expected.keypoints).mean() < 1  # read as a whole again


def test_faces_as_a_table() -> None:
    faces = Predictor.load()(draw_ibug_face(1, 0)[0])
    table = faces.to_dataframe()
    expected = [*BOX_COLUMNS, "angle", "score", "box_source", "x0", "y0"]
    assert list(table.columns[:9]) == expected
    np.testing.assert_array_equal(table.loc[0, ["x67", "y67"]], faces[0].keypoints[67])
    assert Predictor.load()(np.zeros((50, 50, 3), np.uint8)).to_dataframe().empty


def test_a_video_keeps_its_sound_its_times_and_its_faces(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    av = pytest.importorskip("av")
    picture = np.ascontiguousarray(draw_ibug_face(3, 0)[0][:320, :320])
    times = [0, 0.04, 0.08, 0.3, 0.34, 0.38, 0.6, 1.0]
    with VideoWriter(tmp_path / "clip.mp4", (320, 320), 25, timed=True) as video:
        for number, seconds in enumerate(times):
            video.write(np.roll(picture, number, axis=1), seconds)
    with (
        av.open(str(tmp_path / "clip.mp4")) as source,
        av.open(str(tmp_path / "in.mov"), "w") as file,  # PCM, which an mp4 cannot hold
    ):
        stream = file.add_stream_from_template(source.streams.video[0])
        sound = file.add_stream("pcm_s16le", rate=16000, layout="mono")
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                file.mux(packet)
        wave = (8000 * np.sin(np.arange(16000) / 5)).astype(np.int16)[None]
        tone = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
        tone.sample_rate = 16000
        file.mux(sound.encode(tone))
        file.mux(sound.encode(None))
    predict(Predictor.load(), str(tmp_path / "in.mov"), None, str(tmp_path / "out"))
    table = pd.read_csv(tmp_path / "out/predictions.csv")
    np.testing.assert_allclose(table["time"].unique(), times, atol=1e-3)
    assert set(table["face"]) == {0}
    raw = table[[f"raw_x{k}" for k in range(68)]].to_numpy()
    smooth = table[[f"x{k}" for k in range(68)]].to_numpy()
    assert 0 < np.abs(raw - smooth).mean() < 5
    with av.open(str(tmp_path / "out/in.mp4")) as drawn:
        frames = [float(frame.time) for frame in drawn.decode(video=0)]
    np.testing.assert_allclose(frames, times, atol=2e-3)
    with av.open(str(tmp_path / "out/in.mp4")) as drawn:
        samples = np.concatenate([f.to_ndarray()[0] for f in drawn.decode(audio=0)])
    assert len(samples) > 15000
    assert 0.1 < np.abs(samples).max() < 0.4


def test_a_video_without_faces_says_which_frames(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    pytest.importorskip("av")
    with VideoWriter(tmp_path / "in.mp4", (64, 64), 25) as video:
        for _ in range(8):
            video.write(np.full((64, 64, 3), 90, np.uint8))
    predictor, source = Predictor.load(), str(tmp_path / "in.mp4")
    predict(predictor, source, None, str(tmp_path / "out"), "coco", Options(every=2))
    printed = capsys.readouterr().out
    assert "no face in 4 of 4 frames (1, 3, 5, 7)" in printed
    assert "format=coco: only faces of photos are written as annotations" in printed
    assert not (tmp_path / "out/annotations.json").exists()
    with pytest.raises(FacekpError, match="no frame between start and end"):
        predict(predictor, source, None, str(tmp_path / "out"), None, Options(start=9))


def test_the_input_is_never_overwritten(tmp_path: Path) -> None:
    pytest.importorskip("av")
    Image.fromarray(draw_ibug_face(1, 0)[0]).save(tmp_path / "a.jpg")
    with VideoWriter(tmp_path / "b.mp4", (64, 64), 25) as video:
        video.write(np.zeros((64, 64, 3), np.uint8))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    predict(Predictor.load(), str(tmp_path), None, str(tmp_path), None, Options(smoothing="off"))
    assert {path: path.read_bytes() for path in before} == before
    assert {"a_2.jpg", "b_2.mp4"} <= {path.name for path in tmp_path.iterdir()}
    table = pd.read_csv(tmp_path / "predictions.csv")
    assert "raw_x0" not in table


def test_pictures_that_differ_in_case_alone_get_different_names(tmp_path: Path) -> None:
    """On some file systems one would replace the other, or the input."""
    for name in ("photos/x/a.JPG", "photos/A.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw_ibug_face(1, 0)[0]).save(tmp_path / name)
    inputs = [str(tmp_path / "photos/x"), str(tmp_path / "photos/A.jpg")]
    predict(Predictor.load(), inputs, None, str(tmp_path / "photos/x"), None, Options())
    names = [path.name.lower() for path in (tmp_path / "photos/x").iterdir()]
    assert len(set(names)) == len(names) == 4


def test_photos_of_a_table_with_videos_are_boxes_again(tmp_path: Path) -> None:
    Image.fromarray(draw_ibug_face(1, 0)[0]).save(tmp_path / "a.jpg")
    (tmp_path / "b.csv").write_text(
        "file,frame,left,top,right,bottom\nb.mp4,3,1,2,3,4\na.jpg,0,50,60,200,220\n"
    )
    predict(Predictor.load(), str(tmp_path / "a.jpg"), str(tmp_path / "b.csv"), str(tmp_path / "o"))
    table = pd.read_csv(tmp_path / "o/predictions.csv")
    assert table[["left", "bottom"]].to_numpy().tolist() == [[50, 220]]


@pytest.mark.parametrize(
    ("suffix", "codec", "rate", "layout", "kept"),
    [
        (".avi", "pcm_s16le", 16000, "stereo", "aac"),
        (".mov", "pcm_s16le", 192000, "mono", "aac"),
        (".mov", "pcm_s16le", 12345, "mono", "aac"),
        (".mkv", "mp3", 44100, "stereo", "mp3float"),
    ],
)
def test_sound_of_every_kind_is_kept(
    tmp_path: Path, suffix: str, codec: str, rate: int, layout: str, kept: str
) -> None:
    av = pytest.importorskip("av")
    source = tmp_path / f"a{suffix}"
    with av.open(str(source), "w") as file:
        stream = file.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        sound = file.add_stream(codec, rate=rate, layout=layout)
        for _ in range(25):
            picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            file.mux(stream.encode(picture))
        channels = 1 if layout == "mono" else 2
        wave = (8000 * np.sin(np.arange(rate * channels) / 20)).astype(np.int16)[None]
        tone = av.AudioFrame.from_ndarray(wave, format="s16", layout=layout)
        tone.sample_rate = rate
        resampler = av.AudioResampler(sound.format, layout, rate)
        for part in [*resampler.resample(tone), *resampler.resample(None)]:
            fifo = av.AudioFifo()
            fifo.write(part)
            while (piece := fifo.read(1152, partial=True)) is not None:
                file.mux(sound.encode(piece))
        file.mux([*stream.encode(None), *sound.encode(None)])
    predict(Predictor.load(), str(source), None, str(tmp_path / "out"))
    with av.open(str(tmp_path / "out/a.mp4")) as drawn:
        (track,) = drawn.streams.audio
        assert track.codec_context.name == kept
        samples = sum(frame.samples for frame in drawn.decode(audio=0))
    assert samples / track.codec_context.sample_rate == pytest.approx(1.0, abs=0.1)


def test_boxes_of_a_file_are_those_of_annotations_if_the_training_was(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """A network's training file, given as boxes=, frames its faces as in training."""
    picture, _, box = draw_ibug_face(1, 0)
    Image.fromarray(picture).save(tmp_path / "a.png")
    edges = ",".join(map(str, box + [-40, -40, 40, 40]))
    (tmp_path / "b.csv").write_text(f"file,left,top,right,bottom\na.png,{edges}\n")
    backend, description = load_backend("ibug68")
    sources = {"annotation": "annotation", "dlib": "dlib", "image": "dlib"}
    for trained_with, source in sources.items():
        predictor = Predictor(backend, replace(description, box_source=trained_with))
        out = tmp_path / trained_with
        out.mkdir()
        predict(predictor, str(tmp_path / "a.png"), str(tmp_path / "b.csv"), str(out))
        assert pd.read_csv(out / "predictions.csv")["box_source"].tolist() == [source]
        said = "boxes are taken as dlib's" in capsys.readouterr().out
        assert said == (trained_with == "image")
