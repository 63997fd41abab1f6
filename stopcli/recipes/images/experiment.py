"""An experiment on images from its settings, its images and its model."""

from __future__ import annotations

import keras
import tensorflow as tf

from stopcli.models.optimizers import make_optimizer
from stopcli.recipes.images.augmentation import make_augmentation
from stopcli.recipes.images.learning_rate import make_plateau, make_schedule, moves_within_epochs
from stopcli.recipes.images.load import ImageParts
from stopcli.recipes.images.settings import ImageConfig
from stopcli.training.experiment import Experiment, stop_plan
from stopcli.training.inputs import Inputs, from_bytes
from stopcli.training.measures import CLASS_ACCURACY


def image_experiment(config: ImageConfig, images: ImageParts, model: keras.Model) -> Experiment:
    """A classifier, how it is trained, and when training stops.

    Args:
        model: from float32 images in [0, 1] to class probabilities. It is compiled here.
    """
    optimizer = make_optimizer(config.optimizer, config.learning_rate)
    if config.mixed_precision:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    loss = keras.losses.SparseCategoricalCrossentropy()
    # Compiled for its file alone: whoever loads it can evaluate it and train it further.
    model.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"])
    steps_per_epoch = -(-images.parts.train.count // config.batch_size)
    return Experiment(
        model,
        optimizer,
        loss,
        (CLASS_ACCURACY,),
        images.parts,
        config.batch_size,
        config.epochs,
        config.seed,
        stop_plan(config, config, config.metrics),
        dataset=images.dataset,
        # XLA makes convolutions slower on a CPU and faster on a GPU.
        jit_compile=bool(tf.config.list_physical_devices("GPU")),
        long_epochs=True,
        inputs=Inputs(from_bytes, make_augmentation(config), config.copies),
        schedule=make_schedule(config, steps_per_epoch),
        log_steps=moves_within_epochs(config),
        plateau=make_plateau(config),
        classes=images.classes,
    )
