"""Looking into a network: its layers, its filters, and what they make of a face."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from facekp.visualization.overlay import enlarge, fit, grid, heat, signed

TILE = 84


def layer_table(network: nn.Module, images: Tensor) -> pd.DataFrame:
    """A row a layer, in the order of the forward pass.

    Columns: `layer` (its name in the network), `type`, `output` (shape for one image, e.g.
    `12x58x78`), `parameters`, `multiply_adds` (of convolutions and fully connected layers).

    Args:
        network: in evaluation mode.
        images: (1, C, H, W), as the network takes them.
    """
    names = {module: name for name, module in network.named_modules()}
    leaves = [module for module in network.modules() if not list(module.children())]
    with FlopCounterMode(display=False) as counter:
        outputs = _outputs(network, images, leaves)
    counts = counter.get_flop_counts()
    root = type(network).__name__
    rows = [
        {
            "layer": names[module],
            "type": type(module).__name__,
            "output": "x".join(map(str, output.shape[1:])),
            "parameters": sum(parameter.numel() for parameter in module.parameters()),
            # An operation is a multiplication or an addition.
            "multiply_adds": sum(counts.get(f"{root}.{names[module]}", {}).values()) // 2,
        }
        for module, output in outputs.items()
    ]
    return pd.DataFrame(rows)


def _outputs(
    network: nn.Module, images: Tensor, modules: Sequence[nn.Module]
) -> dict[nn.Module, Tensor]:
    """What some modules answer to images on their way through a network, in that order."""
    answers: dict[nn.Module, Tensor] = {}

    def note(module: nn.Module, _: object, output: object) -> None:
        if isinstance(output, Tensor):
            answers[module] = output.clone()  # the next layer may work in place

    hooks = [module.register_forward_hook(note) for module in modules]
    try:
        with torch.no_grad():
            network(images)
    finally:
        for hook in hooks:
            hook.remove()
    return answers


def convolutions(network: nn.Module) -> dict[str, nn.Conv2d]:
    """The convolutions with filters of more than one pixel, by name, in the network's order."""
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d) and max(module.kernel_size) > 1
    }


def filter_sheet(convolution: nn.Conv2d, outputs: int = 16, inputs: int = 8) -> np.ndarray:
    """The learned filters, red for positive and blue for negative weights; one scale for all.

    A filter of one input channel is a tile; otherwise a row a filter, a column an input channel.

    Args:
        convolution: the layer.
        outputs: most filters to show.
        inputs: most input channels to show of each.
    """
    weights = convolution.weight.detach().float().cpu().numpy()[:outputs, :inputs]
    picture = signed(weights.reshape(-1, weights.shape[-1])).reshape(*weights.shape, 3)
    times = max(1, (TILE if weights.shape[1] == 1 else TILE // 2) // weights.shape[-1])
    tiles = [enlarge(tile, times) for row in picture for tile in row]
    return grid(tiles, 8 if weights.shape[1] == 1 else weights.shape[1])


def feature_maps(network: nn.Module, images: Tensor, layers: int = 5) -> dict[str, np.ndarray]:
    """What convolutions answer to a face, bright for strong; up to sixteen channels each.

    Args:
        network: in evaluation mode.
        images: (1, C, H, W), as the network takes them.
        layers: most convolutions to show, spread over the network.

    Returns:
        A sheet by layer, in the network's order.
    """
    found = convolutions(network)
    chosen = np.unique(np.linspace(0, len(found) - 1, layers).round().astype(int))
    shown = [list(found.items())[place] for place in chosen]
    answers = _outputs(network, images, [module for _, module in shown])
    sheets = {}
    for name, module in shown:
        maps = answers[module][0, :16].float().cpu().numpy()
        height = round(2 * TILE * maps.shape[1] / maps.shape[2])
        sheets[name] = grid([fit(heat(one), (height, 2 * TILE)) for one in maps], 8)
    return sheets
