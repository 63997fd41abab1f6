"""The recipe of one training of a chosen model, which `stopcli clr` runs for each policy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from stopcli.recipes.base import Loaded
from stopcli.recipes.images.load import load, training_words
from stopcli.recipes.images.recipe import ImageRecipe
from stopcli.recipes.train.config import TrainConfig
from stopcli.recipes.train.load import moons_parts, moons_words, points
from stopcli.recipes.train.network_settings import MOONS
from stopcli.recipes.trained import POINT
from stopcli.report.drawing import drawn_name

if TYPE_CHECKING:
    from stopcli.training.session import Observer


class Classifier(ImageRecipe):
    """A ResNet, an MLP or MiniGoogLeNet on images, or an MLP on the two moons."""

    config = TrainConfig

    def title(self, config: TrainConfig, dataset: str | None = None) -> str:
        """The model, its data and its arm; every figure says when it is of quick scale."""
        scale = " (quick scale)" if config.scale == "quick" else ""
        arm = config.arm.removeprefix(f"{config.model}-").replace("-", " ")
        return f"{config.describe_model()} on {drawn_name(Path(dataset or config.dataset).name)}, {arm}{scale}"

    def load(self, config: Any, observer: Observer) -> Loaded:
        """The images, as for every recipe on images; or scikit-learn's two moons, as `stopcli moons` has them."""
        if config.dataset != MOONS:
            loaded = load(config, observer)
            config.architecture.check_sides(*loaded.data.parts.train.x.shape[1:3])
            return loaded
        parts = moons_parts(config.validation, config.validation_share)
        notes = config.notes_on_rows(parts, POINT) + config.notes_on_updates(parts.train.batches(config.batch_size))
        words = (f"{moons_words(parts)}, {parts.test.count} to test.", *training_words(config, parts))
        return Loaded(config, points(parts), notes, words)
