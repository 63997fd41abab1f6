"""The recipes of `stopcli cifar-resnet` and of one training of a chosen model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from stopcli.configs.cifar_resnet import CifarResnetConfig
from stopcli.configs.classifier import MOONS, ClassifierConfig
from stopcli.configs.moons import DEFAULT_SHARES, MoonsConfig
from stopcli.data.toy import moons, split_moons
from stopcli.recipes.base import LoadedConfig
from stopcli.recipes.images import ImageParts, ImageRecipe, read_images
from stopcli.report.drawing import drawn_name

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

    def title(self, config: CifarResnetConfig, dataset: str | None = None) -> str:
        """The experiment, its data and its arm; every figure says when it is of quick scale."""
        scale = " (quick scale)" if config.scale == "quick" else ""
        images = drawn_name(Path(dataset or config.dataset).name)
        return f"{config.describe_model()} on {images}, {config.arm.replace('-', ' ')}{scale}"


class Classifier(ImageRecipe):
    """A ResNet, an MLP or MiniGoogLeNet on images, or an MLP on the two moons."""

    def title(self, config: ClassifierConfig, dataset: str | None = None) -> str:
        """The model, its data and its arm; every figure says when it is of quick scale."""
        scale = " (quick scale)" if config.scale == "quick" else ""
        arm = config.arm.removeprefix(f"{config.model}-").replace("-", " ")
        return f"{config.describe_model()} on {drawn_name(Path(dataset or config.dataset).name)}, {arm}{scale}"

    def read(self, config: Any, observer: Observer) -> LoadedConfig:
        return read_data(config, observer)
