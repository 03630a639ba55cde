"""The report of a run: figures, curves, best and worst faces, errors, the network itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from markupsafe import Markup
from torch import nn

from facekp.core.description import NetworkDescription
from facekp.core.files import atomic_write_text
from facekp.core.geometry import denormalize_points, invert_affine, transform_points
from facekp.core.progress import format_duration
from facekp.core.run_folder import REPORT
from facekp.data.dataset import KeypointDataset
from facekp.metrics import (
    METRICS,
    face_errors,
    format_metric,
    nme_column,
    normalized_offsets,
    summarize,
)
from facekp.models.base import normalize_images
from facekp.visualization import charts, inspection
from facekp.visualization.overlay import (
    PREDICTION,
    TRUTH,
    caption,
    draw_crop,
    grid,
    save_image,
)
from facekp.visualization.reports.page import (
    Gallery,
    Section,
    folded,
    photo,
    plain,
    row,
    table,
    write_page,
)

FACES_PER_SHEET = 8
LONG_TABLE = 24
"""Tables with more rows are folded."""


@dataclass(frozen=True, eq=False)
class SplitPredictions:
    """A network's points, and the mean shape, on all faces of a split.

    Args:
        dataset: the faces.
        crops: (N, C, H, W) uint8 inputs.
        truth: (N, K, 2) annotated points in normalised coordinates.
        predicted: (N, K, 2) the network's points in normalised coordinates.
        mean_shape: (K, 2) in normalised coordinates.
        threshold: of AUC and failure rate.
    """

    dataset: KeypointDataset
    crops: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    mean_shape: np.ndarray
    threshold: float

    @cached_property
    def found(self) -> np.ndarray:
        """The network's points (N, K, 2) in pixels of the photos."""
        return self._to_photos(self.predicted)

    @cached_property
    def errors(self) -> pd.DataFrame:
        """One row per face, see `metrics.face_errors`."""
        return self._errors_of(self.found)

    @cached_property
    def baseline_errors(self) -> pd.DataFrame:
        """The same of a predictor that always answers the mean shape."""
        shapes = np.broadcast_to(self.mean_shape, self.predicted.shape)
        return self._errors_of(self._to_photos(shapes))

    @cached_property
    def offsets(self) -> np.ndarray:
        """(N, K, 2) predicted from annotated points, over the NME's normaliser."""
        dataset = self.dataset
        return normalized_offsets(dataset.records, self.found, dataset.points, dataset.scheme)

    @cached_property
    def mean_shape_in_photo(self) -> np.ndarray:
        """The mean shape (K, 2) with the proportions of a photo: an input may be stretched."""
        return self._to_photos(self.mean_shape[None])[0]

    def _errors_of(self, found: np.ndarray) -> pd.DataFrame:
        data = self.dataset
        return face_errors(data.records, found, data.points, data.scheme)

    def _to_photos(self, points: np.ndarray) -> np.ndarray:
        """Normalised points (N, K, 2) of the first N faces to pixels of their photos."""
        pixels = denormalize_points(points.astype(float), self.dataset.crop.size)
        pairs = zip(self.dataset.maps, pixels, strict=False)
        return np.stack([transform_points(invert_affine(m), p) for m, p in pairs])


def predict_split(
    network: nn.Module,
    dataset: KeypointDataset,
    mean_shape: np.ndarray,
    batch_size: int,
    threshold: float,
) -> SplitPredictions:
    """Run a network, in evaluation mode, on all faces of a split.

    Args:
        network: scaled images to normalised keypoints; on any device.
        dataset: the faces, annotated.
        mean_shape: (K, 2) in normalised coordinates.
        batch_size: faces per forward pass.
        threshold: of AUC and failure rate.
    """
    device = next(network.parameters()).device
    crops, truth, predicted = [], [], []
    for first in range(0, len(dataset), batch_size):
        last = min(first + batch_size, len(dataset))
        batch = dataset.__getitems__([(0, index) for index in range(first, last)])
        with torch.no_grad():
            points = network(normalize_images(batch["image"].to(device))).float()
        predicted.append(points.cpu().numpy())
        crops.append(batch["image"].numpy())
        truth.append(batch["keypoints"].numpy())
    return SplitPredictions(
        dataset,
        np.concatenate(crops),
        np.concatenate(truth),
        np.concatenate(predicted),
        mean_shape,
        threshold,
    )


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """Contents of a run's report.

    Args:
        results: name, command, monitor, epochs, seconds and figures, as in `results.json`.
        history: one row per epoch.
        description: of the network.
        predictions: on the validation split.
        data_summary: what the data set is.
        subset_label: what its subsets are, e.g. `folder`.
    """

    results: Mapping[str, Any]
    history: pd.DataFrame
    description: NetworkDescription
    predictions: SplitPredictions
    data_summary: str
    subset_label: str


def write_run_report(run_dir: Path, run: FinishedRun, network: nn.Module, gallery: Gallery) -> Path:
    """Write `report.html` and `errors.csv`; the pictures go to the gallery.

    Args:
        run_dir: the run's folder.
        run: contents of the report.
        network: with the best weights, in evaluation mode.
        gallery: folder of the pictures; those that training left there are shown, too.

    Returns:
        The page's path.
    """
    predictions, results = run.predictions, run.results
    atomic_write_text(run_dir / "errors.csv", predictions.errors.to_csv(index=False))
    sections = [
        learning_section(run.history, results["monitor"], gallery),
        figures_section(predictions),
        faces_section(predictions, gallery),
        errors_section(predictions, run.subset_label, gallery),
        *training_progress_section(gallery.folder),
        *data_section(gallery.folder),
        *network_sections(network, predictions, gallery),
        records_section(run.description, run.history),
    ]
    count = len(predictions.dataset.points)
    path = run_dir / REPORT
    write_page(
        path,
        f"{results['name']}: {count} point{'s' * (count > 1)}",
        f"{datetime.now():%d %B %Y, %H:%M}. {results['epochs']} epochs in "
        f"{format_duration(results['seconds'])}. {run.data_summary}",
        results["command"],
        _cards(run, network),
        sections,
    )
    return path


def best_epoch(history: pd.DataFrame, monitor: str) -> int:
    """Number of the epoch with the lowest value of the monitored metric, from 1."""
    return int(history["epoch"].iloc[history[monitor].argmin()]) + 1


def _cards(run: FinishedRun, network: nn.Module) -> dict[str, str]:
    """The most important figures by their titles."""
    threshold, normalizer = run.predictions.threshold, run.description.scheme.normalizer.name
    values = dict(summarize(run.predictions.errors, threshold).iloc[0])
    shown = [metric(threshold, normalizer) for metric in METRICS]
    values |= {m.name: run.results[f"val/{m.name}"] for m in shown if m.of_input}
    cards = {metric.label: metric.format(values[metric.name]) for metric in shown}
    return cards | {"parameters": f"{sum(p.numel() for p in network.parameters()):,}"}


def learning_section(history: pd.DataFrame, monitor: str, gallery: Gallery) -> Section:
    """The loss curves."""
    return Section(
        "Learning",
        f"The weights of epoch {best_epoch(history, monitor)} were kept: {monitor} was lowest.",
        [gallery.chart(charts.loss_curves(history, monitor), "loss")],
    )


def figures_section(predictions: SplitPredictions) -> Section:
    """All figures, beside those of the mean shape."""
    network, baseline = (
        summarize(errors, predictions.threshold).iloc[0]
        for errors in (predictions.errors, predictions.baseline_errors)
    )
    rows = [
        {
            "metric": name,
            "network": format_metric(str(name), network[name]),
            "mean shape": format_metric(str(name), baseline[name]),
        }
        for name in network.index
    ]
    return Section(
        "Figures",
        "The best weights on the validation faces, beside a predictor that always answers the "
        "training faces' mean shape.",
        [table(pd.DataFrame(rows))],
    )


def faces_section(predictions: SplitPredictions, gallery: Gallery) -> Section:
    """The best, the worst and randomly chosen faces."""
    errors, scheme = predictions.errors, predictions.dataset.scheme
    nme = errors[nme_column(errors)].to_numpy()

    def face(index: int) -> np.ndarray:
        layers = [(predictions.truth[index], TRUTH), (predictions.predicted[index], PREDICTION)]
        picture = draw_crop(predictions.crops[index], layers, scheme)
        name = Path(errors.image[index]).stem
        return caption(picture, f"{name[-22:]}  {100 * nme[index]:.1f} %")

    order = np.argsort(nme)[: np.isfinite(nme).sum()]
    if not len(order):
        return Section(
            "Faces", "No validation face has an NME: a point of its normaliser lacks.", []
        )
    shuffled = np.random.default_rng(0).permutation(order)
    parts = []
    for name, chosen, text in (
        ("best", order, "The best"),
        ("worst", order[::-1], "The worst"),
        ("random", shuffled, "A random choice"),
    ):
        sheet = grid([face(int(index)) for index in chosen[:FACES_PER_SHEET]], 4)
        parts.append(gallery.picture(sheet, f"{name}.jpg", text))
    text = "Validation faces with truth (green) and prediction (red), ranked by their NME."
    return Section("Faces", text, parts)


def errors_section(predictions: SplitPredictions, subset_label: str, gallery: Gallery) -> Section:
    """Cumulative error curve, errors by point and by part of the data set."""
    dataset, column = predictions.dataset, nme_column(predictions.errors)
    by_predictor = {
        "network": predictions.errors[column].to_numpy(),
        "mean shape": predictions.baseline_errors[column].to_numpy(),
    }
    threshold, normalizer = predictions.threshold, dataset.scheme.normalizer.name
    curve, _ = charts.error_curves(by_predictor, threshold, normalizer)
    by_point = charts.errors_by_point(
        predictions.mean_shape_in_photo, predictions.offsets, dataset.points, dataset.scheme
    )
    by_subset = charts.errors_by_subset(predictions.errors, subset_label)
    return Section(
        "Where the errors are",
        "The share of validation faces up to each error; the error by point, or the positions of "
        "the predictions for a single point; and the error by part of the data set. A bar marks a "
        "median.",
        [
            row(
                gallery.chart(curve, "error_curve"),
                gallery.chart(by_point, "points"),
                gallery.chart(by_subset, "subsets"),
            )
        ],
    )


def training_progress_section(pictures: Path) -> list[Section]:
    """The same faces after increasing numbers of epochs, if the run drew them."""
    rows = sorted((pictures / "epochs").glob("*.jpg"))
    if len(rows) < 2:
        return []
    text = "The same validation faces after increasing numbers of epochs."
    return [Section("Progress of training", text, [photo(path) for path in rows[:6]])]


def data_section(pictures: Path) -> list[Section]:
    """Training photos and samples, if the run drew them."""
    sheets = [pictures / f"{name}.jpg" for name in ("data", "train_samples")]
    parts = [photo(path) for path in sheets if path.is_file()]
    text = (
        "Training photos with their points and face boxes, and the same faces as the network saw "
        "them, cropped and augmented."
    )
    return [Section("Data", text, parts)] if parts else []


def network_sections(
    network: nn.Module, predictions: SplitPredictions, gallery: Gallery
) -> list[Section]:
    """Layers, filters and feature maps."""
    errors = predictions.errors
    nme = errors[nme_column(errors)].to_numpy()
    middle = int(np.argsort(nme)[len(errors) // 2])
    crop = predictions.crops[middle]
    device = next(network.parameters()).device
    images = normalize_images(torch.from_numpy(crop[None])).to(device)
    layers = inspection.layer_table(network, images)
    atomic_write_text(gallery.folder / "layers.csv", layers.to_csv(index=False))
    gallery.text(layers.to_string(index=False), "layers")
    counts = dict.fromkeys(("parameters", "multiply_adds"), "{:,}".format)
    text = (
        f"{type(network).__name__}: {layers.parameters.sum():,} parameters and "
        f"{layers.multiply_adds.sum() / 1e6:,.1f} million multiply-adds per face."
    )
    shown = table(layers, counts)
    if len(layers) > LONG_TABLE:
        shown = folded(f"All {len(layers)} layers", shown)
    sections = [Section("The network", text, [shown])]
    filters = _filter_sheets(network, gallery)
    if not filters:
        return sections
    sections.append(
        Section(
            "Filters",
            "Learned filters of the first two convolutions: red for positive, blue for negative "
            "weights. With several input channels, rows are filters and columns are channels; up "
            "to 16 filters and 8 channels are shown.",
            filters,
        )
    )
    maps = [
        gallery.picture(sheet, f"features_{number}.jpg", name)
        for number, (name, sheet) in enumerate(inspection.feature_maps(network, images).items(), 1)
    ]
    face = draw_crop(crop, [], predictions.dataset.scheme, width=260)
    save_image(gallery.folder / "features_input.jpg", face)
    sections.append(
        Section(
            "Feature maps",
            f"Outputs of convolutions for {errors.image[middle]}, up to 16 channels each; bright "
            "is strong.",
            [photo(gallery.folder / "features_input.jpg", "the input"), *maps],
        )
    )
    return sections


def _filter_sheets(network: nn.Module, gallery: Gallery) -> list[Markup]:
    """The filters of the first two convolutions."""
    first = list(inspection.convolutions(network).items())[:2]
    return [
        gallery.picture(
            inspection.filter_sheet(convolution),
            f"filters_{number}.png",
            f"{name}: {convolution.out_channels} filters over {convolution.in_channels} "
            f"channel{'s' * (convolution.in_channels > 1)}",
        )
        for number, (name, convolution) in enumerate(first, 1)
    ]


def records_section(description: NetworkDescription, history: pd.DataFrame) -> Section:
    """Configuration, environment and history."""
    entry = description.to_dict()
    config = entry.pop("config")
    for large in ("mean_shape", "scheme"):
        entry.pop(large)
    dump: dict[str, Any] = {"sort_keys": False, "allow_unicode": True}
    parts: Sequence[Markup] = [
        folded("Configuration", plain(yaml.safe_dump(config, **dump))),
        folded("Versions, data and machine", plain(yaml.safe_dump(entry, **dump))),
        folded("Figures by epoch", plain(history.to_csv(index=False, float_format="%.6g"))),
    ]
    return Section("Reproducibility", "", parts)
