"""Network inspection: layer table, filters, feature maps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from facekp.visualization.overlay import diverging_image, enlarge, grid, heatmap_image, letterbox

TILE = 84


def layer_table(network: nn.Module, images: Tensor) -> pd.DataFrame:
    """One row per layer, in forward order.

    Columns: `layer` (name in the network), `type`, `output` (shape for one image, e.g. `12x58x78`),
    `parameters`, `multiply_adds` (of convolutions and fully connected layers).

    Args:
        network: in evaluation mode.
        images: (1, C, H, W), scaled as for the network.
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
            # The counter counts multiplications and additions separately.
            "multiply_adds": sum(counts.get(f"{root}.{names[module]}", {}).values()) // 2,
        }
        for module, output in outputs.items()
    ]
    return pd.DataFrame(rows)


def _outputs(
    network: nn.Module, images: Tensor, modules: Sequence[nn.Module]
) -> dict[nn.Module, Tensor]:
    """Outputs of some modules of a network for images, in forward order."""
    outputs: dict[nn.Module, Tensor] = {}

    def record(module: nn.Module, _: object, output: object) -> None:
        if isinstance(output, Tensor):
            outputs[module] = output.clone()  # the next layer may work in place

    hooks = [module.register_forward_hook(record) for module in modules]
    try:
        # A compiled network would not call the hooks.
        with torch.no_grad(), torch.compiler.set_stance("force_eager"):
            network(images)
    finally:
        for hook in hooks:
            hook.remove()
    return outputs


def convolutions(network: nn.Module) -> dict[str, nn.Conv2d]:
    """Convolutions with filters of more than one pixel, by name, in the network's order."""
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d) and max(module.kernel_size) > 1
    }


def filter_sheet(convolution: nn.Conv2d, outputs: int = 16, inputs: int = 8) -> np.ndarray:
    """Learned filters, red for positive and blue for negative weights, on one scale.

    With one input channel each filter is a tile; otherwise rows are filters, columns are channels.

    Args:
        convolution: the layer.
        outputs: number of filters to show, at most.
        inputs: number of input channels to show of each, at most.
    """
    weights = convolution.weight.detach().float().cpu().numpy()[:outputs, :inputs]
    picture = diverging_image(weights.reshape(-1, weights.shape[-1])).reshape(*weights.shape, 3)
    times = max(1, (TILE if weights.shape[1] == 1 else TILE // 2) // weights.shape[-1])
    tiles = [enlarge(tile, times) for row in picture for tile in row]
    return grid(tiles, 8 if weights.shape[1] == 1 else weights.shape[1])


def feature_maps(network: nn.Module, images: Tensor, layers: int = 5) -> dict[str, np.ndarray]:
    """Feature maps of convolutions for a face, bright for strong; up to 16 channels each.

    Args:
        network: in evaluation mode.
        images: (1, C, H, W), scaled as for the network.
        layers: number of convolutions to show, at most, spread over the network.

    Returns:
        Images by layer, in the network's order.
    """
    found = convolutions(network)
    chosen = np.unique(np.linspace(0, len(found) - 1, layers).round().astype(int))
    shown = [list(found.items())[place] for place in chosen]
    outputs = _outputs(network, images, [module for _, module in shown])
    sheets = {}
    for name, module in shown:
        maps = outputs[module][0, :16].float().cpu().numpy()
        height = round(2 * TILE * maps.shape[1] / maps.shape[2])
        sheets[name] = grid([letterbox(heatmap_image(m), (height, 2 * TILE)) for m in maps], 8)
    return sheets
