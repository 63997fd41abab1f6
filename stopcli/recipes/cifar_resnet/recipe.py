"""The recipe of `stopcli cifar-resnet`: ResNet v1 on images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from stopcli.recipes.base import Loaded
from stopcli.recipes.cifar_resnet.config import CifarResnetConfig
from stopcli.recipes.images.load import ImageParts
from stopcli.recipes.images.recipe import ImageRecipe
from stopcli.report.drawing import drawn_name

if TYPE_CHECKING:
    from stopcli.training.experiment import Experiment


class CifarResnet(ImageRecipe):
    """ResNet v1 on images, with augmentation, erasing or cutout copies."""

    config = CifarResnetConfig

    def title(self, config: CifarResnetConfig, dataset: str) -> str:
        """The experiment, its data and its arm; every figure says when it is of quick scale."""
        scale = " (quick scale)" if config.scale == "quick" else ""
        return f"ResNet-{config.depth} v1 on {drawn_name(Path(dataset).name)}, {config.arm.replace('-', ' ')}{scale}"

    def build(self, loaded: Loaded) -> Experiment:
        """Model, augmentation, schedule and rules of a run."""
        from stopcli.models.resnet import resnet_v1
        from stopcli.recipes.images.experiment import image_experiment

        config: CifarResnetConfig = loaded.config
        images: ImageParts = loaded.data
        train = images.parts.train.x
        mean = np.asarray(np.mean(train, axis=0) / 255, np.float32) if config.subtract_mean else None
        model = resnet_v1(
            config.depth,
            train.shape[1:],
            len(images.classes),
            config.seed,
            mean_image=mean,
            precision="mixed_float16" if config.mixed_precision else "float32",
        )
        return image_experiment(config, images, model)
