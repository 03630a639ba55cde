"""The data that a network was trained on."""

from __future__ import annotations

from facekp.core.description import NetworkDescription
from facekp.data.datamodule import FaceDataModule
from facekp.data.factory import training_data


def load_training_data(description: NetworkDescription, data_dir: str | None) -> FaceDataModule:
    """The data set that a network was trained on, read; says so if it has changed.

    Args:
        description: of the network.
        data_dir: where the data is now; None: where it was in training.

    Raises:
        ConfigError: the checkpoint names no data set that may be built.
        DataError: the data is missing or broken.
    """
    datamodule = training_data(description, data_dir)
    datamodule.prepare_data()
    datamodule.setup()
    if datamodule.fingerprint() != description.data_fingerprint:
        print(
            "NOTE: this is not the data that the network was trained on; if its split is random, "
            "faces that it was trained on can be among those it is evaluated on."
        )
    return datamodule
