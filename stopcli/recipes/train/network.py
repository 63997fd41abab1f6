"""From the settings of a network to its model."""

from __future__ import annotations

import keras
import numpy as np

from stopcli.models.minigooglenet import minigooglenet
from stopcli.models.mlp import binary_mlp, image_mlp
from stopcli.models.resnet import resnet_v1
from stopcli.recipes.images.load import ImageParts
from stopcli.recipes.train.network_settings import NetworkSettings


def make_network(
    settings: NetworkSettings, images: ImageParts, seed: int, *, subtract_mean: bool, mixed_precision: bool
) -> keras.Model:
    """The model, not compiled.

    Args:
        images: what it is trained on.
        seed: of the initial weights.
    """
    train = images.parts.train.x
    if not images.pixels:
        return binary_mlp(train.shape[1], settings.hidden, seed)
    shape, classes = train.shape[1:], len(images.classes)
    mean = np.asarray(np.mean(train, axis=0) / 255, np.float32) if subtract_mean else None
    precision = "mixed_float16" if mixed_precision else "float32"
    if settings.model == "resnet":
        return resnet_v1(settings.depth, shape, classes, seed, mean_image=mean, precision=precision)
    if settings.model == "mlp":
        return image_mlp(shape, settings.hidden, classes, seed, mean_image=mean, precision=precision)
    return minigooglenet(shape, classes, seed, width=settings.width, mean_image=mean, precision=precision)
