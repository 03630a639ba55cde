"""Converting a data set to another format of annotations."""

from __future__ import annotations

from pathlib import Path

from facekp.core.errors import ConfigError
from facekp.core.files import atomic_write_text
from facekp.data.datamodule import FaceDataModule
from facekp.data.formats.recognition import writable_format, writable_formats
from facekp.data.writing import common_folder, not_written, write_annotations
from facekp.tasks.common import output_folder


def convert(dataset: FaceDataModule | None, format: str | None, output: str) -> list[Path]:  # noqa: A002  # the command line's name
    """Write a data set as annotations of another format, one file (or folder) per split.

    Images stay where they are, but for `format=pts`, which needs them beside the points.

    Args:
        dataset: the data set.
        format: name of a `WritableFormat`, e.g. `coco`.
        output: folder of the files.

    Returns:
        The files.

    Raises:
        FacekpError: the data cannot be read, or the format cannot hold it.
    """
    if dataset is None:
        raise ConfigError("dataset= is missing: e.g. dataset=annotations dataset.train=faces.csv")
    if format is None:
        raise ConfigError(f"format= is missing: give one of {', '.join(writable_formats())}")
    annotation_format = writable_format(format)
    dataset.prepare_data()
    dataset.read()
    print(dataset.summary())
    every = [record for records in dataset.splits.values() for record in records]
    for note in not_written(annotation_format, every):
        print(note)
    folder, paths = output_folder(output), []
    read = {record.origin[0].resolve() for record in every}
    for split in dataset.splits:
        path = folder / f"{split}{annotation_format.suffix}"
        if path.resolve() in read:
            raise ConfigError(f"output={output}: {path} is read, and would be lost; give another")
    root = None if annotation_format.copies_images else common_folder(every)
    for split, records in dataset.splits.items():
        if annotation_format.copies_images:  # it is nothing but points
            records = [record for record in records if record.keypoints is not None]
        if not records:
            continue
        path = folder / f"{split}{annotation_format.suffix}"
        write_annotations(annotation_format, path, records, dataset.scheme, split, root=root)
        setting = "test" if split == "predict" else split
        print(f"{len(records)} faces: dataset.{setting}={path}")
        paths.append(path)
    if root is not None:
        print(f"images: dataset.images={root}")
    scheme = folder / f"{dataset.scheme.name}.yaml"
    atomic_write_text(scheme, dataset.scheme.to_yaml())
    print(f"names, skeleton and flip pairs of the points: dataset.landmarks={scheme}")
    return paths
