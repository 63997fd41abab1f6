"""The rows of a training: images, or the two moons."""

from __future__ import annotations

from stopcli.data.dataset import Splits
from stopcli.data.toy import moons, split_moons
from stopcli.recipes.images.load import ImageParts
from stopcli.recipes.moons.config import DEFAULT_SHARES, MoonsConfig
from stopcli.recipes.train.network_settings import MOONS


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
