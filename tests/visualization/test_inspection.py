"""Layer table, filters and feature maps."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from facekp.visualization.inspection import convolutions, feature_maps, filter_sheet, layer_table
from facekp.visualization.overlay import diverging_image


def test_layer_table_counts() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 4 * 4, 2)
    )
    layers = layer_table(network, torch.zeros(1, 1, 10, 10)).set_index("layer")
    assert layers.loc["0", "output"] == "4x8x8"
    assert layers.loc["0", "parameters"] == 4 * 9 + 4
    assert layers.loc["0", "multiply_adds"] == 4 * 8 * 8 * 9
    assert layers.loc["4", "multiply_adds"] == 64 * 2
    assert layers["parameters"].sum() == sum(p.numel() for p in network.parameters())


def test_layers_used_twice_are_counted_once_each_time() -> None:
    shared = nn.Linear(3, 3)
    layers = layer_table(nn.Sequential(shared, shared), torch.zeros(1, 3))
    assert layers["parameters"].sum() == 12
    assert layers["multiply_adds"].sum() == 18


def test_filters_are_drawn_with_their_sign() -> None:
    convolution = nn.Conv2d(1, 2, 2)
    with torch.no_grad():
        convolution.weight.copy_(torch.tensor([[[[1.0, -1.0], [0.0, 0.5]]], [[[0.0] * 2] * 2]]))
    sheet = filter_sheet(convolution)
    side = sheet.shape[0] // 2
    assert [tuple(sheet[y, x]) for y, x in ((0, 0), (0, side), (side, 0), (side, side))] == [
        (255, 0, 0), (0, 0, 255), (255, 255, 255), (255, 128, 128)
    ]  # fmt: skip
    assert (diverging_image(np.zeros((2, 2))) == 255).all()


def test_feature_maps_show_convolutions_in_order() -> None:
    network = nn.Sequential(nn.Conv2d(1, 20, 3), nn.Conv2d(20, 2, 1), nn.Conv2d(2, 3, 3))
    assert list(convolutions(network)) == ["0", "2"]
    sheets = feature_maps(network, torch.rand(1, 1, 12, 16))
    assert list(sheets) == ["0", "2"]
    assert sheets["0"].shape[0] > 2 * sheets["2"].shape[0] - 10


def test_a_compiled_network_that_was_used_shows_its_feature_maps() -> None:
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(4, 2, 3)).eval()
    network.compile(backend="eager")
    with torch.no_grad():
        for count in (8, 1):
            network(torch.rand(count, 1, 12, 16))
    assert list(feature_maps(network, torch.rand(1, 1, 12, 16))) == ["0", "1"]
