"""Training as configured: prepare, fit, summarise, report."""

from __future__ import annotations

import json
import logging
import shlex
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytorch_lightning as L
import torch
import yaml
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from facekp.core.description import NetworkDescription
from facekp.core.errors import ConfigError
from facekp.core.files import atomic_write_text
from facekp.core.plugins import register_plugins
from facekp.core.progress import format_duration
from facekp.core.run_folder import BEST, CONFIG, REPORT, RESULTS, accept_resume
from facekp.data.datamodule import FaceDataModule
from facekp.inference.detectors import YuNetDetector
from facekp.metrics import format_metric
from facekp.models.base import KeypointNetwork
from facekp.models.checkpoint import read_checkpoint
from facekp.models.factory import build_network
from facekp.tasks.common import build
from facekp.training.callbacks.distillation import Distillation
from facekp.training.detector_prior import MEASURED_SOURCES, measure_detector_prior
from facekp.training.fit import FitResult, describe, fit
from facekp.training.memory import peak_bytes
from facekp.training.module import KeypointModule
from facekp.training.precision import common_precision, quicker_precision
from facekp.training.resume import check_resume
from facekp.training.trainer import tensorboards, training_device
from facekp.training.warm_start import (
    load_matching_weights,
    warn_of_differences,
)
from facekp.visualization.reports.page import Gallery
from facekp.visualization.reports.run import (
    FinishedRun,
    best_epoch,
    predict_split,
    write_run_report,
)

log = logging.getLogger(__name__)

FEW_FACES = 500
"""Own training faces below which the bundled network is recommended as a start."""


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """Result of a run.

    Args:
        run_dir: its folder.
        best_ckpt: checkpoint of the best epoch.
        report: its page; None with `report=false`.
        monitor: the metric that chose the best epoch.
        metrics: of the best epoch, and of the test split if there is one. Empty in all but the
            first of several processes.
        history: one row per epoch.
    """

    run_dir: Path
    best_ckpt: Path
    report: Path | None
    monitor: str
    metrics: dict[str, float]
    history: pd.DataFrame

    @property
    def best(self) -> float:
        """The best value of the monitored metric; nan in all but the first of several processes."""
        return float(self.metrics.get(self.monitor, float("nan")))


def train(cfg: DictConfig, command: str = "") -> TrainingResult:
    """Train, validate and (if the protocol has an annotated test split) test.

    Args:
        cfg: the composed configuration, see `conf/`; its `run_dir` exists.
        command: that repeats the run, for its records.

    Raises:
        FacekpError: a setting or a data file that cannot work.
    """
    started = time.perf_counter()
    run_dir = Path(cfg.run_dir)
    L.seed_everything(cfg.seed, verbose=False)
    register_plugins(cfg.get("plugins") or [])
    datamodule: FaceDataModule = build(cfg.dataset)
    datamodule.prepare_data()
    datamodule.setup()
    config = cast("dict[str, Any]", OmegaConf.to_container(cfg, resolve=True))
    description = describe(datamodule, config, detector_prior(datamodule))
    before = check_resume(description, cfg.ckpt_path) if cfg.ckpt_path else None
    accept_resume(run_dir)
    if datamodule.protocol == "annotations" and not (cfg.init_from or cfg.ckpt_path):
        count = len(datamodule.splits["train"])
        if count < FEW_FACES:
            log.info(f"{count} faces are few to learn from: for faces init_from=ibug68 helps")
    network = prepare_network(cfg, datamodule, description)
    if cfg.trainer.precision == "auto":
        cfg.trainer.precision = description.config["trainer"]["precision"] = choose_precision(
            cfg, network, datamodule, before
        )
    module = KeypointModule(
        network,
        loss=build(cfg.model.loss),
        optimizer=build_optimizer(cfg),
        scheduler=build(cfg.model.scheduler) if cfg.model.scheduler else None,
        threshold=cfg.threshold,
        description=description,
    )
    trainer = build_trainer(cfg, description, run_dir)
    if trainer.is_global_zero:
        write_run_files(run_dir, description)
        (run_dir / RESULTS).unlink(missing_ok=True)  # its presence means that a run is complete
    log.info(f"{cfg.name}: {sum(p.numel() for p in network.parameters()):,} parameters")

    try:
        fitted = fit(module, datamodule, trainer, cfg.monitor, cfg.ckpt_path)
    except SystemExit as error:
        if trainer.interrupted:  # Lightning ends the program on Ctrl-C
            raise KeyboardInterrupt from error
        raise
    report = None
    if trainer.is_global_zero:  # one process reports for all
        results = summarize_run(cfg, fitted, started, command) | {
            "peak_bytes": peak_bytes(trainer.strategy.root_device)
        }
        report = write_results(cfg, results, fitted, module, trainer)
    return TrainingResult(
        run_dir, fitted.best_ckpt, report, cfg.monitor, fitted.metrics, fitted.history
    )


def detector_prior(datamodule: FaceDataModule) -> np.ndarray | None:
    """How the detector's boxes lie to own annotations'; None if known, or too few are found."""
    if datamodule.box_source not in MEASURED_SOURCES:
        return None
    prior = measure_detector_prior(datamodule.splits["train"], YuNetDetector())
    if prior is None:
        log.info(
            "the detector finds too few of the faces to compare its boxes with the training's: "
            "for photos give boxes=FILE, or detector=none if each is one face"
        )
    return prior


def prepare_network(
    cfg: DictConfig, datamodule: FaceDataModule, description: NetworkDescription
) -> KeypointNetwork:
    """The configured network, with the weights that it starts from.

    Raises:
        FacekpError: settings that the network refuses, or weights that do not match.
    """
    model, resumed = description.config["model"], bool(cfg.ckpt_path)
    network = build_network(model, datamodule.num_keypoints, trusted=True, pretrained=not resumed)
    network.init_output_bias(torch.tensor(description.mean_shape, dtype=torch.float32))
    if cfg.init_from and not resumed:
        before = load_matching_weights(network, cfg.init_from)
        warn_of_differences(f"init_from={cfg.init_from}", before, description)
    return network


def choose_precision(
    cfg: DictConfig,
    network: KeypointNetwork,
    datamodule: FaceDataModule,
    before: NetworkDescription | None,
) -> str:
    """What `trainer.precision=auto` stands for: a resumed run's precision, or the quicker one."""
    if before is not None:
        return str(before.config["trainer"]["precision"])
    device = training_device(cfg.trainer.gpus, cfg.trainer.cpus, bool(cfg.trainer.exclusive))
    if device is None:
        return common_precision(on_gpus=bool(cfg.trainer.gpus))
    return quicker_precision(network, datamodule.crop, datamodule.batch_size, device)


def build_optimizer(cfg: DictConfig) -> Any:
    """What makes the optimizer from the parameters."""
    clipped = cfg.trainer.gradient_clip_val and str(cfg.trainer.precision).endswith("mixed")
    if clipped and cfg.model.optimizer.get("fused"):
        # Lightning does not clip what a fused optimizer might unscale itself.
        return build(cfg.model.optimizer, fused=False)
    return build(cfg.model.optimizer)


def build_trainer(cfg: DictConfig, description: NetworkDescription, run_dir: Path) -> L.Trainer:
    """The configured trainer with its callbacks and logger.

    Raises:
        FacekpError: missing callbacks, missing GPUs, or a teacher that does not match.
    """
    callbacks = {
        name: build(node)
        for name, node in cfg.callbacks.items()
        if node and (cfg.report or name != "pictures")
    }
    if cfg.teacher:
        distillation = Distillation(cfg.teacher, description)
        warn_of_differences(f"teacher={cfg.teacher}", distillation.description, description)
        callbacks["distillation"] = distillation
    missing = {"best", "last", "history"} - callbacks.keys()
    if missing:
        raise ConfigError(
            f"callbacks: {', '.join(sorted(missing))} are missing; include the default ones, as in "
            "callbacks=[default,ema]"
        )
    logger = build(cfg.logger) if cfg.get("logger") else False
    return build(
        cfg.trainer, callbacks=list(callbacks.values()), logger=logger, default_root_dir=run_dir
    )


def summarize_run(
    cfg: DictConfig, fitted: FitResult, started: float, command: str
) -> dict[str, Any]:
    """The content of `results.json`."""
    return {
        "name": cfg.name,
        "command": command,
        "monitor": cfg.monitor,
        "epochs": len(fitted.history),
        "seconds": fitted.earlier_seconds + time.perf_counter() - started,
        **fitted.metrics,
    }


def write_results(
    cfg: DictConfig,
    results: dict[str, Any],
    fitted: FitResult,
    module: KeypointModule,
    trainer: L.Trainer,
) -> Path | None:
    """Write and print a run's results; the path of its report, if there shall be one."""
    run_dir, report = Path(cfg.run_dir), None
    if cfg.report:
        report = write_report(cfg, results, fitted, module, trainer)
    elif (run_dir / REPORT).is_file():
        log.info(f"{REPORT} is of an earlier state: resume with report=true to make it again")
    atomic_write_text(run_dir / RESULTS, json.dumps(results, indent=2))
    show(results, cfg, run_dir)
    return report


def write_report(
    cfg: DictConfig,
    results: dict[str, Any],
    fitted: FitResult,
    module: KeypointModule,
    trainer: L.Trainer,
) -> Path:
    """Write the run's report with its best weights, and return the page's path."""
    datamodule = trainer.datamodule  # type: ignore[attr-defined]
    assert isinstance(datamodule, FaceDataModule)
    assert module.description is not None
    module.load_state_dict(read_checkpoint(fitted.best_ckpt)[0]["state_dict"])
    network = module.eval().network
    mean_shape = module.description.mean_shape
    run = FinishedRun(
        results,
        fitted.history,
        module.description,
        predict_split(
            network, datamodule.dataset("val"), mean_shape, datamodule.batch_size, cfg.threshold
        ),
        datamodule.summary(),
        datamodule.subset_label,
    )
    boards = tensorboards(trainer)
    run_dir = Path(cfg.run_dir)
    epoch = best_epoch(fitted.history, cfg.monitor)
    path = write_run_report(run_dir, run, network, Gallery(run_dir / "pictures", boards, epoch))
    for board in boards:
        board.close()  # Lightning has closed it, but the report opened it again
    return path


def write_run_files(run_dir: Path, description: NetworkDescription) -> None:
    """`config.yaml`, resolved, and `environment.yaml` with versions and the data's fingerprint."""
    environment = description.to_dict()
    config = environment.pop("config")
    for name, content in ((CONFIG, config), ("environment.yaml", environment)):
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
        atomic_write_text(run_dir / name, text)


def show(results: dict[str, Any], cfg: DictConfig, run_dir: Path) -> None:
    """Print the best epoch's figures and where the run's files are."""
    table = Table(title=f"{cfg.name}: epoch {results['epoch'] + 1:.0f}, best by {cfg.monitor}")
    table.add_column("metric")
    table.add_column("value", justify="right")
    for name, value in results.items():
        if "/" in name:
            table.add_row(name, format_metric(name, value))
    Console().print(table)
    memory = "GPU memory" if cfg.trainer.gpus else "memory"
    peak = f", at most {results['peak_bytes'] / 1e9:.2f} GB of {memory}"
    duration = format_duration(results["seconds"])
    print(f"took        {duration}{peak if results['peak_bytes'] else ''}")
    print(f"run         {run_dir}")
    print(f"checkpoint  {run_dir / BEST}")
    if cfg.report:
        print(f"report      {run_dir / REPORT}")
    print(f"curves      tensorboard --logdir {cfg.runs_dir}")
    if cfg.trainer.get("exclusive"):  # a job of a sweep, which ends with a ranking
        return
    use = [f"ckpt_path={run_dir / BEST}"]
    targets = (cfg.model["_target_"], cfg.dataset["_target_"])
    if plugins := sorted({target.partition(".")[0] for target in targets} - {"facekp"}):
        use.append(f"plugins=[{','.join(plugins)}]")
    print(f"use it      python predict.py photo.jpg {shlex.join(use)}")
    if "synthetic" in cfg.dataset["_target_"]:
        settings = "dataset=annotations dataset.train=faces.csv init_from=ibug68"
        print(f"own data    python train.py {settings}")
