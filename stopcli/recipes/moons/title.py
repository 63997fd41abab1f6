"""How the figures of `stopcli moons` are called."""

from __future__ import annotations

from stopcli.recipes.moons.config import MoonsConfig


def moons_title(config: MoonsConfig) -> str:
    """The experiment and its arm; every figure says when it is of quick scale."""
    scale = " (quick scale)" if config.scale == "quick" else ""
    return f"moons, {config.arm.replace('-', ' ')}{scale}"
