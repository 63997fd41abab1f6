"""The recipes of `stopcli cifar-resnet` and of one training of a chosen model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from stopcli.configs.cifar_resnet import CifarResnetConfig
from stopcli.configs.classifier import MOONS, ClassifierConfig
from stopcli.configs.moons import DEFAULT_SHARES, MoonsConfig
from stopcli.configs.training import POINT
from stopcli.data.dataset import Splits
from stopcli.data.toy import moons, split_moons
from stopcli.recipes.base import LoadedConfig
from stopcli.recipes.image_experiment import ImageRecipe
from stopcli.recipes.images import ImageParts, training_description
from stopcli.report.drawing import drawn_name

if TYPE_CHECKING:
    from stopcli.training.session import Observer


def moons_parts(validation: str, share: float | None) -> Splits:
    """The published rows (30 to train, 70 to test), split as the settings say."""
    rows = moons(MoonsConfig.samples, MoonsConfig.noise, MoonsConfig.data_seed)
    return split_moons(rows, MoonsConfig.train_size, validation, share or DEFAULT_SHARES.get(validation, 0.0))


def points(parts: Splits) -> ImageParts:
    """Rows that are no images."""
    return ImageParts(MOONS, parts, ("0", "1"), pixels=False)


def moons_description(parts: Splits) -> str:
    """What there is to train on, in words."""
    return f"Data: moons, 2 classes, points of a plane: {parts.train.count} to train on"


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

    def load(self, config: Any, observer: Observer) -> LoadedConfig:
        """The images, as for every recipe on images; or scikit-learn's two moons, as `stopcli moons` has them."""
        if config.dataset != MOONS:
            loaded = super().load(config, observer)
            config.architecture.check_sides(*loaded.data.parts.train.x.shape[1:3])
            return loaded
        parts = moons_parts(config.validation, config.validation_share)
        notes = config.notes_on_rows(parts, POINT) + config.notes_on_updates(parts.train.batches(config.batch_size))
        description = (f"{moons_description(parts)}, {parts.test.count} to test.", *training_description(config, parts))
        return LoadedConfig(config, points(parts), notes, description)
