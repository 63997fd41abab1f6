"""From the settings of the learning rate to the schedule of a run, or the rule that reduces it."""

from __future__ import annotations

import keras

from stopcli.recipes.images.settings import ImageConfig
from stopcli.schedules.cyclic import CyclicLR, CyclicMomentum, OneCycleLR
from stopcli.schedules.plateau import Plateau
from stopcli.schedules.step_decay import parse_drops
from stopcli.stopping.rule import resolve_direction
from stopcli.training.step import Schedule

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
        up, down = config.cycle_updates(steps_per_epoch)
        gamma = config.gamma if config.clr_mode == "exp_range" else 1.0
        cyclic: Schedule = CyclicLR(config.base_lr, config.max_lr, up, config.clr_mode, gamma, down)
        return cyclic
    if policy == "one-cycle":
        one: Schedule = OneCycleLR(config.max_lr, config.epochs * steps_per_epoch)
        return one
    return None


def make_momentum(config: ImageConfig, schedule: Schedule | None) -> Schedule | None:
    """The momentum of every update; None where it stays as it is."""
    if not config.cycle_momentum:
        return None
    moving: Schedule = CyclicMomentum(schedule, config.min_momentum, config.momentum)
    return moving


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
