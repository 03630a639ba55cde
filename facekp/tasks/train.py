"""One training run, from a composed configuration to a checkpoint and its figures."""

from __future__ import annotations

import json
import logging
import math
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytorch_lightning as L
import yaml
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table
from torch import nn

import facekp
from facekp.training.callbacks.history import flatten
from facekp.training.callbacks.teacher import Teacher
from facekp.models.checkpoint import read_checkpoint
from facekp.cli.config import build, build_network
from facekp.data.datamodule import FaceDataModule
from facekp.core.errors import ConfigError, FacekpError
from facekp.core.files import write_text
from facekp.training.memory import available, keep_freed_memory, peak, step_bytes, too_much
from facekp.training.module import KeypointModule
from facekp.visualization.reports.run import RunReport, duration
from facekp.cli.runs import RESULTS, accept_resume, command
from facekp.training.trainer import tensorboards

log = logging.getLogger(__name__)

_PACKAGES = (
    "torch", "torchvision", "pytorch-lightning", "torchmetrics", "hydra-core", "omegaconf",
    "albumentations", "opencv-python-headless", "numpy",
)  # fmt: skip


def train(cfg: DictConfig) -> float:
    """Train, validate and (where the protocol has a labelled test) test.

    Args:
        cfg: the composed configuration, see `conf/`.

    Returns:
        The best value of `cfg.monitor`.

    Raises:
        FacekpError: a setting or a data file that cannot work.
    """
    run_dir = Path(cfg.run_dir)
    started = time.perf_counter()
    L.seed_everything(cfg.seed, verbose=False)

    datamodule: FaceDataModule = build(cfg.dataset)
    datamodule.prepare_data()
    datamodule.setup()
    config = cast("dict[str, Any]", OmegaConf.to_container(cfg, resolve=True))
    description = describe(config, datamodule)
    if cfg.ckpt_path:
        check_resumed(description, cfg.ckpt_path)
        accept_resume(run_dir)
    network = build_network(config["model"], datamodule.num_keypoints)
    network.start_at(datamodule.mean_shape())
    if cfg.init_from and not cfg.ckpt_path:
        taken, count, before = start_from(network, cfg.init_from)
        log.info(f"{taken:,} of {count:,} weights start as in {cfg.init_from}")
        warn_of_other_faces(f"init_from={cfg.init_from}", before, description)
    if cfg.trainer.gpus == 0:
        view, batch_size = datamodule.view, datamodule.batch_size
        needed = cfg.trainer.cpus * step_bytes(network, view.channels, view.size, batch_size)
        free = available()
        if 0 < free < needed:  # the system would end the process without a word
            raise out_of_memory(cfg, f"{needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free")
        keep_freed_memory(needed)
    module = KeypointModule(
        network,
        loss=build(cfg.model.loss),
        optimizer=build_optimizer(cfg),
        scheduler=build(cfg.model.scheduler) if cfg.model.scheduler else None,
        threshold=cfg.threshold,
        description=description,
    )
    monitorable = [
        "val/loss",
        *(f"val/{n}" for n in module.val_metrics.names if not n.startswith("auc")),
    ]
    if cfg.monitor not in monitorable:
        raise ConfigError(f"monitor={cfg.monitor}: choose one of {', '.join(monitorable)}")
    callbacks = {
        name: build(node)
        for name, node in cfg.callbacks.items()
        if node and (cfg.report or name != "pictures")
    }
    if cfg.teacher:
        callbacks["teacher"] = Teacher(cfg.teacher, description)
        taught_by = callbacks["teacher"].description
        warn_of_other_faces(f"teacher={cfg.teacher}", taught_by, description)
    missing = {"best", "last", "history"} - callbacks.keys()
    if missing:
        raise ConfigError(
            f"callbacks: {', '.join(sorted(missing))} left out; give the default ones, too, as in "
            "callbacks=[default,ema]"
        )
    logger = build(cfg.logger) if cfg.get("logger") else False
    trainer: L.Trainer = build(
        cfg.trainer, callbacks=list(callbacks.values()), logger=logger, default_root_dir=run_dir
    )
    if trainer.is_global_zero:
        write_run_files(run_dir, module.description)

    log.info(f"{cfg.name}: {sum(p.numel() for p in network.parameters()):,} parameters")
    try:
        trainer.fit(module, datamodule=datamodule, ckpt_path=cfg.ckpt_path, weights_only=True)
    except (RuntimeError, MemoryError) as error:
        if too_much(error):
            raise out_of_memory(cfg, "more than there is") from error
        if "DataLoader worker" not in str(error):
            raise
        raise FacekpError(
            f"a loader process died ({str(error).splitlines()[0]}), perhaps for want of memory: "
            f"dataset.num_workers=0 needs the least; resume={run_dir} goes on"
        ) from error
    best_ckpt = run_dir / "checkpoints" / "best.ckpt"
    history: pd.DataFrame = callbacks["history"].frame
    figures: dict[str, float] = {}
    if trainer.is_global_zero:
        if cfg.monitor not in history:
            raise FacekpError("the run ended before its first validation: give it more time")
        if history[cfg.monitor].isna().all():
            raise FacekpError(f"{cfg.monitor} was never a number: lower model.optimizer.lr")
        figures = history.loc[history[cfg.monitor].idxmin()].to_dict()
    if datamodule.splits.get("test"):
        tested = trainer.test(
            module, datamodule=datamodule, ckpt_path=best_ckpt, weights_only=True, verbose=False
        )
        figures |= tested[0]
    if not trainer.is_global_zero:  # one process reports for all
        return math.nan
    results = {
        "name": cfg.name,
        "command": command(),
        "monitor": cfg.monitor,
        "epochs": len(history),
        "seconds": time.perf_counter() - started,
        "peak_bytes": peak(trainer.strategy.root_device),
        **figures,
    }
    if cfg.report:
        module.load_state_dict(read_checkpoint(best_ckpt)[0]["state_dict"])
        boards = tensorboards(trainer)
        page = RunReport(run_dir, module, datamodule, history, cfg.monitor, cfg.threshold, boards)
        page.write(results)
        for board in boards:
            board.close()  # Lightning closed it; what the report added opened it again
    write_text(run_dir / RESULTS, json.dumps(results, indent=2))
    show(results, cfg, run_dir)
    return float(results[cfg.monitor])


def out_of_memory(cfg: DictConfig, needed: str) -> ConfigError:
    """The error for a batch that does not fit, with one that may."""
    size, steps = cfg.dataset.batch_size, cfg.trainer.accumulate_grad_batches
    if size == 1:
        return ConfigError(f"dataset.batch_size=1 needs {needed}: lower model.input_size")
    return ConfigError(
        f"dataset.batch_size={size} needs {needed}: try dataset.batch_size={size // 2} "
        f"trainer.accumulate_grad_batches={2 * steps}, the same step in more pieces"
    )


def start_from(network: nn.Module, path: str) -> tuple[int, int, dict[str, Any]]:
    """Give a network another one's weights wherever name and shape are the same.

    Args:
        network: it is changed.
        path: a checkpoint; its data set, points and input size may differ.

    Returns:
        How many weights were taken, how many the network has, and the checkpoint's description.

    Raises:
        DataError: see `read_checkpoint`.
        ConfigError: less than half of the network is in it.
    """
    checkpoint, description = read_checkpoint(path)
    given = checkpoint["state_dict"]
    taken = {
        name: given[f"network.{name}"].to(weight.dtype)
        for name, weight in network.state_dict().items()
        if getattr(given.get(f"network.{name}"), "shape", None) == weight.shape
    }
    sizes = {name: weight.numel() for name, weight in network.named_parameters()}
    fitting, count = sum(sizes[name] for name in sizes.keys() & taken.keys()), sum(sizes.values())
    if fitting < count / 2:
        raise ConfigError(
            f"init_from={path}: {fitting:,} of the network's {count:,} weights are in it; choose "
            "the model that it was made with"
        )
    network.load_state_dict(taken, strict=False)
    return fitting, count, description


def warn_of_other_faces(given: str, before: dict[str, Any], description: dict[str, Any]) -> None:
    """Say so where a network was trained on the same kind of data, but not on the same split."""
    same_kind = before.get("scheme") == description["scheme"]
    if same_kind and before.get("data_fingerprint") != description["data_fingerprint"]:
        log.warning(
            f"{given} was trained on other faces than these, or on another split: faces "
            "that it has seen can be among the validation faces, which flatters the figures"
        )


def build_optimizer(cfg: DictConfig) -> Any:
    """What makes the optimizer from the parameters."""
    clipped = cfg.trainer.gradient_clip_val and str(cfg.trainer.precision).endswith("mixed")
    if clipped and cfg.model.optimizer.get("fused"):
        # Lightning will not clip what a fused optimizer might unscale itself.
        return build(cfg.model.optimizer, fused=False)
    return build(cfg.model.optimizer)


# What may differ in a resumed run: where things are, and how fast they are read and worked on.
_FREE = (
    "dataset.data_dir", "dataset.cache", "dataset.cache_dir", "dataset.download",
    "dataset.num_workers", "model.optimizer.fused",
)  # fmt: skip


def check_resumed(description: dict[str, Any], ckpt_path: str) -> None:
    """Refuse to go on with another network, data set or recipe than the checkpoint's.

    Raises:
        ConfigError: names what differs.
        DataError: not a checkpoint of facekp.
    """
    checkpoint, before = read_checkpoint(ckpt_path)
    old, new = (
        flatten({key: d["config"].get(key) for key in ("seed", "model", "dataset", "teacher")})
        for d in (before, description)
    )
    changed = [
        f"{key}={new.get(key)} (was {old.get(key)})"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key) and key not in _FREE
    ]
    if changed:
        raise ConfigError(
            f"ckpt_path={ckpt_path}: a resumed run goes on as it began, but " + ", ".join(changed)
        )
    if not isinstance(checkpoint.get("epoch"), int):
        raise ConfigError(f"ckpt_path={ckpt_path}: packed weights can be used, not gone on with")
    done, wanted = int(checkpoint["epoch"]) + 1, description["config"]["trainer"]["max_epochs"]
    if done > wanted:
        raise ConfigError(
            f"ckpt_path={ckpt_path}: the run has {done} epochs behind it, but "
            f"trainer.max_epochs={wanted}"
        )
    states = checkpoint.get("callbacks", {}).values()
    judged = any(
        isinstance(s, dict) and s.get("best_model_path") and s.get("monitor") for s in states
    )
    if judged and not Path(ckpt_path).with_name("best.ckpt").is_file():
        raise ConfigError(f"ckpt_path={ckpt_path}: best.ckpt is not beside it; restore the folder")
    if before.get("data_fingerprint") != description["data_fingerprint"]:
        raise ConfigError(f"ckpt_path={ckpt_path}: the data has changed since the run began")


def describe(config: dict[str, Any], datamodule: FaceDataModule) -> dict[str, Any]:
    """What a checkpoint says about itself, as plain containers."""
    view = datamodule.view
    return {
        "facekp": facekp.__version__,
        "seed": config["seed"],
        "scheme": datamodule.scheme.name,
        "points": list(datamodule.points),
        "protocol": datamodule.protocol,
        "box_kind": datamodule.box_kind,
        "framing": datamodule.framing(),
        "mean_shape": datamodule.mean_shape().tolist(),
        "view": {
            "size": list(view.size),
            "channels": view.channels,
            "box_scale": view.box_scale,
            "square": view.square,
        },
        "data_fingerprint": datamodule.fingerprint(),
        "environment": {
            "python": platform.python_version(),
            "machine": platform.platform(),
            "cpus": os.cpu_count(),
            **{name: version(name) for name in _PACKAGES},
        },
        "config": config,
    }


def write_run_files(run_dir: Path, description: dict[str, Any]) -> None:
    """`config.yaml`, resolved, and `environment.yaml` with versions and the data's fingerprint."""
    rest = {key: value for key, value in description.items() if key != "config"}
    for name, content in (("config", description["config"]), ("environment", rest)):
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
        write_text(run_dir / f"{name}.yaml", text)


def show(results: dict[str, Any], cfg: DictConfig, run_dir: Path) -> None:
    """Print the best epoch's figures and where the run's files are."""
    table = Table(title=f"{cfg.name}: epoch {results['epoch'] + 1:.0f}, best by {cfg.monitor}")
    table.add_column("metric")
    table.add_column("value", justify="right")
    for name, value in results.items():
        _, _, metric = name.partition("/")
        if metric:
            percent = metric.startswith(("nme", "auc", "failure"))
            table.add_row(name, f"{100 * value:.2f} %" if percent else f"{value:.6g}")
    Console().print(table)
    kind = "GPU memory" if cfg.trainer.gpus else "memory"
    held = f", at most {results['peak_bytes'] / 1e9:.2f} GB of {kind}"
    print(f"took        {duration(results['seconds'])}{held if results['peak_bytes'] else ''}")
    print(f"run         {run_dir}")
    print(f"checkpoint  {run_dir / 'checkpoints' / 'best.ckpt'}")
    if cfg.report:
        print(f"report      {run_dir / 'report.html'}")
    print(f"curves      tensorboard --logdir {cfg.runs_dir}")
