"""Running a network: checkpoints in torch, exported networks in ONNX Runtime; one protocol."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from threading import Lock

import numpy as np

from facekp.core.description import DESCRIPTION_KEY, NetworkDescription
from facekp.core.errors import ConfigError, DataError
from facekp.inference.onnx import LARGE_BATCH, OnnxNetwork
from facekp.models.bundled import resolve_network

Backend = Callable[[np.ndarray], np.ndarray]
"""Crops (B, C, H, W) uint8 to normalised keypoints (B, K, 2)."""


def load_backend(path: str | Path, device: str = "cpu") -> tuple[Backend, NetworkDescription]:
    """The network of a checkpoint (`.ckpt`) or of an exported network (`.onnx`).

    Args:
        path: the file, or the name of a bundled network.
        device: where a checkpoint's network runs, as torch names it.

    Raises:
        DataError: a missing file, or not a file of facekp.
        ConfigError: a device that does not exist, or a network that may not be built.
    """
    path = resolve_network(path, device)
    if path.suffix.lower() != ".onnx":
        return load_torch(path, device)
    if device != "cpu":
        raise ConfigError(f"device={device}: an .onnx runs on the cpu here; give the .ckpt")
    return load_onnx(path)


def load_torch(path: Path, device: str) -> tuple[Backend, NetworkDescription]:
    """The network of a checkpoint, in torch.

    Raises:
        DataError, ConfigError: see `load_backend`.
    """
    import torch  # takes seconds, which an exported network need not wait for

    from facekp.models.base import normalize_images
    from facekp.models.checkpoint import load_network

    network, description = load_network(path)
    try:
        network = network.to(device)
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = str(error).splitlines()[0]
        if "device type" in reason:  # torch names the 18 that it knows
            reason = "choose cpu, cuda, or mps on a Mac"
        raise ConfigError(f"device={device}: {reason}; device=cpu works everywhere") from error
    # Otherwise every call would convert the weights.
    network = network.eval().to(memory_format=torch.channels_last)
    one_thread = _OneThread()

    def run(crops: np.ndarray) -> np.ndarray:
        small = device == "cpu" and len(crops) < LARGE_BATCH
        with torch.inference_mode(), one_thread if small else nullcontext():
            images = torch.from_numpy(crops).to(device).to(memory_format=torch.channels_last)
            return network(normalize_images(images)).float().cpu().numpy()

    return run, description


class _OneThread:
    """Lets torch compute in the calling thread.

    A small batch gains little by more, and on a busy machine torch's threads, which spin, wait for
    one that the system has put aside: 680 ms for a face that takes 7.
    """

    def __init__(self) -> None:
        self._lock, self._inside, self._threads = Lock(), 0, 1

    def __enter__(self) -> None:
        import torch

        with self._lock:
            if not self._inside:
                self._threads = torch.get_num_threads()
            self._inside += 1
            torch.set_num_threads(1)  # also of this thread, if another has been here first

    def __exit__(self, *_: object) -> None:
        import torch

        with self._lock:
            self._inside -= 1
            torch.set_num_threads(self._threads)


def load_onnx(path: Path) -> tuple[Backend, NetworkDescription]:
    """An exported network, in ONNX Runtime.

    Raises:
        DataError: see `load_backend`.
    """
    remedy = "export a checkpoint with predict.py task=export"
    if not path.is_file():
        raise DataError(path, "no such file", remedy)
    try:
        network = OnnxNetwork(str(path))
        entry = json.loads(network.metadata[DESCRIPTION_KEY])
    except Exception as error:  # onnxruntime's errors share no base class
        raise DataError(path, "not a network that facekp exported", remedy) from error
    try:
        description = NetworkDescription.from_dict(entry)
    except ValueError as error:
        raise DataError(path, f"its description is not valid: {error}", remedy) from error

    def run(crops: np.ndarray) -> np.ndarray:
        try:
            return network(crops)
        except Exception as error:  # as above
            problem = f"its network does not run ({str(error).splitlines()[0][:200]})"
            raise DataError(path, problem, remedy) from error

    return run, description
