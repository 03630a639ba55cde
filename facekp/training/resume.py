"""Checks before a training is resumed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from facekp.core.description import NetworkDescription
from facekp.core.errors import ConfigError
from facekp.models.checkpoint import read_checkpoint
from facekp.training.flatten import flatten

DATA_PLACES = ("dataset.data_dir", "dataset.cache", "dataset.cache_dir", "dataset.download",
               "dataset.num_workers")  # fmt: skip
"""Where data is, and how fast it is read: a run's figures do not depend on these settings."""
_FREE = (*DATA_PLACES, "model.optimizer.fused")
ADDED = {
    "dataset.fold": str(None), "dataset.split_seed": 0, "dataset.label_shift": 0.0,
    "dataset.file_splits": True, "model.trunk": str(None), "model.pretrained": False,
}  # fmt: skip
"""Settings that older runs lack, flat, with the value that they were trained with."""


def changed_settings(
    before: Mapping[str, Any], now: Mapping[str, Any], parts: Sequence[str], free: Sequence[str]
) -> dict[str, tuple[Any, Any]]:
    """Settings that differ between two configurations, flat: {name: (before, now)}.

    Args:
        before: resolved configuration, perhaps of an older run, see `ADDED`.
        now: the other one.
        parts: of both, that are compared.
        free: flat names that may differ.
    """
    old, new = (ADDED | flatten({part: c.get(part) for part in parts}) for c in (before, now))
    return {
        key: (old.get(key), new.get(key))
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key) and key not in free
    }


def check_resume(description: NetworkDescription, ckpt_path: str) -> NetworkDescription:
    """Check that a run may be resumed with the present configuration and data.

    Args:
        description: of the network to be trained.
        ckpt_path: the checkpoint to resume from.

    Returns:
        The checkpoint's description.

    Raises:
        ConfigError: the network, data set or recipe differs from the checkpoint's; the message
            names what.
        DataError: not a checkpoint of facekp.
    """
    checkpoint, before = read_checkpoint(ckpt_path)
    parts = ("seed", "model", "dataset", "teacher")
    changed = changed_settings(before.config, description.config, parts, _FREE)
    for name in ("monitor", "threshold"):  # by these best.ckpt was chosen; packed files lack them
        old, new = before.config.get(name), description.config[name]
        if old not in (None, new):
            changed[name] = old, new
    if changed:
        differences = ", ".join(f"{key}={new} (was {old})" for key, (old, new) in changed.items())
        raise ConfigError(
            f"ckpt_path={ckpt_path}: a resumed run keeps its settings, but {differences}"
        )
    if not isinstance(checkpoint.get("epoch"), int):
        raise ConfigError(f"ckpt_path={ckpt_path}: packed weights can be used, but not resumed")
    if not checkpoint.get("optimizer_states"):
        raise ConfigError(
            f"ckpt_path={ckpt_path}: has no optimizer; give last.ckpt beside it, or resume=FOLDER"
        )
    done, wanted = int(checkpoint["epoch"]) + 1, description.config["trainer"]["max_epochs"]
    if done > wanted:
        raise ConfigError(
            f"ckpt_path={ckpt_path}: the run has completed {done} epochs, but "
            f"trainer.max_epochs={wanted}"
        )
    states = checkpoint.get("callbacks", {}).values()
    has_best = any(
        isinstance(s, dict) and s.get("best_model_path") and s.get("monitor") for s in states
    )
    if has_best and not Path(ckpt_path).with_name("best.ckpt").is_file():
        raise ConfigError(f"ckpt_path={ckpt_path}: best.ckpt is not beside it; restore the folder")
    if before.data_fingerprint != description.data_fingerprint:
        raise ConfigError(f"ckpt_path={ckpt_path}: the data has changed since the run was started")
    return before
