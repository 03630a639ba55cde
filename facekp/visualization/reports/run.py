"""The report of a run: figures, curves, the faces it does well and badly, the network itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from torch.utils.tensorboard import SummaryWriter

from facekp.visualization import charts as figures
from facekp.visualization import network as inspection
from facekp.data.datamodule import FaceDataModule
from facekp.visualization.overlay import PREDICTION, TRUTH, grid, label, picture_of_view, save
from facekp.metrics_table import image_errors, relative_errors, summary
from facekp.core.geometry import apply_map, denormalize_points, invert
from facekp.core.image import read_image
from facekp.models.base import to_network
from facekp.training.module import KeypointModule
from facekp.visualization.reports.page import Section, chart, folded, photo, plain, row, table, write_page

COUNT = 8
"""Faces in each of the sheets of best, worst and random ones."""
LONG = 24
"""Tables with more rows are to be opened first."""


class RunReport:
    """Draws everything, keeps it in the run's folder and TensorBoard, and writes `report.html`.

    `pictures/` gets the charts (`loss.png`, `error_curve.png`, `points.png`, `sources.png`), the
    sheets (`best.jpg`, `worst.jpg`, `random.jpg`, `filters_1.png`, ...) and `layers.csv`;
    `errors.csv` has a row a validation face.

    Args:
        run_dir: the run's folder.
        module: with the weights to be judged.
        datamodule: what it was trained on.
        history: a row an epoch.
        monitor: the metric that chose the weights.
        threshold: of AUC and failure rate.
        boards: TensorBoard writers.
    """

    def __init__(
        self,
        run_dir: Path,
        module: KeypointModule,
        datamodule: FaceDataModule,
        history: pd.DataFrame,
        monitor: str,
        threshold: float,
        boards: Sequence[SummaryWriter] = (),
    ) -> None:
        self.run_dir, self.pictures = run_dir, run_dir / "pictures"
        self.module, self.datamodule = module.eval(), datamodule
        self.history, self.monitor, self.threshold = history, monitor, threshold
        self.boards = boards
        self.dataset = datamodule.dataset("val")
        self.best_epoch = int(history["epoch"].iloc[history[monitor].argmin()]) + 1

    def write(self, results: dict[str, Any]) -> Path:
        """Write everything.

        Args:
            results: the run's own summary, see `facekp.tasks.train`.

        Returns:
            The page's path.
        """
        views, truth, guesses = self._judge()
        points, scheme = self.dataset.points, self.dataset.scheme
        records = self.dataset.records
        found = self._to_photos(guesses)
        mean = np.broadcast_to(self.datamodule.mean_shape().numpy(), guesses.shape)
        errors = image_errors(records, found, points, scheme)
        base = image_errors(records, self._to_photos(mean), points, scheme)
        errors.to_csv(self.run_dir / "errors.csv", index=False)
        offsets = relative_errors(records, found, points, scheme)

        curve, _ = figures.error_curves(
            {
                "network": errors.nme_interocular.to_numpy(),
                "mean shape": base.nme_interocular.to_numpy(),
            },
            self.threshold,
        )
        sources = figures.errors_by_source(errors, self.datamodule.source_kind)
        # The mean face keeps a face's proportions: an input may be stretched.
        shape = self._to_photos(mean[:1])[0]
        by_point = figures.errors_by_point(shape, offsets, points, scheme)
        sections = [
            Section(
                "Learning",
                f"The weights of epoch {self.best_epoch} were kept: {self.monitor} was lowest.",
                [self._chart(figures.loss_curves(self.history, self.monitor), "loss")],
            ),
            Section(
                "Figures",
                "The best weights on the validation faces, beside a predictor that answers the "
                "training faces' mean shape to everything.",
                [_figures_table(errors, base, self.threshold)],
            ),
            *self._ranked(views, truth, guesses, errors),
            Section(
                "Where the errors are",
                "The share of validation faces up to each error; the error by point, or where the "
                "guesses for a single point fell; and the error by the part of the data. "
                "A bar marks a median.",
                [
                    row(
                        self._chart(curve, "error_curve"),
                        self._chart(by_point, "points"),
                        self._chart(sources, "sources"),
                    )
                ],
            ),
            *self._as_training_went(),
            *self._data(),
            *self._network(views, errors),
            Section("How it was made", "", self._records()),
        ]
        best = summary(errors, self.threshold).iloc[0]
        path = self.run_dir / "report.html"
        write_page(
            path,
            f"{results['name']}: {len(points)} point{'s' * (len(points) > 1)}",
            f"{datetime.now():%d %B %Y, %H:%M}. {results['epochs']} epochs in "
            f"{duration(results['seconds'])}. {self.datamodule.describe()}",
            results["command"],
            {
                "mean absolute error a coordinate": f"{best['mae_px']:.2f} px",
                "NME over the outer eye corners": f"{100 * best['nme_interocular']:.2f} %",
                "MSE, normalised coordinates": f"{results['val/mse']:.3g}",
                f"faces beyond {100 * self.threshold:g} %": (
                    f"{100 * best[f'failure_{self.threshold:g}_interocular']:.1f} %"
                ),
                "parameters": f"{sum(p.numel() for p in self.module.network.parameters()):,}",
            },
            sections,
        )
        return path

    def _judge(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Validation views (N, C, H, W) uint8; truth and guesses (N, K, 2), normalised."""
        views, truth, guesses = [], [], []
        size = self.datamodule.batch_size
        for first in range(0, len(self.dataset), size):
            last = min(first + size, len(self.dataset))
            batch = self.dataset.__getitems__([(0, index) for index in range(first, last)])
            with torch.no_grad():
                guesses.append(self.module(batch["image"].to(self.module.device)).cpu().numpy())
            views.append(batch["image"].numpy())
            truth.append(batch["keypoints"].numpy())
        return np.concatenate(views), np.concatenate(truth), np.concatenate(guesses)

    def _to_photos(self, points: np.ndarray) -> np.ndarray:
        """Normalised points (N, K, 2) of the first N faces to pixels of their photos."""
        pixels = denormalize_points(points.astype(float), self.dataset.view.size)
        return np.stack(
            [apply_map(invert(m), p) for m, p in zip(self.dataset.maps, pixels, strict=False)]
        )

    def _ranked(
        self, views: np.ndarray, truth: np.ndarray, guesses: np.ndarray, errors: pd.DataFrame
    ) -> list[Section]:
        """The best, the worst and a random choice."""

        def face(index: int) -> np.ndarray:
            layers = [(truth[index], TRUTH), (guesses[index], PREDICTION)]
            picture = picture_of_view(views[index], layers, self.dataset.scheme)
            name = Path(errors.image[index]).stem
            return label(picture, f"{name[-22:]}  {100 * errors.nme_interocular[index]:.1f} %")

        order = np.argsort(errors.nme_interocular.to_numpy())
        chance = np.random.default_rng(0).permutation(len(order))
        parts = []
        for name, chosen, caption in (
            ("best", order[:COUNT], "The best"),
            ("worst", order[::-1][:COUNT], "The worst"),
            ("random", chance[:COUNT], "A random choice"),
        ):
            sheet = grid([face(int(index)) for index in chosen], 4)
            parts.append(self._picture(sheet, f"{name}.jpg", caption))
        text = "Validation faces with truth (green) and prediction (red), ranked by their NME."
        return [Section("Faces", text, parts)]

    def _as_training_went(self) -> list[Section]:
        """The same faces after more and more epochs."""
        rows = sorted((self.pictures / "epochs").glob("*.jpg"))
        if len(rows) < 2:
            return []
        text = "The same validation faces after more and more epochs."
        return [Section("As training went", text, [photo(path) for path in rows[:6]])]

    def _data(self) -> list[Section]:
        """What it was trained on, where the run drew it."""
        sheets = [self.pictures / f"{name}.jpg" for name in ("data", "train_samples")]
        parts = [photo(path) for path in sheets if path.is_file()]
        text = (
            "Training photos as they lie on the disk, with their points and face boxes, and the "
            "same faces as the network saw them, augmented."
        )
        return [Section("Data", text, parts)] if parts else []

    def _network(self, views: np.ndarray, errors: pd.DataFrame) -> list[Section]:
        """Layers, filters and feature maps."""
        network = self.module.network
        middle = int(errors.nme_interocular.argsort()[len(errors) // 2])
        images = to_network(torch.from_numpy(views[middle : middle + 1])).to(self.module.device)
        layers = inspection.layer_table(network, images)
        layers.to_csv(self.pictures / "layers.csv", index=False)
        for board in self.boards:
            rows = layers.to_string(index=False).splitlines()
            board.add_text("report/layers", "\n".join(f"    {row}" for row in rows))
        counts = dict.fromkeys(("parameters", "multiply_adds"), "{:,}".format)
        text = (
            f"{type(network).__name__}: {layers.parameters.sum():,} parameters and "
            f"{layers.multiply_adds.sum() / 1e6:,.1f} million multiply-adds a face."
        )
        parts = table(layers, counts)
        if len(layers) > LONG:
            parts = folded(f"All {len(layers)} layers", parts)
        sections = [Section("The network", text, [parts])]
        filters = [
            self._picture(
                inspection.filter_sheet(convolution),
                f"filters_{number}.png",
                f"{name}: {convolution.out_channels} filters over {convolution.in_channels} "
                f"channel{'s' * (convolution.in_channels > 1)}",
            )
            for number, (name, convolution) in enumerate(
                list(inspection.convolutions(network).items())[:2], 1
            )
        ]
        if not filters:
            return sections
        sections.append(
            Section(
                "Filters",
                "What the first two convolutions have learned: red where a pixel adds, blue where "
                "it takes away. With several input channels, a row is a filter and a column a "
                "channel; up to 16 filters and 8 channels are shown.",
                filters,
            )
        )
        maps = [
            self._picture(sheet, f"features_{number}.jpg", name)
            for number, (name, sheet) in enumerate(
                inspection.feature_maps(network, images).items(), 1
            )
        ]
        seen = picture_of_view(views[middle], [], self.dataset.scheme, width=260)
        save(self.pictures / "features_input.jpg", seen)
        sections.append(
            Section(
                "A face through the network",
                f"What convolutions answer to {errors.image[middle]}, up to 16 channels each; "
                "bright is strong.",
                [photo(self.pictures / "features_input.jpg", "the input"), *maps],
            )
        )
        return sections

    def _records(self) -> list[Any]:
        """Configuration and environment."""
        kept = self.module.description
        environment = {key: value for key, value in kept.items() if key != "config"}
        environment.pop("mean_shape", None)
        dump: dict[str, Any] = {"sort_keys": False, "allow_unicode": True}
        return [
            folded("Configuration", plain(yaml.safe_dump(kept["config"], **dump))),
            folded("Versions, data and machine", plain(yaml.safe_dump(environment, **dump))),
            folded(
                "Figures by epoch", plain(self.history.to_csv(index=False, float_format="%.6g"))
            ),
        ]

    def _chart(self, figure: figures.Figure, name: str) -> Any:
        """A chart, in the pictures' folder, on TensorBoard and for the page."""
        path = self.pictures / f"{name}.png"
        figures.save(figure, path)
        self._to_boards(path)
        return chart(figure, name)

    def _picture(self, picture: np.ndarray, name: str, caption: str) -> Any:
        """Likewise for a picture."""
        path = self.pictures / name
        save(path, picture)
        self._to_boards(path)
        return photo(path, caption)

    def _to_boards(self, path: Path) -> None:
        for board in self.boards:
            board.add_image(
                f"report/{path.stem}", read_image(path), self.best_epoch, dataformats="HWC"
            )


def _figures_table(errors: pd.DataFrame, base: pd.DataFrame, threshold: float) -> Any:
    """Figures of the network and of the mean shape, side by side."""
    both = [summary(frame, threshold).iloc[0] for frame in (errors, base)]
    rows = []
    for name in both[0].index:
        relative = name.startswith(("nme", "auc", "failure"))
        values = [f"{100 * own[name]:.2f} %" if relative else f"{own[name]:.4g}" for own in both]
        rows.append({"metric": name, "network": values[0], "mean shape": values[1]})
    return table(pd.DataFrame(rows))


def duration(seconds: float) -> str:
    """Seconds in the units that people use, e.g. `2 min 5 s`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
