"""From the settings of `stopcli moons` to what is trained."""

from __future__ import annotations

import keras

from stopcli.data.moons import moons, split_moons
from stopcli.models.mlp import binary_mlp
from stopcli.models.optimizers import make_optimizer
from stopcli.recipes.moons.config import MoonsConfig
from stopcli.training.experiment import Experiment, stop_plan
from stopcli.training.measures import BINARY_ACCURACY


def build(config: MoonsConfig) -> Experiment:
    """Data, model and rules of a run."""
    rows = moons(config.samples, config.noise, config.data_seed)
    model = binary_mlp(rows.x.shape[1], config.hidden, config.seed)
    optimizer = make_optimizer(config.optimizer, config.learning_rate)
    loss = keras.losses.BinaryCrossentropy()
    # Compiled for its file alone: whoever loads it can evaluate it and train it further.
    model.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"])
    return Experiment(
        model,
        optimizer,
        loss,
        (BINARY_ACCURACY,),
        split_moons(rows, config.train_size, config.validation, config.share),
        config.batch_size,
        config.epochs,
        config.seed,
        stop_plan(config, config, config.metrics),
        jit_compile=True,
    )
