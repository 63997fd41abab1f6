"""From the settings and rows of a training to what is trained."""

from __future__ import annotations

from stopcli.recipes.base import Loaded
from stopcli.recipes.images.experiment import image_experiment
from stopcli.recipes.images.load import ImageParts
from stopcli.recipes.train.config import TrainConfig
from stopcli.recipes.train.network import make_network
from stopcli.training.experiment import Experiment


def build(loaded: Loaded) -> Experiment:
    """Model, augmentation, schedule and rules of a run."""
    config: TrainConfig = loaded.config
    images: ImageParts = loaded.data
    model = make_network(
        config, images, config.seed, subtract_mean=config.subtract_mean, mixed_precision=config.mixed_precision
    )
    return image_experiment(config, images, model)
