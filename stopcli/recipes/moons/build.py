"""From the settings and rows of `stopcli moons` to what is trained."""

from __future__ import annotations

from dataclasses import replace

import keras

from stopcli.models.layers import make_optimizer
from stopcli.models.mlp import binary_mlp
from stopcli.recipes.base import Loaded
from stopcli.recipes.moons.case_study import CaseStudy
from stopcli.recipes.moons.config import MoonsConfig
from stopcli.training.experiment import Experiment
from stopcli.training.step import BINARY_ACCURACY
from stopcli.training.stop_plan import stop_plan


def build(loaded: Loaded) -> Experiment:
    """Model and rules of a run."""
    config: MoonsConfig = loaded.config
    model = binary_mlp(loaded.data.train.x.shape[1], config.hidden, config.seed)
    optimizer = make_optimizer(config.optimizer, config.learning_rate)
    loss = keras.losses.BinaryCrossentropy()
    # Compiled for its file alone: whoever loads it can evaluate it and train it further.
    model.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"])
    experiment = Experiment(
        model,
        optimizer,
        loss,
        (BINARY_ACCURACY,),
        loaded.data,
        config.batch_size,
        config.epochs,
        config.seed,
        stop_plan(config, config, config.metrics),
        dataset="moons",
        jit_compile=True,
    )
    if not config.case_study:
        return experiment
    return replace(experiment, afterwards=CaseStudy(config, experiment, experiment.initial_state()))
