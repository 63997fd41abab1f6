"""From the settings and images of `stopcli cifar-resnet` to what is trained."""

from __future__ import annotations

import numpy as np

from stopcli.models.resnet import resnet_v1
from stopcli.recipes.base import Loaded
from stopcli.recipes.cifar_resnet.config import CifarResnetConfig
from stopcli.recipes.images.experiment import image_experiment
from stopcli.recipes.images.load import ImageParts
from stopcli.training.experiment import Experiment


def build(loaded: Loaded) -> Experiment:
    """Model, augmentation, schedule and rules of a run."""
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
