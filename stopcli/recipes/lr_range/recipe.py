"""The recipe of `stopcli lr-range`: a range test, which trains nothing that is kept."""

from __future__ import annotations

from stopcli.recipes.base import Loaded, Recipe
from stopcli.recipes.images.load import ImageParts, data_words, read_parts
from stopcli.recipes.lr_range.config import LrRangeConfig
from stopcli.recipes.train.load import moons_parts, moons_words, points
from stopcli.recipes.train.network_settings import MOONS
from stopcli.recipes.trained import POINT, large_batch
from stopcli.training.session import Observer


class LrRange(Recipe):
    """What a range test is run on; the runner trains the model with a rising rate itself."""

    config = LrRangeConfig

    def load(self, config: LrRangeConfig, observer: Observer) -> Loaded:
        """The images or points to train on."""
        notes: tuple[str, ...] = ()
        if config.dataset == MOONS:
            parts = moons_parts(config.validation, config.validation_share)
            data, sentence = points(parts), moons_words(parts)
        else:
            config, images, parts, notes = read_parts(config, observer)
            config.architecture.check_sides(*parts.train.x.shape[1:3])
            data, sentence = ImageParts(images.name, parts, images.classes), data_words(images, parts)
        if large := large_batch(config, parts.train.count, POINT if config.dataset == MOONS else "image"):
            notes = (*notes, large)
        updates = config.updates(parts.train.batches(config.batch_size))
        words = (
            f"{sentence}.",
            f"Range test: {config.describe_model()}, {updates} updates, batch {config.batch_size}, {config.optimizer}, "
            f"{config.describe_ramp()}; it stops where the smoothed loss is {config.stop_factor:g} times its lowest.",
        )
        return Loaded(config, data, notes, words)
