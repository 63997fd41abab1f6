"""From the settings of the learning rate to the schedule of a run, or the rule that reduces it."""

from __future__ import annotations

import keras

from stopcli.recipes.images.settings import ImageConfig
from stopcli.schedules.cyclic import CyclicLR
from stopcli.schedules.drops import parse_drops
from stopcli.schedules.plateau import Plateau
from stopcli.stopping.direction import resolve_direction
from stopcli.training.traced_step import Schedule

schedules = keras.optimizers.schedules


def make_schedule(config: ImageConfig, steps_per_epoch: int) -> Schedule | None:
    """The learning rate of every update; None where only an epoch's end can change it."""
    rate, policy = config.learning_rate, config.lr_policy
    if policy == "step":
        drops = parse_drops(config.lr_drops, config.epochs)
        if not drops:
            return None
        # Keras keeps a rate up to and including its boundary, counted in updates before.
        boundaries = [epoch * steps_per_epoch - 1 for epoch, _ in drops]
        dropped: Schedule = schedules.PiecewiseConstantDecay(boundaries, [rate, *(rate * by for _, by in drops)])
        return dropped
    if policy == "cosine":
        steps, warmup = config.epochs * steps_per_epoch, config.lr_warmup * steps_per_epoch
        risen = {"initial_learning_rate": 0.0, "warmup_target": rate, "warmup_steps": warmup} if warmup else {}
        cosine: Schedule = schedules.CosineDecay(
            **{"initial_learning_rate": rate, **risen}, decay_steps=steps - warmup, alpha=config.lr_min / rate
        )
        return cosine
    if policy == "clr":
        step_size = max(1, round(config.step_size * steps_per_epoch))
        cyclic: Schedule = CyclicLR(
            config.base_lr,
            config.max_lr,
            step_size,
            config.clr_mode,
            config.gamma if config.clr_mode == "exp_range" else 1.0,
        )
        return cyclic
    return None


def moves_within_epochs(config: ImageConfig) -> bool:
    """Whether every step has a learning rate of its own, which is then logged."""
    return config.lr_policy in ("cosine", "clr")


def make_plateau(config: ImageConfig) -> Plateau | None:
    """The rule that reduces the learning rate after an epoch; None for other policies."""
    if config.lr_policy != "plateau":
        return None
    return Plateau(
        config.monitor,
        resolve_direction(config.monitor, config.mode, setting="mode"),
        config.lr_factor,
        config.lr_patience,
        least=config.lr_min,
    )
