"""The rows of a training: images, or the two moons."""

from __future__ import annotations

from stopcli.data.dataset import Splits
from stopcli.data.toy import moons, split_moons
from stopcli.recipes.base import Loaded
from stopcli.recipes.images import load as images
from stopcli.recipes.images.load import ImageParts, training_words
from stopcli.recipes.moons.config import DEFAULT_SHARES, MoonsConfig
from stopcli.recipes.train.config import TrainConfig
from stopcli.recipes.train.network_settings import MOONS
from stopcli.recipes.trained import POINT
from stopcli.training.session import Observer


def load(config: TrainConfig, observer: Observer) -> Loaded:
    """The images, as for every recipe on images; or scikit-learn's two moons, as `stopcli moons` has them."""
    if config.dataset != MOONS:
        loaded = images.load(config, observer)
        config.check_sides(loaded.data.parts.train.x.shape[1:3])
        return loaded
    parts = moons_parts(config.validation, config.validation_share)
    notes = config.notes_on_rows(parts, POINT) + config.notes_on_updates(parts.train.batches(config.batch_size))
    words = (f"{moons_words(parts)}, {parts.test.count} to test.", *training_words(config, parts))
    return Loaded(config, points(parts), notes, words)


def moons_parts(validation: str, share: float | None) -> Splits:
    """The published rows (30 to train, 70 to test), split as the settings say."""
    rows = moons(MoonsConfig.samples, MoonsConfig.noise, MoonsConfig.data_seed)
    return split_moons(rows, MoonsConfig.train_size, validation, share or DEFAULT_SHARES.get(validation, 0.0))


def points(parts: Splits) -> ImageParts:
    """Rows that are no images."""
    return ImageParts(MOONS, parts, ("0", "1"), pixels=False)


def moons_words(parts: Splits) -> str:
    """What there is to train on, in words."""
    return f"Data: moons, 2 classes, points of a plane: {parts.train.count} to train on"
