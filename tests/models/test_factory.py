"""Only networks are built from configurations."""

from __future__ import annotations

import pytest

from facekp.core.errors import ConfigError
from facekp.models.factory import build_network
from tests.conftest import composed


@pytest.mark.parametrize(
    "target",
    ["os.system", "torch.hub.load", "facekp.models.pooling.make_pool", "facekp.models.resnet.Tensor",
     "facekp.models.resnet.BasicBlock", "facekp.models.convnet.Nothing", "facekp.training.module.KeypointModule"],
)  # fmt: skip
def test_only_networks_are_built(target: str) -> None:
    with pytest.raises(ConfigError, match=r"model\._target_"):
        build_network({"_target_": target, "input_size": [8, 8]}, 1)


def test_nothing_nested_is_built() -> None:
    model = dict(composed("model=resnet18").model) | {"pool": {"_target_": "os.system"}}
    with pytest.raises(ConfigError, match="plain values"):
        build_network(model, 68)
