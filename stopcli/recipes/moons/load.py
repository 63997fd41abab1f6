"""The rows of `stopcli moons`, in parts."""

from __future__ import annotations

from stopcli.data.toy import moons, split_moons
from stopcli.recipes.base import Loaded
from stopcli.recipes.moons.config import MoonsConfig
from stopcli.recipes.trained import POINT
from stopcli.training.session import Observer


def load(config: MoonsConfig, observer: Observer) -> Loaded:
    """The two moons, split as the config says."""
    rows = moons(config.samples, config.noise, config.data_seed)
    parts = split_moons(rows, config.train_size, config.validation, config.share)
    return Loaded(config, parts, config.notes_on_rows(parts, POINT))
