"""The recipe of `stopcli cifar-resnet`: ResNet v1 on images."""

from __future__ import annotations

from pathlib import Path

from stopcli.recipes.cifar_resnet.config import CifarResnetConfig
from stopcli.recipes.images.recipe import ImageRecipe
from stopcli.report.drawing import drawn_name


class CifarResnet(ImageRecipe):
    """ResNet v1 on images, with augmentation, erasing or cutout copies."""

    config = CifarResnetConfig

    def title(self, config: CifarResnetConfig, dataset: str | None = None) -> str:
        """The experiment, its data and its arm; every figure says when it is of quick scale."""
        scale = " (quick scale)" if config.scale == "quick" else ""
        images = drawn_name(Path(dataset or config.dataset).name)
        return f"{config.describe_model()} on {images}, {config.arm.replace('-', ' ')}{scale}"
