"""Sessions of ONNX Runtime."""

from __future__ import annotations

from typing import Any


def open_session(model: bytes | str) -> Any:
    """A session (`onnxruntime.InferenceSession`) on the CPU, which several threads may run at once.

    It computes in the calling thread. A pool of threads gains little on networks of a few
    milliseconds, and on a busy machine its threads wait for one that the system has put aside.

    Args:
        model: a file's path or content.

    Raises:
        Exception: of ONNX Runtime, whose errors share no base class: not a network that it can run.
    """
    import onnxruntime  # takes a tenth of a second

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors: warnings concern shapes that are meant to vary
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
