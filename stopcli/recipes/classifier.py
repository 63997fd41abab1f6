"""The recipes of `stopcli cifar-resnet` and of one training of a chosen model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stopcli.configs.classifier import MOONS
from stopcli.configs.moons import DEFAULT_SHARES, MoonsConfig
from stopcli.data.toy import moons, split_moons
from stopcli.recipes.base import LoadedConfig
from stopcli.recipes.images import ImageParts, ImageRecipe, read_images

if TYPE_CHECKING:
    from stopcli.training.session import Observer


def read_data(config: Any, observer: Observer) -> LoadedConfig:
    """The images, as `read_images` gives them; or the rows of `stopcli moons`: 30 to train, 70 to test.

    Args:
        config: has what `read_images` reads, an `architecture` and `validation_share`.
    """
    if config.dataset != MOONS:
        loaded = read_images(config, observer)
        config.architecture.check_sides(*loaded.data.parts.train.x.shape[1:3])
        return loaded
    rows = moons(MoonsConfig.samples, MoonsConfig.noise, MoonsConfig.data_seed)
    share = config.validation_share or DEFAULT_SHARES.get(config.validation, 0.0)
    parts = split_moons(rows, MoonsConfig.train_size, config.validation, share)
    description = f"Data: moons, 2 classes, points of a plane: {parts.train.count} to train on"
    return LoadedConfig(config, ImageParts(MOONS, parts, ("0", "1"), pixels=False), description=(description,))


class CifarResnet(ImageRecipe):
    """ResNet v1 on images, with augmentation, erasing or cutout copies."""


class Classifier(ImageRecipe):
    """A ResNet, an MLP or MiniGoogLeNet on images, or an MLP on the two moons."""

    def read(self, config: Any, observer: Observer) -> LoadedConfig:
        return read_data(config, observer)
