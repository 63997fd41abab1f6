"""An experiment on images from its settings, its images and its model."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from stopcli.models.layers import make_optimizer
from stopcli.recipes.images.augmentation import make_augmentation
from stopcli.recipes.images.load import ImageParts
from stopcli.recipes.images.settings import AugmentSettings, ImageConfig
from stopcli.schedules.cyclic import CyclicMomentum
from stopcli.schedules.policy import policies
from stopcli.training.experiment import Experiment
from stopcli.training.step import BINARY_ACCURACY, CLASS_ACCURACY, Inputs, from_bytes
from stopcli.training.stop_plan import stop_plan


def image_experiment(config: ImageConfig, images: ImageParts) -> Experiment:
    """A classifier, how it is trained, and when training stops."""
    model = make_model(config, images, config.seed)
    optimizer = optimizer_of(config, config.learning_rate, images)
    loss = loss_of(images)
    # Compiled for its file alone: whoever loads it can evaluate it and train it further.
    model.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"])
    steps_per_epoch = images.parts.train.batches(config.batch_size)
    policy = policies()[config.lr_policy]
    schedule = policy.schedule(config, steps_per_epoch)
    return Experiment(
        model,
        optimizer,
        loss,
        (CLASS_ACCURACY if images.pixels else BINARY_ACCURACY,),
        images.parts,
        config.batch_size,
        config.epochs,
        config.seed,
        stop_plan(config, config, config.metrics, lambda rule: config.asked(rule, steps_per_epoch)),
        dataset=images.dataset,
        jit_compile=xla_pays(),
        long_epochs=True,
        inputs=inputs_of(config, images),
        schedule=schedule,
        momentum=CyclicMomentum(schedule, config.min_momentum, config.momentum) if config.cycle_momentum else None,
        log_steps=config.logs_steps,
        plateau=policy.plateau(config),
        classes=images.classes if images.pixels else (),
    )


def make_model(config: Any, images: ImageParts, seed: int) -> keras.Model:
    """The model, not compiled: from float32 images in [0, 1] to class probabilities, or from points to the probability
    of class 1.

    Args:
        config: has an `architecture`, with what it reads, `subtract_mean` and `mixed_precision`.
        seed: of the initial weights.
    """
    train = images.parts.train.x
    if not images.pixels:
        return config.architecture.build_for_points(config, train.shape[1], seed)
    return config.architecture.build(
        config,
        train.shape[1:],
        len(images.classes),
        seed,
        mean_image=np.asarray(np.mean(train, axis=0) / 255, np.float32) if config.subtract_mean else None,
        precision="mixed_float16" if config.mixed_precision else "float32",
    )


def optimizer_of(config: Any, learning_rate: float, images: ImageParts) -> keras.optimizers.Optimizer:
    """The optimizer that the settings name, with its loss scaled under mixed precision.

    Args:
        config: has `optimizer`, `momentum`, `nesterov` and `mixed_precision`.
    """
    optimizer = make_optimizer(config.optimizer, learning_rate, config.momentum, nesterov=config.nesterov)
    return keras.optimizers.LossScaleOptimizer(optimizer) if config.mixed_precision and images.pixels else optimizer


def loss_of(images: ImageParts) -> keras.losses.Loss:
    """The loss: of class indices, or of one probability."""
    return keras.losses.SparseCategoricalCrossentropy() if images.pixels else keras.losses.BinaryCrossentropy()


def inputs_of(config: AugmentSettings, images: ImageParts) -> Inputs:
    """What happens to a batch before the model sees it; nothing to points."""
    return Inputs(from_bytes, make_augmentation(config), config.copies) if images.pixels else Inputs()


def xla_pays() -> bool:
    """Whether XLA makes convolutions faster: on a GPU, not on a CPU."""
    return bool(tf.config.list_physical_devices("GPU"))
