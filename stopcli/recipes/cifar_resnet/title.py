"""How the figures of `stopcli cifar-resnet` are called."""

from __future__ import annotations

from pathlib import Path

from stopcli.recipes.cifar_resnet.config import CifarResnetConfig
from stopcli.report.drawing import drawn_name


def resnet_title(config: CifarResnetConfig, dataset: str) -> str:
    """The experiment, its data and its arm; every figure says when it is of quick scale."""
    scale = " (quick scale)" if config.scale == "quick" else ""
    return f"ResNet-{config.depth} v1 on {drawn_name(Path(dataset).name)}, {config.arm.replace('-', ' ')}{scale}"
