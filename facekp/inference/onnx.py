"""Sessions of ONNX Runtime."""

from __future__ import annotations

from threading import Lock
from typing import Any

import numpy as np

LARGE_BATCH = 8
"""Batches of this size and more are computed by all cores."""


def open_session(model: bytes | str, threads: int = 1) -> Any:
    """A session (`onnxruntime.InferenceSession`) on the CPU, which several threads may run at once.

    Args:
        model: a file's path or content.
        threads: that compute together, 0 for one per core; 1 is the calling thread. They wait
            without spinning: on a busy machine, threads that spin wait for one that the system has
            put aside.

    Raises:
        Exception: of ONNX Runtime, whose errors share no base class: not a network that it can run.
    """
    import onnxruntime  # takes a tenth of a second

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors: warnings concern shapes that are meant to vary
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class OnnxNetwork:
    """An exported network: small batches in the calling thread, large ones on all cores.

    Args:
        path: the file.

    Raises:
        Exception: see `open_session`.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.small = open_session(path)
        self._large: Any = None
        self._lock = Lock()
        self.input_name: str = self.small.get_inputs()[0].name
        self.metadata: dict[str, str] = self.small.get_modelmeta().custom_metadata_map

    def __call__(self, crops: np.ndarray) -> np.ndarray:
        """Normalised keypoints (B, K, 2) of crops (B, C, H, W) uint8.

        Raises:
            Exception: see `open_session`.
        """
        session = self.small
        if len(crops) >= LARGE_BATCH:
            with self._lock:
                self._large = self._large or open_session(self.path, threads=0)
            session = self._large
        return np.asarray(session.run(None, {self.input_name: crops})[0])
